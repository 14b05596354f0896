//! The page about messages.

use anki_syncd::collection::upload::Refusal;
use regex::Regex;

use crate::rows;

const ABOUT_MESSAGES: &str = include_str!("../../docs/troubleshooting.md");

/// One of each, so that a new one is missed here.
fn refusals() -> Vec<Refusal> {
    let next = |refusal: &Refusal| match refusal {
        Refusal::Empty => Some(Refusal::Foreign),
        Refusal::Foreign => Some(Refusal::Corrupt),
        Refusal::Corrupt => Some(Refusal::Laborious),
        Refusal::Laborious => Some(Refusal::Unlike("has a generated column".to_owned())),
        Refusal::Unlike(_) => Some(Refusal::Wrong("has the id 1 more than once".to_owned())),
        Refusal::Wrong(_) => Some(Refusal::Schema(99)),
        Refusal::Schema(_) => Some(Refusal::Restored {
            at: "2026-11-21 14:38 UTC".to_owned(),
        }),
        Refusal::Restored { .. } => Some(Refusal::TooLarge {
            sent: 1 << 20,
            decoded: 3 << 20,
        }),
        Refusal::TooLarge { .. } => Some(Refusal::OverQuota {
            size: 1 << 20,
            media: 1 << 20,
            quota: 1 << 20,
        }),
        Refusal::OverQuota { .. } => None,
    };
    std::iter::successors(Some(Refusal::Empty), next).collect()
}

#[test]
fn the_page_about_messages_has_every_refusal_of_an_upload() {
    let messages: Vec<Regex> = rows(ABOUT_MESSAGES)
        .map(|row| regex::escape(row[0]).replace('…', ".*"))
        .map(|pattern| Regex::new(&format!("^{pattern}$")).unwrap())
        .collect();
    let sentences: Vec<String> = refusals().iter().map(ToString::to_string).collect();
    for sentence in &sentences {
        assert!(
            messages.iter().any(|message| message.is_match(sentence)),
            "troubleshooting.md lacks: {sentence}"
        );
    }
    for message in messages {
        assert!(
            !message.as_str().contains("was refused")
                || sentences.iter().any(|sentence| message.is_match(sentence)),
            "no refusal says so: {message}"
        );
    }
}
