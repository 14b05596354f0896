//! Limits on what a client may ask for.

use std::time::Duration;

use super::keys::Keys;
use crate::disk::MIB;

/// The same as the reference server: the limit on decoded bytes follows from the limit on sent
/// bytes.
const DECODED_PER_SENT: u64 = 3;

/// Limits on what a client may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body as sent.
    pub sent: u64,
    /// Bytes of a request body once decoded.
    pub decoded: u64,
    /// Connections at a time. Beyond that, a new one replaces a stranger's.
    pub connections: usize,
    /// Connections of one address that have not shown a valid host key.
    pub connections_per_address: usize,
    /// Bytes that all requests together may hold in memory.
    pub memory: u64,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may pause, in either direction.
    pub body_timeout: Duration,
}

impl Limits {
    pub(super) fn read(keys: &mut Keys) -> Self {
        let megs = keys.at_least_one("max_sync_payload_megs", "a whole number of MiB", 100);
        let sent = MIB.saturating_mul(megs);
        Self {
            sent,
            decoded: sent.saturating_mul(DECODED_PER_SENT),
            connections: keys.at_least_one("max_connections", "a whole number", 256),
            connections_per_address: keys.at_least_one(
                "max_connections_per_address",
                "a whole number",
                64,
            ),
            memory: MIB.saturating_mul(keys.at_least_one(
                "memory_megs",
                "a whole number of MiB",
                64,
            )),
            header_timeout: seconds(keys, "header_timeout_secs"),
            body_timeout: seconds(keys, "body_timeout_secs"),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::read(&mut Keys::default())
    }
}

fn seconds(keys: &mut Keys, key: &'static str) -> Duration {
    Duration::from_secs(keys.at_least_one(key, "a whole number of seconds", 60))
}
