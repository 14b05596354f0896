//! Progress bars.

use std::{borrow::Cow, io, io::IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// As wide as the terminal.
pub const WIDE: &str = "{msg:30} {wide_bar} {pos}/{len} ";

/// Draws nothing unless standard error is a terminal.
pub fn bar(template: &str, length: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}
