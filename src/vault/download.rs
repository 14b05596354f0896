//! Copies of the collection that are being sent to devices.
//!
//! A download is sent from a private copy, which no later sync changes. If another device begins
//! while the same state is still being sent, it gets the same copy, and one stamp counts for both,
//! as if both had downloaded at that moment. Even if many downloads stall, a user has at most
//! [`COPIES`] copies on the disk: another one replaces the oldest, whose downloads break off.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tempfile::NamedTempFile;

use super::{Error, IN_MEMORY, Vault, fold};
use crate::{
    account::DeviceId,
    clock,
    collection::{file::downgrade_copy, open::Stamps},
    disk::{Promise, Purpose},
    files::Stamp,
};

/// The most copies of one user. Without the limit, ten stalled downloads of a collection of one
/// gibibyte would fill the disk.
const COPIES: usize = 2;

/// The collection as one file. The device counts as having it once all of it was read. It is read
/// while it is sent, so a download that breaks off does not count. Whether the last bytes have
/// arrived is not known.
pub struct Download {
    copy: Arc<Shared>,
    position: u64,
    length: u64,
    device: DeviceId,
    vault: Arc<Vault>,
}

impl Download {
    /// The collection's modification stamp.
    pub fn modified(&self) -> i64 {
        self.copy.state.stamps.modified
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .copy
            .with_file(|file| file.as_file().read_at(buffer, self.position))?;
        self.position += read as u64;
        if self.position == self.length {
            let schema = self.copy.state.stamps.schema_changed;
            self.vault.restores.has(self.device, schema);
        }
        Ok(read)
    }
}

impl Seek for Download {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// The form that a client can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    AsItIs,
    Downgraded,
}

impl Form {
    /// The disk space that making one takes. Up to the size that any request may use, it counts as
    /// nothing, so that a small collection can be downloaded from a full disk.
    fn bytes(self, collection: u64) -> u64 {
        match self {
            _ if collection <= IN_MEMORY as u64 => 0,
            Self::AsItIs => collection,
            // Including its journal.
            Self::Downgraded => collection.saturating_mul(2),
        }
    }
}

/// Identifies a state of the collection: its stamps and its file. If another program changes it
/// without changing the stamps, the file's times differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    stamps: Stamps,
    file: Stamp,
}

impl State {
    fn new(stamps: Stamps, file: &Metadata) -> Self {
        let file = Stamp::of(file);
        Self { stamps, file }
    }
}

/// One state of the collection, in one form.
struct Shared {
    state: State,
    form: Form,
    /// None after it was given up, which frees the disk even while downloads stall.
    file: Mutex<Option<NamedTempFile>>,
    /// Held during the downgrade: otherwise two old clients would downgrade the same file at once.
    downgrade: Mutex<Downgrade>,
}

/// The progress of the downgrade. After a failure the file is unusable.
enum Downgrade {
    Due(Promise),
    Done,
    Failed,
}

impl Shared {
    fn make(
        stamps: Stamps,
        form: Form,
        promise: Promise,
        collection: &Path,
        temporary: &Path,
    ) -> io::Result<Self> {
        let mut copy = NamedTempFile::new_in(temporary)?;
        let mut from = File::open(collection)?;
        // The kernel shares the blocks where the file system can.
        io::copy(&mut from, copy.as_file_mut())?;
        Ok(Self {
            state: State::new(stamps, &from.metadata()?),
            form,
            file: Mutex::new(Some(copy)),
            downgrade: Mutex::new(match form {
                Form::AsItIs => Downgrade::Done,
                Form::Downgraded => Downgrade::Due(promise),
            }),
        })
    }

    fn is_of_use(&self) -> bool {
        let given_up = self.with_file(|_| Ok(())).is_err();
        // While the lock is held, it is being downgraded and has not failed.
        let failed = self
            .downgrade
            .try_lock()
            .is_ok_and(|downgrade| matches!(*downgrade, Downgrade::Failed));
        !given_up && !failed
    }

