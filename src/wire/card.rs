//! A card as it is sent.

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    Usn,
    tolerant::{truncated, truncated_i32, truncated_u32},
    tuple::travels_as_tuple,
};

/// A card. Its fields have the names of their columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct Card {
    pub(crate) id: i64,
    pub(crate) nid: i64,
    pub(crate) did: i64,
    pub(crate) ord: u16,
    #[serde(deserialize_with = "truncated")]
    pub(crate) mtime_secs: i64,
    pub(crate) usn: Usn,
    #[serde(deserialize_with = "kind")]
    pub(crate) kind: u8,
    #[serde(deserialize_with = "queue")]
    pub(crate) queue: i8,
    #[serde(deserialize_with = "truncated_i32")]
    pub(crate) due: i32,
    #[serde(deserialize_with = "truncated_u32")]
    pub(crate) ivl: u32,
    pub(crate) factor: u16,
    pub(crate) reps: u32,
    pub(crate) lapses: u32,
    pub(crate) left: u32,
    #[serde(deserialize_with = "truncated_i32")]
    pub(crate) odue: i32,
    pub(crate) odid: i64,
    pub(crate) flags: u8,
    pub(crate) data: String,
}

impl Card {
    /// Whether this is a type: new, learning, review, relearning.
    pub(crate) fn is_kind(number: u8) -> bool {
        number <= 3
    }

    /// Whether this is a queue, from buried by hand to preview.
    pub(crate) fn is_queue(number: i8) -> bool {
        (-3..=4).contains(&number)
    }
}

travels_as_tuple!(Card, "a card of 18 elements":
    id nid did ord mtime_secs usn kind queue due ivl factor reps lapses left odue odid flags data);

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let number = u8::deserialize(deserializer)?;
    if Card::is_kind(number) {
        Ok(number)
    } else {
        Err(D::Error::custom("there is no such type of card"))
    }
}

fn queue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i8, D::Error> {
    let number = i8::deserialize(deserializer)?;
    if Card::is_queue(number) {
        Ok(number)
    } else {
        Err(D::Error::custom("there is no such queue of cards"))
    }
}
