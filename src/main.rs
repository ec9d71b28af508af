//! The `lockgate` binary: the command line decides, the library does.

use std::process::ExitCode;

/// Measured against the system's allocator: see the performance notes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lockgate::cli::main()
}
