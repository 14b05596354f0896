//! The memory of a restore, which a wrong answer at a device would undo: an upload is
//! refused from every device that has not downloaded since.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Vault;
use crate::{account::host_key::DeviceId, durable::Replacement};

const FILE: &str = ".anki-syncd/restored.json";

/// What is remembered, as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Restored {
    /// When, in milliseconds since 1970.
    pub(super) at_ms: i64,
    /// Schema stamps of the restored collection and of those that came after it. It is
    /// written before the collection takes its place; if that then fails, the stamp of
    /// the one that is still there is not among these.
    schemas: Vec<i64>,
    /// Which devices have downloaded.
    devices: Vec<String>,
}

impl Restored {
    pub(super) fn new(at_ms: i64, schema: i64) -> Self {
        Self {
            at_ms,
            schemas: vec![schema],
            devices: Vec::new(),
        }
    }

    /// What holds for the present collection, if anything.
    pub(super) fn read(folder: &Path, schema: i64) -> io::Result<Option<Self>> {
        let bytes = match fs::read(file(folder)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let restored: Self = match serde_json::from_slice(&bytes) {
            Ok(restored) => restored,
            Err(error) => {
                // It is written whole; whoever has changed it is not to be stopped by it.
                tracing::warn!(%error, "{} is ignored", file(folder).display());
                return Ok(None);
            }
        };
        Ok(Some(restored).filter(|restored| restored.schemas.contains(&schema)))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        Replacement::prepare(&file(folder), &serde_json::to_vec(self)?)?.commit()
    }

    pub(super) fn has_downloaded(&self, device: DeviceId) -> bool {
        self.devices.contains(&device.to_string())
    }

    /// Notes that a device gets the collection.
    pub(super) fn downloaded(mut self, device: DeviceId, folder: &Path) -> io::Result<()> {
        if self.has_downloaded(device) {
            return Ok(());
        }
        self.devices.push(device.to_string());
        self.write(folder)
    }

    /// Notes that such a device replaces the collection: the others still have to download.
    pub(super) fn replaced(mut self, schema: i64, folder: &Path) -> io::Result<()> {
        self.schemas.push(schema);
        self.write(folder)
    }
}

impl Vault {
    /// Lets every device upload again. Answers whether there was a restore to forget.
    ///
    /// # Errors
    /// As the file system says.
    pub fn allow_upload(&self) -> io::Result<bool> {
        match fs::remove_file(file(&self.folder)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
