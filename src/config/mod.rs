//! The settings: TOML file and `SYNC_*` environment, read once, validated whole.
//!
//! [`keys`] lays the environment over the file. [`settings`] asks it for each setting, in one line
//! that has the name, what the value has to be, and the default; what comes out is complete and
//! valid, or a list of everything that is wrong.

pub mod backups;
pub mod client_address;
pub mod environment;
mod file;
mod given;
mod host_key_secret;
mod keys;
mod limits;
mod literal;
pub mod problem;
mod settings;
mod users;

use std::path::PathBuf;

use environment::Variables;
pub use limits::Limits;
pub(crate) use settings::Written;
pub use settings::{SYSTEM_STATE, Settings};
pub use users::{NO_USERS, NO_USERS_FILE, UserLists, bring_back};

/// Bytes of a list of users from which on the limit of systemd's credentials, 1 MB, is near.
pub const LONG_CREDENTIAL: u64 = 900_000;

/// Where settings come from.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Variables,
    /// The folder of the credentials that systemd passes on.
    pub credentials: Option<PathBuf>,
    /// The folder that systemd keeps for our data.
    pub state: Option<PathBuf>,
    /// Whether the server is started as root and does not stay root.
    pub gives_up_root: bool,
    /// What stands in place of the credential's list of users, which was changed since.
    pub users: Option<String>,
}

impl Sources {
    /// The credential that lists users, if one was passed.
    pub fn credential(&self) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(users::CREDENTIAL);
        path.exists().then_some(path)
    }
}

#[cfg(test)]
mod tests;
