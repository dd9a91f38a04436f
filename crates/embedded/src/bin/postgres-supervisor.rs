//! The supervisor and nothing else: what the tests of this crate start PostgreSQL with, since a test binary begins with the
//! `main` of the test harness. `daybook` begins with the same call.

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    daybook_embedded::supervisor::run_if_asked();
    let _unsaid = writeln!(std::io::stderr(), "this program is started by tests of daybook-embedded");
    ExitCode::from(2)
}
