//! Notes, cards and review log entries, which are exchanged in portions.

use serde::{Deserialize, Serialize};

use super::card::Card;
use super::note::Note;
use super::revlog::RevlogEntry;

/// The body of `applyChunk`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ApplyChunk {
    pub(crate) chunk: Chunk,
}

/// A portion of what one side has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Whether it is the last one.
    #[serde(default)]
    pub(crate) done: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) revlog: Vec<RevlogEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cards: Vec<Card>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Note>,
}

impl Chunk {
    /// How many objects.
    pub(crate) fn len(&self) -> usize {
        self.revlog.len() + self.cards.len() + self.notes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn lists_may_be_absent_or_empty() {
        for body in [
            "{}",
            r#"{"done": false}"#,
            r#"{"revlog": [], "cards": [], "notes": []}"#,
        ] {
            assert_eq!(
                parse::<Chunk>(body.as_bytes()).unwrap(),
                Chunk::default(),
                "{body}"
            );
        }
        let ApplyChunk { chunk } = parse(br#"{"chunk": {"done": true}}"#).unwrap();
        assert!(chunk.done);
        assert!(parse::<ApplyChunk>(b"{}").is_err());
        assert!(parse::<Chunk>(br#"{"cards": null}"#).is_err());
        assert!(parse::<Chunk>(br#"{"done": 1}"#).is_err());
    }

    #[test]
    fn empty_lists_are_left_out() {
        assert_eq!(
            serde_json::to_string(&Chunk::default()).unwrap(),
            r#"{"done":false}"#
        );
        let body = r#"{"done":true,"revlog":[[1,2,3,4,5,6,7,8,0]]}"#;
        let chunk: Chunk = parse(body.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&chunk).unwrap(), body);
    }
}
