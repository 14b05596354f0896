//! Normal syncs: one device at a time has a conversation with the collection, in one transaction.
//! The others [wait](super::waiting).
//!
//! A conversation is stored beside the connection of its transaction. So closing the connection
//! always rolls back: after an error, a panic, silence, or the end of the process. Only
//! [`Next::Commit`] makes anything of it visible.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use tokio::time::Instant;

use super::{
    Error, Open, Vault,
    room::{Free, Room},
    turns::Ending,
};
use crate::{
    account::DeviceId,
    collection::{self, chunk::PendingIds, open::Collection},
    wire::Usn,
};

/// A conversation that its device does not continue is rolled back after this time, even if no
/// device waits. Otherwise its transaction would keep the database open, and `sqlite3` and rsync
/// would see a journal for days.
pub(crate) const ABANDONED: Duration = Duration::from_secs(60);

/// The device of a request, and its sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Which device.
    pub device: DeviceId,
    /// The client's id of this sync.
    pub session_key: String,
}

/// The state between the requests of one normal sync.
#[derive(Debug)]
pub struct Conversation {
    pub(super) speaker: Speaker,
    /// The server's USN at the start. Objects that are stored in this sync get it.
    pub usn: Usn,
    /// What the client has seen before.
    pub min_usn: Usn,
    /// Whether the client's settings replace the server's.
    pub client_is_newer: bool,
    /// Objects that are still to be sent; collected at the first `chunk`.
    pub pending: Option<PendingIds>,
    /// Objects sent to the client so far.
    pub sent: usize,
    /// Objects received from the client so far.
    pub received: usize,
    /// All reviews of the collection, if the number is known.
    pub reviews: Option<u32>,
    began: Instant,
    /// Set once the conversation is under way.
    ending: Option<Ending>,
}

impl Conversation {
    /// A new conversation. It is under way once the vault has stored it.
    pub fn new(speaker: Speaker, usn: Usn, min_usn: Usn, client_is_newer: bool) -> Self {
        Self {
            speaker,
            usn,
            min_usn,
            client_is_newer,
            pending: None,
            sent: 0,
            received: 0,
            reviews: None,
            began: Instant::now(),
            ending: None,
        }
    }

    /// Keeps the number of all reviews right.
    pub fn added_reviews(&mut self, new: u32) {
        self.reviews = self.reviews.and_then(|known| known.checked_add(new));
    }

    /// The device that talks.
    pub fn device(&self) -> DeviceId {
        self.speaker.device
    }
}

/// The number of all reviews, for as long as only this server changes the collection.
#[derive(Debug, Default)]
pub(super) struct Reviews {
    count: Option<u32>,
    /// The state of the file after another program's last change.
    version: i64,
}

impl Reviews {
    fn in_state(&mut self, version: i64) -> Option<u32> {
        if self.version != version {
            *self = Self {
                count: None,
                version,
            };
        }
        self.count
    }
}

/// What happens to a conversation after a request.
pub enum Next<T> {
    /// It stays open.
    Continue(T),
    /// It ends, and all of it counts.
    Commit(T),
    /// It ends, and everything is rolled back.
    RollBack(T),
}

impl Vault {
    /// Begins a conversation, if the disk has room for it: a transaction in which `work` runs first.
    ///
    /// # Errors
    /// [`Error::NearlyFull`]; [`Error::Replaced`] if another device has replaced the collection after
    /// this device decided on the sync. Otherwise as [`Vault::in_turn`], or as the work does.
    /// Nothing is under way then.
    pub async fn start<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        room: Room,
        work: impl FnOnce(&Connection) -> collection::Result<(Conversation, R)> + Send + 'static,
    ) -> Result<R, Error> {
        let answered = self.activity.meta(device);
        let vault = Arc::clone(self);
        self.in_turn(device, move |open| {
            room.admit(Free::at(&vault.folder)?)?;
            let Open {
                collection,
                conversation,
                reviews,
            } = vault.opened(open)?;
            let schema = collection.stamps()?.schema_changed;
            match answered {
                Some(answered) if answered.schema != schema => return Err(Error::Replaced),
                // The device would merge with a collection that it does not have.
                Some(_) => vault.restores.has(device, schema),
                None => {}
            }
            collection.begin()?;
            let worked = work(collection.connection());
            match worked.and_then(|worked| Ok((worked, collection.data_version()?))) {
                Ok(((begun, result), version)) => {
                    let begun = conversation.insert(begun);
                    begun.ending = Some(vault.turns.ending());
                    begun.reviews = reviews.in_state(version);
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

    /// Whether the speaker's conversation is under way. This is checked without waiting for the
    /// turn: while another request uses the collection, the answer is yes.
    pub fn is_under_way(&self, speaker: &Speaker) -> bool {
        let is_theirs = |open: &Open| {
            let current = open.conversation.as_ref();
            current.is_some_and(|current| current.speaker == *speaker)
        };
        self.collection
            .look(|open| open.is_some_and(is_theirs))
            .unwrap_or(true)
    }

    /// Continues the speaker's conversation.
    ///
    /// # Errors
    /// [`Error::NotInSync`] if it is not the one under way, which stays. If the work fails, the
    /// conversation ends and is rolled back.
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
                     ..
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

    /// Ends this device's conversation, with any session key; another device's goes on. A
    /// conversation that began after this was `asked` goes on too: otherwise, when a user cancels
    /// and syncs again at once, a late abort of the first sync would end the second.
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

/// The transaction has ended; the connection stays.
fn end(open: &mut Option<Open>) {
    if let Some(open) = open
        && let Some(ended) = open.conversation.take()
    {
        open.reviews.count = ended.reviews;
    }
}
