//! Deletions: ids of notes, cards and decks.

use std::io::Read;

use serde::{Deserialize, Serialize, de::MapAccess};

use super::{
    stream::{self, Message, Named, Sink, Unreadable, Within},
    tolerant::number_or_string,
};

/// Ids of deleted objects, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Graves {
    pub(crate) cards: Vec<i64>,
    pub(crate) decks: Vec<i64>,
    pub(crate) notes: Vec<i64>,
}

/// One deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grave {
    /// A card.
    Card(i64),
    /// A note.
    Note(i64),
    /// A deck.
    Deck(i64),
}

/// Reads the body of `applyGraves`.
pub fn read<E: From<Unreadable>>(
    body: impl Read,
    each: impl FnMut(Grave) -> Result<(), E>,
) -> Result<(), E> {
    stream::read(body, Within(Kinds), each).map(drop)
}

/// Lists by kind; all of them are required.
pub(super) struct Kinds;

impl Named for Kinds {
    const NAME: &'static str = "chunk";
}

impl Message for Kinds {
    type Item = Grave;
    const KEYS: &'static [(&'static str, bool)] =
        &[("cards", true), ("decks", true), ("notes", true)];

    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        key: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, Grave, E>,
    ) -> Result<(), A::Error> {
        map.next_value_seed(match key {
            "cards" => sink.list(|Id(id)| Grave::Card(id)),
            "decks" => sink.list(|Id(id)| Grave::Deck(id)),
            _ => sink.list(|Id(id)| Grave::Note(id)),
        })
    }
}

/// Old versions of AnkiMobile write the ids as strings.
#[derive(Deserialize)]
struct Id(#[serde(deserialize_with = "number_or_string")] i64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Malformed, stream::testing::all};

    fn graves(body: &str) -> Result<Vec<Grave>, Malformed> {
        all(|each| read(body.as_bytes(), each)).map(|((), graves)| graves)
    }

    #[test]
    fn ids_are_integers_or_decimal_strings() {
        let body = r#"{"chunk": {"cards": [1, 2], "decks": ["3"], "notes": [], "x": 0}}"#;
        let expected = [Grave::Card(1), Grave::Card(2), Grave::Deck(3)];
        assert_eq!(graves(body).unwrap(), expected);
    }

    #[test]
    fn all_three_kinds_have_to_be_there() {
        assert!(graves(r#"{"chunk": {"cards": [], "decks": [], "notes": []}}"#).is_ok());
        for body in [
            r#"{"chunk": {"cards": [], "decks": []}}"#,
            r#"{"chunk": null}"#,
            "{}",
            r#"{"chunk": {"cards": [1.0], "decks": [], "notes": []}}"#,
            r#"{"chunk": {"cards": ["x"], "decks": [], "notes": []}}"#,
            r#"{"chunk": {"cards": null, "decks": [], "notes": []}}"#,
        ] {
            assert!(graves(body).is_err(), "{body}");
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
