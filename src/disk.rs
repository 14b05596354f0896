//! How much of a disk may still be filled, by everybody together.
//!
//! What is free when a request begins says nothing about its end: ten uploads that begin at
//! the same moment see the same room. So whoever writes asks again as the file grows, and
//! what others have been promised and have not written yet counts as taken.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::sys::statvfs::statvfs;
use tempfile::NamedTempFile;

use self::spooled::Spooled;

mod fault;
mod spooled;

pub use fault::{Fault, fault, probe};

pub(crate) const MIB: u64 = 1024 * 1024;
/// How much of a growing file is asked for at a time.
const STEP: u64 = MIB;
/// How much of a growing file the kernel may hold back. Whoever else makes something durable
/// may have to wait until all of that is on the disk: a login for an upload of hundreds of MiB.
const UNWRITTEN: u64 = 2 * MIB;

/// What is left of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes, for us.
    pub bytes: u64,
    /// Files that may still be created; some file systems know no limit.
    pub files: Option<u64>,
}

impl Free {
    /// Of the disk that this folder is on.
    #[allow(
        clippy::useless_conversion,
        reason = "32 bits wide on some architectures"
    )]
    pub fn at(folder: &Path) -> io::Result<Self> {
        let disk = statvfs(folder)?;
        Ok(Self {
            bytes: u64::from(disk.blocks_available()) * u64::from(disk.fragment_size()),
            files: (disk.files() > 0).then(|| u64::from(disk.files_available())),
        })
    }
}

/// Something would bring the disk under what has to stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk has no space for {} MiB more ({} MiB are free, of which {} MiB have to stay free): delete or move files, or lower min_free_megs",
    wanted.div_ceil(MIB),
    free / MIB,
    floor.div_ceil(MIB)
)]
pub struct NoRoom {
    wanted: u64,
    free: u64,
    floor: u64,
}

/// What is written for which purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be kept: leaves the whole reserve.
    Keep,
    /// To be sent to a device, or to make room, and then removed: leaves half of the
    /// reserve, so that people still get their data from a disk that is nearly full.
    Pass,
}

/// A disk, as seen from a folder on it. Clones share what has been promised.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    /// Bytes that stay free; with 0, the file system alone says when it is full.
    reserve: AtomicU64,
    /// Bytes that somebody may write and has not written yet.
    promised: Mutex<u64>,
    /// Held by whoever brings a growing file to the disk: of sixteen at once, a small file of
    /// somebody else would have to wait for all.
    writing_back: Mutex<()>,
}

impl Budget {
    fn promised(&self) -> MutexGuard<'_, u64> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// The disk that a folder is on, all of which may be filled.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            budget: Arc::default(),
        }
    }

    /// The disk of another folder, under the same budget.
    #[must_use]
    pub fn below(&self, folder: PathBuf) -> Self {
        let budget = Arc::clone(&self.budget);
        Self { folder, budget }
    }

    /// Keeps so many bytes free from now on.
    pub fn keep_free(&self, bytes: u64) {
        self.budget.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Sets bytes aside for somebody who is about to write them.
    ///
    /// # Errors
    /// [`NoRoom`], as an error of the kind that a full disk has.
    pub fn promise(&self, bytes: u64, purpose: Purpose) -> io::Result<Promise> {
        let reserve = self.budget.reserve.load(Ordering::Relaxed);
        let floor = match purpose {
            Purpose::Keep => reserve,
            Purpose::Pass => reserve / 2,
        };
        // Held while the disk is asked, so that nobody else is promised the same bytes.
        let mut promised = self.budget.promised();
        if reserve > 0 && bytes > 0 {
            let free = Free::at(&self.folder)?.bytes.saturating_sub(*promised);
            if free < floor.saturating_add(bytes) {
                let error = NoRoom {
                    wanted: bytes,
                    free,
                    floor,
                };
                return Err(io::Error::new(ErrorKind::StorageFull, error));
            }
        }
        *promised = promised.saturating_add(bytes);
        Ok(Promise {
            budget: Arc::clone(&self.budget),
            left: bytes,
        })
    }

    /// A file that is memory up to so many bytes.
    pub fn spool(&self, in_memory: usize, folder: &Path, purpose: Purpose) -> Spool {
        Bounded {
            inner: Spooled::new(in_memory, folder),
            disk: self.clone(),
            purpose,
            promise: None,
            in_memory: in_memory as u64,
            spilled: in_memory as u64,
            unwritten: 0,
        }
    }

    /// A file that has a name, and is gone when dropped.
    pub fn file(&self, folder: &Path, purpose: Purpose) -> io::Result<Bounded<NamedTempFile>> {
        Ok(Bounded {
            inner: NamedTempFile::new_in(folder)?,
            disk: self.clone(),
            purpose,
            promise: None,
            in_memory: 0,
            spilled: 0,
            unwritten: 0,
        })
    }
}

