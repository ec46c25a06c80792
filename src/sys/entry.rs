//! The C entry point of the hook. On Linux Rust's own start-up code (alternate signal stack, stack guard, argument copies) brings
//! 140 KiB of C library with it into a static program, and the hook is started with every container.

/// Defines `main` for a `#![no_main]` program: `$run` is called with nothing and returns the exit code.
///
/// What Rust's start-up would have done on Linux, and the program must do itself, is `linux::startup::shed_inheritance`.
#[macro_export]
macro_rules! c_main {
    ($run:path) => {
        // SAFETY: `main` is the one symbol of this name in a program without Rust's own; the C library calls it once, on the
        // first thread, after its constructors (from which `std::env::args_os` has the arguments; Windows is asked for them).
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: std::ffi::c_int, _arguments: *const *const std::ffi::c_char) -> std::ffi::c_int {
            std::ffi::c_int::from($run())
        }
    };
}
