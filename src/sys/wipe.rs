//! An allocator that wipes each block before it is freed, so that no library's buffer (HTTP, JSON, base64) can leave a
//! value in free heap memory. It does not lock pages and does not know which blocks held a secret: it wipes them all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{Ordering, compiler_fence};

/// The system allocator, with every block zeroed before it goes back (the user-space twin of the kernel's
/// `init_on_free`). Programs that handle values name it as their `#[global_allocator]`.
///
/// Not promised: copies in registers, on the stack or in kernel buffers.
#[derive(Debug)]
pub struct WipingAllocator;

// SAFETY: every call goes to `System` with the arguments it was given, and `dealloc` only writes inside the block that
// the caller is giving up. `realloc` is the trait's own (allocate, copy, dealloc), so a block that moves is wiped too.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller owns `block` for `layout.size()` bytes until this call returns.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the caller's promise that `block` came from `alloc` with this layout is passed on unchanged.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Zeroes `len` bytes at `block` in a way that the optimiser may not drop.
///
/// # Safety
/// `block` must be valid for writes of `len` bytes.
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: the caller promises that the range is writable.
    unsafe { std::ptr::write_bytes(block, 0, len) };
    // An empty assembly block that takes the pointer: the compiler must assume that the zeroes are read.
    // SAFETY: no instruction is emitted, so nothing is touched.
    unsafe { std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags)) };
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wipe_reaches_every_byte() {
        let mut block = [0xA5u8; 4096];
        // SAFETY: the array is writable for its whole length.
        unsafe { wipe(block.as_mut_ptr(), block.len()) };
        assert!(block.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_block_that_grows_is_wiped_where_it_stood() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        // SAFETY: the layout is not empty; the block is used only within its size and given back once.
        unsafe {
            let block = WipingAllocator.alloc(layout);
            std::ptr::write_bytes(block, 0x5A, 64);
            let grown = WipingAllocator.realloc(block, layout, 4096);
            assert_eq!(std::slice::from_raw_parts(grown, 64), [0x5A; 64]);
            WipingAllocator.dealloc(grown, Layout::from_size_align(4096, 8).unwrap());
        }
    }
}
