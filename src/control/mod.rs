//! What the operator's commands ask of the running server, over a unix socket that only
//! the operator may connect to.
//!
//! One request a connection: a line with a [`Request`](ask::Request) as JSON, answered by a line
//! with a [`Reply`]. While the server works on it, it says so every second: a command that hears
//! nothing for some seconds knows that the server hangs. What changes `SYNC_BASE` is done by the
//! server, as its own user and in each user's turn; the commands ask and show.

mod accounts;
mod answer;
pub(crate) mod ask;
pub(crate) mod client;
mod kept;
mod operator;
mod refusal;
mod server;
mod status;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::layout;
pub use answer::{
    BackedUp, DeviceReport, DeviceState, Preview, Reloaded, RestoreFrom, Status, UserReport,
    UserStatus,
};
pub use operator::Operator;
pub use server::serve;

/// Where systemd holds the socket, by `anki-syncd-control.socket`.
pub const SYSTEM_SOCKET: &str = "/run/anki-syncd/control";

/// Where a server that systemd passes no such socket has its own.
#[must_use]
pub fn own_socket(base: &Path) -> PathBuf {
    base.join(layout::CONTROL)
}

/// What the server answers.
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
