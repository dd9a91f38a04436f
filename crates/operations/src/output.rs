//! What commands print. A line that cannot be printed never ends a process: a shop goes on when its log is on a full disk, and an import
//! is not undone because nobody reads its summary. A command whose output was cut off says so at its end, with [`ended`].

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::{Mutex, PoisonError},
};

/// Why the first line that was lost was lost.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line to standard output, as `println!` does. [`ended`](crate::output::ended) says whether all lines were printed.
#[macro_export]
macro_rules! print_line {
    ($($argument:tt)*) => {
        $crate::output::line(::std::format_args!($($argument)*))
    };
}

/// Prints a line to standard error, as `eprintln!` does. Nobody can be told when that fails.
#[macro_export]
macro_rules! print_note {
    ($($argument:tt)*) => {
        $crate::output::note(::std::format_args!($($argument)*))
    };
}

#[doc(hidden)]
pub fn line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    // The buffer of standard output holds lines, so what is written is flushed, too.
    if let Err(error) = writeln!(out, "{text}") {
        lost(error);
    }
}

#[doc(hidden)]
pub fn note(text: fmt::Arguments<'_>) {
    let _unsaid = writeln!(io::stderr().lock(), "{text}");
}

/// Remembers that output was lost.
fn lost(error: io::Error) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// Says whether all lines so far were printed.
///
/// # Errors
/// When one was lost. That the reader has closed the output, as `head` does, is no error.
pub fn ended() -> io::Result<()> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take().as_ref().map_or(Ok(()), cut_off)
}

/// What it means that output was lost.
///
/// # Errors
/// The error, unless the reader has closed the output.
pub(crate) fn cut_off(error: &io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        kind => Err(io::Error::new(kind, format!("the output is cut off: {error}"))),
    }
}
