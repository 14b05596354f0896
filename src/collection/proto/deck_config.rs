//! The options of decks, the largest of the messages.

use prost::Message;

/// `deck_config.config`.
#[derive(Clone, PartialEq, Message)]
pub struct DeckConfig {
    #[prost(float, repeated, tag = "1")]
    pub learn_steps: Vec<f32>,
    #[prost(float, repeated, tag = "2")]
    pub relearn_steps: Vec<f32>,
    #[prost(float, repeated, tag = "3")]
    pub fsrs_params_4: Vec<f32>,
    #[prost(float, repeated, tag = "4")]
    pub easy_days_percentages: Vec<f32>,
    #[prost(float, repeated, tag = "5")]
    pub fsrs_params_5: Vec<f32>,
    #[prost(float, repeated, tag = "6")]
    pub fsrs_params_6: Vec<f32>,
    #[prost(uint32, tag = "9")]
    pub new_per_day: u32,
    #[prost(uint32, tag = "10")]
    pub reviews_per_day: u32,
    #[prost(float, tag = "11")]
    pub initial_ease: f32,
    #[prost(float, tag = "12")]
    pub easy_multiplier: f32,
    #[prost(float, tag = "13")]
    pub hard_multiplier: f32,
    #[prost(float, tag = "14")]
    pub lapse_multiplier: f32,
    #[prost(float, tag = "15")]
    pub interval_multiplier: f32,
    #[prost(uint32, tag = "16")]
    pub maximum_review_interval: u32,
    #[prost(uint32, tag = "17")]
    pub minimum_lapse_interval: u32,
    #[prost(uint32, tag = "18")]
    pub graduating_interval_good: u32,
    #[prost(uint32, tag = "19")]
    pub graduating_interval_easy: u32,
    #[prost(int32, tag = "20")]
    pub new_card_insert_order: i32,
    #[prost(int32, tag = "21")]
    pub leech_action: i32,
    #[prost(uint32, tag = "22")]
    pub leech_threshold: u32,
    #[prost(bool, tag = "23")]
    pub disable_autoplay: bool,
    #[prost(uint32, tag = "24")]
    pub cap_answer_time_to_secs: u32,
    #[prost(bool, tag = "25")]
    pub show_timer: bool,
    #[prost(bool, tag = "26")]
    pub skip_question_when_replaying_answer: bool,
    #[prost(bool, tag = "27")]
    pub bury_new: bool,
    #[prost(bool, tag = "28")]
    pub bury_reviews: bool,
    #[prost(bool, tag = "29")]
    pub bury_interday_learning: bool,
    #[prost(int32, tag = "30")]
    pub new_mix: i32,
    #[prost(int32, tag = "31")]
    pub interday_learning_mix: i32,
    #[prost(int32, tag = "32")]
    pub new_card_sort_order: i32,
    #[prost(int32, tag = "33")]
    pub review_order: i32,
    #[prost(int32, tag = "34")]
    pub new_card_gather_priority: i32,
    #[prost(uint32, tag = "35")]
    pub new_per_day_minimum: u32,
    #[prost(int32, tag = "36")]
    pub question_action: i32,
    #[prost(float, tag = "37")]
    pub desired_retention: f32,
    #[prost(bool, tag = "38")]
    pub stop_timer_on_answer: bool,
    #[prost(float, tag = "40")]
    pub historical_retention: f32,
    #[prost(float, tag = "41")]
    pub seconds_to_show_question: f32,
    #[prost(float, tag = "42")]
    pub seconds_to_show_answer: f32,
    #[prost(int32, tag = "43")]
    pub answer_action: i32,
    #[prost(bool, tag = "44")]
    pub wait_for_audio: bool,
    #[prost(string, tag = "45")]
    pub param_search: String,
    #[prost(string, tag = "46")]
    pub ignore_revlogs_before_date: String,
    #[prost(bytes = "vec", tag = "255")]
    pub other: Vec<u8>,
}

impl DeckConfig {
    /// The values of a new deck config. They also replace values that are out of range.
    pub fn standard() -> Self {
        Self {
            learn_steps: vec![1.0, 10.0],
            relearn_steps: vec![10.0],
            easy_days_percentages: vec![1.0; 7],
            new_per_day: 20,
            reviews_per_day: 200,
            initial_ease: 2.5,
            easy_multiplier: 1.3,
            hard_multiplier: 1.2,
            interval_multiplier: 1.0,
            maximum_review_interval: 36500,
            minimum_lapse_interval: 1,
            graduating_interval_good: 1,
            graduating_interval_easy: 4,
            leech_action: 1,
            leech_threshold: 8,
            cap_answer_time_to_secs: 60,
            desired_retention: 0.9,
            historical_retention: 0.9,
            wait_for_audio: true,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    #[test]
    fn the_standard_deck_config_is_byte_for_byte_the_reference_servers() {
        let rows: serde_json::Value = testing::vector("new_server_rows");
        let expected = hex::decode(rows["deck_config"][0][4].as_str().unwrap()).unwrap();
        assert_eq!(
            hex::encode(DeckConfig::standard().encode_to_vec()),
            hex::encode(expected)
        );
    }

    #[test]
    fn a_float_list_may_be_unpacked() {
        let unpacked = [0x0d, 0, 0, 0x80, 0x3f, 0x0d, 0, 0, 0, 0x40];
        assert_eq!(
            DeckConfig::decode(&unpacked[..]).unwrap().learn_steps,
            [1.0, 2.0]
        );
    }
}
