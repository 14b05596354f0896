//! Renames or removes a user's whole folder.
//!
//! Requests under way belong to devices that were admitted before. So the vault is sealed first:
//! open databases are rolled back and closed, and requests that still arrive are answered that they
//! should try again. The sealed vault stays until a user has that name again; otherwise a late
//! request would create the folder again.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use tempfile::tempdir_in;
use tokio::{sync::OnceCell, task::spawn_blocking};

use super::{Error, Vault, Vaults};
use crate::{
    account::{name::UserName, users::Standing},
    durable::sync_folder,
};

impl Vaults {
    /// Renames a user's folder.
    ///
    /// # Errors
    /// [`Error::Io`], also if the new folder exists already. After an error the folder may have its
    /// new name, if only making it durable failed.
    pub(super) async fn rename(&self, from: &UserName, to: &UserName) -> Result<(), Error> {
        let target = self.base.user_folder(to);
        let (served, new) = (self.served.clone(), to.clone());
        let renamed = self.take_away(from, move |folder| {
            if target.exists() {
                let what = format!("{} exists already: move it away", target.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            fs::rename(folder, &target)?;
            sync_folder(target.parent().unwrap_or(&target))?;
            served.note(&new)
        });
        let renamed = renamed.await;
        self.lock().remove(to);
        renamed
    }

    /// At the start, and when the list of users has changed: records which users have data, and
    /// forgets removed users without data.
    pub fn remember<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        standing: impl Fn(&UserName) -> Standing,
    ) -> io::Result<()> {
        // An empty folder that somebody has made is not recorded.
        self.served.note_those_with_data(users)?;
        self.served
            .forget_others(|user| standing(user) != Standing::Stranger)
    }

    /// Removes a user's folder with all content.
    ///
    /// # Errors
    /// [`Error::Io`]. If the folder was already moved away, the next start removes the rest.
    pub async fn remove(&self, user: &UserName) -> Result<(), Error> {
        let temporary = self.base.temporary();
        let (served, gone) = (self.served.clone(), user.clone());
        self.take_away(user, move |folder| {
            if folder.is_symlink() {
                let what = format!(
                    "{} is a link: remove it and its target yourself",
                    folder.display()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            // Moved away at once: half a folder must not be taken for a user's data.
            let hidden = tempdir_in(temporary)?;
            let removed = hidden.path().join("removed");
            fs::rename(folder, &removed)?;
            if let Err(error) = sync_folder(folder.parent().unwrap_or(folder)) {
                // Otherwise half of it could come back after a power cut.
                fs::rename(removed, folder)?;
                return Err(error);
            }
            served.forget(&gone)?;
            hidden.close()
        })
        .await
    }

    /// Creates vaults for new or returning users where earlier ones were sealed.
    pub fn welcome<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        is_new: impl Fn(&UserName) -> bool,
    ) {
        let mut vaults = self.lock();
        for user in users {
            let is_gone = |cell: &Arc<OnceCell<Arc<Vault>>>| {
                cell.get()
                    .is_some_and(|vault| vault.taken_away.load(Ordering::Relaxed))
            };
            if vaults.get(user).is_some_and(is_gone) {
                vaults.remove(user);
            }
            // Adding a user confirms that missing data are intended. A failing disk confirms
            // nothing.
            if is_new(user)
                && matches!(self.base.user_folder(user).try_exists(), Ok(false))
                && let Err(error) = self.served.forget(user)
            {
                tracing::warn!(%error, "{}: cannot forget the former user of that name", user.as_str());
            }
        }
    }

    async fn take_away(
        &self,
        user: &UserName,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let vault = self.get(user).await?;
        let (collection, media) = (vault.collection.seal().await?, vault.media.seal().await?);
        let folder = vault.folder.clone();
        let worked = spawn_blocking(move || {
            let worked = work(&folder);
            // After any failure: as long as the folder exists, the data do.
            if folder.exists() {
                collection.lift();
                media.lift();
            } else {
                vault.taken_away.store(true, Ordering::Relaxed);
            }
            worked
        });
        Ok(worked.await??)
    }
}
