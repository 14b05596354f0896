//! A deck as clients send it, with any schema of their files.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use super::{
    Json, Malformed, Unknown, Usn, known,
    tolerant::{
        Scalar, at_least_zero_or_default, bool_from_anything, number_or_string, or_default,
    },
};

/// A normal deck, or a filtered deck that borrows cards.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Deck {
    /// A deck that cards belong to.
    Normal(NormalDeck),
    /// A deck that borrows cards from others.
    Filtered(FilteredDeck),
}

impl<'de> Deserialize<'de> for Deck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = known::members(deserializer, &[])?;
        // Left by an add-on of long ago; clients discard it too.
        object.remove("return");
        let name = match object
            .get("id")
            .and_then(|id| id.as_str().parse::<i64>().ok())
        {
            Some(id) => format!("deck {id}"),
            None => "a deck".to_owned(),
        };
        let Some(filtered) = object.remove("dyn").as_ref().and_then(is_filtered) else {
            return Err(D::Error::custom(format!("{name}: dyn is neither 0 nor 1")));
        };
        let deck = if filtered {
            FilteredDeck::from_members(object).map(Self::Filtered)
        } else {
            NormalDeck::from_members(object).map(Self::Normal)
        };
        deck.map_err(|error| D::Error::custom(format!("{name}: {error}")))
    }
}

fn is_filtered(kind: &Json) -> Option<bool> {
    match kind.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        number => Some(number.parse::<u8>().ok()? == 1),
    }
}

impl Deck {
    /// The fields that both kinds have.
    pub(crate) fn common(&self) -> &DeckCommon {
        match self {
            Self::Normal(deck) => &deck.common,
            Self::Filtered(deck) => &deck.common,
        }
    }

    /// Its number.
    pub(super) fn usn_mut(&mut self) -> &mut Usn {
        match self {
            Self::Normal(deck) => &mut deck.common.usn,
            Self::Filtered(deck) => &mut deck.common.usn,
        }
    }
}

/// The fields that both kinds of deck have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeckCommon {
    #[serde(deserialize_with = "number_or_string")]
    pub(crate) id: i64,
    #[serde(rename = "mod", default, deserialize_with = "number_or_string")]
    pub(crate) mtime_secs: i64,
    /// With the names of its parents, separated by `::`.
    pub(crate) name: String,
    pub(crate) usn: Usn,
    #[serde(rename = "lrnToday")]
    pub(crate) learn_today: Today,
    #[serde(rename = "revToday")]
    pub(crate) review_today: Today,
    #[serde(rename = "newToday")]
    pub(crate) new_today: Today,
    #[serde(rename = "timeToday")]
    pub(crate) time_today: Today,
    pub(crate) collapsed: bool,
    #[serde(rename = "browserCollapsed", default)]
    pub(crate) browser_collapsed: bool,
    #[serde(rename = "desc", default)]
    pub(crate) description: String,
    #[serde(rename = "md", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) markdown: bool,
    #[serde(rename = "dyn", skip_deserializing)]
    pub(crate) filtered: u8,
}

impl DeckCommon {
    const KEYS: [&str; 12] = [
        "id",
        "mod",
        "name",
        "usn",
        "lrnToday",
        "revToday",
        "newToday",
        "timeToday",
        "collapsed",
        "browserCollapsed",
        "desc",
        "md",
    ];
}

/// How much was done on a day: written as `[day, amount]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Today(pub(crate) i32, pub(crate) i32);

impl<'de> Deserialize<'de> for Today {
    #[expect(clippy::cast_possible_truncation, reason = "clients do the same")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LastTwo;
        impl<'de> Visitor<'de> for LastTwo {
            type Value = Today;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Today, A::Error> {
                let mut today = Today::default();
                while let Some(number) = numbers.next_element::<Scalar>()? {
                    today = Today(today.1, number.as_i64().unwrap_or(0) as i32);
                }
                Ok(today)
            }
        }
        deserializer.deserialize_seq(LastTwo)
    }
}

