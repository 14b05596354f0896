//! Converts between a client's deck and its row.

use super::DeckRow;
use crate::{
    collection::{
        deck_name::{to_human, to_native},
        other,
        proto::{self, DeckKind},
    },
    wire::deck::{DayLimit, Deck, DeckCommon, FilteredDeck, NormalDeck, SearchTerm, Today},
};

/// The keys of a normal deck. They are never stored among the unknown keys. A filtered deck may have stored some of
/// them there, but does not send them.
const RESERVED: [&str; 21] = [
    "usn",
    "revToday",
    "newLimit",
    "dyn",
    "reviewLimit",
    "newToday",
    "timeToday",
    "reviewLimitToday",
    "extendNew",
    "mod",
    "newLimitToday",
    "desc",
    "md",
    "name",
    "lrnToday",
    "conf",
    "browserCollapsed",
    "extendRev",
    "id",
    "collapsed",
    "desiredRetention",
];

impl From<Deck> for DeckRow {
    fn from(deck: Deck) -> Self {
        match deck {
            Deck::Normal(mut deck) => {
                let kind = DeckKind::Normal(to_normal(&mut deck));
                row(&deck.common, other::pack(&deck.other), kind)
            }
            Deck::Filtered(mut deck) => {
                let kind = DeckKind::Filtered(to_filtered(&mut deck));
                row(&deck.common, other::pack(&deck.other), kind)
            }
        }
    }
}

fn row(deck: &DeckCommon, other: Vec<u8>, kind: DeckKind) -> DeckRow {
    let last_day = deck
        .time_today
        .0
        .max(deck.new_today.0)
        .max(deck.review_today.0);
    let studied = |Today(day, amount)| if day == last_day { amount } else { 0 };
    DeckRow {
        id: deck.id,
        name: to_native(&deck.name),
        mtime_secs: deck.mtime_secs,
        usn: deck.usn,
        common: proto::DeckCommon {
            study_collapsed: deck.collapsed,
            browser_collapsed: deck.browser_collapsed,
            last_day_studied: last_day.cast_unsigned(),
            new_studied: studied(deck.new_today),
            review_studied: studied(deck.review_today),
            learning_studied: studied(deck.learn_today),
            milliseconds_studied: deck.time_today.1,
            other,
        },
        kind,
    }
}

fn to_normal(deck: &mut NormalDeck) -> proto::NormalDeck {
    let limit = |DayLimit { limit, today }| proto::DayLimit { limit, today };
    proto::NormalDeck {
        config_id: deck.config_id,
        extend_new: deck.extend_new,
        extend_review: deck.extend_review,
        description: std::mem::take(&mut deck.common.description),
        markdown_description: deck.common.markdown,
        review_limit: deck.review_limit,
        new_limit: deck.new_limit,
        review_limit_today: deck.review_limit_today.map(limit),
        new_limit_today: deck.new_limit_today.map(limit),
        desired_retention: deck.desired_retention.map(from_percent),
    }
}

fn to_filtered(deck: &mut FilteredDeck) -> proto::FilteredDeck {
    let term = |SearchTerm(search, limit, order)| {
        let limit = u32::try_from(limit).unwrap_or(0);
        proto::SearchTerm {
            search,
            limit,
            order,
        }
    };
    proto::FilteredDeck {
        reschedule: deck.reschedule,
        search_terms: std::mem::take(&mut deck.terms)
            .into_iter()
            .map(term)
            .collect(),
        delays: deck.delays.take().unwrap_or_default(),
        preview_delay: deck.preview_delay,
        preview_hard_secs: deck.preview_hard_secs,
        preview_good_secs: deck.preview_good_secs,
        preview_again_secs: deck.preview_again_secs,
    }
}

impl From<DeckRow> for Deck {
    fn from(row: DeckRow) -> Self {
        let day = row.common.last_day_studied.cast_signed();
        let common = DeckCommon {
            id: row.id,
            mtime_secs: row.mtime_secs,
            name: to_human(&row.name),
            usn: row.usn,
            learn_today: Today(day, row.common.learning_studied),
            review_today: Today(day, row.common.review_studied),
            new_today: Today(day, row.common.new_studied),
            time_today: Today(day, row.common.milliseconds_studied),
            collapsed: row.common.study_collapsed,
            browser_collapsed: row.common.browser_collapsed,
            description: String::new(),
            markdown: false,
            filtered: 0,
        };
        match row.kind {
            DeckKind::Normal(kind) => Self::Normal(from_normal(common, kind, &row.common.other)),
            DeckKind::Filtered(kind) => {
                Self::Filtered(from_filtered(common, kind, &row.common.other))
            }
        }
    }
}

fn from_normal(common: DeckCommon, kind: proto::NormalDeck, other: &[u8]) -> NormalDeck {
    let limit = |proto::DayLimit { limit, today }| DayLimit { limit, today };
    NormalDeck {
        common: DeckCommon {
            description: kind.description,
            markdown: kind.markdown_description,
            ..common
        },
        config_id: kind.config_id,
        extend_new: kind.extend_new,
        extend_review: kind.extend_review,
        review_limit: kind.review_limit,
        new_limit: kind.new_limit,
        review_limit_today: kind.review_limit_today.map(limit),
        new_limit_today: kind.new_limit_today.map(limit),
        desired_retention: kind.desired_retention.map(to_percent),
        other: other::unpack(other, &RESERVED),
    }
}

fn from_filtered(common: DeckCommon, kind: proto::FilteredDeck, other: &[u8]) -> FilteredDeck {
    let term = |proto::SearchTerm {
                    search,
                    limit,
                    order,
                }| SearchTerm(search, limit.cast_signed(), order);
    FilteredDeck {
        common: DeckCommon {
            filtered: 1,
            ..common
        },
        reschedule: kind.reschedule,
        terms: kind.search_terms.into_iter().map(term).collect(),
        separate: true,
        // JSON has no number for these values. They would be sent as null, which no client reads.
        delays: Some(kind.delays)
            .filter(|delays| !delays.is_empty() && delays.iter().all(|delay| delay.is_finite())),
        preview_delay: kind.preview_delay,
        preview_again_secs: kind.preview_again_secs,
        preview_hard_secs: kind.preview_hard_secs,
        preview_good_secs: kind.preview_good_secs,
        other: other::unpack(
            other,
            &[RESERVED.as_slice(), FilteredDeck::KEYS.as_slice()].concat(),
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage is small")]
fn from_percent(percent: u32) -> f32 {
    percent as f32 / 100.0
}

/// Cuts off the decimals, as clients do, so that both sides show the same.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentage is small and positive"
)]
fn to_percent(fraction: f32) -> u32 {
    (fraction * 100.0) as u32
}
