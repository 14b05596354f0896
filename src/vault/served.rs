//! Which users have been served; recorded outside of their folders.
//!
//! A missing folder can mean a new user. It can also mean that its disk is not mounted, that it was
//! renamed by hand, or that a rename was interrupted. Without a record, devices would see an empty
//! account and offer an upload in all these cases, and what other devices had synced would seem to
//! be gone. So the server's own folder has an empty file, the mark, for each user who has been
//! served.
//!
//! The order of steps is chosen for safety: a mark is set after the folder exists, and removed
//! after the user is gone from the list, or the data for good.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::unistd::syncfs;

use super::Error;
use crate::{
    account::name::UserName,
    durable::sync_folder,
    files::{create_private, if_there},
    layout::{self, OWN, SERVED, TEMPORARY, has_data},
};

/// The marks of the users under one `SYNC_BASE`.
#[derive(Debug, Clone)]
pub(super) struct Served {
    base: PathBuf,
    marks: PathBuf,
}

impl Served {
    pub(super) fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            marks: base.join(SERVED),
        }
    }

    /// Whether the user's folder may be used as a vault, or created for a new user.
    ///
    /// # Errors
    /// [`Error::Absent`] for a user who has been served and whose folder is now missing or empty,
    /// as a mount point is. A folder with our own files and without a collection is valid: an
    /// operator who removes the collection wants to start again, as with the reference server.
    pub(super) fn admit(&self, user: &UserName) -> Result<(), Error> {
        let folder = self.folder(user);
        if !has_data(&folder)? && self.mark_of(user).try_exists()? {
            return Err(absent(&folder));
        }
        Ok(())
    }

    /// Marks a user whose folder exists, durably.
    pub(super) fn note(&self, user: &UserName) -> io::Result<()> {
        if self.mark_of(user).try_exists()? {
            return Ok(());
        }
        // Before the mark: a power cut could otherwise leave the mark alone, and lock a new user
        // out.
        let folder = self.folder(user);
        if folder.join(OWN).try_exists()? {
            sync_folder(&folder.join(OWN))?;
        }
        sync_folder(&folder)?;
        self.mark_all(&[user])
    }

    /// Marks all users who have data, with one wait for the disk: there may be thousands of them,
    /// and the server does not serve before.
    pub(super) fn note_those_with_data<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
    ) -> io::Result<()> {
        let mut new = Vec::new();
        for user in users {
            if !self.mark_of(user).try_exists()? && has_data(&self.folder(user))? {
                new.push(user);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        syncfs(File::open(&self.base)?)?;
        self.mark_all(&new)
    }

    /// Marks a user whose folder is missing. The data then count as absent until it exists.
    pub(super) fn mark(&self, user: &UserName) -> io::Result<()> {
        self.mark_all(&[user])
    }

    fn mark_all(&self, users: &[&UserName]) -> io::Result<()> {
        sync_folder(&self.base)?;
        if !self.marks.try_exists()? {
            create_private(&self.marks)?;
            self.marks.parent().map_or(Ok(()), sync_folder)?;
        }
        for user in users {
            File::create(self.mark_of(user))?;
        }
        sync_folder(&self.marks)
    }

    /// Removes the mark of a user whose data are gone for good, or belong to another user.
    pub(super) fn forget(&self, user: &UserName) -> io::Result<()> {
        match if_there(fs::remove_file(self.mark_of(user)))? {
            Some(()) => sync_folder(&self.marks),
            None => Ok(()),
        }
    }

    /// Removes the marks of removed users without a folder: a later user with that name is new.
    pub(super) fn forget_others(&self, is_user: impl Fn(&UserName) -> bool) -> io::Result<()> {
        for mark in if_there(fs::read_dir(&self.marks))?.into_iter().flatten() {
            let name = mark?.file_name();
            let user = name.to_str().and_then(|name| name.parse().ok());
            if let Some(user) = user.filter(|user| !is_user(user))
                && !self.folder(&user).try_exists()?
            {
                self.forget(&user)?;
            }
        }
        Ok(())
    }

    fn folder(&self, user: &UserName) -> PathBuf {
        layout::user_folder(&self.base, user.as_str())
    }

    fn mark_of(&self, user: &UserName) -> PathBuf {
        layout::mark(&self.base, user.as_str())
    }
}

/// Whether a vault's folder still exists; it is created only once.
pub(super) fn check_is_there(folder: &Path) -> Result<(), Error> {
    if folder.join(TEMPORARY).try_exists()? {
        Ok(())
    } else {
        Err(absent(folder))
    }
}

fn absent(folder: &Path) -> Error {
    let name = folder.file_name().unwrap_or_default();
    Error::Absent {
        folder: folder.to_owned(),
        mark: folder.with_file_name(SERVED).join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Served, UserName) {
        let base = tempfile::tempdir().unwrap();
        let served = Served::new(base.path());
        (base, served, "anna".parse().unwrap())
    }

    #[test]
    fn a_user_who_was_served_is_not_new_when_the_folder_is_missing_or_empty() {
        let (base, served, anna) = place();
        let folder = base.path().join("anna");
        served.admit(&anna).unwrap();
        create_private(&folder.join(TEMPORARY)).unwrap();
        served.note(&anna).unwrap();
        served.admit(&anna).unwrap();
        fs::rename(&folder, base.path().join("away")).unwrap();
        assert!(matches!(served.admit(&anna), Err(Error::Absent { .. })));
        fs::create_dir(&folder).unwrap();
        let refused = served.admit(&anna).unwrap_err().to_string();
        let mark = base.path().join(".anki-syncd/served/anna");
        assert!(refused.contains(mark.to_str().unwrap()), "{refused}");
        fs::remove_dir(&folder).unwrap();
        fs::rename(base.path().join("away"), &folder).unwrap();
        served.admit(&anna).unwrap();
        // The bundled server leaves a folder like this, with none of our files.
        fs::remove_dir_all(folder.join(".anki-syncd")).unwrap();
        fs::write(folder.join("collection.anki2"), "").unwrap();
        served.admit(&anna).unwrap();
    }

    #[test]
    fn what_is_known_of_devices_alone_does_not_make_a_user_served() {
        let (base, served, anna) = place();
        create_private(&base.path().join("anna/.anki-syncd/devices")).unwrap();
        served.note_those_with_data([&anna]).unwrap();
        served.admit(&anna).unwrap();
        // A backup of damaged data contains the media only.
        fs::write(base.path().join("anna/media.db"), "").unwrap();
        served.note_those_with_data([&anna]).unwrap();
        assert!(base.path().join(SERVED).join("anna").exists());
        served.admit(&anna).unwrap();
    }

    #[test]
    fn who_is_no_user_any_more_and_has_no_data_is_forgotten() {
        let (base, served, anna) = place();
        let ben: UserName = "ben".parse().unwrap();
        for user in [&anna, &ben] {
            create_private(&base.path().join(user.as_str()).join(TEMPORARY)).unwrap();
            served.note(user).unwrap();
        }
        fs::remove_dir_all(base.path().join("anna")).unwrap();
        served.forget_others(|_| true).unwrap();
        assert!(served.admit(&anna).is_err());
        served.forget_others(|_| false).unwrap();
        served.admit(&anna).unwrap();
        assert!(base.path().join(SERVED).join("ben").exists());
    }
}
