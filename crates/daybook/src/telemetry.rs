//! Logs: to standard error, so that standard output stays a command's own. `RUST_LOG` chooses; `DAYBOOK_LOG=json` is for
//! machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts to log.
pub fn init() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,daybook=info,daybook_event_stream=info,daybook_projectors=info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if std::env::var_os("DAYBOOK_LOG").is_some_and(|format| format == "json") {
        logs.json().init();
    } else {
        logs.with_ansi(io::stderr().is_terminal()).init();
    }
}
