//! Normal syncs: one device at a time talks to a collection inside one transaction,
//! and the others wait their turn.
//!
//! A conversation lives beside the connection whose transaction it is, so that
//! closing the connection is rolling back: by an error, a panic, silence or the end
//! of the process alike. Only [`Next::Commit`] makes anything of it visible.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::{Instant, sleep};

use super::{Error, Open, Vault, opened};
use crate::{
    account::DeviceId,
    collection::{self, chunk::PendingIds, open::Collection},
    disk,
    wire::Usn,
};

/// A device that says nothing for this long makes way for another one that waits.
pub(super) const SILENCE: Duration = Duration::from_secs(8);
/// A device waits at most this long; clients give up after 30 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// A conversation that nobody continues is rolled back even if nobody waits.
pub(crate) const ABANDONED: Duration = Duration::from_secs(60);
/// How often a device that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
}

impl Conversation {
    /// One that begins.
    #[must_use]
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
        }
    }

    /// Whose it is.
    #[must_use]
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

impl Vault {
    /// Does something that no normal sync may be under way for: waits until another device
    /// has finished or fallen silent. A sync of the same device ends at once, since it is
    /// starting over.
    ///
    /// # Errors
    /// [`Error::Occupied`] when the other device takes too long; else as the work does.
    pub(super) async fn in_turn<R: Send + 'static>(
        &self,
        device: DeviceId,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.wait_for_turn(device, false, work).await
    }

    /// As [`Vault::in_turn`], for what needs the collection as one file that nobody reads:
    /// waits for a backup as well.
    pub(super) async fn in_turn_alone<R: Send + 'static>(
        &self,
        device: DeviceId,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.wait_for_turn(device, true, work).await
    }

    async fn wait_for_turn<R: Send + 'static>(
        &self,
        device: DeviceId,
        alone: bool,
        work: impl FnOnce(&mut Option<Open>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let began = Instant::now();
        let mut work = work;
        loop {
            let (activity, readers) = (self.activity.clone(), self.readers.clone());
            let share = if device == DeviceId::OPERATOR {
                &self.operator
            } else {
                &self.share
            };
            let folder = self.folder.clone();
            let outcome = self.collection.run(share, move |open| {
                if alone && readers.any() {
                    return Ok(Err(work));
                }
                match open.as_ref().and_then(|open| open.conversation.as_ref()) {
                    None => {}
                    Some(other)
                        if other.device() != device
                            && activity.silence(other.device()) < SILENCE =>
                    {
                        return Ok(Err(work));
                    }
                    Some(other) => {
                        tracing::info!(
                            session = other.speaker.session_key,
                            "an unfinished sync is rolled back"
                        );
                        *open = None;
                    }
                }
                work(open).map(Ok).map_err(|error| {
                    // A commit whose fsync failed is in the journal and not in what SQLite
                    // remembers: what counts has to be the same now as after a restart.
                    if disk::fault(&error).is_some() {
                        *open = None;
                    }
                    error.diagnosed(&folder)
                })
            });
            match outcome.await? {
                Ok(result) => return Ok(result),
                Err(_) if began.elapsed() >= PATIENCE => return Err(Error::Occupied),
                Err(waiting) => work = waiting,
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Begins a conversation: a transaction, in which the work is done first.
    ///
    /// # Errors
    /// [`Error::Replaced`] when the device decided on this sync before another one put a new
    /// collection in place. As [`Vault::in_turn`], or as the work does. Nothing is under way then.
    pub async fn start<R: Send + 'static>(
        &self,
        device: DeviceId,
        work: impl FnOnce(&Connection) -> collection::Result<(Conversation, R)> + Send + 'static,
    ) -> Result<R, Error> {
        let path = self.collection_path();
        let told = self.activity.told(device);
        let restores = self.restores.clone();
        self.in_turn(device, move |open| {
            let Open {
                collection,
                conversation,
            } = opened(open, &path)?;
            let schema = collection.stamps()?.schema_changed;
            match told {
                Some(told) if told.schema != schema => return Err(Error::Replaced),
                // It would not merge with what it does not have.
                Some(_) => restores.has(device, schema),
                None => {}
            }
            collection.begin()?;
            match work(collection.connection()) {
                Ok((begun, result)) => {
                    *conversation = Some(begun);
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
    #[must_use]
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
        &self,
        speaker: Speaker,
        work: impl FnOnce(&Connection, &mut Conversation) -> collection::Result<Next<R>>
        + Send
        + 'static,
    ) -> Result<R, Error> {
        let (activity, folder) = (self.activity.clone(), self.folder.clone());
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
                    activity.finished(device, usn);
                    end(open);
                    Ok(result)
                }
                Ok(Next::RollBack(result)) => {
                    *open = None;
                    Ok(result)
                }
                Err(error) => {
                    *open = None;
                    Err(error.diagnosed(&folder))
                }
            }
        });
        converse.await
    }

    /// Ends this device's conversation, whatever it called it; another device's goes on, and so
    /// does one that began after this was `asked`: a person who cancels and at once syncs again
    /// would else be interrupted by the abort of the sync before, should that be overtaken.
    ///
    /// # Errors
    /// Only when the server panics.
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
