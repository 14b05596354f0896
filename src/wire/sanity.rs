//! The counts that both sides compare before they finish.

use serde::{Deserialize, Serialize};

/// The body of `sanityCheck2`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SanityCheck {
    pub(crate) client: Counts,
}

/// How many objects one side has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Tuple", into = "Tuple")]
pub struct Counts {
    /// New, learning and review cards due today in the current deck; sent by old clients.
    pub(crate) due: (u32, u32, u32),
    pub(crate) cards: u32,
    pub(crate) notes: u32,
    pub(crate) revlog: u32,
    pub(crate) graves: u32,
    pub(crate) notetypes: u32,
    pub(crate) decks: u32,
    pub(crate) deck_config: u32,
}

type Tuple = ((u32, u32, u32), u32, u32, u32, u32, u32, u32, u32);

impl From<Tuple> for Counts {
    fn from((due, cards, notes, revlog, graves, notetypes, decks, deck_config): Tuple) -> Self {
        Self {
            due,
            cards,
            notes,
            revlog,
            graves,
            notetypes,
            decks,
            deck_config,
        }
    }
}

impl From<Counts> for Tuple {
    fn from(counts: Counts) -> Self {
        let Counts {
            due,
            cards,
            notes,
            revlog,
            graves,
            notetypes,
            decks,
            deck_config,
        } = counts;
        (
            due,
            cards,
            notes,
            revlog,
            graves,
            notetypes,
            decks,
            deck_config,
        )
    }
}

/// The answer to `sanityCheck2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SanityReply {
    pub(crate) status: SanityStatus,
    #[serde(rename = "c")]
    pub(crate) client: Counts,
    /// Absent if the server's rows cannot be counted.
    #[serde(rename = "s")]
    pub(crate) server: Option<Counts>,
}

/// Whether the sync may finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SanityStatus {
    /// Both sides agree.
    Ok,
    /// They differ: the sync must be rolled back, and the client will offer a full one.
    Bad,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn counts_are_a_tuple_that_begins_with_three_due_counts() {
        let body = br#"{"client": [[1, 2, 3], 36, 26, 17, 6, 8, 10, 2], "full": true}"#;
        let SanityCheck { client } = parse(body).unwrap();
        assert_eq!(client.due, (1, 2, 3));
        let rest = [client.cards, client.notes, client.revlog, client.graves];
        assert_eq!(rest, [36, 26, 17, 6]);
        assert_eq!(
            [client.notetypes, client.decks, client.deck_config],
            [8, 10, 2]
        );
        assert_eq!(
            serde_json::to_string(&client).unwrap(),
            "[[1,2,3],36,26,17,6,8,10,2]"
        );
    }

    #[test]
    fn other_tuples_are_refused() {
        for body in [
            "{}",
            r#"{"client": null}"#,
            r#"{"client": [[1, 2, 3], 36, 26, 17, 6, 8, 10]}"#,
            r#"{"client": [[1, 2], 36, 26, 17, 6, 8, 10, 2]}"#,
            r#"{"client": [[1, 2, 3], 36, 26, 17, 6, 8, 10, -2]}"#,
        ] {
            assert!(parse::<SanityCheck>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_reply_names_its_status_and_both_sides() {
        let client = Counts {
            cards: 1,
            ..Counts::default()
        };
        let reply = SanityReply {
            status: SanityStatus::Bad,
            client,
            server: None,
        };
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(
            json,
            r#"{"status":"bad","c":[[0,0,0],1,0,0,0,0,0,0],"s":null}"#
        );
        let reply = SanityReply {
            status: SanityStatus::Ok,
            server: Some(client),
            ..reply
        };
        assert!(
            serde_json::to_string(&reply)
                .unwrap()
                .starts_with(r#"{"status":"ok","#)
        );
    }
}
