//! The binary: all it does is in the library of the same name.

use std::process::ExitCode;

/// Commands are many small allocations that one thread makes and another frees, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, while this process has one thread: it may have been started to become PostgreSQL.
    daybook_embedded::supervisor::run_if_asked();
    daybook::cli::main()
}
