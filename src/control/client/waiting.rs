//! The message that a person sees while the server works.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Shorter work needs no message.
const SHORT: Duration = Duration::from_secs(2);
/// In a log, a line cannot be replaced: there is only one message, after this time.
const LONG: Duration = Duration::from_secs(5);

/// Work of the server, which reports that it goes on.
pub struct Waiting {
    work: String,
    since: Instant,
    shown: Option<ProgressBar>,
}

impl Waiting {
    /// Begins now.
    pub fn begin(work: String) -> Self {
        Self {
            work,
            since: Instant::now(),
            shown: None,
        }
    }

    /// The server has just reported that it is working.
    pub fn goes_on(&mut self) {
        let is_terminal = io::stderr().is_terminal();
        let after = if is_terminal { SHORT } else { LONG };
        match &self.shown {
            Some(bar) => bar.tick(),
            None if self.since.elapsed() < after => {}
            None if is_terminal => self.shown = Some(self.spinner()),
            None => {
                eprintln!(
                    "anki-syncd: the server is {}; this may take a while",
                    self.work
                );
                self.shown = Some(ProgressBar::hidden());
            }
        }
    }

    fn spinner(&self) -> ProgressBar {
        let template = "{spinner} {msg}, {elapsed} so far (Ctrl-C stops waiting)";
        let style = ProgressStyle::with_template(template);
        ProgressBar::new_spinner()
            .with_elapsed(self.since.elapsed())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
            .with_message(format!("The server is {}", self.work))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
