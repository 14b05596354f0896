//! What is known of one device.

use serde::{Deserialize, Serialize};

use super::name::DeviceName;
use crate::account::{
    device::{Device, DeviceId},
    secret::PasswordMark,
};

const DAY_SECS: i64 = 24 * 60 * 60;
/// One that logged in and never synced is forgotten when it has not been seen for so long.
pub(super) const UNUSED_SECS: i64 = 30 * DAY_SECS;
/// Any other one.
const GONE_SECS: i64 = 400 * DAY_SECS;

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    pub id: DeviceId,
    /// Whose.
    pub user: String,
    /// What people call it.
    pub name: Option<DeviceName>,
    /// When it was first seen, in seconds since 1970: mostly its login.
    pub first_seen: i64,
    /// When it was last seen.
    pub last_seen: i64,
    /// Its version, build and platform, as it says.
    pub client: String,
    /// Where it was last.
    pub address: String,
    /// When it last synced, uploaded or downloaded.
    pub last_sync: Option<i64>,
    /// What it did then.
    pub last_action: Option<String>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// The modification stamp of the collection that it had after its last sync.
    #[serde(skip)]
    pub(super) modified: Option<i64>,
    /// Which password its host key depends on, so that it can be told whether the key still works.
    #[serde(skip)]
    pub(in crate::account) password: PasswordMark,
}

/// What a request tells of its device.
#[derive(Debug, Clone, Copy)]
pub struct ClientInfo<'a> {
    /// Its version, build and platform.
    pub client: &'a str,
    /// Where it is.
    pub address: &'a str,
}

impl Record {
    pub(super) fn new(device: &Device, now: i64) -> Self {
        Self {
            id: device.id,
            user: device.user.to_string(),
            name: None,
            first_seen: now,
            last_seen: now,
            client: String::new(),
            address: String::new(),
            last_sync: None,
            last_action: None,
            revoked: None,
            modified: None,
            password: device.password,
        }
    }

    pub(super) fn see(&mut self, device: &Device, client_info: ClientInfo, now: i64) {
        self.last_seen = now;
        self.password = device.password;
        for (field, seen) in [
            (&mut self.client, client_info.client),
            (&mut self.address, client_info.address),
        ] {
            // A login of an old client does not say what it is.
            if !seen.is_empty() && field != seen {
                seen.clone_into(field);
            }
        }
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    pub(super) fn kept_for_secs(&self) -> i64 {
        if self.last_sync.is_some() {
            GONE_SECS
        } else {
            UNUSED_SECS
        }
    }
}

/// Of version, build and platform, as a client says them, the first and the last.
pub fn version_and_platform(client: &str) -> (&str, &str) {
    let mut parts = client.split(',');
    let version = parts.next().unwrap_or_default();
    (version, parts.nth(1).unwrap_or_default())
}
