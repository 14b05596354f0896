//! Waits for the [turn](super::turns) of a request: until no other device is in the middle of a
//! sync.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    Error, Open, Vault,
    slot::Inside,
    turns::{Place, Wish},
    workers::Share,
};
use crate::{account::DeviceId, disk};

/// A device that is silent for this long gives way to one that waits. Otherwise a phone that enters
/// a tunnel in the middle of a sync would lock the desktop out.
pub(super) const SILENCE: Duration = Duration::from_secs(8);
/// How long a device waits before it is answered that another one is syncing. Clients give up after
/// 30 s, and would show a network error instead.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a request finds when it comes in.
enum Found {
    Free,
    /// An earlier request can have its turn as well.
    Others,
    /// It lasts at least this long, unless those who wait are woken earlier.
    Obstacle(Duration),
}

/// The result of trying to take the turn.
enum Tried<R, W> {
    Done(R),
    /// Another device continued first; this one keeps its place.
    Overtaken(Place, W),
}

impl Vault {
    /// Runs work that must not happen during a normal sync: waits until another device has finished
    /// or is silent. A sync of the same device ends at once, since the device is starting over.
    ///
    /// # Errors
    /// [`Error::Occupied`] if the other device takes too long; otherwise as the work does.
    pub(super) async fn in_turn<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let alone = false;
        self.wait_for_turn(Wish { device, alone }, work).await
    }

    /// Like [`Vault::in_turn`], for work that needs the collection as one file that no backup
    /// reads: it waits for backups as well.
    pub(super) async fn in_turn_alone<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let alone = true;
        self.wait_for_turn(Wish { device, alone }, work).await
    }

    async fn wait_for_turn<R: Send + 'static>(
        self: &Arc<Self>,
        wish: Wish,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let share = match wish.device {
            DeviceId::OPERATOR => &self.operator,
            _ => &self.share,
        };
        let patience = Instant::now() + PATIENCE;
        let (mut work, mut place) = (work, self.turns.line_up(wish));
        loop {
            let changed = self.turns.changed();
            let inside = self.collection.enter().await?;
            let wake = match self.look(&place, inside.open()) {
                Found::Free => match self.take_turn(inside, share, place, work).await? {
                    Tried::Done(result) => return Ok(result),
                    Tried::Overtaken(own_place, own_work) => {
                        (place, work) = (own_place, own_work);
                        continue;
                    }
                },
                // These have been woken, and are about to come in.
                Found::Others => Instant::now() + PATIENCE,
                Found::Obstacle(_) if Instant::now() >= patience => return Err(Error::Occupied),
                Found::Obstacle(at_least) => patience.min(Instant::now() + at_least),
            };
            // The request that all others wait for must be able to come in.
            drop(inside);
            let _ = timeout_at(wake, changed).await;
        }
    }

    async fn take_turn<R: Send + 'static, W>(
        self: &Arc<Self>,
        inside: Inside<Open>,
        share: &Share,
        place: Place,
        work: W,
    ) -> Result<Tried<R, W>, Error>
    where
        W: FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    {
        let vault = Arc::clone(self);
        let worked = inside.run(share, move |open| {
            // While this waited for a thread, a silent device may have continued: otherwise its
            // sync would be thrown away just before it ends.
            if vault.obstacle(place.wish, open.as_ref()).is_some() {
                return Ok(Tried::Overtaken(place, work));
            }
            // Before the work, while no other request can come in: the woken requests must find a
            // sync that begins now.
            drop(place);
            if let Some(unfinished) = open.as_ref().and_then(|open| open.conversation.as_ref()) {
                let session = &unfinished.speaker.session_key;
                tracing::info!(session, "an unfinished sync is rolled back");
                *open = None;
            }
            work(open).map(Tried::Done).map_err(|error| {
                // A commit whose fsync failed is in the journal, but not in SQLite's memory. The
                // database is closed, so that the state is the same as after a restart.
                if disk::fault(&error).is_some() {
                    *open = None;
                }
                error.diagnosed(&vault.folder)
            })
        });
        worked.await
    }

    fn look(&self, place: &Place, open: Option<&Open>) -> Found {
        let obstacle = |wish| self.obstacle(wish, open);
        match obstacle(place.wish) {
            Some(at_least) => Found::Obstacle(at_least),
            None if place.is_first(|earlier| obstacle(earlier).is_none()) => Found::Free,
            None => Found::Others,
        }
    }

    fn obstacle(&self, wish: Wish, open: Option<&Open>) -> Option<Duration> {
        if wish.alone && self.turns.is_being_read() {
            return Some(PATIENCE);
        }
        let other = open?.conversation.as_ref()?.device();
        let left = SILENCE.checked_sub(self.activity.silence(other))?;
        (other != wish.device && !left.is_zero()).then_some(left)
    }
}
