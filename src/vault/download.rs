//! Copies of the collection, on their way to devices.
//!
//! A download is sent from a private copy, which no later sync changes. A device that begins
//! while another one still receives the very same state gets it from the same copy: it is as
//! if both had downloaded at that moment, so that one stamp counts for both. However many
//! downloads stand still, a user has no more than [`COPIES`] copies on the disk: a further
//! state takes the place of the oldest one, whose downloads break off.

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

/// Of one user, at a time: of ten devices whose downloads stand still, each with a copy of a
/// gibibyte, the disk would be full.
const COPIES: usize = 2;

/// The collection as one file. Once all of it was read, the device counts as having it: it
/// is read as it is sent, so that one that breaks off in the middle does not. How much of
/// the last of it has arrived, nobody can tell.
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

/// What a client can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    AsItIs,
    Downgraded,
}

impl Form {
    /// What making one takes on the disk; no more than any request may take is nothing, so
    /// that a small collection can be had from a full disk.
    fn bytes(self, collection: u64) -> u64 {
        match self {
            _ if collection <= IN_MEMORY as u64 => 0,
            Self::AsItIs => collection,
            // With the journal of that.
            Self::Downgraded => collection.saturating_mul(2),
        }
    }
}

/// By what a state of the collection is known: its stamps and its file. Another program's
/// change, which leaves the stamps as they are, changes the file's times.
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
    /// None once it was given up, which frees the disk even while downloads stand still.
    file: Mutex<Option<NamedTempFile>>,
    /// Held while that is done: two old clients would else downgrade the same file at once.
    downgrade: Mutex<Downgrade>,
}

/// How far that is. One that failed leaves a file of no use.
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
        // One that is being worked on is.
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

    /// Brings the file into the form that it is to have. Whoever comes while that is going
    /// on waits for it.
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

    /// Gives up what is too much for there to be one more.
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
    /// The collection as one file, for a download, which counts as a modification.
    pub async fn copy_collection(self: &Arc<Self>, device: DeviceId) -> Result<Download, Error> {
        self.download(device, Form::AsItIs).await
    }

    /// As [`Vault::copy_collection`], in schema 11, the only one that old clients read.
    /// The collection itself stays as it is.
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
            // Nothing is worked out, so it need not wait for checks of others' whole files.
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
            // Asked for before anything is stamped: without room, nothing has changed.
            let promise = vault.disk.promise(form.bytes(file.len()), Purpose::Pass)?;
            collection.stamp_download(clock::now_ms())?;
            fold(collection)?;
            let stamps = collection.stamps()?;
            // The locks that SQLite has on the file are the process's: they are lost when any
            // descriptor of it is closed, and another program would take the journal away.
            *open = None;
            let copy = Shared::make(stamps, form, promise, &path, &vault.temporary())?;
            let copy = Arc::new(copy);
            vault.copies.add(&copy);
            Ok(copy)
        })
        .await
    }
}
