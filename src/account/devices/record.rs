//! What is known of one device.

use serde::{Deserialize, Serialize};

use super::name::DeviceName;
use crate::account::{
    device::{Device, DeviceId},
    secret::PasswordMark,
};

const DAY_SECS: i64 = 24 * 60 * 60;
/// A device that logged in and never synced is forgotten after this long without a request.
pub(super) const UNUSED_SECS: i64 = 30 * DAY_SECS;
/// Any other device is forgotten after this long.
const GONE_SECS: i64 = 400 * DAY_SECS;

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The device's id.
    pub id: DeviceId,
    /// The user.
    pub user: String,
    /// The name that a person gave it.
    pub name: Option<DeviceName>,
    /// When it was first seen, in seconds since 1970: mostly its login.
    pub first_seen: i64,
    /// When it was last seen, in seconds since 1970.
    pub last_seen: i64,
    /// Its version, build and platform, as the client reports them.
    pub client: String,
    /// Its last address.
    pub address: String,
    /// When it last synced, uploaded or downloaded.
    pub last_sync: Option<i64>,
    /// What its last sync did.
    pub last_action: Option<String>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// The modification stamp of the collection after its last sync.
    #[serde(skip)]
    pub(super) modified: Option<i64>,
    /// Identifies the password that the host key depends on: if another password is set, the key
    /// does not work any more.
    #[serde(skip)]
    pub(in crate::account) password: PasswordMark,
}

/// What a request says about its device.
#[derive(Debug, Clone, Copy)]
pub struct ClientInfo<'a> {
    /// Its version, build and platform.
    pub client: &'a str,
    /// The address of the request.
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
            // Old clients send no version with a login.
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

/// The first and the last part of a client's version, build and platform.
pub fn version_and_platform(client: &str) -> (&str, &str) {
    let mut parts = client.split(',');
    let version = parts.next().unwrap_or_default();
    (version, parts.nth(1).unwrap_or_default())
}
