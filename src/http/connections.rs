//! Which connections are open, and which one makes room when there are too many.
//!
//! Strangers can open as many connections as they like, so a limit alone would let them keep
//! devices out. A connection therefore has a rank, which a valid host key raises, and the
//! lowest gives way. Among strangers it is the address with the most of them that loses its
//! oldest: an attacker needs more addresses than there are places to push out a device that is
//! about to show its key.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::account::{name::UserName, subscriber::network};

/// While devices hold all places, how often to look whether one of them can make room.
const RETRY: Duration = Duration::from_millis(250);
/// The share of the places that one user keeps when others need one, and those admitted together.
const SHARE: usize = 4;
/// How often to warn that connections had to make room.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub struct Connections {
    table: Mutex<Table>,
    places: Arc<Semaphore>,
    capacity: usize,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: HashMap<u64, Entry>,
    warned: Option<Instant>,
}

struct Entry {
    /// None over a unix socket, and for a proxy's connection between requests.
    network: Option<IpAddr>,
    rank: Rank,
    /// When it got this rank, or began its request if it is a proxy's.
    since: Instant,
    evict: CancellationToken,
}

/// What a connection has shown of itself, from the first to go to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rank {
    /// No valid host key.
    Stranger,
    /// Waits for the verdict on its password, or holds a place in the upload queue; at most a quarter.
    Admitted,
    /// Its last request that had a valid host key has been answered.
    Idle,
    /// A request of this user is under way.
    Serving(UserName),
}

/// One connection; it is open as long as this lives.
pub struct Guest {
    connections: Arc<Connections>,
    id: u64,
    /// Where it comes from; none over a unix socket.
    pub peer: Option<IpAddr>,
    /// Whether clients' addresses come with their requests.
    is_proxy: bool,
    evict: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// A request under way, to the end of its answer.
#[must_use]
pub struct Served(Arc<Guest>);

impl Connections {
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            places: Arc::new(Semaphore::new(capacity.min(Semaphore::MAX_PERMITS))),
            capacity,
        })
    }

    /// Lets a connection in, at the cost of another one if need be. Waits only while all are
    /// devices' that are being served.
    pub async fn enter(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        is_proxy: bool,
        per_address: usize,
    ) -> Guest {
        let place = self.place().await;
        let evict = CancellationToken::new();
        let network = peer.filter(|_| !is_proxy).map(network);
        let mut table = self.lock();
        table.last_id += 1;
        let id = table.last_id;
        table.open.insert(
            id,
            Entry {
                network,
                rank: Rank::Stranger,
                since: Instant::now(),
                evict: evict.clone(),
            },
        );
        table.thin_out(network, per_address);
        drop(table);
        Guest {
            connections: Arc::clone(self),
            id,
            peer,
            is_proxy,
            evict,
            _place: place,
        }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return place;
            }
            // Its place is free once its task has ended.
            self.make_room();
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = timeout(RETRY, place).await {
                return place;
            }
        }
    }

    /// Ends the connection that deserves its place least, if there is one that others may push out.
    pub fn make_room(&self) {
        let mut table = self.lock();
        let Some(id) = table.least(self.capacity / SHARE) else {
            return;
        };
        table.evict(id);
        if table.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            table.warned = Some(Instant::now());
            tracing::warn!(
                "all {} connections (max_connections) are in use: closing the oldest ones without a valid host key to make room",
                self.capacity
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Strangers of one network make room for each other.
    fn thin_out(&mut self, network: Option<IpAddr>, most: usize) {
        if network.is_none() {
            return;
        }
        let strangers = || {
            self.open
                .iter()
                .filter(|(_, entry)| entry.network == network && entry.rank == Rank::Stranger)
        };
        if strangers().count() > most
            && let Some((id, _)) = strangers().min_by_key(|(id, entry)| (entry.since, **id))
        {
            let id = *id;
            self.evict(id);
        }
    }

    fn evict(&mut self, id: u64) {
        if let Some(entry) = self.open.remove(&id) {
            entry.evict.cancel();
        }
    }

    fn least(&self, share: usize) -> Option<u64> {
        let mut strangers: HashMap<_, usize> = HashMap::new();
        let mut serving: HashMap<_, usize> = HashMap::new();
        for entry in self.open.values() {
            match &entry.rank {
                Rank::Stranger => *strangers.entry(entry.network).or_default() += 1,
                Rank::Serving(user) => *serving.entry(user).or_default() += 1,
                Rank::Admitted | Rank::Idle => {}
            }
        }
        let rank = |entry: &Entry| match &entry.rank {
            // Those whose address is not known have nothing in common.
            Rank::Stranger if entry.network.is_none() => Some((0, Reverse(1))),
            Rank::Stranger => Some((0, Reverse(strangers[&entry.network]))),
            Rank::Admitted => Some((1, Reverse(0))),
            Rank::Idle => Some((2, Reverse(0))),
            Rank::Serving(user) => {
                Some((3, Reverse(serving[user]))).filter(|(_, held)| held.0 > share)
            }
        };
        let ranked = self.open.iter().filter_map(|(id, entry)| {
            let rank = rank(entry)?;
            Some((rank, entry.since, *id))
        });
        ranked.min().map(|(_, _, id)| id)
    }
}

impl Guest {
    /// Returns when this connection has to make room for another one.
    pub async fn evicted(&self) {
        self.evict.cancelled().await;
    }

    /// Ends this connection when it is cancelled.
    pub fn end(&self) -> CancellationToken {
        self.evict.clone()
    }

    /// A request begins, with the client's address if a proxy names one.
    pub fn request_from(&self, client: Option<IpAddr>, per_address: usize) {
        if !self.is_proxy {
            return;
        }
        let network = client.map(network);
        let mut table = self.connections.lock();
        if let Some(entry) = table.open.get_mut(&self.id) {
            entry.network = network;
            entry.since = Instant::now();
        }
        table.thin_out(network, per_address);
    }

    /// Its request has come so far that giving it up costs more than a stranger's first bytes.
    pub fn admitted(&self) {
        let share = self.connections.capacity / SHARE;
        let mut table = self.connections.lock();
        let admitted = |entry: &&Entry| entry.rank == Rank::Admitted;
        if table.open.values().filter(admitted).count() < share
            && let Some(entry) = table.open.get_mut(&self.id)
        {
            entry.rank = Rank::Admitted;
        }
    }

    /// Its request has shown a valid host key, or a right password.
    pub fn authenticated(&self, user: &UserName) {
        if let Some(entry) = self.connections.lock().open.get_mut(&self.id) {
            entry.rank = Rank::Serving(user.clone());
            entry.since = Instant::now();
        }
    }

    /// Holds what the request under way has been granted, until its answer has been sent.
    pub fn served(self: &Arc<Self>) -> Served {
        Served(Arc::clone(self))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let guest = &self.0;
        let mut table = guest.connections.lock();
        let Some(entry) = table.open.get_mut(&guest.id) else {
            return;
        };
        match entry.rank {
            Rank::Serving(_) => {
                entry.rank = Rank::Idle;
                entry.since = Instant::now();
            }
            Rank::Admitted => entry.rank = Rank::Stranger,
            Rank::Stranger | Rank::Idle => {}
        }
        if guest.is_proxy {
            entry.network = None;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
