//! The binary: all it does is in the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while this process has one thread: it may have been started to become PostgreSQL.
    daybook::embedded::supervisor::run_if_asked();
    daybook::cli::main()
}
