//! The request that begins a normal sync.

use serde::Deserialize;

use super::Usn;
use super::graves::Graves;

/// The body of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Start {
    /// The server's USN when this client last synced.
    #[serde(rename = "minUsn")]
    pub(crate) min_usn: Usn,
    /// Whether the client's collection was changed later than the server's, so that its config prevails.
    #[serde(rename = "lnewer")]
    pub(crate) client_is_newer: bool,
    /// What clients without `applyGraves` have deleted.
    pub(crate) graves: Option<Graves>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn every_generation_of_clients_is_understood() {
        for body in [
            r#"{"minUsn": 20, "offset": null, "lnewer": true}"#,
            r#"{"minUsn": 20, "offset": 0, "lnewer": true}"#,
            r#"{"minUsn": 20, "lnewer": true, "graves": null}"#,
        ] {
            let expected = Start {
                min_usn: Usn(20),
                client_is_newer: true,
                graves: None,
            };
            assert_eq!(parse::<Start>(body.as_bytes()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn graves_may_come_with_it() {
        let body = br#"{"minUsn": -1, "lnewer": false, "graves": {"cards": ["1"], "notes": [2], "decks": []}}"#;
        let start: Start = parse(body).unwrap();
        assert_eq!(start.min_usn, Usn::UNSENT);
        assert_eq!(
            start.graves,
            Some(Graves {
                cards: vec![1],
                decks: vec![],
                notes: vec![2]
            })
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        for body in [
            r#"{"minUsn": 20}"#,
            r#"{"lnewer": true}"#,
            r#"{"minUsn": 20, "lnewer": 1}"#,
            r#"{"minUsn": "20", "lnewer": true}"#,
            r#"{"minUsn": 20, "lnewer": true, "graves": []}"#,
            r#"{"minUsn": 20, "lnewer": true, "graves": {"cards": []}}"#,
        ] {
            assert!(parse::<Start>(body.as_bytes()).is_err(), "{body}");
        }
    }
}
