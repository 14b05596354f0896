//! What was deleted: ids of notes, cards and decks.

use serde::{Deserialize, Serialize};

use super::tolerant::number_or_string;

/// Ids of deleted objects by kind.
///
/// Old versions of AnkiMobile write the ids as strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graves {
    #[serde(deserialize_with = "ids")]
    pub(crate) cards: Vec<i64>,
    #[serde(deserialize_with = "ids")]
    pub(crate) decks: Vec<i64>,
    #[serde(deserialize_with = "ids")]
    pub(crate) notes: Vec<i64>,
}

impl Graves {
    /// How many objects.
    pub(crate) fn len(&self) -> usize {
        self.cards.len() + self.decks.len() + self.notes.len()
    }
}

/// The body of `applyGraves`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApplyGraves {
    pub(crate) chunk: Graves,
}

fn ids<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Id(#[serde(deserialize_with = "number_or_string")] i64);
    let ids = Vec::<Id>::deserialize(deserializer)?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn ids_are_integers_or_decimal_strings() {
        let graves: Graves =
            parse(br#"{"cards": [1, 2], "decks": ["3"], "notes": [], "x": 0}"#).unwrap();
        let expected = Graves {
            cards: vec![1, 2],
            decks: vec![3],
            notes: vec![],
        };
        assert_eq!(graves, expected);
    }

    #[test]
    fn all_three_kinds_have_to_be_there() {
        assert!(
            parse::<ApplyGraves>(br#"{"chunk": {"cards": [], "decks": [], "notes": []}}"#).is_ok()
        );
        for body in [
            r#"{"chunk": {"cards": [], "decks": []}}"#,
            r#"{"chunk": null}"#,
            "{}",
            r#"{"chunk": {"cards": [1.0], "decks": [], "notes": []}}"#,
            r#"{"chunk": {"cards": ["x"], "decks": [], "notes": []}}"#,
            r#"{"chunk": {"cards": null, "decks": [], "notes": []}}"#,
        ] {
            assert!(parse::<ApplyGraves>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn empty_kinds_are_written() {
        let json = serde_json::to_string(&Graves {
            notes: vec![7],
            ..Graves::default()
        })
        .unwrap();
        assert_eq!(json, r#"{"cards":[],"decks":[],"notes":[7]}"#);
    }
}
