//! What the checks of users' data know about the server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{account::name::UserName, layout};

/// The input of the process that checks users' data. The process has only the rights of the
/// server's account, and does not ask the server.
#[derive(Serialize, Deserialize)]
pub struct Data {
    pub(super) base: PathBuf,
    /// The users that have a folder in `base`.
    pub(super) users: Vec<UserName>,
    /// The largest upload in bytes; none if the settings have mistakes.
    pub(super) limit: Option<u64>,
    /// The running server's process.
    pub(super) server: Option<u32>,
    /// Whether a server may be running that does not answer.
    pub(super) is_silent: bool,
    /// The users in the settings, including those that cannot log in because of a mistake there.
    #[serde(default)]
    pub(super) named: Vec<UserName>,
}

impl Data {
    pub(super) fn folder(&self, user: &UserName) -> PathBuf {
        layout::user_folder(&self.base, user.as_str())
    }
}
