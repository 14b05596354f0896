//! Room for what is received from clients that have not shown a host key yet.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{IN_MEMORY, workers::Share};
use crate::disk::{Disk, Purpose, Spool};

/// How many of them may use the disk at a time.
const PLACES: usize = 4;
/// How long the next one waits; clients give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files here belong to nobody, and have no name.
pub struct Lobby {
    folder: PathBuf,
    share: Share,
    disk: Disk,
    places: Arc<Semaphore>,
}

/// Room for one, as long as it lives.
pub struct Place(#[expect(dead_code, reason = "it only has to be held")] OwnedSemaphorePermit);

impl Lobby {
    /// Over a folder that exists.
    #[must_use]
    pub fn new(folder: PathBuf, disk: Disk, share: Share) -> Self {
        Self {
            folder,
            disk,
            share,
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// The threads for what strangers send.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// A file that is memory while it is small.
    #[must_use]
    pub fn spool(&self) -> Spool {
        self.disk.spool(IN_MEMORY, &self.folder, Purpose::Keep)
    }

    /// What a stranger needs before a spool grows out of memory; none when it takes too long.
    pub async fn place(&self) -> Option<Place> {
        let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned());
        Some(Place(place.await.ok()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::workers::Workers;

    #[tokio::test(start_paused = true)]
    async fn strangers_wait_for_a_place_but_not_forever() {
        let disk = Disk::new(PathBuf::new());
        let lobby = Lobby::new(PathBuf::new(), disk, Workers::default().strangers());
        let mut taken = Vec::new();
        for _ in 0..PLACES {
            taken.push(lobby.place().await.unwrap());
        }
        assert!(lobby.place().await.is_none());
        taken.pop();
        assert!(lobby.place().await.is_some());
    }
}
