//! The `lockgate` binary: the command line decides, the library does.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = lockgate::memory::ALLOCATOR;

fn main() -> ExitCode {
    lockgate::cli::main()
}
