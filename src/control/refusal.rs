//! Why the server refuses a request.

use std::{io, path::PathBuf};

use tokio::task::JoinError;

use crate::{
    account::{
        devices::{NotRead, NotStored},
        name::UserName,
    },
    config::problem::Problems,
    vault,
};

/// Why the server refuses a request, as a sentence for the operator. The socket transports the
/// sentence; the command ends with the status of
/// [`AskError::Refused`](super::client::AskError::Refused).
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no user {:?}", .0.as_str())]
    NotListed(UserName),
    #[error("there is no user {0}; `anki-syncd user list` shows the users")]
    NoUser(UserName),
    #[error("the user {0} exists already")]
    UserExists(UserName),
    #[error("{0} is still in the list of users: remove the user first")]
    StillListed(UserName),
    #[error("there are no data of the user {0}")]
    NoData(UserName),
    /// Not a name that the server itself has made.
    #[error("{0:?} is not a valid user name")]
    NotAName(String),
    #[error("more than one device is called {0:?}: use the id instead")]
    NameShared(String),
    #[error("{beginning:?} is too short: type at least {fewest} digits of the device's id")]
    TooShort { beginning: String, fewest: usize },
    #[error("the ids of more than one device begin with {0}: type more digits")]
    Ambiguous(String),
    #[error(
        "no device with the name or id {0:?} is logged in; `anki-syncd device list` shows the devices"
    )]
    NoDevice(String),
    #[error("the name could not be saved, and is lost when the server restarts: {0}")]
    NameNotSaved(String),
    #[error("there is no snapshot {0:?}")]
    NoSnapshot(String),
    #[error("{}: {error}", path.display())]
    Snapshot { path: PathBuf, error: io::Error },
    #[error("the collection to restore {0}; nothing was changed")]
    Unfit(String),
    #[error("the file to restore is not an Anki collection, or is damaged; nothing was changed")]
    NotACollection,
    #[error("the file to restore was not sent completely; try again")]
    Truncated,
    #[error("{0}")]
    Settings(Problems),
    #[error(transparent)]
    Vault(#[from] vault::Error),
    #[error(transparent)]
    NotRead(#[from] NotRead),
    #[error(transparent)]
    NotStored(#[from] NotStored),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Panicked(#[from] JoinError),
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
}