/// Bytes that are set aside until they are written, or this is dropped.
#[derive(Debug)]
pub struct Promise {
    budget: Arc<Budget>,
    left: u64,
}

impl Promise {
    /// So many of them are on the disk by now, which counts them itself.
    pub fn spend(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        let mut promised = self.budget.promised();
        *promised = promised.saturating_sub(bytes);
    }

    /// Writes, and spends what is written.
    pub fn spending<W>(&mut self, to: W) -> Spending<'_, W> {
        Spending { promise: self, to }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.spend(self.left);
    }
}

/// Writes what was promised.
pub struct Spending<'a, W> {
    promise: &'a mut Promise,
    to: W,
}

impl<W: Write> Write for Spending<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buffer)?;
        self.promise.spend(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What is received or packed: memory while it is small.
pub type Spool = Bounded<Spooled>;

/// A file whose size nobody knows yet, and that asks for room as it grows.
pub struct Bounded<W> {
    inner: W,
    disk: Disk,
    purpose: Purpose,
    promise: Option<Promise>,
    /// Bytes that take nothing of the disk yet.
    in_memory: u64,
    /// Bytes that go to the disk with the first that does not fit into memory.
    spilled: u64,
    /// Bytes since the last [`WriteBack::write_back`].
    unwritten: u64,
}

/// What can be brought to the disk while it grows.
trait WriteBack {
    fn write_back(&self) -> io::Result<()>;
}

impl WriteBack for NamedTempFile {
    fn write_back(&self) -> io::Result<()> {
        self.as_file().sync_data()
    }
}

impl WriteBack for Spooled {
    fn write_back(&self) -> io::Result<()> {
        self.file().map_or(Ok(()), File::sync_data)
    }
}

impl<W> Bounded<W> {
    /// The file, which grows no more.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl Spool {
    /// Whether it takes memory, and nothing of the disk.
    pub fn is_in_memory(&self) -> bool {
        self.inner.file().is_none()
    }
}

impl<W: Write + WriteBack> Write for Bounded<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = buffer.len() as u64;
        if let Some(left) = self.in_memory.checked_sub(length) {
            self.in_memory = left;
            return self.inner.write(buffer);
        }
        self.in_memory = 0;
        let spilled = std::mem::take(&mut self.spilled);
        let promise = match self.promise.take().filter(|promise| promise.left > 0) {
            Some(promise) => promise,
            None => self.disk.promise(STEP + spilled, self.purpose)?,
        };
        let promise = self.promise.insert(promise);
        let room = usize::try_from(promise.left).unwrap_or(usize::MAX);
        let written = self.inner.write(&buffer[..room.min(buffer.len())])?;
        promise.spend(written as u64 + spilled);
        self.unwritten += written as u64;
        if self.unwritten >= UNWRITTEN {
            let turn = &self.disk.budget.writing_back;
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.inner.write_back()?;
            self.unwritten = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Read> Read for Bounded<W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<W: Seek> Seek for Bounded<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests;
