//! Users who are being renamed: their data follow the list of users.
//!
//! The list and the folder change one after the other, and power or process may fail in between. So
//! it is recorded first which two names are one person. Whenever the list is read after that, at a
//! start or while the server runs, the name that is in the list gets the folder. After an hour the
//! list counts as durable, and the names are free for other users.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{Error, Vaults};
use crate::{
    account::{changes::Moved, name::UserName, users::Standing},
    clock,
    durable::Replacement,
    files::if_there,
};

/// Within this time, a list that comes back in a power cut is followed as well.
const FOLLOWED_SECS: i64 = 60 * 60;

/// The two names of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rename {
    from: UserName,
    to: UserName,
    /// In seconds since 1970.
    begun: i64,
}

/// The result of following the list of users.
#[derive(Debug)]
pub struct Followed {
    /// Users with another name now, or for less than an hour, with or without data.
    pub renamed: Vec<Moved>,
    /// Whose data have moved.
    pub moved: Vec<Moved>,
    /// Why the first failed move failed.
    pub failed: Option<Error>,
}

/// Where the data belong according to the list.
enum Direction {
    /// To the name that is a user, from the one that is not.
    To(Moved),
    /// Both or neither are users, so it is not one person any more.
    Nowhere,
    /// An entry with a mistake may be this person's.
    Unclear,
}

impl Rename {
    fn direction(&self, standing: impl Fn(&UserName) -> Standing) -> Direction {
        use Standing::{Able, KeptOut, Stranger, Unclear};
        let (from, to) = match (standing(&self.from), standing(&self.to)) {
            (Able, Unclear | Stranger) => (&self.to, &self.from),
            (Unclear | Stranger, Able) => (&self.from, &self.to),
            (Able | KeptOut, Able | KeptOut) | (Stranger, Stranger) => return Direction::Nowhere,
            _ => return Direction::Unclear,
        };
        Direction::To(Moved {
            from: from.clone(),
            to: to.clone(),
        })
    }

    fn is_recent(&self, now: i64) -> bool {
        (now - self.begun).abs() < FOLLOWED_SECS
    }
}

