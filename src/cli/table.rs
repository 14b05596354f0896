//! Plain text tables, for people.

use std::io::{self, Write};

use indicatif::HumanBytes;
use tabwriter::TabWriter;

use crate::{account::devices::DeviceName, clock};

/// Prints a table with a line of headings.
pub fn print(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut out = TabWriter::new(io::stdout().lock()).padding(3);
    writeln!(out, "{}", headings.join("\t"))?;
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| printable(cell)).collect();
        writeln!(out, "{}", cells.join("\t"))?;
    }
    out.flush()
}

/// Escapes text from devices and file names, which could otherwise move the cursor of the terminal.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

/// How long ago a moment was, given in seconds since 1970. This needs no time zone.
pub fn ago(then: Option<i64>) -> String {
    then.map_or_else(
        || "never".to_owned(),
        |then| since(clock::now_secs().saturating_sub(then)),
    )
}

/// When a device last synced, with its name if it has one.
pub fn synced(then: Option<i64>, device: Option<&DeviceName>) -> String {
    match device {
        Some(name) => format!("{} ({name})", ago(then)),
        None => ago(then),
    }
}

/// A size in a readable unit.
pub fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

fn since(secs: i64) -> String {
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match (minutes, hours, days) {
        (..1, _, _) => "just now".to_owned(),
        (..90, _, _) => format!("{minutes} min ago"),
        (_, ..48, _) => format!("{hours} h ago"),
        _ => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_would() {
        for (secs, told) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (7000, "1 h ago"),
            (90_000, "25 h ago"),
            (200_000, "2 days ago"),
        ] {
            assert_eq!(since(secs), told);
        }
    }

    #[test]
    fn nothing_that_a_device_says_moves_the_cursor() {
        assert_eq!(printable("\x1b[2Jlin\tux"), "?[2Jlin?ux");
    }
}
