//! The memory of restores, which a wrong answer at a device would undo: an upload is
//! refused from every device that does not have the restored collection.

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

/// A collection that was restored, or that came after it, as it is on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Restored {
    /// Its schema stamp, by which it is known.
    schema: i64,
    /// When the restore was, in milliseconds since 1970.
    at_ms: i64,
    /// Which devices have it, or had the one that it came after.
    devices: Vec<DeviceId>,
}

/// What is remembered of a user's. Something is written of a collection before it takes the
/// place of the present one, and until then holds for no other: each is known by its stamp.
///
/// The lock is held from reading the file to replacing it. Two downloads that end at once would
/// else each write a list with one device, and the other's next upload would be refused.
pub(super) struct Restores(Mutex<PathBuf>);

impl Restores {
    pub(super) fn new(folder: &Path) -> Self {
        Self(Mutex::new(folder.join(layout::RESTORED)))
    }

    /// Notes that a restored collection takes the place of the one with the other stamp.
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

    /// Lets a device's collection take the place of the one with the other stamp, if it may.
    /// The devices that do not have that one may no more replace this one.
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

    /// Notes that a device has the collection with this stamp. What keeps that from being
    /// noted is no reason to refuse a sync; the next one tries again.
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

    /// Lets every device upload again. Answers whether there was a restore to forget.
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
        // It is written whole; whoever has changed it is not to be stopped by it.
        tracing::warn!(%error, "{} is damaged and is ignored", file.display());
        Vec::new()
    }))
}

fn write(file: &Path, known: &[Restored]) -> io::Result<()> {
    Replacement::prepare(file, &serde_json::to_vec(known)?)?.commit()
}
