//! Waiting for one's [turn](super::turns): until no other device is in the middle of a sync.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    Error, Open, Vault,
    slot::Inside,
    turns::{Place, Wish},
    workers::Share,
};
use crate::{account::DeviceId, disk};

/// A device that says nothing for this long makes way for another one that waits: a phone that
/// has gone into a tunnel in the middle of a sync would else keep the desktop out.
pub(super) const SILENCE: Duration = Duration::from_secs(8);
/// A device waits at most this long, and is then told that another one is syncing. Clients give up
/// after 30 s, and would show an error of the network instead.
const PATIENCE: Duration = Duration::from_secs(20);
/// What somebody finds who has come in.
enum Found {
    Free,
    /// Somebody who came earlier can have their turn as well.
    Others,
    /// It stays for at least so long, unless those who wait are woken before.
    Obstacle(Duration),
}

/// What came of having a turn.
enum Tried<R, W> {
    Done(R),
    /// It is not theirs any more; they keep their place.
    Overtaken(Place, W),
}

impl Vault {
    /// Does something that no normal sync may be under way for: waits until another device
    /// has finished or fallen silent. A sync of the same device ends at once, since it is
    /// starting over.
    ///
    /// # Errors
    /// [`Error::Occupied`] when the other device takes too long; else as the work does.
    pub(super) async fn in_turn<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let alone = false;
        self.wait_for_turn(Wish { device, alone }, work).await
    }

    /// As [`Vault::in_turn`], for what needs the collection as one file that nobody reads:
    /// waits for a backup as well.
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
                // They have been woken, and are about to come in.
                Found::Others => Instant::now() + PATIENCE,
                Found::Obstacle(_) if Instant::now() >= patience => return Err(Error::Occupied),
                Found::Obstacle(at_least) => patience.min(Instant::now() + at_least),
            };
            // Whoever it is that all are waiting for has to come in to go on.
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
            // While this waited for a thread, a device that had fallen silent may have gone on:
            // its sync would else be thrown away just before it ends.
            if vault.obstacle(place.wish, open.as_ref()).is_some() {
                return Ok(Tried::Overtaken(place, work));
            }
            // Before the work, while nobody else can come in: a sync that now begins is to be
            // found by those who are woken.
            drop(place);
            if let Some(unfinished) = open.as_ref().and_then(|open| open.conversation.as_ref()) {
                let session = &unfinished.speaker.session_key;
                tracing::info!(session, "an unfinished sync is rolled back");
                *open = None;
            }
            work(open).map(Tried::Done).map_err(|error| {
                // A commit whose fsync failed is in the journal and not in what SQLite
                // remembers: what counts has to be the same now as after a restart.
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
