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

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::account::{name::UserName, subscriber::network};

/// One user keeps at most a quarter of the places when others need one, and so do all admitted together.
const SHARE: usize = 4;
/// How often to warn that connections were closed to make room.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub struct Connections {
    table: Mutex<Table>,
    /// Wakes who waits for a place: a connection has ended, or may now be closed.
    changed: Notify,
    capacity: usize,
    /// The most sockets, with those of closed connections whose tasks have not ended yet.
    sockets: usize,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: HashMap<u64, Entry>,
    /// How many guests there are. Some of their connections may be closed already.
    guests: usize,
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

/// Since when it has its rank, and its number: the order in which connections are closed.
type Age = (Instant, u64);

/// The ranks, from the first that is closed to the last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// A request under way, until its answer is sent.
#[must_use]
pub struct Served(Arc<Guest>);

impl Connections {
    pub fn new(capacity: usize, sockets: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            changed: Notify::new(),
            capacity,
            sockets,
        })
    }

    /// Accepts a connection, and closes another one if needed. It only waits while devices are being served on all
    /// connections, or too many closed ones have not ended yet.
    pub async fn enter(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        is_proxy: bool,
        per_address: usize,
    ) -> Guest {
        let evict = CancellationToken::new();
        let network = peer.filter(|_| !is_proxy).map(network);
        let id = loop {
            let changed = self.changed.notified();
            if let Some(id) = self.take_place(network, &evict, per_address) {
                break id;
            }
            changed.await;
        };
        Guest {
            connections: Arc::clone(self),
            id,
            peer,
            is_proxy,
            evict,
        }
    }

    /// A newcomer does not wait for the end of the connection that it replaces: in a flood, all
    /// who come later would wait with it.
    fn take_place(
        &self,
        network: Option<IpAddr>,
        evict: &CancellationToken,
        per_address: usize,
    ) -> Option<u64> {
        let mut table = self.lock();
        if table.open.len() >= self.capacity && !table.make_room(self.capacity) {
            return None;
        }
        // After making room: otherwise nobody would end where all sockets are in use.
        if table.guests >= self.sockets {
            return None;
        }
        table.guests += 1;
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
        Some(id)
    }

    /// Closes the connection with the lowest rank, if a new one may replace it.
    pub fn make_room(&self) {
        self.lock().make_room(self.capacity);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Whether there was a connection that could be closed.
    fn make_room(&mut self, capacity: usize) -> bool {
        let Some(id) = self.least(capacity / SHARE) else {
            return false;
        };
        self.evict(id);
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                "all {capacity} connections (max_connections) are in use: closing the oldest ones without a valid host key to make room"
            );
        }
        true
    }

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
        let strangers = self.aged(|rank| *rank == Rank::Stranger);
        // Connections without a known address are not counted together.
        let strangers = strangers.map(|(entry, age)| (entry.network.ok_or(age), age));
        let serving = self.aged(|rank| matches!(rank, Rank::Serving(_)));
        let serving = serving.map(|(entry, age)| (&entry.rank, age));
        oldest_of_most(strangers)
            .or_else(|| self.oldest(&Rank::Admitted))
            .or_else(|| self.oldest(&Rank::Idle))
            .or_else(|| oldest_of_most(serving).filter(|(held, _)| *held > share))
            .map(|(_, id)| id)
    }

    fn oldest(&self, rank: &Rank) -> Option<(usize, u64)> {
        oldest_of_most(self.aged(|other| other == rank).map(|(_, age)| ((), age)))
    }

    fn aged(&self, rank: impl Fn(&Rank) -> bool) -> impl Iterator<Item = (&Entry, Age)> {
        let entries = self.open.iter().filter(move |(_, entry)| rank(&entry.rank));
        entries.map(|(id, entry)| (entry, (entry.since, *id)))
    }
}

/// Of the group with the most connections: their number, and the oldest one.
fn oldest_of_most<G: Ord>(connections: impl Iterator<Item = (G, Age)>) -> Option<(usize, u64)> {
    let mut connections: Vec<_> = connections.collect();
    connections.sort_unstable();
    let groups = connections.chunk_by(|(one, _), (other, _)| one == other);
    let ranked = groups.map(|group| (group.len(), group.first().map(|(_, age)| Reverse(*age))));
    let (count, oldest) = ranked.max()?;
    oldest.map(|Reverse((_, id))| (count, id))
}

impl Guest {
    /// Returns when this connection has to be closed for another one.
    pub async fn evicted(&self) {
        self.evict.cancelled().await;
    }

    pub fn is_evicted(&self) -> bool {
        self.evict.is_cancelled()
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
        guest.connections.changed.notify_waiters();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.open.remove(&self.id);
        table.guests -= 1;
        drop(table);
        self.connections.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
