//! The environment variables that systemd sets. No other module reads them.

use std::{env, path::PathBuf};

/// The folder of the unit's credentials.
pub fn credentials() -> Option<PathBuf> {
    folder("CREDENTIALS_DIRECTORY")
}

/// The folder that the unit's `StateDirectory=` provides for our data.
pub fn state() -> Option<PathBuf> {
    folder("STATE_DIRECTORY")
}

/// Whether systemd runs this process beside the unit's main process, as for `ExecReload=`.
pub fn is_beside_main() -> bool {
    env::var_os("MAINPID").is_some()
}

/// The names of the sockets that systemd passes, in order.
pub(super) fn socket_names() -> Vec<String> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    names.split(':').map(str::to_owned).collect()
}

/// Device and inode of the journal's stream, if systemd connects standard error to it.
pub(super) fn journal_stream() -> Option<String> {
    env::var("JOURNAL_STREAM").ok()
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = env::var_os(variable).filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder))
}
