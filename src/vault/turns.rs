//! The line of requests that wait for the collection: first come, first served.
//!
//! A request in the line sleeps until its turn may have come: a sync or a backup has ended, or
//! another request has left the line. It then looks whether an earlier request can have the turn,
//! and lets that go first. So two devices never alternate forever while a third one waits, as they
//! could if each looked again at moments of its own.
//!
//! Two kinds of requests may pass others. A device whose own sync is under way starts over at once:
//! otherwise it would wait for requests that wait for it, until all are refused. And a normal sync
//! need not wait for a backup only because an earlier upload does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, futures::Notified};

use crate::account::DeviceId;

/// Shared with conversations and backups, whose end must wake the line wherever it happens.
#[derive(Debug, Default)]
pub(super) struct Turns {
    line: Mutex<Line>,
    changed: Notify,
    /// How many backups are reading the collection's file.
    readings: AtomicUsize,
}

#[derive(Debug, Default)]
struct Line {
    /// The last number that was given; each is given once.
    last: u64,
    waiting: BTreeMap<u64, Wish>,
}

/// The device that wants the collection, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) device: DeviceId,
    /// As one file that no backup reads.
    pub(super) alone: bool,
}

/// A place in the line. Dropping it wakes those behind, also when a client leaves; otherwise they
/// would never get a turn.
pub(super) struct Place {
    turns: Arc<Turns>,
    number: u64,
    pub(super) wish: Wish,
}

/// A backup that reads the collection.
pub(super) struct Reading(Arc<Turns>);

/// Part of what others wait for. Dropping it wakes them: so no end of a sync, be it an error, a
/// panic or closing when idle, leaves them asleep.
#[derive(Debug)]
pub(super) struct Ending(Arc<Turns>);

impl Turns {
    pub(super) fn line_up(self: &Arc<Self>, wish: Wish) -> Place {
        let mut line = self.line();
        line.last += 1;
        let number = line.last;
        line.waiting.insert(number, wish);
        Place {
            turns: Arc::clone(self),
            number,
            wish,
        }
    }

    /// Ready at the next change. Call this before checking whether it is one's turn: a change
    /// between the check and the wait would otherwise be missed.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn ending(self: &Arc<Self>) -> Ending {
        Ending(Arc::clone(self))
    }

    pub(super) fn read(self: &Arc<Self>) -> Reading {
        self.readings.fetch_add(1, Ordering::SeqCst);
        Reading(Arc::clone(self))
    }

    pub(super) fn is_being_read(&self) -> bool {
        self.readings.load(Ordering::SeqCst) > 0
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether no earlier request can have its turn.
    pub(super) fn is_first(&self, can_have: impl Fn(Wish) -> bool) -> bool {
        let line = self.turns.line();
        let mut earlier = line.waiting.range(..self.number);
        !earlier.any(|(_, wish)| can_have(*wish))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turns.line().waiting.remove(&self.number);
        self.turns.changed.notify_waiters();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readings.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.changed.notify_waiters();
    }
}
