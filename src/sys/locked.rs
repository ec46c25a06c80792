//! One arena of locked memory, made once and reused: a slot costs a mutex, not a system call.
//! It hands out bytes; what they mean is for the module `secret`.

use std::io;
use std::ptr::NonNull;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use super::here;

/// Bytes in a small slot: keys, tokens, wrapped keys.
pub const SMALL: usize = 512;
/// Bytes in a large slot: the largest value (511,999) and a tag of 16 fit.
pub const LARGE: usize = 512 * 1024 + 512;
/// How long a caller waits for a slot before it is told that there is none. A slot is held for one copy only.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many slots of each size the arena has.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Slots of [`SMALL`] bytes.
    pub small: usize,
    /// Slots of [`LARGE`] bytes.
    pub large: usize,
}

impl Shape {
    /// For a program that handles one value at a time: 1.1 MiB.
    pub const TOOL: Shape = Shape { small: 32, large: 2 };
    /// For the agent: 4.3 MiB, below the usual RLIMIT_MEMLOCK of 8 MiB.
    pub const AGENT: Shape = Shape { small: 512, large: 8 };
}

/// A mapping of [`here::pages`]: locked in RAM as far as [`Arena::is_locked`] says, and left out of dumps.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    shape: Shape,
    locked: bool,
    free: Mutex<Free>,
    returned: Condvar,
}

#[derive(Debug)]
struct Free {
    small: Vec<usize>,
    large: Vec<usize>,
}

// SAFETY: `base` is never changed after construction, and the offsets in `free` are given to one slot at a time.
unsafe impl Send for Arena {}
// SAFETY: as above; all shared mutable state is behind the mutex.
unsafe impl Sync for Arena {}

static ARENA: OnceLock<Arena> = OnceLock::new();

impl Arena {
    /// Makes the process's arena; a second call finds the first one's and leaves it as it is.
    ///
    /// # Errors
    /// The mapping could not be made. Memory that cannot be locked is no error here: see [`Arena::is_locked`].
    pub fn establish(shape: Shape) -> io::Result<&'static Arena> {
        if let Some(arena) = ARENA.get() {
            return Ok(arena);
        }
        let arena = Arena::map(shape)?;
        Ok(ARENA.get_or_init(|| arena))
    }

    /// Whether the pages are locked: false where the system's limits forbid it.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// A slot for `len` bytes, zero-filled; waits up to [`PATIENCE`] for one to come back.
    ///
    /// # Errors
    /// `InvalidInput` when `len` is above [`LARGE`]; `TimedOut` when no slot came back.
    pub fn take(&'static self, len: usize) -> io::Result<Slot> {
        if len > LARGE {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut free = self.lock();
        loop {
            if len <= SMALL
                && let Some(offset) = free.small.pop()
            {
                return Ok(Slot { arena: self, offset, capacity: SMALL, len });
            }
            if let Some(offset) = free.large.pop() {
                return Ok(Slot { arena: self, offset, capacity: LARGE, len });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            free = self.returned.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn map(shape: Shape) -> io::Result<Arena> {
        let size = shape.small * SMALL + shape.large * LARGE;
        let (base, locked) = here::pages::map(size)?;
        let small = (0..shape.small).map(|n| n * SMALL).collect();
        let large = (0..shape.large).map(|n| shape.small * SMALL + n * LARGE).collect();
        Ok(Arena { base, shape, locked, free: Mutex::new(Free { small, large }), returned: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, offset: usize, capacity: usize) {
        let mut free = self.lock();
        if capacity == SMALL {
            free.small.push(offset)
        } else {
            free.large.push(offset)
        }
        drop(free);
        self.returned.notify_one();
    }
}

/// Exclusive use of one slot of the arena; wiped and returned when dropped.
pub struct Slot {
    arena: &'static Arena,
    offset: usize,
    capacity: usize,
    len: usize,
}

impl Slot {
    /// The bytes in use.
    pub fn bytes(&self) -> &[u8] {
        debug_assert!(self.offset + self.capacity <= self.arena.shape.small * SMALL + self.arena.shape.large * LARGE);
        // SAFETY: the offset came from the arena's free list, so this slot alone covers `capacity >= len` bytes of the
        // mapping, which lives as long as the process; the kernel gave it zero-filled, so every byte is initialised.
        unsafe { std::slice::from_raw_parts(self.arena.base.as_ptr().add(self.offset), self.len) }
    }

    /// The bytes in use, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes this the only reference into the slot.
        unsafe { std::slice::from_raw_parts_mut(self.arena.base.as_ptr().add(self.offset), self.len) }
    }

    /// Shortens the part in use to `len` bytes and wipes the rest; a longer `len` changes nothing.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.bytes_mut()[len..].zeroize();
            self.len = len;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        self.arena.give_back(self.offset, self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_wiped() {
        let arena: &'static Arena = Box::leak(Box::new(Arena::map(Shape { small: 1, large: 1 }).unwrap()));
        let mut slot = arena.take(8).unwrap();
        slot.bytes_mut().copy_from_slice(b"12345678");
        let offset = slot.offset;
        drop(slot);
        let again = arena.take(SMALL).unwrap();
        assert_eq!(again.offset, offset);
        assert!(again.bytes().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn small_requests_use_large_slots_when_the_small_ones_are_out() {
        let arena: &'static Arena = Box::leak(Box::new(Arena::map(Shape { small: 1, large: 1 }).unwrap()));
        let first = arena.take(1).unwrap();
        let second = arena.take(1).unwrap();
        assert_eq!((first.capacity, second.capacity), (SMALL, LARGE));
    }

    #[test]
    fn the_largest_value_and_its_tag_fit_and_more_is_refused() {
        let arena: &'static Arena = Box::leak(Box::new(Arena::map(Shape { small: 0, large: 1 }).unwrap()));
        drop(arena.take(511_999 + 16).unwrap());
        assert_eq!(arena.take(LARGE + 1).err().unwrap().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_waiting_caller_gets_the_slot_that_comes_back() {
        let arena: &'static Arena = Box::leak(Box::new(Arena::map(Shape { small: 0, large: 1 }).unwrap()));
        let held = arena.take(LARGE).unwrap();
        let waiter = std::thread::spawn(move || arena.take(1).map(|slot| slot.capacity));
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        assert_eq!(waiter.join().unwrap().unwrap(), LARGE);
    }
}
