//! How much an object may take while it is read, and how long a message may.

use std::{
    cell::{Cell, RefCell},
    io::{self, Read},
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The text of one note, one notetype, one setting and so on.
pub const LARGEST_OBJECT: u64 = 32 * 1024 * 1024;

/// One that is larger than this has to wait until no other such is being read.
pub const LARGE_OBJECT: u64 = 4 * 1024 * 1024;

/// Clients give up after 30 to 60 s without an answer: whatever takes longer is for nobody.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose turn it is to hold a large object.
///
/// The budget of a request counts its objects as if none were large. The parser and SQLite hold an
/// object up to four times while it is stored: sixteen requests at once with a note of 32 MiB each
/// would take 2 GiB, and the unit's `MemoryMax=` would end the server for all users. So there is
/// one such object in the process, and one lock, whoever reads it.
static LARGE: Mutex<()> = Mutex::new(());

/// The turn to hold large objects, from the first one on.
#[derive(Default)]
pub struct Turn(Option<MutexGuard<'static, ()>>);

impl Turn {
    /// Waits until no other large object is held, if one of so many bytes is.
    pub fn wait_for(&mut self, bytes: u64) {
        if bytes > LARGE_OBJECT && self.0.is_none() {
            self.0 = Some(LARGE.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// What the object that is being read has taken so far.
#[derive(Default)]
pub(super) struct Meter {
    bytes: Cell<u64>,
    turn: RefCell<Turn>,
}

impl Meter {
    pub fn begin_anew(&self) {
        self.bytes.set(0);
        self.turn.take();
    }

    fn add(&self, length: usize) -> Result<(), Exceeded> {
        self.bytes.set(self.bytes.get() + length as u64);
        if self.bytes.get() > LARGEST_OBJECT {
            return Err(Exceeded::Size);
        }
        self.turn.borrow_mut().wait_for(self.bytes.get());
        Ok(())
    }
}

/// Stops reading when an object takes too much memory, or all of them too much time.
pub(super) struct Metered<R> {
    body: R,
    meter: Rc<Meter>,
    deadline: Instant,
}

impl<R> Metered<R> {
    pub fn new(body: R, meter: Rc<Meter>) -> Self {
        Self {
            body,
            meter,
            deadline: Instant::now() + PATIENCE,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("given up")]
pub(super) enum Exceeded {
    Size,
    Time,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::Error::other(Exceeded::Time));
        }
        let length = self.body.read(buffer)?;
        self.meter.add(length).map_err(io::Error::other)?;
        Ok(length)
    }
}
