//! Normal syncs: one device at a time talks to a collection inside one transaction,
//! and the others wait [their turn](super::turns).
//!
//! A conversation lives beside the connection whose transaction it is, so that
//! closing the connection is rolling back: by an error, a panic, silence or the end
//! of the process alike. Only [`Next::Commit`] makes anything of it visible.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use tokio::time::{Instant, timeout_at};

use super::{
    Error, Open, Vault, opened,
    slot::Inside,
    turns::{Ending, Place, Wish},
    workers::Share,
};
use crate::{
    account::DeviceId,
    collection::{self, chunk::PendingIds, open::Collection},
    disk,
    wire::Usn,
};

/// A device that says nothing for this long makes way for another one that waits: a phone that
/// has gone into a tunnel in the middle of a sync would else keep the desktop out.
pub(super) const SILENCE: Duration = Duration::from_secs(8);
/// A device waits at most this long, and is then told that another one is syncing. Clients give up
/// after 30 s, and would show an error of the network instead.
const PATIENCE: Duration = Duration::from_secs(20);
/// A conversation that nobody continues is rolled back even if nobody waits: its transaction
/// would keep the database open, and `sqlite3` and rsync would see a journal for days.
pub(crate) const ABANDONED: Duration = Duration::from_secs(60);

/// Who is talking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Which device.
    pub device: DeviceId,
    /// What it called this sync.
    pub session_key: String,
}

/// What is remembered between the requests of one normal sync.
#[derive(Debug)]
pub struct Conversation {
    speaker: Speaker,
    /// The server's USN at the start: objects stored in this sync carry it.
    pub usn: Usn,
    /// What the client has seen already.
    pub min_usn: Usn,
    /// Whether the client's settings prevail.
    pub client_is_newer: bool,
    /// What is still to be sent; collected at the first `chunk`.
    pub pending: Option<PendingIds>,
    /// Objects sent to the client so far.
    pub sent: usize,
    /// Objects received from the client so far.
    pub received: usize,
    began: Instant,
    /// Once it is under way.
    ending: Option<Ending>,
}

impl Conversation {
    /// One that begins; it is not under way before the vault has it.
    pub fn new(speaker: Speaker, usn: Usn, min_usn: Usn, client_is_newer: bool) -> Self {
        Self {
            speaker,
            usn,
            min_usn,
            client_is_newer,
            pending: None,
            sent: 0,
            received: 0,
            began: Instant::now(),
            ending: None,
        }
    }

    /// Whose it is.
    pub fn device(&self) -> DeviceId {
        self.speaker.device
    }
}

/// How a conversation goes on after a request.
pub enum Next<T> {
    /// It stays open.
    Continue(T),
    /// It ends, and all of it counts.
    Commit(T),
    /// It ends, and nothing of it counts.
    RollBack(T),
}

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

    /// Begins a conversation: a transaction, in which the work is done first.
    ///
    /// # Errors
    /// [`Error::Replaced`] when the device decided on this sync before another one put a new
    /// collection in place. As [`Vault::in_turn`], or as the work does. Nothing is under way then.
    pub async fn start<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        work: impl FnOnce(&Connection) -> collection::Result<(Conversation, R)> + Send + 'static,
    ) -> Result<R, Error> {
        let told = self.activity.meta(device);
        let vault = Arc::clone(self);
        self.in_turn(device, move |open| {
            let Open {
                collection,
                conversation,
            } = opened(open, &vault.collection_path())?;
            let schema = collection.stamps()?.schema_changed;
            match told {
                Some(told) if told.schema != schema => return Err(Error::Replaced),
                // It would not merge with what it does not have.
                Some(_) => vault.restores.has(device, schema),
                None => {}
            }
            collection.begin()?;
            match work(collection.connection()) {
                Ok((begun, result)) => {
                    conversation.insert(begun).ending = Some(vault.turns.ending());
                    Ok(result)
                }
                Err(error) => {
                    *open = None;
                    Err(error.into())
                }
            }
        })
        .await
    }

    /// Whether the speaker's conversation is under way, as far as can be told before it is its
    /// turn: while somebody uses the collection, perhaps.
    pub fn is_under_way(&self, speaker: &Speaker) -> bool {
        let is_theirs = |open: &Open| {
            let current = open.conversation.as_ref();
            current.is_some_and(|current| current.speaker == *speaker)
        };
        self.collection
            .look(|open| open.is_some_and(is_theirs))
            .unwrap_or(true)
    }

    /// Goes on with the speaker's conversation.
    ///
    /// # Errors
    /// [`Error::NotInSync`] when it is not the one under way, which stays as it is.
    /// An operation that fails ends the conversation and rolls it back.
    pub async fn converse<R: Send + 'static>(
        self: &Arc<Self>,
        speaker: Speaker,
        work: impl FnOnce(&Connection, &mut Conversation) -> collection::Result<Next<R>>
        + Send
        + 'static,
    ) -> Result<R, Error> {
        let vault = Arc::clone(self);
        let converse = self.collection.run(&self.share, move |open| {
            let current = open.as_mut().and_then(
                |Open {
                     collection,
                     conversation,
                 }| {
                    let conversation = conversation
                        .as_mut()
                        .filter(|current| current.speaker == speaker)?;
                    Some((collection, conversation))
                },
            );
            let Some((collection, conversation)) = current else {
                return Err(Error::NotInSync);
            };
            let (device, usn) = (conversation.device(), conversation.usn);
            match step(collection, conversation, work) {
                Ok(Next::Continue(result)) => Ok(result),
                Ok(Next::Commit(result)) => {
                    vault.activity.finished(device, usn);
                    end(open);
                    Ok(result)
                }
                Ok(Next::RollBack(result)) => {
                    *open = None;
                    Ok(result)
                }
                Err(error) => {
                    *open = None;
                    Err(error.diagnosed(&vault.folder))
                }
            }
        });
        converse.await
    }

    /// Ends this device's conversation, whatever it called it; another device's goes on, and so
    /// does one that began after this was `asked`: a person who cancels and at once syncs again
    /// would else be interrupted by the abort of the sync before, should that be overtaken.
    pub async fn abort(&self, device: DeviceId, asked: Instant) -> Result<(), Error> {
        let abort = self.collection.run(&self.share, move |open| {
            if open
                .as_ref()
                .and_then(|open| open.conversation.as_ref())
                .is_some_and(|own| own.device() == device && own.began <= asked)
            {
                *open = None;
            }
            Ok(())
        });
        abort.await
    }
}

fn step<R>(
    collection: &Collection,
    conversation: &mut Conversation,
    work: impl FnOnce(&Connection, &mut Conversation) -> collection::Result<Next<R>>,
) -> Result<Next<R>, Error> {
    let next = work(collection.connection(), conversation)?;
    if let Next::Commit(_) = next {
        collection.commit()?;
    }
    Ok(next)
}

/// The transaction is over; the connection stays.
fn end(open: &mut Option<Open>) {
    if let Some(open) = open {
        open.conversation = None;
    }
}
