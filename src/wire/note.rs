//! A note as it is sent.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use super::{Usn, tuple::travels_as_tuple};

/// A note. Its fields have the names of their columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct Note {
    pub(crate) id: i64,
    pub(crate) guid: String,
    pub(crate) mid: i64,
    pub(crate) mtime_secs: i64,
    pub(crate) usn: Usn,
    pub(crate) tags: String,
    /// Separated by U+001F.
    pub(crate) fields: String,
    pub(crate) sort_field: Blank,
    pub(crate) checksum: Blank,
    pub(crate) flags: Zero,
    pub(crate) data: Blank,
}

travels_as_tuple!(Note, "a note of 11 elements":
    id guid mid mtime_secs usn tags fields sort_field checksum flags data);

/// A string that each side computes itself: ignored when read, and written empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blank;

impl<'de> Deserialize<'de> for Blank {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyString;
        impl Visitor<'_> for AnyString {
            type Value = Blank;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Blank, E> {
                Ok(Blank)
            }
        }
        deserializer.deserialize_str(AnyString)
    }
}

impl Serialize for Blank {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("")
    }
}

/// A number without meaning: ignored when read, and written as 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zero;

impl<'de> Deserialize<'de> for Zero {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for Zero {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{Malformed, parse};

    fn note() -> Value {
        json!([1, "guid", 2, 3, 4, " a ", "front\u{1f}back", "", "", 0, ""])
    }

    fn read(note: &Value) -> Result<Note, Malformed> {
        parse(note.to_string().as_bytes())
    }

    fn with(position: usize, value: Value) -> Value {
        let mut note = note();
        note[position] = value;
        note
    }

    #[test]
    fn a_note_is_a_tuple_of_eleven() {
        let read = read(&note()).unwrap();
        assert_eq!(
            (read.id, read.mid, read.mtime_secs, read.usn),
            (1, 2, 3, Usn(4))
        );
        assert_eq!((read.guid.as_str(), read.tags.as_str()), ("guid", " a "));
        assert_eq!(read.fields, "front\u{1f}back");
        assert_eq!(serde_json::to_value(&read).unwrap(), note());
    }

    #[test]
    fn what_each_side_works_out_for_itself_is_ignored() {
        let mut odd = note();
        for (position, value) in [
            (7, json!("front")),
            (8, json!("123")),
            (9, json!(u32::MAX)),
            (10, json!("x")),
        ] {
            odd[position] = value;
        }
        assert_eq!(read(&odd).unwrap(), read(&note()).unwrap());
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for (position, value) in [
            (0, json!("1")),
            (0, json!(1.0)),
            (1, json!(1)),
            (2, json!(null)),
            (3, json!(3.5)),
            (3, json!("3")),
            (4, json!(1_i64 << 40)),
            (5, json!(null)),
            (6, json!([])),
            (7, json!(5)),
            (8, json!(5)),
            (9, json!("0")),
            (9, json!(-1)),
            (9, json!(1_i64 << 40)),
            (10, json!(null)),
        ] {
            assert!(
                read(&with(position, value.clone())).is_err(),
                "{position}: {value}"
            );
        }
    }

    #[test]
    fn other_lengths_and_shapes_are_refused() {
        let Value::Array(mut elements) = note() else {
            panic!("no array")
        };
        elements.push(json!(""));
        assert!(read(&json!(elements)).is_err());
        elements.truncate(10);
        assert!(read(&json!(elements)).is_err());
        let object = json!({
            "id": 1, "guid": "", "mid": 2, "mtime_secs": 3, "usn": 4, "tags": "", "fields": "", "sort_field": "",
            "checksum": "", "flags": 0, "data": "",
        });
        assert!(read(&object).is_err());
    }

    #[test]
    fn a_refusal_does_not_quote_the_note() {
        let error = read(&with(3, json!("my secret"))).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid type: string, expected i64 at line 1"),
            "{error}"
        );
    }
}
