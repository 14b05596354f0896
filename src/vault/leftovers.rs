//! Removes what a crash has left in the users' folders. It does not wait until the user comes back,
//! since leftovers take space from all users.

use std::{fs, io, path::Path};

use tokio::task::spawn_blocking;

use super::{Error, Vaults, base::unfinished};
use crate::{
    account::name::UserName,
    layout::{BACKUP, OWN, SNAPSHOTS, STAGING, TEMPORARY},
};

/// The folders of a user in which files are replaced.
pub(super) const PLACES: [&str; 2] = [OWN, SNAPSHOTS];

impl Vaults {
    /// Removes the leftovers of one user after the other. A media batch that was committed is
    /// completed.
    pub async fn clear_leftovers(&self) {
        let base = self.base.path().to_owned();
        let users = match spawn_blocking(move || with_leftovers(&base)).await {
            Ok(Ok(users)) => users,
            Ok(Err(error)) => {
                tracing::warn!(%error, "temporary files of a crash cannot be removed yet");
                return;
            }
            Err(panicked) => {
                tracing::error!("internal error: {panicked}");
                return;
            }
        };
        for user in users {
            if let Err(error) = self.clear(&user).await {
                tracing::warn!(%error, "{}: temporary files of a crash cannot be removed yet", user.as_str());
            }
        }
    }

    async fn clear(&self, user: &UserName) -> Result<(), Error> {
        let vault = self.get(user).await?;
        let staging = vault.folder.join(STAGING);
        if spawn_blocking(move || is_occupied(&staging)).await? {
            vault.media(|_| Ok(())).await?;
        }
        Ok(())
    }
}

fn with_leftovers(base: &Path) -> io::Result<Vec<UserName>> {
    let mut users = Vec::new();
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let (name, folder) = (entry.file_name(), entry.path());
        let left = [TEMPORARY, BACKUP, STAGING];
        let unfinished = |place| unfinished(&folder.join(place)).is_ok_and(|left| !left.is_empty());
        if (left.iter().any(|left| is_occupied(&folder.join(left)))
            || PLACES.into_iter().any(unfinished))
            && let Some(user) = name.to_str().and_then(|name| name.parse().ok())
        {
            users.push(user);
        }
    }
    Ok(users)
}

/// Whether a folder that may be missing contains anything.
pub(super) fn is_occupied(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
