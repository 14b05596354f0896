//! `meta`: the stamps by which a client decides how to sync.

use serde::{Deserialize, Serialize};

/// The request of `meta`.
#[derive(Debug, Deserialize)]
pub struct MetaRequest {
    /// The client's sync version.
    #[serde(rename = "v")]
    pub version: u8,
    /// The client's version string; required, as the reference server requires it.
    #[serde(rename = "cv")]
    pub client: String,
}

/// The answer of `meta`, in the reference server's order of keys.
#[derive(Debug, Serialize)]
pub struct Meta {
    /// Last modification of the collection, milliseconds.
    #[serde(rename = "mod")]
    pub modified: i64,
    /// Last change of the schema, milliseconds.
    #[serde(rename = "scm")]
    pub schema_changed: i64,
    /// The next update sequence number that the server hands out.
    pub usn: i32,
    /// The server's clock, seconds; a client more than 300 s off refuses to sync.
    #[serde(rename = "ts")]
    pub server_time: i64,
    /// Clients show it to the user if it is not empty.
    #[serde(rename = "msg")]
    pub message: String,
    /// False makes the client stop and show the message.
    #[serde(rename = "cont")]
    pub proceed: bool,
    /// A relic of `AnkiWeb`, always 0, and required by all clients.
    #[serde(rename = "hostNum")]
    pub host_number: u32,
    /// True if there are no cards.
    pub empty: bool,
    /// Last update sequence number of the media; saves the client a `begin`.
    pub media_usn: i32,
}
