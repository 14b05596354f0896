//! What is to be known of a server to look at its users' data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{account::name::UserName, layout};

/// What a process that looks at users' data is given: it has no more rights than the server's
/// account, and asks nobody.
#[derive(Serialize, Deserialize)]
pub struct Data {
    pub(super) base: PathBuf,
    /// Who has a folder there.
    pub(super) users: Vec<UserName>,
    /// Bytes that an upload may have; none if the settings are in disorder.
    pub(super) limit: Option<u64>,
    /// The running server's process.
    pub(super) server: Option<u32>,
    /// Whether there may be a server that cannot be asked.
    pub(super) is_silent: bool,
    /// Who can log in, or could without a mistake in the list.
    #[serde(default)]
    pub(super) named: Vec<UserName>,
}

impl Data {
    pub(super) fn folder(&self, user: &UserName) -> PathBuf {
        layout::user_folder(&self.base, user.as_str())
    }
}
