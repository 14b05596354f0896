//! `SYNC_BASE/<user>/.anki-syncd/devices`: a small file for each device, replaced whole.
//!
//! A revocation is part of the file's name, `<id>.revoked`, so it holds even if the content is
//! damaged. File and name are on disk before the revocation is confirmed. All other content may be
//! some seconds old after a power cut; no request waits for it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::{
    account::{device::DeviceId, name::UserName, secret::PasswordMark},
    clock,
    durable::sync_folder,
    files::{create_private, if_there},
    layout::{self, is_absent},
};

/// What happens when the list of devices is lost; part of several messages.
pub(super) const NOT_KNOWN: &str = "Devices that were revoked can sync again. To keep them out, give their users new passwords, which logs out all devices of these users";
const REVOKED: &str = ".revoked";
/// The ending of a file that does not have its final name yet.
const NEW: &str = ".new";
/// Longer than any record.
const LONGEST: u64 = 64 * 1024;

/// The devices of one user, on disk.
pub(super) struct Folder {
    path: PathBuf,
    /// The user's folder, which contains this one.
    users: PathBuf,
    base: PathBuf,
    user: UserName,
}

/// Whether a record is in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// The user has no folder yet. This module does not decide whether to create one.
    NoFolder,
}

/// The content of a file. Fields of other versions are ignored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    first_seen: i64,
    last_seen: i64,
    client: String,
    address: String,
    last_sync: Option<i64>,
    last_action: Option<String>,
    revoked: Option<i64>,
    modified: Option<i64>,
    password: i64,
}

impl Folder {
    pub(super) fn of(base: &Path, user: &UserName) -> Self {
        let users = layout::user_folder(base, user.as_str());
        Self {
            path: users.join(layout::DEVICES),
            users,
            base: base.to_owned(),
            user: user.clone(),
        }
    }

    /// Whether there is a list of devices.
    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether the user has data here, but no list of devices.
    pub(super) fn is_lost(&self) -> bool {
        self.users.is_dir() && !self.path.exists()
    }

    /// Whether the user has a folder.
    pub(super) fn has_user(&self) -> bool {
        self.users.is_dir()
    }

    /// Whether this device has a file and was not revoked.
    pub(super) fn lists(&self, id: DeviceId) -> bool {
        let name = id.to_string();
        self.path.join(&name).is_file() && !self.path.join(name + REVOKED).exists()
    }

    /// Reads all records. If a file is damaged, only its content is lost: the device is still
    /// listed. Otherwise revoking all devices would miss it.
    ///
    /// # Errors
    /// When the names cannot be read, since then the revoked devices are not known. When the system
    /// is short of something: that will pass, and is no reason to replace a file.
    pub(super) fn read(&self, user: &UserName) -> io::Result<Vec<Record>> {
        let Some(entries) = if_there(fs::read_dir(&self.path))? else {
            return Ok(Vec::new());
        };
        let mut records: HashMap<DeviceId, Record> = HashMap::new();
        for entry in entries {
            let Some(name) = entry?.file_name().into_string().ok() else {
                continue;
            };
            let (digits, is_revoked) = match name.strip_suffix(REVOKED) {
                Some(digits) => (digits, true),
                None => (name.as_str(), false),
            };
            let Ok(id) = digits.parse() else { continue };
            let record = self.record(&name, id, user, is_revoked)?;
            if !records.get(&id).is_some_and(Record::is_revoked) {
                records.insert(id, record);
            }
        }
        Ok(records.into_values().collect())
    }

