//! The fields of log lines, and the page about the log.

use crate::{found, same};

const PAGE: &str = include_str!("../../docs/watching.md");
/// The fields of every line about a request are in the macro; others are named where it is used.
const SOURCES: [&str; 2] = [
    include_str!("../../src/http/log.rs"),
    include_str!("../../src/http/visits.rs"),
];

#[test]
fn the_page_about_the_log_has_every_field_of_a_request() {
    let mut fields = std::collections::BTreeSet::new();
    for source in SOURCES {
        fields.extend(found(r"(\w+) = \$entry\.", source));
        for named in found(r"\bline!\(\s*\w+,\s*\w+,([^;]+);", source) {
            fields.extend(found(r"(\w+)", &named));
        }
    }
    let written = found(r"`ANKI_([A-Z_]+)`", PAGE);
    let written = written.iter().map(|name| name.to_lowercase()).collect();
    same("docs/watching.md", &written, &fields);
}
