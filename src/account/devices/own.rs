//! One user's devices: in memory, with the changes that are not on disk yet.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    folder::{Folder, Written},
    name::DeviceName,
    record::Record,
};
use crate::account::{
    device::{Device, DeviceId},
    name::UserName,
};

/// The most devices of one user. Programs that log in for every sync would otherwise fill the list.
pub(super) const MOST: usize = 200;

/// One user's devices.
pub(super) struct Own {
    pub(super) folder: Option<Folder>,
    known: Mutex<Known>,
    /// Whether the list was missing when it was read: a disk with it may be mounted later.
    is_unread: AtomicBool,
    /// Held while files are written: otherwise an older state of a record could overwrite a newer
    /// one.
    writing: Mutex<()>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) records: HashMap<DeviceId, Record>,
    /// The devices whose files are out of date.
    changed: HashSet<DeviceId>,
}

impl Own {
    pub(super) fn read(user: &UserName, folder: Option<Folder>) -> io::Result<Self> {
        // Checked before reading, so that a list that appears meanwhile is read later.
        let is_unread = folder.as_ref().is_some_and(|folder| !folder.exists());
        let records = match &folder {
            Some(folder) => folder.read(user)?,
            None => Vec::new(),
        };
        let records = records.into_iter().map(|record| (record.id, record));
        Ok(Self {
            folder,
            is_unread: AtomicBool::new(is_unread),
            known: Mutex::new(Known {
                records: records.collect(),
                changed: HashSet::new(),
            }),
            writing: Mutex::default(),
        })
    }

    /// Whether a list has appeared that was not read.
    pub(super) fn is_behind(&self) -> bool {
        self.is_unread.load(Ordering::Acquire) && self.folder.as_ref().is_some_and(Folder::exists)
    }

    /// Reads the list that came back with the user's folder. This happens before anything is
    /// written there and before a device is let in.
    pub(super) fn catch_up(&self, user: &UserName) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_late(user)
    }

    fn read_late(&self, user: &UserName) -> io::Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|_| self.is_behind()) else {
            return Ok(());
        };
        let read = folder.read(user)?;
        let mut known = self.known();
        for record in read {
            match known.records.get_mut(&record.id) {
                Some(present) => {
                    present.revoked = present.revoked.or(record.revoked);
                    present.name = present.name.take().or(record.name);
                }
                None => {
                    known.records.insert(record.id, record);
                }
            }
        }
        self.is_unread.store(false, Ordering::Release);
        Ok(())
    }

    /// Removes what a crash has left.
    pub(super) fn clear(&self) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.folder {
            Some(folder) if folder.exists() => folder.remove_unfinished(),
            _ => Ok(()),
        }
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.known().records.values().cloned().collect()
    }

    pub(super) fn store(&self, user: &UserName, now: i64) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_late(user)?;
        let (changed, forgotten) = self.known().take_changes(now);
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let mut stored = Ok(());
        for record in &changed {
            match folder.write(record) {
                Ok(Written::Yes) => {
                    // This process has written the list that is there now.
                    self.is_unread.store(false, Ordering::Release);
                    continue;
                }
                Ok(Written::NoFolder) => {}
                Err(error) => stored = Err(error),
            }
            self.known().changed.insert(record.id);
        }
        for id in forgotten {
            // A file that stays only keeps its device on the list.
            stored = stored.and(folder.remove(id));
        }
        stored
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    pub(super) fn update(&mut self, device: &Device, now: i64, change: impl FnOnce(&mut Record)) {
        let new = || Record::new(device, now);
        change(self.records.entry(device.id).or_insert_with(new));
        self.changed.insert(device.id);
    }

    pub(super) fn revoke(&mut self, ids: &[DeviceId], now: i64) {
        for id in ids {
            if let Some(record) = self.records.get_mut(id) {
                record.revoked.get_or_insert(now);
                self.changed.insert(*id);
            }
        }
    }

    pub(super) fn rename(&mut self, id: DeviceId, name: Option<DeviceName>) {
        if let Some(record) = self.records.get_mut(&id) {
            record.name = name;
            self.changed.insert(id);
        }
    }

    /// The records to write, and the devices to forget.
    fn take_changes(&mut self, now: i64) -> (Vec<Record>, Vec<DeviceId>) {
        let changed = std::mem::take(&mut self.changed);
        let forgotten = if changed.is_empty() {
            Vec::new()
        } else {
            self.forget(now)
        };
        let changed = changed.iter().filter_map(|id| self.records.get(id));
        (changed.cloned().collect(), forgotten)
    }

    /// Takes out devices that were not seen for long or exceed the limit; never a revoked one.
    fn forget(&mut self, now: i64) -> Vec<DeviceId> {
        let mut records: Vec<_> = self
            .records
            .values()
            .filter(|record| !record.is_revoked())
            .collect();
        records.sort_by_key(|record| -record.last_seen);
        let gone = records.iter().enumerate().filter(|(place, record)| {
            *place >= MOST || now - record.last_seen > record.kept_for_secs()
        });
        let forgotten: Vec<_> = gone.map(|(_, record)| record.id).collect();
        for id in &forgotten {
            self.records.remove(id);
        }
        forgotten
    }
}