/// A deck that cards belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormalDeck {
    #[serde(flatten, skip_deserializing)]
    pub(crate) common: DeckCommon,
    #[serde(rename = "conf", deserialize_with = "number_or_string")]
    pub(crate) config_id: i64,
    #[serde(
        rename = "extendNew",
        default,
        deserialize_with = "at_least_zero_or_default"
    )]
    pub(crate) extend_new: u32,
    #[serde(
        rename = "extendRev",
        default,
        deserialize_with = "at_least_zero_or_default"
    )]
    pub(crate) extend_review: u32,
    #[serde(rename = "reviewLimit", default, deserialize_with = "or_default")]
    pub(crate) review_limit: Option<u32>,
    #[serde(rename = "newLimit", default, deserialize_with = "or_default")]
    pub(crate) new_limit: Option<u32>,
    #[serde(rename = "reviewLimitToday", default, deserialize_with = "or_default")]
    pub(crate) review_limit_today: Option<DayLimit>,
    #[serde(rename = "newLimitToday", default, deserialize_with = "or_default")]
    pub(crate) new_limit_today: Option<DayLimit>,
    /// In percent.
    #[serde(rename = "desiredRetention", default, deserialize_with = "or_default")]
    pub(crate) desired_retention: Option<u32>,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl NormalDeck {
    const KEYS: [&str; 8] = [
        "conf",
        "extendNew",
        "extendRev",
        "reviewLimit",
        "newLimit",
        "reviewLimitToday",
        "newLimitToday",
        "desiredRetention",
    ];

    fn from_members(mut members: Unknown) -> Result<Self, Malformed> {
        let common = known::read(&mut members, &DeckCommon::KEYS)?;
        let deck = known::read(&mut members, &Self::KEYS)?;
        Ok(Self {
            common,
            other: members,
            ..deck
        })
    }
}

/// A limit for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayLimit {
    pub(crate) limit: u32,
    pub(crate) today: u32,
}

/// A deck that borrows cards from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilteredDeck {
    #[serde(flatten, skip_deserializing)]
    pub(crate) common: DeckCommon,
    #[serde(rename = "resched", deserialize_with = "bool_from_anything")]
    pub(crate) reschedule: bool,
    pub(crate) terms: Vec<SearchTerm>,
    /// Has no meaning any more, and is always written as true.
    #[serde(default)]
    pub(crate) separate: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) delays: Option<Vec<f32>>,
    #[serde(rename = "previewDelay", default)]
    pub(crate) preview_delay: u32,
    #[serde(rename = "previewAgainSecs", default)]
    pub(crate) preview_again_secs: u32,
    #[serde(rename = "previewHardSecs", default)]
    pub(crate) preview_hard_secs: u32,
    #[serde(rename = "previewGoodSecs", default)]
    pub(crate) preview_good_secs: u32,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl FilteredDeck {
    /// The further keys of a filtered deck. A normal deck may have stored these, and sends them.
    pub const KEYS: [&str; 8] = [
        "resched",
        "terms",
        "separate",
        "delays",
        "previewDelay",
        "previewAgainSecs",
        "previewHardSecs",
        "previewGoodSecs",
    ];

    fn from_members(mut members: Unknown) -> Result<Self, Malformed> {
        let common = known::read(&mut members, &DeckCommon::KEYS)?;
        let deck = known::read(&mut members, &Self::KEYS)?;
        Ok(Self {
            common: DeckCommon {
                filtered: 1,
                ..common
            },
            other: members,
            ..deck
        })
    }
}

/// What a filtered deck borrows: a search, the number of its cards, and their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchTerm(
    pub(crate) String,
    #[serde(deserialize_with = "number_or_string")] pub(crate) i32,
    pub(crate) i32,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    const MINIMAL: &str = r#""id": 7, "name": "a", "usn": 0, "collapsed": false, "conf": 1,
        "lrnToday": [], "revToday": [], "newToday": [], "timeToday": []"#;

    fn read(more: &str) -> Result<Deck, Malformed> {
        parse(format!("{{{MINIMAL}, {more}}}").as_bytes())
    }

    #[test]
    fn a_refused_deck_is_named() {
        let error = read(r#""dyn": 0, "desc": ["private"]"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("deck 7: invalid type: sequence, expected a string"),
            "{error}"
        );
        let error = read(r#""dyn": 0.0"#).unwrap_err().to_string();
        assert!(
            error.starts_with("deck 7: dyn is neither 0 nor 1"),
            "{error}"
        );
        for dyn_ in ["256", "-1", "null", "\"0\""] {
            assert!(read(&format!("\"dyn\": {dyn_}")).is_err(), "{dyn_}");
        }
    }

    #[test]
    fn a_refused_deck_is_not_quoted() {
        let error = read(r#""dyn": 0, "usn": "private""#)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("deck 7: invalid type: string, expected i32"),
            "{error}"
        );
    }

    #[test]
    fn of_a_key_given_twice_the_last_counts() {
        let deck = read(r#""dyn": 1, "dyn": 0, "name": "b""#).unwrap();
        assert!(matches!(&deck, Deck::Normal(deck) if deck.common.name == "b"));
    }

    #[test]
    fn unknown_keys_are_kept_except_for_one() {
        let Deck::Normal(deck) = read(r#""dyn": false, "return": true, "mid": 5"#).unwrap() else {
            panic!("filtered");
        };
        assert_eq!(serde_json::to_string(&deck.other).unwrap(), r#"{"mid":5}"#);
    }
}
