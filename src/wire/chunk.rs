//! Notes, cards and review log entries, sent in chunks.

use std::io::Read;

use serde::{Serialize, de::MapAccess};

use super::{
    Usn,
    card::Card,
    note::Note,
    revlog::RevlogEntry,
    stream::{self, Message, Named, Sink, Unreadable, Within},
};

/// A chunk of the server's changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Chunk {
    /// Whether it is the last chunk.
    pub(crate) done: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) revlog: Vec<RevlogEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cards: Vec<Card>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Note>,
}

impl Chunk {
    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.revlog.len() + self.cards.len() + self.notes.len()
    }
}

/// An object of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An answer to a card.
    Revlog(RevlogEntry),
    /// A card.
    Card(Card),
    /// A note.
    Note(Note),
}

impl Item {
    /// [`Usn::catch_up`].
    pub fn catch_up(&mut self, server: Usn) {
        match self {
            Self::Revlog(entry) => entry.usn.catch_up(server),
            Self::Card(card) => card.usn.catch_up(server),
            Self::Note(note) => note.usn.catch_up(server),
        }
    }
}

/// Reads the body of `applyChunk`.
pub fn read<E: From<Unreadable>>(
    body: impl Read,
    each: impl FnMut(Item) -> Result<(), E>,
) -> Result<(), E> {
    stream::read(body, Within(Portion), each).map(drop)
}

struct Portion;

impl Named for Portion {
    const NAME: &'static str = "chunk";
}

impl Message for Portion {
    type Item = Item;
    const KEYS: &'static [(&'static str, bool)] = &[
        ("done", false),
        ("revlog", false),
        ("cards", false),
        ("notes", false),
    ];

    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        key: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, Item, E>,
    ) -> Result<(), A::Error> {
        match key {
            "revlog" => map.next_value_seed(sink.list(Item::Revlog)),
            "cards" => map.next_value_seed(sink.list(Item::Card)),
            "notes" => map.next_value_seed(sink.list(Item::Note)),
            _ => map.next_value::<bool>().map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Malformed, stream::testing::all};

    fn items(chunk: &str) -> Result<Vec<Item>, Malformed> {
        let body = format!(r#"{{"chunk": {chunk}}}"#);
        all(|each| read(body.as_bytes(), each)).map(|((), items)| items)
    }

    #[test]
    fn lists_may_be_absent_or_empty() {
        for body in [
            "{}",
            r#"{"done": false}"#,
            r#"{"done": true, "unknown": [1]}"#,
            r#"{"revlog": [], "cards": [], "notes": []}"#,
        ] {
            assert_eq!(items(body).unwrap(), [], "{body}");
        }
        for body in [
            r#"{"cards": null}"#,
            r#"{"done": 1}"#,
            r#"{"cards": [], "cards": []}"#,
            "[]",
            "null",
            "{}}",
        ] {
            assert!(items(body).is_err(), "{body}");
        }
        assert!(all(|each: &mut dyn FnMut(Item) -> _| read(&b"{}"[..], each)).is_err());
    }

    #[test]
    fn what_comes_after_the_body_is_malformed() {
        assert!(
            all(|each: &mut dyn FnMut(Item) -> _| read(&br#"{"chunk": {}} x"#[..], each)).is_err()
        );
    }

    #[test]
    fn objects_come_in_the_order_of_the_body() {
        let found = items(
            r#"{"notes": [[3, "g", 1, 0, 5, "", "a", "", "", 0, ""]], "revlog": [[1,2,3,4,5,6,7,8,0]]}"#,
        );
        assert!(matches!(
            found.unwrap()[..],
            [Item::Note(_), Item::Revlog(_)]
        ));
    }

    #[test]
    fn empty_lists_are_left_out() {
        assert_eq!(
            serde_json::to_string(&Chunk::default()).unwrap(),
            r#"{"done":false}"#
        );
    }
}
