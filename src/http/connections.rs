//! The open connections, and which of them is closed when there are too many.
//!
//! Strangers can open any number of connections, so a limit alone would let them lock devices out. Each connection
//! therefore has a rank, which a valid host key raises, and the lowest is closed first. Among strangers, the address
//! with the most connections loses its oldest one: to push out a device that is about to show its key, an attacker
//! needs more addresses than there are places.

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

/// While devices use all places: how often to check whether one of them can be closed.
const RETRY: Duration = Duration::from_millis(250);
/// One user keeps at most a quarter of the places when others need one, and so do all admitted together.
const SHARE: usize = 4;
/// How often to warn that connections were closed to make room.
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
    /// When it got this rank, or for a proxy's connection, when its request began.
    since: Instant,
    evict: CancellationToken,
}

/// The ranks, from the first that is closed to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rank {
    /// No valid host key yet.
    Stranger,
    /// Waits for the check of its password, or has a place in the upload queue; at most a quarter.
    Admitted,
    /// Its last request with a valid host key has been answered.
    Idle,
    /// A request of this user is under way.
    Serving(UserName),
}

/// One connection. It is open as long as this lives.
pub struct Guest {
    connections: Arc<Connections>,
    id: u64,
    /// Its address; none over a unix socket.
    pub peer: Option<IpAddr>,
    /// Whether a proxy names clients' addresses in the requests.
    is_proxy: bool,
    evict: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// A request under way, until its answer is sent.
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

    /// Accepts a connection, and closes another one if needed. It only waits while devices are being served on all
    /// connections.
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
            // The place is free once the closed connection's task has ended.
            self.make_room();
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = timeout(RETRY, place).await {
                return place;
            }
        }
    }

    /// Closes the connection with the lowest rank, if a new one may replace it.
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
    /// Strangers of one network replace each other's connections.
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
            // Connections without a known address are not counted together.
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
    /// Returns when this connection has to be closed for another one.
    pub async fn evicted(&self) {
        self.evict.cancelled().await;
    }

    /// Cancelling this closes the connection.
    pub fn end(&self) -> CancellationToken {
        self.evict.clone()
    }

    /// A request begins; the address is the client's if a proxy names one.
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

    /// The request has come so far that closing it costs more than a stranger's first bytes.
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

    /// The request has shown a valid host key or a right password.
    pub fn authenticated(&self, user: &UserName) {
        if let Some(entry) = self.connections.lock().open.get_mut(&self.id) {
            entry.rank = Rank::Serving(user.clone());
            entry.since = Instant::now();
        }
    }

    /// Keeps the rank of the present request until its answer is sent.
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
