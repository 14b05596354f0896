//! The answers to requests.

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

/// The source of a restore.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreFrom {
    /// The snapshot of this name.
    Snapshot(String),
    /// A file of this many bytes, which follows the request.
    Sent(u64),
}

/// A copy of a user's data.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackedUp {
    /// The folder of the copy.
    pub folder: PathBuf,
    /// The summary of the collection; none if no device has synced yet, or it is damaged.
    pub collection: Option<Summary>,
    /// That the collection is damaged, as a sentence for the operator.
    pub damage: Option<String>,
    /// The media; none if no device has synced any yet.
    pub media: Option<Media>,
}

/// The effect of a restore.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// The present collection; none if it is damaged or missing.
    pub present: Option<Summary>,
    /// The collection after the restore.
    pub restored: Summary,
}

/// The result of a reload.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// How many users can log in.
    pub users: usize,
    /// Sentences for the operator, including the changes that need a restart.
    pub warnings: Vec<String>,
}

/// The state of the server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its start, in seconds since 1970.
    pub since_secs: i64,
    /// Where it listens for devices.
    pub listening: Vec<String>,
    /// Its data folder.
    pub base: PathBuf,
    /// Free bytes on its disk.
    pub free_bytes: Option<u64>,
    /// How many devices are syncing.
    pub syncing: usize,
    /// The users who can log in.
    pub users: Vec<UserStatus>,
    /// Counts of strangers' requests since the start.
    #[serde(default)]
    pub strangers: Counts,
    /// Problems, as sentences.
    pub warnings: Vec<String>,
}

/// The state of a user.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserStatus {
    /// The name.
    pub name: UserName,
    /// How many devices are logged in.
    pub devices: Option<usize>,
    /// When one of them last synced, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// The name of that device, if it has one.
    pub last_device: Option<DeviceName>,
    /// When the collection was last backed up, in seconds since 1970.
    pub last_backup: Option<i64>,
    /// The size of the files; none if they cannot be read.
    pub usage: Option<Usage>,
    /// Counts since the start.
    #[serde(default)]
    pub counts: Counts,
}

/// A user, for the list of users.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserReport {
    /// The name.
    pub name: UserName,
    /// `plain`, or the algorithm of the hash; `unusable` if the user's entry has a mistake.
    pub password: String,
    /// How many devices are logged in; none if the server does not run.
    pub devices: Option<usize>,
    /// When one of them last synced, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// The name of that device, if it has one.
    pub last_device: Option<DeviceName>,
}

/// A device, for the list of devices.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The record of the device.
    #[serde(flatten)]
    pub record: Record,
    /// Whether it may sync.
    pub state: DeviceState,
}

/// Whether a device may sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It may sync.
    LoggedIn,
    /// The password was changed since, or the user removed.
    LoggedOut,
    /// It was revoked.
    Revoked,
}
