//! The parts of a deck config for new cards, reviews, and cards that were forgotten.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::wire::{
    Unknown,
    known::keeps_unknown_keys,
    tolerant::{at_most, or_default},
};

keeps_unknown_keys!(NewCards Reviews Lapses);

/// How new cards are introduced. If any part is invalid, the whole section gets its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct NewCards {
    #[serde(default)]
    pub(crate) bury: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) delays: Vec<f32>,
    /// In thousandths.
    pub(crate) initial_factor: u16,
    #[serde(deserialize_with = "or_default")]
    pub(crate) ints: Intervals,
    #[serde(deserialize_with = "or_default")]
    pub(crate) order: NewOrder,
    #[serde(deserialize_with = "or_default")]
    pub(crate) per_day: u32,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl NewCards {
    /// The keys that are never kept among the unknown keys.
    pub(crate) const KEYS: [&str; 6] =
        ["order", "delays", "bury", "perDay", "initialFactor", "ints"];
}

impl Default for NewCards {
    fn default() -> Self {
        Self {
            bury: false,
            delays: vec![1.0, 10.0],
            initial_factor: 2500,
            ints: Intervals::default(),
            order: NewOrder::Due,
            per_day: 20,
            other: Unknown::new(),
        }
    }
}

/// The first intervals of a card in days, after "good" and after "easy". A third number is written too, and has no
/// meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    pub(crate) good: u16,
    pub(crate) easy: u16,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { good: 1, easy: 4 }
    }
}

impl<'de> Deserialize<'de> for Intervals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Vec::<u16>::deserialize(deserializer)?.as_slice() {
            [good, easy, ..] => Ok(Self {
                good: *good,
                easy: *easy,
            }),
            short => Err(D::Error::invalid_length(short.len(), &"two intervals")),
        }
    }
}

impl Serialize for Intervals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.good, self.easy, 0).serialize(serializer)
    }
}

/// The position of a new card among the new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewOrder {
    /// A random position.
    Random,
    /// The end.
    #[default]
    Due,
}

impl<'de> Deserialize<'de> for NewOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let due = at_most::<1, _>(deserializer)? == 1;
        Ok(if due { Self::Due } else { Self::Random })
    }
}

impl Serialize for NewOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(*self == Self::Due))
    }
}

/// How reviews are scheduled. If any part is invalid, the whole section gets its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Reviews {
    #[serde(default)]
    pub(crate) bury: bool,
    pub(crate) ease4: f32,
    pub(crate) ivl_fct: f32,
    pub(crate) max_ivl: u32,
    #[serde(deserialize_with = "or_default")]
    pub(crate) per_day: u32,
    #[serde(default = "hard_factor")]
    pub(crate) hard_factor: f32,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl Reviews {
    /// The keys that are never kept among the unknown keys.
    pub(crate) const KEYS: [&str; 6] =
        ["maxIvl", "hardFactor", "ease4", "ivlFct", "perDay", "bury"];
}

impl Default for Reviews {
    fn default() -> Self {
        Self {
            bury: false,
            ease4: 1.3,
            ivl_fct: 1.0,
            max_ivl: 36500,
            per_day: 200,
            hard_factor: hard_factor(),
            other: Unknown::new(),
        }
    }
}

/// What happens to forgotten cards. If any part is invalid, the whole section gets its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Lapses {
    #[serde(deserialize_with = "or_default")]
    pub(crate) delays: Vec<f32>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) leech_action: LeechAction,
    pub(crate) leech_fails: u32,
    pub(crate) min_int: u32,
    pub(crate) mult: f32,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl Lapses {
    /// The keys that are never kept among the unknown keys.
    pub(crate) const KEYS: [&str; 5] = ["leechFails", "mult", "leechAction", "delays", "minInt"];
}

impl Default for Lapses {
    fn default() -> Self {
        Self {
            delays: vec![10.0],
            leech_action: LeechAction::TagOnly,
            leech_fails: 8,
            min_int: 1,
            mult: 0.0,
            other: Unknown::new(),
        }
    }
}

/// What happens to a card that was forgotten many times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LeechAction {
    /// It is suspended.
    Suspend,
    /// Its note gets a tag.
    #[default]
    TagOnly,
}

impl<'de> Deserialize<'de> for LeechAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tag_only = at_most::<1, _>(deserializer)? == 1;
        Ok(if tag_only {
            Self::TagOnly
        } else {
            Self::Suspend
        })
    }
}

impl Serialize for LeechAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(*self == Self::TagOnly))
    }
}

fn hard_factor() -> f32 {
    1.2
}
