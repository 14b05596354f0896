//! Limits the memory of an object and the time of a message while they are read.

use std::{
    cell::{Cell, RefCell},
    io::{self, Read},
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The largest text of one object, such as a note, a notetype or a setting.
pub const LARGEST_OBJECT: u64 = 32 * 1024 * 1024;

/// Larger objects are read one at a time in the whole process.
pub const LARGE_OBJECT: u64 = 4 * 1024 * 1024;

/// Clients give up after 30 to 60 s without an answer, so a longer message has no reader.
const PATIENCE: Duration = Duration::from_secs(60);

/// The turn to hold a large object.
///
/// The budget of a request does not cover large objects. The parser and SQLite hold up to four
/// copies of an object while it is stored: sixteen requests at once with a note of 32 MiB each
/// would take 2 GiB, and the unit's `MemoryMax=` would end the server for all users. So the process
/// holds one such object at a time, with one lock for all readers.
static LARGE: Mutex<()> = Mutex::new(());

/// Held from the first large object on.
#[derive(Default)]
pub struct Turn(Option<MutexGuard<'static, ()>>);

impl Turn {
    /// Waits for the turn, if an object of this many bytes is large.
    pub fn wait_for(&mut self, bytes: u64) {
        if bytes > LARGE_OBJECT && self.0.is_none() {
            self.0 = Some(LARGE.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The memory of the present object so far.
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

/// Stops reading if an object takes too much memory, or the message too much time.
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
