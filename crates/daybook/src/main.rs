//! The binary. Its code is in the library of the same name.

use std::process::ExitCode;

/// A command makes many small allocations in one thread and frees them in another. The system's allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // This comes first, while the process has one thread: it may have been started to become PostgreSQL.
    daybook_embedded::supervisor::run_if_asked();
    daybook::cli::main()
}
