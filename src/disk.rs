//! How much of a disk may still be filled, for all users together.
//!
//! The space that is free when a request begins may be gone at its end: ten uploads that begin at
//! the same moment see the same space. So a writer asks again as its file grows. Bytes that were
//! promised to others and are not written yet count as used.

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
/// How much space a growing file asks for at a time.
const STEP: u64 = MIB;
/// How much of a growing file the kernel may hold back. Any other write that is made durable may
/// have to wait until that is on the disk: without this limit, a login waits for hundreds of MiB of
/// an upload.
const UNWRITTEN: u64 = 2 * MIB;

/// What is left of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes that we may use.
    pub bytes: u64,
    /// Files that may still be created; none where the file system has no limit.
    pub files: Option<u64>,
}

impl Free {
    /// The free space of the disk with this folder.
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

/// The write would leave less free space than has to stay free.
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

/// Why something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be kept: the whole reserve stays free.
    Keep,
    /// To be sent to a device, or to make room, and then removed: half of the reserve stays free,
    /// so that devices still get their data from a disk that is nearly full.
    Pass,
}

/// A disk, as seen from a folder on it. Clones share the promises.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    /// Bytes that must stay free. With 0, only the file system limits writing.
    reserve: AtomicU64,
    /// Bytes that were promised and are not written yet.
    promised: Mutex<u64>,
    /// Held while a growing file is written to the disk. If sixteen did so at once, a small file of
    /// another user would wait for all of them.
    writing_back: Mutex<()>,
}

impl Budget {
    fn promised(&self) -> MutexGuard<'_, u64> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// The disk of a folder, with no reserve.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            budget: Arc::default(),
        }
    }

    /// The disk of another folder, with the same budget.
    #[must_use]
    pub fn below(&self, folder: PathBuf) -> Self {
        let budget = Arc::clone(&self.budget);
        Self { folder, budget }
    }

    /// Sets how many bytes must stay free.
    pub fn keep_free(&self, bytes: u64) {
        self.budget.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Reserves bytes for a write that is about to begin.
    ///
    /// # Errors
    /// [`NoRoom`], as an error of the kind that a full disk has.
    pub fn promise(&self, bytes: u64, purpose: Purpose) -> io::Result<Promise> {
        let reserve = self.budget.reserve.load(Ordering::Relaxed);
        let floor = match purpose {
            Purpose::Keep => reserve,
            Purpose::Pass => reserve / 2,
        };
        // Held while the disk is asked, so that the same bytes are not promised twice.
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

    /// A file that stays in memory up to this size.
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

    /// A file with a name. It is removed when dropped.
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

/// Bytes that stay reserved until they are written or this is dropped.
#[derive(Debug)]
pub struct Promise {
    budget: Arc<Budget>,
    left: u64,
}

impl Promise {
    /// Counts bytes as written: the disk itself counts them from now on.
    pub fn spend(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        let mut promised = self.budget.promised();
        *promised = promised.saturating_sub(bytes);
    }

    /// A writer that counts what it writes as spent.
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

/// Data that are received or packed: in memory while they are small.
pub type Spool = Bounded<Spooled>;

/// A file of unknown size, which asks for space as it grows.
pub struct Bounded<W> {
    inner: W,
    disk: Disk,
    purpose: Purpose,
    promise: Option<Promise>,
    /// Bytes that are in memory and use no disk space yet.
    in_memory: u64,
    /// Bytes that go to the disk once the content no longer fits into memory.
    spilled: u64,
    /// Bytes since the last [`WriteBack::write_back`].
    unwritten: u64,
}

/// A file whose content can be written to the disk while it grows.
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
    /// The file, which must not grow any more.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl Spool {
    /// Whether it is in memory and uses no disk space.
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
