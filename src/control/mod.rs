//! The requests of the operator's commands to the running server. They use a unix socket that only
//! the operator may connect to.
//!
//! One request a connection: a line with a [`Request`](ask::Request) as JSON. The answer is a line
//! with a [`Reply`]. While the server works, it reports so every second: if a command hears nothing
//! for some seconds, the server hangs. Only the server changes `SYNC_BASE`, as its own account and
//! in each user's turn; the commands ask and print.

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

/// The socket of `anki-syncd-control.socket`.
pub const SYSTEM_SOCKET: &str = "/run/anki-syncd/control";

/// The socket of a server that systemd passes no such socket.
#[must_use]
pub fn own_socket(base: &Path) -> PathBuf {
    base.join(layout::CONTROL)
}

/// An answer of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The server is working on the request; another reply follows.
    Working,
    /// Done. The content depends on the request.
    Done(serde_json::Value),
    /// Refused; the reason is a sentence for the operator.
    Refused(String),
    /// The server that was started for this command cannot start, for this reason.
    CannotStart(String),
}