impl Vaults {
    /// Records that a user is about to be renamed. The rename happens when the list of users
    /// changes.
    ///
    /// # Errors
    /// [`Error::Io`], also if the new name has a folder already, or the folder cannot be renamed;
    /// [`Error::Absent`].
    pub async fn begin_rename(&self, from: &UserName, to: &UserName) -> Result<(), Error> {
        let _turn = self.moving.lock().await;
        let (path, target) = (self.base.renames_file(), self.base.user_folder(to));
        let (source, base) = (self.base.user_folder(from), self.base.path().to_owned());
        let (served, user) = (self.served.clone(), from.clone());
        let rename = Rename {
            from: from.clone(),
            to: to.clone(),
            begun: clock::now_secs(),
        };
        let begun = spawn_blocking(move || {
            // Otherwise the new name would count as a new user with an empty account.
            served.admit(&user)?;
            check_can_be_renamed(&source, &base)?;
            if target.symlink_metadata().is_ok() {
                let what = format!("{} exists already: move it away", target.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what).into());
            }
            let mut renames = read(&path)?;
            renames.retain(|other| (&other.from, &other.to) != (&rename.from, &rename.to));
            renames.push(rename);
            Ok::<_, Error>(write(&path, &renames)?)
        });
        begun.await?
    }

    /// Moves the data of renamed users to the name in the list of users. If a mistake in the list
    /// leaves that name unclear, the data stay. If data cannot be moved, the user is refused, and
    /// not treated as new.
    /// # Errors
    /// [`Error`], if even the refusal cannot be stored, or the list of renames cannot be read.
    pub async fn follow(
        &self,
        standing: impl Fn(&UserName) -> Standing,
    ) -> Result<Followed, Error> {
        let _turn = self.moving.lock().await;
        let path = self.base.renames_file();
        let renames = spawn_blocking(move || read(&path)).await??;
        let (mut kept, mut followed) = (Vec::new(), Vec::new());
        let (mut moved, mut failed) = (Vec::new(), None);
        for rename in &renames {
            let direction = match rename.direction(&standing) {
                Direction::To(direction) => direction,
                Direction::Unclear => {
                    kept.push(rename.clone());
                    continue;
                }
                Direction::Nowhere => continue,
            };
            followed.push(direction.clone());
            let is_settled = match self.bring(&direction).await {
                Ok(Brought::Nothing) => true,
                Ok(Brought::Durably) => {
                    moved.push(direction);
                    true
                }
                Ok(Brought::Perhaps) => {
                    moved.push(direction);
                    false
                }
                Err(error) => {
                    let (served, user) = (self.served.clone(), direction.to);
                    spawn_blocking(move || served.mark(&user)).await??;
                    failed.get_or_insert(error);
                    false
                }
            };
            if !is_settled || rename.is_recent(clock::now_secs()) {
                kept.push(rename.clone());
            }
        }
        if kept != renames {
            let path = self.base.renames_file();
            // An entry that stays is checked again later; that is no reason not to serve.
            if let Err(error) = spawn_blocking(move || write(&path, &kept)).await? {
                tracing::warn!(%error, "cannot save the list of users who are being renamed");
            }
        }
        Ok(Followed {
            renamed: followed,
            moved,
            failed,
        })
    }

    async fn bring(&self, direction: &Moved) -> Result<Brought, Error> {
        let Moved { from, to } = direction;
        let (source, target) = (self.base.user_folder(from), self.base.user_folder(to));
        if !is_there(source.clone()).await? {
            return Ok(Brought::Nothing);
        }
        if is_there(target.clone()).await? {
            tracing::warn!(
                "{from} has been renamed to {to}, but both folders exist, so none was moved. If {} contains {to}'s data, move them by hand while the server is stopped",
                source.display()
            );
            return Ok(Brought::Nothing);
        }
        let renamed = self.rename(from, to).await;
        let is_moved = is_there(target).await? && !is_there(source).await?;
        match renamed {
            Ok(()) => {
                tracing::info!("the data of {from} now belong to {to}");
                Ok(Brought::Durably)
            }
            Err(error) if is_moved => {
                tracing::error!(
                    "the data of {from} now belong to {to}, but the disk reported an error while saving: {error}. The server tries again when it next reads the users"
                );
                Ok(Brought::Perhaps)
            }
            Err(error) => {
                tracing::error!("the data of {to} are still in the folder {from}: {error}");
                Err(error)
            }
        }
    }
}

enum Brought {
    Nothing,
    Durably,
    Perhaps,
}

/// The system cannot rename a mount point.
fn check_can_be_renamed(folder: &Path, base: &Path) -> io::Result<()> {
    let Ok(itself) = folder.symlink_metadata() else {
        return Ok(());
    };
    if itself.dev() == base.metadata()?.dev() {
        return Ok(());
    }
    let what = format!(
        "{} is a mount point, which cannot be renamed: mount the disk elsewhere, and make a symbolic link with this name to it",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
}

async fn is_there(path: PathBuf) -> Result<bool, Error> {
    Ok(spawn_blocking(move || path.symlink_metadata().is_ok()).await?)
}

/// A damaged list is dropped: it was needed for an hour only.
fn read(path: &Path) -> io::Result<Vec<Rename>> {
    let Some(bytes) = if_there(fs::read(path))? else {
        return Ok(Vec::new());
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::error!("{} is damaged and is ignored: {error}", path.display());
        Vec::new()
    }))
}

fn write(path: &Path, renames: &[Rename]) -> io::Result<()> {
    if renames.is_empty() {
        // A list that comes back in a power cut does no harm.
        return fs::remove_file(path);
    }
    Replacement::prepare(path, &serde_json::to_vec(renames)?)?.commit()
}

#[cfg(test)]
mod tests;
