//! The JSON in `cards.data`, in one compact form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::tolerant::or_default;

const EMPTY: &str = "{}";

/// The data as they are stored and sent: known keys only, with few decimals.
///
/// Anything but a JSON object counts as an empty one.
pub fn normalized(data: &str) -> Cow<'_, str> {
    if data.is_empty() || data == EMPTY {
        return Cow::Borrowed(EMPTY);
    }
    let data: CardData = serde_json::from_str(data).unwrap_or_default();
    serde_json::to_string(&data.tidied()).map_or(Cow::Borrowed(EMPTY), Cow::Owned)
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct CardData {
    /// The card's position among the new cards.
    #[serde(
        rename = "pos",
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    position: Option<u32>,
    #[serde(
        rename = "s",
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    stability: Option<f32>,
    #[serde(
        rename = "d",
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    difficulty: Option<f32>,
    #[serde(
        rename = "dr",
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    desired_retention: Option<f32>,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    decay: Option<f32>,
    #[serde(
        rename = "lrt",
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    last_review_secs: Option<i64>,
    #[serde(rename = "cd", skip_serializing_if = "is_empty")]
    custom: String,
}

impl CardData {
    fn tidied(mut self) -> Self {
        // One has no meaning without the other.
        if self.stability.is_none() || self.difficulty.is_none() {
            self.stability = None;
            self.difficulty = None;
        }
        self.stability = self.stability.map(|value| rounded(value, 4));
        self.difficulty = self.difficulty.map(|value| rounded(value, 3));
        self.desired_retention = self.desired_retention.map(|value| rounded(value, 2));
        self.decay = self.decay.map(|value| rounded(value, 3));
        self
    }
}

fn rounded(value: f32, decimals: i32) -> f32 {
    let factor = 10_f32.powi(decimals);
    (value * factor).round() / factor
}

fn is_empty(custom: &str) -> bool {
    custom.is_empty() || custom == EMPTY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    #[derive(Deserialize)]
    struct Case {
        #[serde(rename = "data_in")]
        input: String,
        #[serde(rename = "data_stored")]
        stored: String,
        #[serde(rename = "data_out")]
        output: String,
    }

    #[test]
    fn data_is_stored_and_sent_as_by_the_reference_server() {
        let cases: Vec<Case> = testing::vector("card_data");
        assert_eq!(cases.len(), 51);
        for case in cases {
            // Only the sign of an exponent may differ.
            let stored = normalized(&case.input).replace("e+", "e");
            assert_eq!(stored, case.stored, "{}", case.input);
            assert_eq!(
                normalized(&stored).replace("e+", "e"),
                case.output,
                "{}",
                case.input
            );
        }
    }
}
