//! The protobuf messages inside blob columns, written by hand from the description of the format.
//!
//! Enumerations are plain `i32`, so that values of newer clients are kept.

#![expect(
    clippy::struct_excessive_bools,
    reason = "the messages are the file format's"
)]

mod deck_config;

use prost::{Message, Oneof};

pub use deck_config::DeckConfig;

/// `notetypes.config`.
#[derive(Clone, PartialEq, Message)]
pub struct NotetypeConfig {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(uint32, tag = "2")]
    pub sort_field_idx: u32,
    #[prost(string, tag = "3")]
    pub css: String,
    #[prost(int64, tag = "4")]
    pub target_deck_id_unused: i64,
    #[prost(string, tag = "5")]
    pub latex_pre: String,
    #[prost(string, tag = "6")]
    pub latex_post: String,
    #[prost(bool, tag = "7")]
    pub latex_svg: bool,
    #[prost(message, repeated, tag = "8")]
    pub reqs: Vec<CardRequirement>,
    #[prost(int32, tag = "9")]
    pub original_stock_kind: i32,
    #[prost(int64, optional, tag = "10")]
    pub original_id: Option<i64>,
    #[prost(bytes = "vec", tag = "255")]
    pub other: Vec<u8>,
}

/// The fields that a template needs to make a card.
#[derive(Clone, PartialEq, Message)]
pub struct CardRequirement {
    #[prost(uint32, tag = "1")]
    pub card_ord: u32,
    #[prost(int32, tag = "2")]
    pub kind: i32,
    #[prost(uint32, repeated, tag = "3")]
    pub field_ords: Vec<u32>,
}

/// `fields.config`.
#[derive(Clone, PartialEq, Message)]
pub struct FieldConfig {
    #[prost(bool, tag = "1")]
    pub sticky: bool,
    #[prost(bool, tag = "2")]
    pub rtl: bool,
    #[prost(string, tag = "3")]
    pub font_name: String,
    #[prost(uint32, tag = "4")]
    pub font_size: u32,
    #[prost(string, tag = "5")]
    pub description: String,
    #[prost(bool, tag = "6")]
    pub plain_text: bool,
    #[prost(bool, tag = "7")]
    pub collapsed: bool,
    #[prost(bool, tag = "8")]
    pub exclude_from_search: bool,
    #[prost(int64, optional, tag = "9")]
    pub id: Option<i64>,
    #[prost(uint32, optional, tag = "10")]
    pub tag: Option<u32>,
    #[prost(bool, tag = "11")]
    pub prevent_deletion: bool,
    #[prost(bytes = "vec", tag = "255")]
    pub other: Vec<u8>,
}

/// `templates.config`.
#[derive(Clone, PartialEq, Message)]
pub struct TemplateConfig {
    #[prost(string, tag = "1")]
    pub q_format: String,
    #[prost(string, tag = "2")]
    pub a_format: String,
    #[prost(string, tag = "3")]
    pub q_format_browser: String,
    #[prost(string, tag = "4")]
    pub a_format_browser: String,
    #[prost(int64, tag = "5")]
    pub target_deck_id: i64,
    #[prost(string, tag = "6")]
    pub browser_font_name: String,
    #[prost(uint32, tag = "7")]
    pub browser_font_size: u32,
    #[prost(int64, optional, tag = "8")]
    pub id: Option<i64>,
    #[prost(bytes = "vec", tag = "255")]
    pub other: Vec<u8>,
}

/// `decks.common`.
#[derive(Clone, PartialEq, Message)]
pub struct DeckCommon {
    #[prost(bool, tag = "1")]
    pub study_collapsed: bool,
    #[prost(bool, tag = "2")]
    pub browser_collapsed: bool,
    #[prost(uint32, tag = "3")]
    pub last_day_studied: u32,
    #[prost(int32, tag = "4")]
    pub new_studied: i32,
    #[prost(int32, tag = "5")]
    pub review_studied: i32,
    #[prost(int32, tag = "6")]
    pub learning_studied: i32,
    #[prost(int32, tag = "7")]
    pub milliseconds_studied: i32,
    #[prost(bytes = "vec", tag = "255")]
    pub other: Vec<u8>,
}

