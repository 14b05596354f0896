//! Where the log goes: structured entries to the journal, or text to standard error. The fields of
//! requests are in `src/http/log.rs`.

use std::{
    env,
    io::{IsTerminal, stderr},
};

use nix::sys::stat::fstat;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::manager;

/// The prefix of fields: `ANKI_USER`, `ANKI_DEVICE` and so on.
const PREFIX: &str = "ANKI";
const IDENTIFIER: &str = "anki-syncd";
/// The level unless `RUST_LOG` sets another one.
const DEFAULT: &str = "info";
/// The prefix of our own targets.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// Starts logging, at the level of `RUST_LOG`.
pub fn init() {
    let wanted = env::var_os("RUST_LOG").unwrap_or_default();
    let wanted = wanted.to_string_lossy();
    let (filter, unknown) = filter(&wanted);
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
    if let Some(word) = unknown {
        tracing::warn!(
            "RUST_LOG: {word:?} is not a level, so the level is {DEFAULT}: set it to error, warn, info, debug or trace"
        );
    }
}

/// The filter, and the word in `RUST_LOG` that made it fall back to the default.
fn filter(wanted: &str) -> (EnvFilter, Option<&str>) {
    let by_default = || EnvFilter::new(DEFAULT);
    match (unknown(wanted), EnvFilter::try_new(wanted)) {
        (None, _) if wanted.trim().is_empty() => (by_default(), None),
        (None, Ok(filter)) => (filter, None),
        (None, Err(_)) => (by_default(), Some(wanted)),
        (Some(word), _) => (by_default(), Some(word)),
    }
}

/// The filter takes any unknown word for the name of a module, and logs nothing else:
/// `RUST_LOG=verbose` would hide every error. Other modules only make sense beside a level for
/// ours, as in `info,hyper=debug`.
fn unknown(wanted: &str) -> Option<&str> {
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
    let level = |word: &str| word.split_once('=').map(|(_, level)| is_level(level));
    let is_ours = |word: &str| {
        let part = word.split('=').next().unwrap_or_default();
        let rest = part.strip_prefix(OURS);
        let is_part = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        is_level(word) || is_part && level(word) != Some(false)
    };
    // A filter by spans contains commas, and is not a mistake.
    if wanted.contains('[') {
        return None;
    }
    let mut words = wanted.split(',').filter(|word| !word.is_empty());
    let has_ours = words.clone().any(is_ours);
    words.find(|word| !(is_ours(word) || has_ours && level(word) == Some(true)))
}

/// Prints why a command fails.
pub fn error(text: &str) {
    say("<3>", "anki-syncd: ", text);
}

/// Prints a warning of a command.
pub fn warning(text: &str) {
    say("<4>", "anki-syncd: warning: ", text);
}

/// In the journal, a prefix sets the priority of each line, and the name of the program is known.
fn say(priority: &str, begin: &str, text: &str) {
    if is_journal() {
        text.lines().for_each(|line| eprintln!("{priority}{line}"));
    } else {
        eprintln!("{begin}{text}");
    }
}

/// Whether standard error is the journal, and not a file or pipe of the parent process.
pub fn is_journal() -> bool {
    let Some(stream) = manager::journal_stream() else {
        return false;
    };
    fstat(stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_in_rust_log_is_named_and_hides_nothing() {
        for (wanted, word) in [
            ("verbose", "verbose"),
            ("infos", "infos"),
            ("info,verbose", "verbose"),
            ("info;debug", "info;debug"),
            ("anki-syncd=debug", "anki-syncd=debug"),
            ("hyper=debug", "hyper=debug"),
            ("info,hyper=loud", "hyper=loud"),
            ("anki_syncd=loud", "anki_syncd=loud"),
            ("anki_syncd:debug", "anki_syncd:debug"),
            ("anki_syncd_debug", "anki_syncd_debug"),
            ("info, debug", " debug"),
        ] {
            let (filter, unknown) = filter(wanted);
            assert_eq!(unknown, Some(word), "{wanted}");
            assert_eq!(filter.to_string(), "info", "{wanted}");
        }
    }

    #[test]
    fn what_rust_log_asks_for_is_logged() {
        for (wanted, logged) in [
            ("", "info"),
            ("warn", "warn"),
            ("DEBUG", "debug"),
            ("off", "off"),
            ("4", "debug"),
            ("anki_syncd=debug", "anki_syncd=debug"),
            ("anki_syncd::http", "anki_syncd::http=trace"),
            ("info,hyper=debug", "hyper=debug,info"),
            ("[sync]=debug", "[sync]=debug"),
        ] {
            let (filter, unknown) = filter(wanted);
            assert_eq!(unknown, None, "{wanted}");
            assert_eq!(filter.to_string(), logged, "{wanted}");
        }
    }
}
