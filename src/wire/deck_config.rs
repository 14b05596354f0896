//! A deck config (the "options" of decks) as clients exchange it, whatever schema their files have.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::known::keeps_unknown_keys;
use super::tolerant::{at_least_zero, number_or_string, or_default};
use super::{Unknown, Usn};

/// Settings that decks share.
#[expect(clippy::struct_excessive_bools, reason = "that is what clients send")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct DeckConfig {
    #[serde(deserialize_with = "number_or_string")]
    pub(crate) id: i64,
    #[serde(rename = "mod", deserialize_with = "number_or_string")]
    pub(crate) mtime_secs: i64,
    pub(crate) name: String,
    pub(crate) usn: Usn,
    #[serde(deserialize_with = "at_least_zero")]
    pub(crate) max_taken: u32,
    pub(crate) autoplay: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) timer: u8,
    #[serde(default)]
    pub(crate) replayq: bool,
    #[serde(deserialize_with = "or_default")]
    pub(crate) new: NewCards,
    #[serde(deserialize_with = "or_default")]
    pub(crate) rev: Reviews,
    #[serde(deserialize_with = "or_default")]
    pub(crate) lapse: Lapses,
    #[serde(rename = "dyn", default, deserialize_with = "or_default")]
    pub(crate) filtered: bool,
    #[serde(default)]
    pub(crate) new_mix: i32,
    #[serde(default)]
    pub(crate) new_per_day_minimum: u32,
    #[serde(default)]
    pub(crate) interday_learning_mix: i32,
    #[serde(default)]
    pub(crate) review_order: i32,
    #[serde(default)]
    pub(crate) new_sort_order: i32,
    #[serde(default)]
    pub(crate) new_gather_priority: i32,
    #[serde(default)]
    pub(crate) bury_interday_learning: bool,
    #[serde(default)]
    pub(crate) fsrs_weights: Vec<f32>,
    #[serde(default)]
    pub(crate) fsrs_params5: Vec<f32>,
    #[serde(default)]
    pub(crate) fsrs_params6: Vec<f32>,
    /// A fraction, while a deck has it in percent.
    #[serde(default)]
    pub(crate) desired_retention: f32,
    #[serde(default)]
    pub(crate) ignore_revlogs_before_date: String,
    #[serde(default)]
    pub(crate) easy_days_percentages: Vec<f32>,
    #[serde(default)]
    pub(crate) stop_timer_on_answer: bool,
    #[serde(default)]
    pub(crate) seconds_to_show_question: f32,
    #[serde(default)]
    pub(crate) seconds_to_show_answer: f32,
    #[serde(default, deserialize_with = "at_most::<1, _>")]
    pub(crate) question_action: u8,
    #[serde(default, deserialize_with = "at_most::<4, _>")]
    pub(crate) answer_action: u8,
    #[serde(default = "yes")]
    pub(crate) wait_for_audio: bool,
    #[serde(default)]
    pub(crate) sm2_retention: f32,
    #[serde(default)]
    pub(crate) weight_search: String,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

keeps_unknown_keys!(DeckConfig NewCards Reviews Lapses);

impl DeckConfig {
    /// The keys that are never kept among the unknown ones.
    pub(crate) const KEYS: [&str; 33] = [
        "id",
        "mod",
        "name",
        "usn",
        "maxTaken",
        "autoplay",
        "timer",
        "replayq",
        "new",
        "rev",
        "lapse",
        "dyn",
        "newMix",
        "newPerDayMinimum",
        "interdayLearningMix",
        "reviewOrder",
        "newSortOrder",
        "newGatherPriority",
        "buryInterdayLearning",
        "fsrsWeights",
        "fsrsParams5",
        "fsrsParams6",
        "desiredRetention",
        "ignoreRevlogsBeforeDate",
        "easyDaysPercentages",
        "stopTimerOnAnswer",
        "secondsToShowQuestion",
        "secondsToShowAnswer",
        "questionAction",
        "answerAction",
        "waitForAudio",
        "sm2Retention",
        "weightSearch",
    ];
}

/// How new cards are introduced. A defect anywhere in it makes all of it the default.
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
    /// The keys that are never kept among the unknown ones.
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

/// The first intervals of a card in days, after "good" and after "easy"; written with a third that means nothing.
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

/// Where a new card goes among the new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewOrder {
    /// Anywhere.
    Random,
    /// At the end.
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

/// How reviews are scheduled. A defect anywhere in it makes all of it the default.
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
    /// The keys that are never kept among the unknown ones.
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

/// What happens to forgotten cards. A defect anywhere in it makes all of it the default.
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
    /// The keys that are never kept among the unknown ones.
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

/// What happens to a card that is forgotten again and again.
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

fn yes() -> bool {
    true
}

fn hard_factor() -> f32 {
    1.2
}

fn at_most<'de, const MAX: u8, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        number if number <= MAX => Ok(number),
        _ => Err(D::Error::custom(format!(
            "a number is not one of 0 to {MAX}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::parse;

    fn minimal() -> Value {
        json!({
            "id": 1, "mod": 0, "name": "a", "usn": 0, "maxTaken": 60, "autoplay": true, "timer": 0,
            "new": null, "rev": null, "lapse": null,
        })
    }

    fn keys(object: &impl Serialize) -> Vec<String> {
        let Value::Object(object) = serde_json::to_value(object).unwrap() else {
            panic!("no object")
        };
        object.keys().cloned().collect()
    }

    fn sorted(keys: &[&str]) -> Vec<String> {
        let mut keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_lists_of_keys_are_what_is_written() {
        let config: DeckConfig = parse(minimal().to_string().as_bytes()).unwrap();
        assert_eq!(keys(&config), sorted(&DeckConfig::KEYS));
        assert_eq!(keys(&config.new), sorted(&NewCards::KEYS));
        assert_eq!(keys(&config.rev), sorted(&Reviews::KEYS));
        assert_eq!(keys(&config.lapse), sorted(&Lapses::KEYS));
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let body = minimal().to_string().replacen('{', r#"{"name": "b", "#, 1);
        let err = parse::<DeckConfig>(body.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(err.starts_with("duplicate field `name`"), "{err}");
    }

    #[test]
    fn fractions_are_written_as_short_as_they_can_be_read_back() {
        let config: DeckConfig = parse(minimal().to_string().as_bytes()).unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""ease4":1.3,"#), "{json}");
        assert!(json.contains(r#""ivlFct":1.0,"#), "{json}");
    }
}
