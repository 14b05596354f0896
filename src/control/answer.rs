//! What requests are answered with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    account::{
        devices::{DeviceName, Record},
        name::UserName,
    },
    collection::file::Summary,
    media::Media,
    state::statistics::Counts,
    vault::usage::Usage,
};

/// Where a collection is to be restored from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreFrom {
    /// The snapshot of this name.
    Snapshot(String),
    /// A file of so many bytes, which follows the request.
    Sent(u64),
}

/// A copy of a user's data.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackedUp {
    /// Where it is.
    pub folder: PathBuf,
    /// What the collection holds; none if no device has synced yet, or it is damaged.
    pub collection: Option<Summary>,
    /// That it is damaged, as a sentence for the operator.
    pub damage: Option<String>,
    /// What there is of media; none if no device has synced any yet.
    pub media: Option<Media>,
}

/// What a restore would change.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// What there is now; none when it is damaged, or not there.
    pub present: Option<Summary>,
    /// What there would be.
    pub restored: Summary,
}

/// What a server has read again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// How many users can log in.
    pub users: usize,
    /// What deserves attention, as sentences: also which changes do not count yet.
    pub warnings: Vec<String>,
}

/// How the server is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs, in seconds since 1970.
    pub since_secs: i64,
    /// Where it listens for devices.
    pub listening: Vec<String>,
    /// Its data folder.
    pub base: PathBuf,
    /// Bytes left on its disk.
    pub free_bytes: Option<u64>,
    /// How many devices are syncing.
    pub syncing: usize,
    /// Who can log in.
    pub users: Vec<UserStatus>,
    /// What has come from others since the start.
    #[serde(default)]
    pub strangers: Counts,
    /// What deserves attention, as sentences.
    pub warnings: Vec<String>,
}

/// What there is of a user.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserStatus {
    /// The name.
    pub name: UserName,
    /// How many devices are logged in.
    pub devices: Option<usize>,
    /// When one of them last synced, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// The name of the device that did, if it has one.
    pub last_device: Option<DeviceName>,
    /// When the collection was last backed up, in seconds since 1970.
    pub last_backup: Option<i64>,
    /// What the files take; not known if they cannot be read.
    pub usage: Option<Usage>,
    /// What has happened since the start.
    #[serde(default)]
    pub counts: Counts,
}

/// How a user is.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserReport {
    /// The name.
    pub name: UserName,
    /// `plain`, or the algorithm of the hash; `unusable` for a user who is kept out by a mistake.
    pub password: String,
    /// How many devices are logged in; not known unless the server runs.
    pub devices: Option<usize>,
    /// When one of them last synced, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// The name of the device that did, if it has one.
    pub last_device: Option<DeviceName>,
}

/// How a device is.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceReport {
    /// What is known of it.
    #[serde(flatten)]
    pub record: Record,
    /// Whether it may sync.
    pub state: DeviceState,
}

/// Whether a device may sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It may.
    LoggedIn,
    /// The password has been changed since, or the user removed.
    LoggedOut,
    /// It was revoked.
    Revoked,
}
