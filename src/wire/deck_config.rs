//! A deck config (the "options" of decks) as clients send it, with any schema of their files.

mod sections;

use serde::{Deserialize, Serialize};

use super::{
    Unknown, Usn,
    known::keeps_unknown_keys,
    tolerant::{at_least_zero, at_most, number_or_string, or_default},
};
pub use sections::{Intervals, Lapses, LeechAction, NewCards, NewOrder, Reviews};

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
    /// A fraction; in a deck it is in percent.
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

keeps_unknown_keys!(DeckConfig);

impl DeckConfig {
    /// The keys that are never kept among the unknown keys.
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

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{known::assert_writes, parse};

    fn minimal() -> Value {
        json!({
            "id": 1, "mod": 0, "name": "a", "usn": 0, "maxTaken": 60, "autoplay": true, "timer": 0,
            "new": null, "rev": null, "lapse": null,
        })
    }

    #[test]
    fn the_lists_of_keys_are_what_is_written() {
        let config: DeckConfig = parse(minimal().to_string().as_bytes()).unwrap();
        assert_writes(&config, &DeckConfig::KEYS);
        assert_writes(&config.new, &NewCards::KEYS);
        assert_writes(&config.rev, &Reviews::KEYS);
        assert_writes(&config.lapse, &Lapses::KEYS);
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let body = minimal().to_string().replacen('{', r#"{"name": "b", "#, 1);
        let error = parse::<DeckConfig>(body.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("duplicate field `name`"), "{error}");
    }

    #[test]
    fn fractions_are_written_as_short_as_they_can_be_read_back() {
        let config: DeckConfig = parse(minimal().to_string().as_bytes()).unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""ease4":1.3,"#), "{json}");
        assert!(json.contains(r#""ivlFct":1.0,"#), "{json}");
    }
}
