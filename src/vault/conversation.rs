//! Normal syncs: one device at a time talks to a collection inside one transaction,
//! and the others [wait](super::waiting).
//!
//! A conversation lives beside the connection whose transaction it is, so that
//! closing the connection is rolling back: by an error, a panic, silence or the end
//! of the process alike. Only [`Next::Commit`] makes anything of it visible.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use tokio::time::Instant;

use super::{Error, Open, Vault, turns::Ending};
use crate::{
    account::DeviceId,
    collection::{self, chunk::PendingIds, open::Collection},
    wire::Usn,
};

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
    pub(super) speaker: Speaker,
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

impl Vault {
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
            } = vault.opened(open)?;
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
