//! The settings: TOML file and `SYNC_*` environment, read once, validated as a whole.
//!
//! [`keys`] combines the environment and the file. [`settings`] reads each setting in one line,
//! with its name, its valid values, and its default. The result is complete and valid, or a list of
//! all mistakes.

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

/// From this size in bytes on, a list of users is near the limit of systemd's credentials, 1 MB.
pub const LONG_CREDENTIAL: u64 = 900_000;

/// The sources of the settings.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Variables,
    /// The folder of the credentials that systemd passes.
    pub credentials: Option<PathBuf>,
    /// The folder that systemd provides for our data.
    pub state: Option<PathBuf>,
    /// Whether the server starts as root and will not stay root.
    pub gives_up_root: bool,
    /// The list of users that replaces the credential's, if it was changed since.
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
