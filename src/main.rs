//! The `lockgate` binary: sets the allocator and calls the command line.
//!
//! Must not hold any logic; the library does.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = lockgate::memory::ALLOCATOR;

fn main() -> ExitCode {
    lockgate::cli::main()
}
