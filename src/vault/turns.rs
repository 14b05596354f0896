//! The line of those who wait for the collection: first come, first served.
//!
//! Who waits sleeps until something changes that could make it their turn: a sync or a backup has
//! ended, or somebody has left the line, with or without a turn. Each then looks for themselves,
//! and lets those go first who came earlier and can have their turn as well. So two devices never
//! take turns forever while a third one waits, as they could when each looked again at moments of
//! its own.
//!
//! "And can" is for two who pass others by. A device whose own sync is under way starts over at
//! once: it would else wait for those who wait for it, until all of them are refused. And a normal
//! sync does not wait for a backup only because an upload does that came earlier.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, futures::Notified};

use crate::account::DeviceId;

/// Shared by what ends somewhere else than in the vault, and is heard of all the same.
#[derive(Debug, Default)]
pub(super) struct Turns {
    line: Mutex<Line>,
    changed: Notify,
    /// The backups that read the collection's file just now.
    readings: AtomicUsize,
}

#[derive(Debug, Default)]
struct Line {
    /// Each number is given once.
    last: u64,
    waiting: BTreeMap<u64, Wish>,
}

/// Who wants the collection, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) device: DeviceId,
    /// As one file that nobody reads.
    pub(super) alone: bool,
}

/// Somebody's place in the line. Those behind move up when it is dropped: also when a client
/// leaves, or nobody would get a turn any more.
pub(super) struct Place {
    turns: Arc<Turns>,
    number: u64,
    pub(super) wish: Wish,
}

/// A backup that reads the collection.
pub(super) struct Reading(Arc<Turns>);

/// Part of what others wait for. It is dropped with that, so that no way to end, be it an error, a
/// panic or the closing of what is idle, leaves them asleep.
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

    /// Ready with the next change. To be called before one looks whether it is one's turn: what
    /// changes between looking and waiting would else be missed.
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
    /// Whether none of those who came earlier can have their turn.
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
