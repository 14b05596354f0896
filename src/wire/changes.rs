//! Everything but notes, cards and the review log: few objects, sent in one message.

use std::{fmt, io::Read};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    Json, Usn,
    deck::Deck,
    deck_config::DeckConfig,
    notetype::Notetype,
    stream::{self, Message, Named, Nullable, Sink, Unreadable, Within},
};

/// An object that a client has changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A notetype.
    Notetype(Box<Notetype>),
    /// A deck.
    Deck(Box<Deck>),
    /// A deck config.
    DeckConfig(Box<DeckConfig>),
    /// A tag.
    Tag(String),
    /// The settings that follow are all settings; they come from the side that was changed later.
    Settings,
    /// A setting.
    Setting(String, Setting),
    /// When the collection was created, in seconds, from the same side.
    Creation(i64),
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting(pub(crate) Json);

impl Change {
    /// Whether it counts as an object; all settings together count as one.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(self, Self::Setting(..) | Self::Creation(_))
    }

    /// [`Usn::catch_up`], for objects with a number.
    pub fn catch_up(&mut self, server: Usn) {
        match self {
            Self::Notetype(notetype) => notetype.usn.catch_up(server),
            Self::Deck(deck) => deck.usn_mut().catch_up(server),
            Self::DeckConfig(config) => config.usn.catch_up(server),
            Self::Tag(_) | Self::Settings | Self::Setting(..) | Self::Creation(_) => {}
        }
    }
}

/// Reads the body of `applyChanges`.
pub fn read<E: From<Unreadable>>(
    body: impl Read,
    each: impl FnMut(Change) -> Result<(), E>,
) -> Result<(), E> {
    stream::read(body, Within(Changes), each).map(drop)
}

struct Changes;

impl Named for Changes {
    const NAME: &'static str = "changes";
}

impl Message for Changes {
    type Item = Change;
    const KEYS: &'static [(&'static str, bool)] = &[
        ("models", true),
        ("decks", true),
        ("tags", true),
        ("conf", false),
        ("crt", false),
    ];

    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        key: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, Change, E>,
    ) -> Result<(), A::Error> {
        match key {
            "models" => map.next_value_seed(sink.list(Change::Notetype)),
            "decks" => map.next_value_seed(Decks(sink)),
            "tags" => map.next_value_seed(sink.list(Change::Tag)),
            "conf" => map.next_value_seed(Nullable(Settings(sink))).map(drop),
            _ => match map.next_value()? {
                Some(creation_secs) => sink.take(Change::Creation(creation_secs)),
                None => Ok(()),
            },
        }
    }
}

/// A list of decks, and one of deck configs.
struct Decks<'s, 'a, E>(&'s mut Sink<'a, Change, E>);

impl<'de, E> DeserializeSeed<'de> for Decks<'_, '_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de, E> Visitor<'de> for Decks<'_, '_, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of decks and one of deck configs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lists: A) -> Result<(), A::Error> {
        let decks = lists.next_element_seed(self.0.list(Change::Deck))?;
        let configs = lists.next_element_seed(self.0.list(Change::DeckConfig))?;
        if decks.is_none() || configs.is_none() {
            return Err(A::Error::invalid_length(
                usize::from(decks.is_some()),
                &self,
            ));
        }
        Ok(())
    }
}

struct Settings<'s, 'a, E>(&'s mut Sink<'a, Change, E>);

impl<'de, E> DeserializeSeed<'de> for Settings<'_, '_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E> Visitor<'de> for Settings<'_, '_, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut settings: A) -> Result<(), A::Error> {
        self.0.take(Change::Settings)?;
        while let Some((key, value)) = settings.next_entry()? {
            self.0.take(Change::Setting(key, Setting(value)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Malformed, stream::testing::all};

    fn changes(body: &str) -> Result<Vec<Change>, Malformed> {
        all(|each| read(body.as_bytes(), each)).map(|((), changes)| changes)
    }

    #[test]
    fn three_keys_are_needed_and_unknown_ones_ignored() {
        let body = r#"{"changes": {"models": [], "decks": [[], []], "tags": ["a"], "x": 1, "conf": null, "crt": null}, "y": 2}"#;
        assert_eq!(changes(body).unwrap(), [Change::Tag("a".to_owned())]);
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
            r#"{"changes": {"models": [], "decks": [[], []], "tags": [], "tags": []}}"#,
        ] {
            assert!(changes(body).is_err(), "{body}");
        }
    }

    #[test]
    fn settings_come_one_by_one() {
        let body = r#"{"changes": {"models": [], "decks": [[], []], "tags": [], "crt": 5, "conf": {"b": 1, "a": [2]}}}"#;
        let found = changes(body).unwrap();
        assert_eq!(found[..2], [Change::Creation(5), Change::Settings]);
        let [Change::Setting(b, _), Change::Setting(a, Setting(json))] = &found[2..] else {
            panic!("{found:?}");
        };
        assert_eq!((b.as_str(), a.as_str(), json.as_str()), ("b", "a", "[2]"));
    }
}
