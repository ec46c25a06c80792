//! The C entry point of the hook, where its Rust start-up code is left out on other platforms.

/// Defines `main` for a `#![no_main]` program: `$run` is called with nothing and returns the exit code.
#[macro_export]
macro_rules! c_main {
    ($run:path) => {
        // SAFETY: `main` is the one symbol of this name in a program without Rust's own; the C library calls it once, on
        // the first thread. `std::env::args_os` takes the arguments from the process itself.
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: std::ffi::c_int, _arguments: *const *const std::ffi::c_char) -> std::ffi::c_int {
            std::ffi::c_int::from($run())
        }
    };
}
