//! What the operator's commands ask of the running server, over a unix socket that only
//! the operator may connect to.
//!
//! One request a connection: a line with a [`Request`] as JSON, answered by a line with a
//! [`Reply`]. While the server works on it, it says so every second: a command that hears
//! nothing for some seconds knows that the server hangs. What changes `SYNC_BASE` is done by the server, as its own user and in each
//! user's turn; the commands ask and show.

mod accounts;
pub mod client;
mod kept;
mod server;
mod status;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    account::{
        devices::{DeviceName, Record},
        name::UserName,
    },
    collection::file::Summary,
    http::pulse::Counts,
    layout,
    media::Media,
    vault::upkeep::Mend,
    vault::usage::Usage,
};

pub use server::{Operator, serve};

/// Where systemd holds the socket, by `anki-syncd-control.socket`.
pub const SYSTEM_SOCKET: &str = "/run/anki-syncd/control";

/// Where a server that systemd passes no such socket has its own.
#[must_use]
pub fn own_socket(base: &Path) -> PathBuf {
    base.join(layout::CONTROL)
}

/// What a command asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How is it going? Answered by [`Status`].
    Status,
    /// Read the settings again, with this text in place of the credential `users`, of which
    /// the server has but a copy from its start. Answered by [`Reloaded`].
    Reload {
        /// What the users file holds now; none where it has not changed.
        users: Option<String>,
    },
    /// Who may sync? Answered by a list of [`UserReport`].
    Users,
    /// Where are the data? Answered by a path.
    Base,
    /// Close the databases that no request is using just now, so that each is one file. Answered
    /// by nothing.
    Rest,
    /// Write down that a user is about to get another name, which no user may have yet. The data
    /// follow when the settings are next read, and the list has the new name. Answered by nothing.
    Rename {
        /// The present name.
        from: UserName,
        /// The one to be.
        to: UserName,
    },
    /// Remove the data of somebody who is no user any more. Answered by nothing.
    RemoveData {
        /// Whose they were.
        user: UserName,
    },
    /// Which devices are known? Answered by a list of [`DeviceReport`].
    Devices {
        /// Of this user only.
        user: Option<UserName>,
    },
    /// Log devices out for good. Answered by a list of [`DeviceReport`].
    Revoke {
        /// Their names, their ids or how these begin.
        devices: Vec<String>,
        /// All that this user is logged in with.
        all_of: Option<UserName>,
    },
    /// Give a device a name, or take it away. Answered by the [`DeviceReport`].
    NameDevice {
        /// Its id or how that begins, or its present name.
        device: String,
        /// The name.
        name: Option<DeviceName>,
    },
    /// Where does the server listen for devices? Answered by a list of places.
    Listening,
    /// Are the users that can log in those of this digest? Answered by a truth value.
    SameUsers {
        /// Drawn for this question.
        salt: String,
        /// By [`crate::account::compare::digest`].
        digest: String,
    },
    /// Put something right in a user's data. Answered by a [`crate::vault::upkeep::Mended`].
    Mend {
        /// Whose.
        user: UserName,
        /// What.
        mend: Mend,
    },
    /// Make a consistent copy of a user's data, which is there until this connection ends.
    /// Answered by [`BackedUp`].
    BackUp {
        /// Whose.
        user: UserName,
    },
    /// Remember that copies of these users' data are in a complete backup. Answered by nothing.
    BackupDone {
        /// Whose.
        users: Vec<UserName>,
    },
    /// Which snapshots are there? Answered by [`Snapshot`](crate::vault::snapshot::Snapshot)s, from the oldest to the newest.
    Snapshots {
        /// Whose.
        user: UserName,
    },
    /// What would a restore bring? Answered by [`Preview`].
    Preview {
        /// Whose.
        user: UserName,
        /// Of what.
        source: Source,
    },
    /// Put another collection in the place of the present one, for every device to download.
    /// Answered by the [`Snapshot`](crate::vault::snapshot::Snapshot) that was made of the present one, unless that is empty.
    Restore {
        /// Whose.
        user: UserName,
        /// What.
        source: Source,
    },
    /// Let devices upload that have not downloaded since a restore. Answered by whether
    /// there was any to forget.
    AllowUpload {
        /// Whose.
        user: UserName,
    },
}

impl Request {
    /// What the server is doing meanwhile, for people.
    #[must_use]
    pub fn work(&self) -> String {
        match self {
            Self::Status => "measuring the users' data".to_owned(),
            Self::Reload { .. } => "reading its settings and users".to_owned(),
            Self::Rest => "closing databases".to_owned(),
            Self::Users | Self::Devices { .. } => "reading the list of devices".to_owned(),
            Self::Rename { from, to } => format!("preparing to rename {from} to {to}"),
            Self::RemoveData { user } => format!("removing the data of {user}"),
            Self::Revoke { .. } => "logging devices out".to_owned(),
            Self::Mend { user, .. } => format!("repairing the data of {user}"),
            Self::BackUp { user } => format!("copying the data of {user}"),
            Self::Preview { user, .. } => format!("checking the collection to restore for {user}"),
            Self::Restore { user, .. } => format!("restoring the collection of {user}"),
            Self::Snapshots { user } => format!("listing the snapshots of {user}"),
            Self::Base
            | Self::Listening
            | Self::NameDevice { .. }
            | Self::SameUsers { .. }
            | Self::BackupDone { .. }
            | Self::AllowUpload { .. } => "about to answer".to_owned(),
        }
    }
}

/// Where a collection is to be restored from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
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

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is being worked on; another one follows.
    Working,
    /// Done; what it is depends on the request.
    Done(serde_json::Value),
    /// Not done, and why, as a sentence for the operator.
    Refused(String),
    /// The server that was started for this command cannot start, and why.
    CannotStart(String),
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
