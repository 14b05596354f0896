//! The devices that have been read, and access to the records that are only on disk.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::OnceCell, task::spawn_blocking};

use super::{folder::Folder, own::Own, record::Record};
use crate::account::name::UserName;

/// It is not known which of the user's devices were revoked.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of {user}'s devices, which says whether this one was revoked, cannot be read: {reason}"
)]
pub struct NotRead {
    user: UserName,
    reason: String,
}

type ByUser = HashMap<UserName, Arc<OnceCell<Arc<Own>>>>;

/// Each user's devices, after their first use.
pub(super) struct Loaded {
    /// The folder with the users' folders; none if nothing is stored.
    base: Option<PathBuf>,
    users: Mutex<ByUser>,
}

impl Loaded {
    pub(super) fn new(base: Option<PathBuf>) -> Self {
        Self {
            base,
            users: Mutex::default(),
        }
    }

    /// A user's devices. They are read at the first call.
    pub(super) async fn of(&self, user: &UserName) -> Result<Arc<Own>, NotRead> {
        let failed = |reason: &dyn std::fmt::Display| NotRead {
            user: user.clone(),
            reason: reason.to_string(),
        };
        let cell = Arc::clone(self.lock().entry(user.clone()).or_default());
        let own = cell.get_or_try_init(|| async {
            let folder = self.folder(user);
            let name = user.clone();
            let read = spawn_blocking(move || Own::read(&name, folder)).await;
            match read {
                Ok(own) => own.map(Arc::new).map_err(|error| failed(&error)),
                Err(panicked) => Err(failed(&panicked)),
            }
        });
        let own = Arc::clone(own.await?);
        if own.is_behind() {
            let (late, name) = (Arc::clone(&own), user.clone());
            let caught_up = spawn_blocking(move || late.catch_up(&name)).await;
            caught_up
                .map_err(|panicked| failed(&panicked))?
                .map_err(|error| failed(&error))?;
        }
        Ok(own)
    }

    pub(super) fn get(&self, user: &UserName) -> Option<Arc<Own>> {
        self.lock().get(user)?.get().cloned()
    }

    pub(super) fn all(&self) -> Vec<(UserName, Arc<Own>)> {
        let users = self.lock();
        let loaded = users
            .iter()
            .filter_map(|(user, own)| Some((user.clone(), Arc::clone(own.get()?))));
        loaded.collect()
    }

    pub(super) fn forget(&self, user: &UserName) {
        self.lock().remove(user);
    }

    pub(super) fn folder(&self, user: &UserName) -> Option<Folder> {
        self.base.as_ref().map(|base| Folder::of(base, user))
    }

    /// Devices of users who have not synced since the start are read without keeping them in
    /// memory.
    pub(super) fn everybodys(&self) -> Vec<Record> {
        let loaded: HashMap<UserName, Arc<Own>> = self.all().into_iter().collect();
        let mut records: Vec<_> = loaded.values().flat_map(|own| own.records()).collect();
        let others = self.on_disk();
        for (user, folder) in others.filter(|(user, _)| !loaded.contains_key(user)) {
            match folder.read(&user) {
                Ok(read) => records.extend(read),
                // A file beside the users' folders.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => tracing::warn!("{user}: the devices cannot be read: {error}"),
            }
        }
        records
    }

    pub(super) fn with_leftovers(&self) -> Vec<UserName> {
        self.on_disk()
            .filter(|(_, folder)| folder.has_unfinished())
            .map(|(user, _)| user)
            .collect()
    }

    /// All users who have a folder, or something that looks like one.
    fn on_disk(&self) -> impl Iterator<Item = (UserName, Folder)> {
        let entries = self.base.iter().flat_map(fs::read_dir).flatten().flatten();
        entries.filter_map(|entry| {
            let user = entry.file_name().into_string().ok()?.parse().ok()?;
            let folder = self.folder(&user)?;
            Some((user, folder))
        })
    }

    fn lock(&self) -> MutexGuard<'_, ByUser> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