    fn record(
        &self,
        name: &str,
        id: DeviceId,
        user: &UserName,
        is_revoked: bool,
    ) -> io::Result<Record> {
        let path = self.path.join(name);
        let content = match content(&path) {
            Ok(content) => content,
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => {
                let consequence = if is_revoked {
                    "the device stays revoked"
                } else {
                    "the device was not revoked, and the file is written again when the device syncs"
                };
                tracing::warn!("{} cannot be read: {error}; {consequence}", path.display());
                let now = clock::now_secs();
                Content {
                    first_seen: now,
                    last_seen: now,
                    ..Content::default()
                }
            }
        };
        let revoked = content.revoked.or(is_revoked.then_some(content.last_seen));
        Ok(Record {
            id,
            user: user.to_string(),
            // A name that was edited by hand and is invalid does not cost the rest of the record.
            name: content.name.and_then(|name| name.parse().ok()),
            first_seen: content.first_seen,
            last_seen: content.last_seen,
            client: content.client,
            address: content.address,
            last_sync: content.last_sync,
            last_action: content.last_action,
            revoked,
            modified: content.modified,
            password: PasswordMark(content.password),
        })
    }

    /// Writes a record. A revocation is also made durable.
    pub(super) fn write(&self, record: &Record) -> io::Result<Written> {
        let is_revoked = record.is_revoked();
        if !self.make(is_revoked)? {
            return Ok(Written::NoFolder);
        }
        let id = record.id.to_string();
        let path = self.path.join(&id);
        let target = if is_revoked {
            self.path.join(format!("{id}{REVOKED}"))
        } else {
            path.clone()
        };
        let new = self.path.join(format!("{id}{NEW}"));
        write_new(&new, &Content::from(record), is_revoked)
            .and_then(|()| fs::rename(&new, &target))
            // The device may never come back, so a leftover would stay.
            .inspect_err(|_| drop(fs::remove_file(&new)))?;
        if is_revoked {
            remove(&path)?;
            self.sync()?;
        }
        Ok(Written::Yes)
    }

    /// Whether a crash has left unfinished files.
    pub(super) fn has_unfinished(&self) -> bool {
        self.unfinished()
            .is_ok_and(|unfinished| !unfinished.is_empty())
    }

    /// Removes unfinished files. Call it only while no other task writes here.
    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        self.unfinished()?.iter().try_for_each(|path| remove(path))
    }

    fn unfinished(&self) -> io::Result<Vec<PathBuf>> {
        let mut unfinished = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .ends_with(NEW.as_bytes())
            {
                unfinished.push(entry.path());
            }
        }
        Ok(unfinished)
    }

    /// Removes the record of a device that was not revoked.
    pub(super) fn remove(&self, id: DeviceId) -> io::Result<()> {
        remove(&self.path.join(id.to_string()))
    }

    /// Creates the folder in the user's folder. It creates the user's folder itself only for a
    /// revocation, which must be stored somewhere. Otherwise a missing folder would look like an
    /// empty one, and after a disk is mounted over it, nothing written there can be found.
    fn make(&self, whatever: bool) -> io::Result<bool> {
        if is_absent(&self.base, self.user.as_str())? {
            if whatever {
                let what = format!("the folder {} is missing or empty", self.users.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, what));
            }
            return Ok(false);
        }
        if !whatever && !self.has_user() {
            return Ok(false);
        }
        create_private(&self.path)?;
        Ok(true)
    }

    /// Makes all names up to the user's folder durable.
    fn sync(&self) -> io::Result<()> {
        let above = self.path.ancestors();
        above
            .take_while(|folder| folder.starts_with(&self.base))
            .try_for_each(sync_folder)
    }
}

fn write_new(path: &Path, content: &Content, durably: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    if durably {
        file.sync_all()?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if_there(fs::remove_file(path)).map(drop)
}

fn is_passing(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(
        number,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
    )
}

fn content(path: &Path) -> io::Result<Content> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

impl From<&Record> for Content {
    fn from(record: &Record) -> Self {
        Self {
            name: record.name.as_ref().map(ToString::to_string),
            first_seen: record.first_seen,
            last_seen: record.last_seen,
            client: record.client.clone(),
            address: record.address.clone(),
            last_sync: record.last_sync,
            last_action: record.last_action.clone(),
            revoked: record.revoked,
            modified: record.modified,
            password: record.password.0,
        }
    }
}
