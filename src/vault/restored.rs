//! Records restores. A device that does not have the restored collection must not upload: by
//! choosing "upload" by mistake, its user would undo the restore.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{
    account::DeviceId,
    clock,
    collection::upload::{CheckError, Refusal},
    durable::{Replacement, folder_of, sync_folder},
    files::if_there,
    layout,
};

/// A restored collection, or a later one, as it is on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Restored {
    /// Its schema stamp, which identifies it.
    schema: i64,
    /// The time of the restore, in milliseconds since 1970.
    at_ms: i64,
    /// The devices that have it, or had the collection before it.
    devices: Vec<DeviceId>,
}

/// The record of a user's restores. It is written before the collection is replaced, and is only
/// valid for the collection with its stamp.
///
/// The lock is held from reading the file to replacing it. Otherwise, if two downloads end at once,
/// each would write a list with one device, and the other's next upload would be refused.
pub(super) struct Restores(Mutex<PathBuf>);

impl Restores {
    pub(super) fn new(folder: &Path) -> Self {
        Self(Mutex::new(folder.join(layout::RESTORED)))
    }

    /// Records that a restored collection replaces the one with the other stamp.
    pub(super) fn add(&self, schema: i64, at_ms: i64, present: Option<i64>) -> io::Result<()> {
        let file = self.lock();
        let mut known = read(&file)?;
        known.retain(|restored| Some(restored.schema) == present);
        known.push(Restored {
            schema,
            at_ms,
            devices: Vec::new(),
        });
        write(&file, &known)
    }

    /// Lets a device's collection replace the one with the other stamp, if allowed. Devices that do
    /// not have that one may not replace this one either.
    pub(super) fn admit(&self, device: DeviceId, schema: i64, present: i64) -> Result<(), Error> {
        let file = self.lock();
        let known = read(&file)?;
        let Some(restored) = known.iter().find(|restored| restored.schema == present) else {
            return Ok(());
        };
        if !restored.devices.contains(&device) {
            let at = clock::to_the_minute(restored.at_ms);
            return Err(CheckError::Refused(Refusal::Restored { at }).into());
        }
        let next = Restored {
            schema,
            ..restored.clone()
        };
        Ok(write(&file, &[restored.clone(), next])?)
    }

    /// Records that a device has the collection with this stamp. A failure to do so must not fail
    /// the sync; the next sync tries again.
    pub(super) fn has(&self, device: DeviceId, schema: i64) {
        if let Err(error) = self.try_has(device, schema) {
            tracing::warn!(%error, "cannot save that a device has downloaded the restored collection");
        }
    }

    fn try_has(&self, device: DeviceId, schema: i64) -> io::Result<()> {
        let file = self.lock();
        let mut known = read(&file)?;
        let new = known
            .iter_mut()
            .find(|restored| restored.schema == schema && !restored.devices.contains(&device));
        match new {
            Some(restored) => restored.devices.push(device),
            None => return Ok(()),
        }
        write(&file, &known)
    }

    /// Lets all devices upload again. Returns whether there was a restore to forget.
    pub(super) fn forget(&self) -> io::Result<bool> {
        let file = self.lock();
        if if_there(fs::remove_file(&*file))?.is_none() {
            return Ok(false);
        }
        sync_folder(folder_of(&file)).map(|()| true)
    }

    fn lock(&self) -> MutexGuard<'_, PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> io::Result<Vec<Restored>> {
    let Some(bytes) = if_there(fs::read(file))? else {
        return Ok(Vec::new());
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        // The server writes it as a whole. If another program has damaged it, syncs must still
        // work.
        tracing::warn!(%error, "{} is damaged and is ignored", file.display());
        Vec::new()
    }))
}

fn write(file: &Path, known: &[Restored]) -> io::Result<()> {
    Replacement::prepare(file, &serde_json::to_vec(known)?)?.commit()
}
