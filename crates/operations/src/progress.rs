//! Progress of long work: a bar on a terminal, plain lines otherwise.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::print_note;

/// A bar for work of `length` steps. The length is 0 while it is unknown.
#[must_use]
pub(crate) fn bar(what: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if !std::io::stderr().is_terminal() {
        print_note!("{what} …");
        bar.set_draw_target(ProgressDrawTarget::hidden());
        return bar;
    }
    // The template is a constant and valid, so the default style is never used.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