    fn with_file<R>(&self, work: impl FnOnce(&NamedTempFile) -> io::Result<R>) -> io::Result<R> {
        match &*self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => work(file),
            None => Err(io::Error::other(
                "this download was cancelled, since newer ones of the same user have begun",
            )),
        }
    }

    fn give_up(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.take().is_some() {
            tracing::info!("the oldest download of this user is cancelled for a new one");
        }
    }

    /// Brings the file into its form. Other requests wait meanwhile.
    fn complete(&self) -> Result<(), Error> {
        let mut downgrade = self
            .downgrade
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *downgrade, Downgrade::Failed) {
            Downgrade::Due(_promise) => {
                let path = self.with_file(|file| Ok(file.path().to_owned()))?;
                downgrade_copy(&path)?;
            }
            Downgrade::Done => {}
            Downgrade::Failed => {
                return Err(io::Error::other(
                    "cannot make the copy of the collection for an old client",
                )
                .into());
            }
        }
        *downgrade = Downgrade::Done;
        Ok(())
    }
}

/// The copies that downloads still read.
#[derive(Default)]
pub(super) struct Copies(Mutex<Vec<Weak<Shared>>>);

impl Copies {
    fn find(&self, state: State, form: Form) -> Option<Arc<Shared>> {
        let copies = self.lock();
        let mut copies = copies.iter().filter_map(Weak::upgrade);
        copies.find(|copy| (copy.state, copy.form) == (state, form) && copy.is_of_use())
    }

    /// Gives up the oldest copies, so that there is space for one more.
    fn make_room(&self) {
        let mut copies = self.lock();
        copies.retain(|copy| copy.strong_count() > 0);
        let surplus = (copies.len() + 1).saturating_sub(COPIES);
        for copy in copies.drain(..surplus).filter_map(|copy| copy.upgrade()) {
            copy.give_up();
        }
    }

    fn add(&self, copy: &Arc<Shared>) {
        self.lock().push(Arc::downgrade(copy));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// The collection as one file, for a download. This counts as a modification.
    pub async fn copy_collection(self: &Arc<Self>, device: DeviceId) -> Result<Download, Error> {
        self.download(device, Form::AsItIs).await
    }

    /// Like [`Vault::copy_collection`], but in schema 11, the only one that old clients read. The
    /// collection itself is not changed.
    pub async fn copy_for_old_clients(
        self: &Arc<Self>,
        device: DeviceId,
    ) -> Result<Download, Error> {
        self.download(device, Form::Downgraded).await
    }

    async fn download(self: &Arc<Self>, device: DeviceId, form: Form) -> Result<Download, Error> {
        let copy = self.copy(device, form).await?;
        let vault = Arc::clone(self);
        let bytes = self.collection_bytes()?;
        let download = move || {
            copy.complete()?;
            Ok::<_, Error>(Download {
                length: copy.with_file(|file| Ok(file.as_file().metadata()?.len()))?,
                copy,
                position: 0,
                device,
                vault,
            })
        };
        match form {
            // This only copies, so it need not wait for the checks of other users' files.
            Form::AsItIs => self.share.run(download).await,
            Form::Downgraded => self.share.run_on_file(bytes, download).await,
        }
    }

    async fn copy(self: &Arc<Self>, device: DeviceId, form: Form) -> Result<Arc<Shared>, Error> {
        let vault = Arc::clone(self);
        self.in_turn_alone(device, move |open| {
            let path = vault.collection_path();
            let collection = &vault.opened(open)?.collection;
            fold(collection)?;
            let file = path.metadata()?;
            let present = State::new(collection.stamps()?, &file);
            if let Some(copy) = vault.copies.find(present, form) {
                return Ok(copy);
            }
            vault.copies.make_room();
            // Space is reserved before the stamps change, so that a full disk changes nothing.
            let promise = vault.disk.promise(form.bytes(file.len()), Purpose::Pass)?;
            collection.stamp_download(clock::now_ms())?;
            fold(collection)?;
            let stamps = collection.stamps()?;
            // SQLite's locks on the file belong to the process: closing any descriptor of the file
            // releases them, and another program could then remove the journal.
            *open = None;
            let copy = Shared::make(stamps, form, promise, &path, &vault.temporary())?;
            let copy = Arc::new(copy);
            vault.copies.add(&copy);
            Ok(copy)
        })
        .await
    }
}
