//! Converts between a client's deck config and its row.

use crate::{
    collection::{other, proto},
    wire::{
        Json, Unknown, Usn,
        deck_config::{DeckConfig, Intervals, Lapses, LeechAction, NewCards, NewOrder, Reviews},
    },
};

const RANDOM: i32 = 1;
const TAG_ONLY: i32 = 1;

/// Name and blob.
pub(in crate::collection) fn to_row(json: DeckConfig) -> (String, proto::DeckConfig) {
    let DeckConfig {
        new, rev, lapse, ..
    } = json;
    let config = proto::DeckConfig {
        learn_steps: new.delays,
        relearn_steps: lapse.delays,
        fsrs_params_4: json.fsrs_weights,
        easy_days_percentages: json.easy_days_percentages,
        fsrs_params_5: json.fsrs_params5,
        fsrs_params_6: json.fsrs_params6,
        new_per_day: new.per_day,
        reviews_per_day: rev.per_day,
        initial_ease: f32::from(new.initial_factor) / 1000.0,
        easy_multiplier: rev.ease4,
        hard_multiplier: rev.hard_factor,
        lapse_multiplier: lapse.mult,
        interval_multiplier: rev.ivl_fct,
        maximum_review_interval: rev.max_ivl,
        minimum_lapse_interval: lapse.min_int,
        graduating_interval_good: new.ints.good.into(),
        graduating_interval_easy: new.ints.easy.into(),
        new_card_insert_order: if new.order == NewOrder::Random {
            RANDOM
        } else {
            0
        },
        leech_action: if lapse.leech_action == LeechAction::TagOnly {
            TAG_ONLY
        } else {
            0
        },
        leech_threshold: lapse.leech_fails,
        disable_autoplay: !json.autoplay,
        cap_answer_time_to_secs: json.max_taken,
        show_timer: json.timer != 0,
        skip_question_when_replaying_answer: !json.replayq,
        bury_new: new.bury,
        bury_reviews: rev.bury,
        bury_interday_learning: json.bury_interday_learning,
        new_mix: json.new_mix,
        interday_learning_mix: json.interday_learning_mix,
        new_card_sort_order: json.new_sort_order,
        review_order: json.review_order,
        new_card_gather_priority: json.new_gather_priority,
        new_per_day_minimum: json.new_per_day_minimum,
        question_action: json.question_action.into(),
        desired_retention: json.desired_retention,
        stop_timer_on_answer: json.stop_timer_on_answer,
        historical_retention: json.sm2_retention,
        seconds_to_show_question: json.seconds_to_show_question,
        seconds_to_show_answer: json.seconds_to_show_answer,
        answer_action: json.answer_action.into(),
        wait_for_audio: json.wait_for_audio,
        param_search: json.weight_search,
        ignore_revlogs_before_date: json.ignore_revlogs_before_date,
        other: pack(json.other, [&new.other, &rev.other, &lapse.other]),
    };
    (json.name, config)
}

/// A deck config with everything in its blob.
pub(super) fn from_config(config: proto::DeckConfig) -> DeckConfig {
    let (other, [new_other, rev_other, lapse_other]) = split(&config.other);
    DeckConfig {
        id: 0,
        mtime_secs: 0,
        name: String::new(),
        usn: Usn(0),
        max_taken: config.cap_answer_time_to_secs,
        autoplay: !config.disable_autoplay,
        timer: u8::from(config.show_timer),
        replayq: !config.skip_question_when_replaying_answer,
        new: NewCards {
            bury: config.bury_new,
            delays: config.learn_steps,
            initial_factor: to_thousandths(config.initial_ease),
            ints: Intervals {
                good: low_u16(config.graduating_interval_good),
                easy: low_u16(config.graduating_interval_easy),
            },
            order: if config.new_card_insert_order == RANDOM {
                NewOrder::Random
            } else {
                NewOrder::Due
            },
            per_day: config.new_per_day,
            other: new_other,
        },
        rev: Reviews {
            bury: config.bury_reviews,
            ease4: config.easy_multiplier,
            ivl_fct: config.interval_multiplier,
            max_ivl: config.maximum_review_interval,
            per_day: config.reviews_per_day,
            hard_factor: config.hard_multiplier,
            other: rev_other,
        },
        lapse: Lapses {
            delays: config.relearn_steps,
            leech_action: if config.leech_action == TAG_ONLY {
                LeechAction::TagOnly
            } else {
                LeechAction::Suspend
            },
            leech_fails: config.leech_threshold,
            min_int: config.minimum_lapse_interval,
            mult: config.lapse_multiplier,
            other: lapse_other,
        },
        filtered: false,
        new_mix: config.new_mix,
        new_per_day_minimum: config.new_per_day_minimum,
        interday_learning_mix: config.interday_learning_mix,
        review_order: config.review_order,
        new_sort_order: config.new_card_sort_order,
        new_gather_priority: config.new_card_gather_priority,
        bury_interday_learning: config.bury_interday_learning,
        fsrs_weights: config.fsrs_params_4,
        fsrs_params5: config.fsrs_params_5,
        fsrs_params6: config.fsrs_params_6,
        desired_retention: config.desired_retention,
        ignore_revlogs_before_date: config.ignore_revlogs_before_date,
        easy_days_percentages: config.easy_days_percentages,
        stop_timer_on_answer: config.stop_timer_on_answer,
        seconds_to_show_question: config.seconds_to_show_question,
        seconds_to_show_answer: config.seconds_to_show_answer,
        question_action: known_action(config.question_action, 1),
        answer_action: known_action(config.answer_action, 4),
        wait_for_audio: config.wait_for_audio,
        sm2_retention: config.historical_retention,
        weight_search: config.param_search,
        other,
    }
}

/// The blob has one field for the unknown keys of all four objects.
fn pack(mut other: Unknown, [new, rev, lapse]: [&Unknown; 3]) -> Vec<u8> {
    for (key, part) in [("new", new), ("rev", rev), ("lapse", lapse)] {
        if let Some(part) = Json::object(part) {
            other.insert(key.to_owned(), part);
        }
    }
    other::pack(&other)
}

fn split(blob: &[u8]) -> (Unknown, [Unknown; 3]) {
    let mut other = other::unpack(blob, &[]);
    let parts = [
        ("new", &NewCards::KEYS[..]),
        ("rev", &Reviews::KEYS),
        ("lapse", &Lapses::KEYS),
    ];
    let parts = parts.map(|(key, reserved)| match other.remove(key) {
        Some(part) => other::unpack(part.as_str().as_bytes(), reserved),
        None => Unknown::new(),
    });
    other.retain(|key, _| !DeckConfig::KEYS.contains(&key.as_str()));
    (other, parts)
}

/// Cuts off the decimals, as clients do, so that both sides show the same.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was checked to be in range"
)]
fn to_thousandths(ease: f32) -> u16 {
    (ease * 1000.0) as u16
}

fn low_u16(days: u32) -> u16 {
    u16::try_from(days).unwrap_or(u16::MAX)
}

fn known_action(action: i32, last: u8) -> u8 {
    u8::try_from(action)
        .ok()
        .filter(|action| *action <= last)
        .unwrap_or(0)
}
