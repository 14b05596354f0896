//! The request that begins a normal sync.

use std::io::Read;

use serde::de::MapAccess;

use super::{
    Usn,
    graves::{Grave, Kinds},
    stream::{self, Message, Nullable, Sink, Unreadable},
};

/// The body of `start`, without the deletions of clients without `applyGraves`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    /// The server's USN when this client last synced.
    pub(crate) min_usn: Usn,
    /// Whether the client's collection was changed later than the server's, so that its config counts.
    pub(crate) client_is_newer: bool,
}

/// Reads the body. `each` gets the deletions.
pub fn read<E: From<Unreadable>>(
    body: impl Read,
    each: impl FnMut(Grave) -> Result<(), E>,
) -> Result<Start, E> {
    stream::read(body, Start::default(), each)
}

impl Message for Start {
    type Item = Grave;
    const KEYS: &'static [(&'static str, bool)] =
        &[("minUsn", true), ("lnewer", true), ("graves", false)];

    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        key: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, Grave, E>,
    ) -> Result<(), A::Error> {
        match key {
            "minUsn" => self.min_usn = map.next_value()?,
            "lnewer" => self.client_is_newer = map.next_value()?,
            _ => drop(map.next_value_seed(Nullable(sink.object(&mut Kinds)))?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Malformed, stream::testing::all};

    fn start(body: &str) -> Result<(Start, Vec<Grave>), Malformed> {
        all(|each| read(body.as_bytes(), each))
    }

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
            };
            assert_eq!(start(body).unwrap(), (expected, vec![]), "{body}");
        }
    }

    #[test]
    fn graves_may_come_with_it() {
        let body = r#"{"minUsn": -1, "graves": {"cards": ["1"], "notes": [2], "decks": []}, "lnewer": false}"#;
        let (start, graves) = start(body).unwrap();
        assert_eq!(start.min_usn, Usn::UNSENT);
        assert_eq!(graves, [Grave::Card(1), Grave::Note(2)]);
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
            assert!(start(body).is_err(), "{body}");
        }
    }
}
