//! Everything but notes, cards and the review log: few objects, exchanged in one message.

use serde::{Deserialize, Serialize};

use super::Unknown;
use super::deck::Deck;
use super::deck_config::DeckConfig;
use super::notetype::Notetype;

/// The body of `applyChanges`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ApplyChanges {
    pub(crate) changes: Changes,
}

/// What one side has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    #[serde(rename = "models")]
    pub(crate) notetypes: Vec<Notetype>,
    pub(crate) decks: (Vec<Deck>, Vec<DeckConfig>),
    pub(crate) tags: Vec<String>,
    /// The whole config, from the side that was changed later.
    #[serde(rename = "conf", skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Unknown>,
    /// When the collection was created, in seconds, from the same side.
    #[serde(rename = "crt", skip_serializing_if = "Option::is_none")]
    pub(crate) creation_secs: Option<i64>,
}

impl Changes {
    /// How many objects; the settings count as one.
    pub(crate) fn len(&self) -> usize {
        let (decks, configs) = &self.decks;
        self.notetypes.len()
            + decks.len()
            + configs.len()
            + self.tags.len()
            + usize::from(self.config.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn three_keys_are_needed_and_unknown_ones_ignored() {
        let body =
            r#"{"changes": {"models": [], "decks": [[], []], "tags": ["a"], "x": 1}, "y": 2}"#;
        let ApplyChanges { changes } = parse(body.as_bytes()).unwrap();
        assert_eq!(
            changes,
            Changes {
                tags: vec!["a".to_owned()],
                ..Changes::default()
            }
        );
        for body in [
            "{}",
            r#"{"changes": {"decks": [[], []], "tags": []}}"#,
            r#"{"changes": {"models": [], "tags": []}}"#,
            r#"{"changes": {"models": [], "decks": [[], []]}}"#,
            r#"{"changes": {"models": [], "decks": [[]], "tags": []}}"#,
            r#"{"changes": {"models": [], "decks": [[], [], []], "tags": []}}"#,
            r#"{"changes": {"models": [], "decks": [[], []], "tags": [1]}}"#,
            r#"{"changes": {"models": [], "decks": [[], []], "tags": [], "crt": 1.5}}"#,
            r#"{"changes": {"models": [], "decks": [[], []], "tags": [], "conf": []}}"#,
        ] {
            assert!(parse::<ApplyChanges>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn config_and_creation_time_are_left_out_unless_set() {
        let mut changes = Changes::default();
        let json = serde_json::to_string(&changes).unwrap();
        assert_eq!(json, r#"{"models":[],"decks":[[],[]],"tags":[]}"#);
        changes.config = Some(Unknown::new());
        changes.creation_secs = Some(5);
        let json = serde_json::to_string(&changes).unwrap();
        assert_eq!(
            json,
            r#"{"models":[],"decks":[[],[]],"tags":[],"conf":{},"crt":5}"#
        );
        assert_eq!(parse::<Changes>(json.as_bytes()).unwrap(), changes);
    }
}
