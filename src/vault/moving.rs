//! A user's whole folder gets another name, or is removed.
//!
//! Requests that are under way belong to a device that was let in before. So the vault is
//! sealed first: what is open is rolled back and closed, and whoever still comes with the
//! old vault is told to try again. It stays in its place until there is a user of that
//! name once more, or a late request would make the folder anew.

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
    /// Gives a user's folder to another name.
    ///
    /// # Errors
    /// [`Error::Io`], also when there is such a folder already. The folder may have its new
    /// name all the same, when only making that durable failed.
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

    /// At the start, and when the list of users has changed: remembers who has data, and
    /// forgets who is no user any more and has none.
    pub fn remember<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        standing: impl Fn(&UserName) -> Standing,
    ) -> io::Result<()> {
        // What is only a folder that somebody has made is not remembered.
        self.served.note_those_with_data(users)?;
        self.served
            .forget_others(|user| standing(user) != Standing::Stranger)
    }

    /// Removes a user's folder with all that is in it.
    ///
    /// # Errors
    /// [`Error::Io`]. If the folder is gone all the same, what is left of it goes at the next
    /// start.
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
            // Out of sight at once: half a folder must not be taken for a user's data.
            let hidden = tempdir_in(temporary)?;
            let removed = hidden.path().join("removed");
            fs::rename(folder, &removed)?;
            if let Err(error) = sync_folder(folder.parent().unwrap_or(folder)) {
                // After a power cut, half of it could be there again.
                fs::rename(removed, folder)?;
                return Err(error);
            }
            served.forget(&gone)?;
            hidden.close()
        })
        .await
    }

    /// Makes room for users who have come, or come back, where others were taken away.
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
            // To add a user says that it is meant so if there are no data. A disk that fails
            // says nothing.
            if is_new(user)
                && matches!(self.base.user_folder(user).try_exists(), Ok(false))
                && let Err(error) = self.served.forget(user)
            {
                tracing::warn!(%error, "{}: the former user of that name is remembered", user.as_str());
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
            // Whatever went wrong: as long as the folder is there, so are the data.
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