/// `decks.kind`: wraps the two kinds of deck.
#[derive(Clone, PartialEq, Message)]
pub struct DeckKindContainer {
    #[prost(oneof = "DeckKind", tags = "1, 2")]
    pub kind: Option<DeckKind>,
}

/// The two kinds of deck.
#[derive(Clone, PartialEq, Oneof)]
pub enum DeckKind {
    #[prost(message, tag = "1")]
    Normal(NormalDeck),
    #[prost(message, tag = "2")]
    Filtered(FilteredDeck),
}

/// A deck that cards live in.
#[derive(Clone, PartialEq, Message)]
pub struct NormalDeck {
    #[prost(int64, tag = "1")]
    pub config_id: i64,
    #[prost(uint32, tag = "2")]
    pub extend_new: u32,
    #[prost(uint32, tag = "3")]
    pub extend_review: u32,
    #[prost(string, tag = "4")]
    pub description: String,
    #[prost(bool, tag = "5")]
    pub markdown_description: bool,
    #[prost(uint32, optional, tag = "6")]
    pub review_limit: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub new_limit: Option<u32>,
    #[prost(message, optional, tag = "8")]
    pub review_limit_today: Option<DayLimit>,
    #[prost(message, optional, tag = "9")]
    pub new_limit_today: Option<DayLimit>,
    #[prost(float, optional, tag = "10")]
    pub desired_retention: Option<f32>,
}

/// A limit that holds for one day.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct DayLimit {
    #[prost(uint32, tag = "1")]
    pub limit: u32,
    #[prost(uint32, tag = "2")]
    pub today: u32,
}

/// A deck that borrows cards from others.
#[derive(Clone, PartialEq, Message)]
pub struct FilteredDeck {
    #[prost(bool, tag = "1")]
    pub reschedule: bool,
    #[prost(message, repeated, tag = "2")]
    pub search_terms: Vec<SearchTerm>,
    #[prost(float, repeated, tag = "3")]
    pub delays: Vec<f32>,
    #[prost(uint32, tag = "4")]
    pub preview_delay: u32,
    #[prost(uint32, tag = "5")]
    pub preview_hard_secs: u32,
    #[prost(uint32, tag = "6")]
    pub preview_good_secs: u32,
    #[prost(uint32, tag = "7")]
    pub preview_again_secs: u32,
}

/// What a filtered deck borrows.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SearchTerm {
    #[prost(string, tag = "1")]
    pub search: String,
    #[prost(uint32, tag = "2")]
    pub limit: u32,
    #[prost(int32, tag = "3")]
    pub order: i32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    fn rows() -> serde_json::Value {
        testing::vector("new_server_rows")
    }

    fn blob(hex: &serde_json::Value) -> Vec<u8> {
        hex::decode(hex.as_str().unwrap()).unwrap()
    }

    #[test]
    fn blobs_of_the_reference_server_survive_decoding_and_encoding() {
        fn same<M: Message + Default>(bytes: &[u8]) {
            let message = M::decode(bytes).unwrap();
            assert_eq!(hex::encode(message.encode_to_vec()), hex::encode(bytes));
        }
        let rows = rows();
        let each = |table: &str| rows[table].as_array().unwrap().clone();
        assert_eq!(each("notetypes").len(), 6);
        for row in each("notetypes") {
            same::<NotetypeConfig>(&blob(&row[4]));
        }
        for row in each("fields") {
            same::<FieldConfig>(&blob(&row[3]));
        }
        for row in each("templates") {
            same::<TemplateConfig>(&blob(&row[5]));
        }
        for row in each("decks") {
            same::<DeckCommon>(&blob(&row[4]));
            same::<DeckKindContainer>(&blob(&row[5]));
        }
    }

    #[test]
    fn a_deck_of_neither_kind_is_recognised() {
        assert_eq!(DeckKindContainer::decode(&[][..]).unwrap().kind, None);
    }
}
