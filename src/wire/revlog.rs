//! An answer to a card, as it is sent.

use serde::{Deserialize, Deserializer};

use super::{
    Usn,
    tolerant::{Scalar, truncated_i32, truncated_u32},
    tuple::travels_as_tuple,
};

/// An entry of the review log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct RevlogEntry {
    /// The time, in milliseconds.
    pub(crate) id: i64,
    pub(crate) card_id: i64,
    pub(crate) usn: Usn,
    pub(crate) ease: u8,
    #[serde(deserialize_with = "truncated_i32")]
    pub(crate) interval: i32,
    #[serde(deserialize_with = "truncated_i32")]
    pub(crate) last_interval: i32,
    #[serde(deserialize_with = "truncated_u32")]
    pub(crate) factor: u32,
    #[serde(deserialize_with = "truncated_u32")]
    pub(crate) millis: u32,
    #[serde(default, deserialize_with = "known_kind")]
    pub(crate) kind: u8,
}

impl RevlogEntry {
    /// Learning, review, relearning, filtered, manual, rescheduled; higher numbers count as learning.
    pub(crate) const LAST_KIND: u8 = 5;
}

travels_as_tuple!(RevlogEntry, "a review log entry of nine elements":
    id card_id usn ease interval last_interval factor millis kind);

fn known_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let kind = Scalar::deserialize(deserializer)?
        .as_u64()
        .and_then(|kind| u8::try_from(kind).ok());
    Ok(kind
        .filter(|kind| *kind <= RevlogEntry::LAST_KIND)
        .unwrap_or(0))
}
