//! The `anki-sync` request header of the direct-post envelope.

use serde::Deserialize;

/// The sync versions of all clients still in use.
pub const VERSIONS: std::ops::RangeInclusive<u8> = 8..=11;

/// The version whose envelope is zstd in both directions, and whose collections have schema 18.
pub const DIRECT_POST: u8 = 11;

/// What a client sends about itself with every request.
#[derive(Debug, Deserialize)]
pub struct SyncHeader {
    /// Sync version, 8 to 11.
    #[serde(rename = "v")]
    pub version: u8,
    /// Host key; empty only for `hostKey`.
    #[serde(rename = "k")]
    pub host_key: String,
    /// Version, build hash and platform, as in `26.09.3,abcd1234,linux`.
    #[serde(rename = "c")]
    pub client: String,
    /// Random, and new for every operation of a client.
    #[serde(rename = "s")]
    pub session_key: String,
}

/// Why a header was refused. The client is always the cause.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not JSON, a field missing, or one of the wrong type.
    #[error("the anki-sync header cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A version that no client in use speaks.
    #[error("sync version {0} in the anki-sync header is not one of 8 to 11")]
    Version(u8),
}

impl SyncHeader {
    /// Parses the header's value.
    ///
    /// # Errors
    /// [`HeaderError`]; the reference server answers 400 to each.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let header: Self = serde_json::from_slice(value)?;
        if VERSIONS.contains(&header.version) {
            Ok(header)
        } else {
            Err(HeaderError::Version(header.version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_clients_header_is_read() {
        let header =
            SyncHeader::parse(br#"{"v":11,"k":"abc","c":"26.09.3,29bb700b,linux","s":"bVnxjY"}"#)
                .unwrap();
        assert_eq!(header.host_key, "abc");
        assert_eq!(header.session_key, "bVnxjY");
        assert_eq!(header.version, DIRECT_POST);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(SyncHeader::parse(br#"{"v":11,"k":"","c":"x","s":"y","z":1}"#).is_ok());
    }

    #[test]
    fn a_missing_field_or_a_wrong_type_or_a_foreign_version_is_refused() {
        for value in [
            "",
            "x",
            r#"{"v":11,"k":"","c":""}"#,
            r#"{"v":"11","k":"","c":"","s":""}"#,
            r#"{"v":300,"k":"","c":"","s":""}"#,
            r#"{"v":7,"k":"","c":"","s":""}"#,
            r#"{"v":12,"k":"","c":"","s":""}"#,
        ] {
            assert!(SyncHeader::parse(value.as_bytes()).is_err(), "{value}");
        }
    }
}
