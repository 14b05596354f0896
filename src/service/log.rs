//! The log: structured entries in the journal, or text on standard error.

use std::io::{IsTerminal, stderr};

use nix::sys::stat::fstat;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::manager;

/// Fields are named `ANKI_USER`, `ANKI_DEVICE` and so on.
const PREFIX: &str = "ANKI";
const IDENTIFIER: &str = "anki-syncd";

/// Starts logging. `RUST_LOG` chooses what is logged; by default what a person needs.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let journal = is_journal()
        .then(tracing_journald::layer)
        .and_then(Result::ok);
    let layer = match journal {
        Some(layer) => layer
            .with_syslog_identifier(IDENTIFIER.to_owned())
            .with_field_prefix(Some(PREFIX.to_owned()))
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            })
            .boxed(),
        None => tracing_subscriber::fmt::layer()
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .init();
}

/// What a command fails with.
pub fn error(text: &str) {
    say("<3>", "anki-syncd: ", text);
}

/// What a command warns of.
pub fn warning(text: &str) {
    say("<4>", "anki-syncd: warning: ", text);
}

/// The journal knows who speaks, and takes the priority of each line from its beginning.
fn say(priority: &str, begin: &str, text: &str) {
    if is_journal() {
        text.lines().for_each(|line| eprintln!("{priority}{line}"));
    } else {
        eprintln!("{begin}{text}");
    }
}

/// Whether standard error goes to the journal, and not to a file or pipe that a parent put there.
pub fn is_journal() -> bool {
    let Some(stream) = manager::journal_stream() else {
        return false;
    };
    fstat(stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}
