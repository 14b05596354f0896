//! Places for uploads of clients that have not shown a host key yet.
//!
//! There are few places, so that strangers fill no more of the disk than that many uploads. A
//! client that needs one waits in line; meanwhile an upload that is too slow is given up.

use std::{
    collections::HashMap,
    future::pending,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{IN_MEMORY, workers::Share};
use crate::disk::{Disk, Purpose, Spool};

/// How many uploads may use the disk at a time.
const PLACES: usize = 8;
/// How long a client waits for a place: clients that send forms give up after 60 s without
/// progress.
const PATIENCE: Duration = Duration::from_secs(45);
/// The average rate that an upload must reach while others wait for its place. Otherwise eight
/// strangers who send a byte a second would hold all places for days.
const RATE: u64 = 128 * 1024;
/// How long it may be slower or pause, as mobile networks do, especially at the beginning.
const PAUSE: Duration = Duration::from_millis(500);
/// For each time that this many bytes have come, it may pause a second longer ...
const TRUST: u64 = 4 * 1024 * 1024;
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Files in it belong to no user, and have no name.
pub struct UploadQueue {
    folder: PathBuf,
    share: Share,
    disk: Disk,
    places: Arc<Semaphore>,
    uploads: Arc<Mutex<Uploads>>,
    /// Wakes the waiting clients when a place was taken.
    another: Notify,
}

#[derive(Default)]
struct Uploads {
    last_id: u64,
    held: HashMap<u64, Upload>,
}

/// An upload that has a place. The lock is taken for each piece that arrives, for some instructions
/// only.
struct Upload {
    began: Instant,
    last: Instant,
    received: u64,
    give_up: CancellationToken,
}

/// A place. It is held as long as this lives.
pub struct Reservation {
    uploads: Arc<Mutex<Uploads>>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Upload {
    /// From this time on, others may take its place.
    fn overdue_at(&self) -> Instant {
        let trust = Duration::from_millis(self.received * 1000 / TRUST);
        let on_average = Duration::from_millis(self.received * 1000 / RATE);
        let paused_for_too_long = self.last + (PAUSE + trust).min(LONGEST_PAUSE);
        paused_for_too_long.min(self.began + PAUSE + on_average)
    }
}

impl UploadQueue {
    /// The folder must exist.
    pub fn new(folder: PathBuf, disk: Disk, share: Share) -> Self {
        Self {
            folder,
            disk,
            share,
            places: Arc::new(Semaphore::new(PLACES)),
            uploads: Arc::default(),
            another: Notify::new(),
        }
    }

    /// The threads for strangers' uploads.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// A file that is memory while it is small.
    pub fn spool(&self) -> Spool {
        self.disk.spool(IN_MEMORY, &self.folder, Purpose::Keep)
    }

    /// A place, which a stranger needs before a spool grows out of memory; none after too long a
    /// wait. Cancelling `give_up` ends the upload when others need the place more.
    pub async fn reserve(&self, give_up: CancellationToken) -> Option<Reservation> {
        let permit = timeout(PATIENCE, self.turn()).await.ok()?;
        let now = Instant::now();
        let upload = Upload {
            began: now,
            last: now,
            received: 0,
            give_up,
        };
        let mut uploads = lock(&self.uploads);
        uploads.last_id += 1;
        let id = uploads.last_id;
        uploads.held.insert(id, upload);
        self.another.notify_waiters();
        Some(Reservation {
            uploads: Arc::clone(&self.uploads),
            id,
            _permit: permit,
        })
    }

    async fn turn(&self) -> OwnedSemaphorePermit {
        // Requested once, since a repeated request would go to the end of the line.
        let mut turn = pin!(Arc::clone(&self.places).acquire_owned());
        loop {
            let another = self.another.notified();
            let next = self.give_up_the_slow();
            let overdue = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            select! {
                Ok(permit) = turn.as_mut() => return permit,
                () = overdue => {}
                // Checked again, since the new one may be too slow before all others.
                () = another => {}
            }
        }
    }

    /// Gives up slow uploads. Returns when the next one has to be checked.
    fn give_up_the_slow(&self) -> Option<Instant> {
        let now = Instant::now();
        let uploads = lock(&self.uploads);
        let under_way = uploads
            .held
            .values()
            .filter(|upload| !upload.give_up.is_cancelled());
        let (overdue, others): (Vec<_>, Vec<_>) =
            under_way.partition(|upload| upload.overdue_at() <= now);
        for upload in overdue {
            upload.give_up.cancel();
        }
        others.iter().map(|upload| upload.overdue_at()).min()
    }
}

impl Reservation {
    /// Counts bytes that have arrived.
    pub fn received(&self, bytes: usize) {
        if let Some(upload) = lock(&self.uploads).held.get_mut(&self.id) {
            upload.received += bytes as u64;
            upload.last = Instant::now();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        lock(&self.uploads).held.remove(&self.id);
    }
}

fn lock(uploads: &Mutex<Uploads>) -> MutexGuard<'_, Uploads> {
    uploads.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::vault::workers::Workers;

    const STRANGERS: usize = 256;

    fn empty() -> UploadQueue {
        let disk = Disk::new(PathBuf::new());
        UploadQueue::new(PathBuf::new(), disk, Workers::default().strangers())
    }

    /// A stranger's upload: pieces of this size at this interval, until it is given up.
    async fn upload(queue: Arc<UploadQueue>, first: usize, bytes: usize, every: Duration) {
        let give_up = CancellationToken::new();
        let Some(place) = queue.reserve(give_up.clone()).await else {
            return;
        };
        place.received(first);
        let goes_on = async {
            loop {
                sleep(every).await;
                place.received(bytes);
            }
        };
        give_up.run_until_cancelled(goes_on).await;
    }

    async fn crowded(first: usize, bytes: usize, every: Duration) -> Arc<UploadQueue> {
        let queue = Arc::new(empty());
        for _ in 0..STRANGERS {
            tokio::spawn(upload(Arc::clone(&queue), first, bytes, every));
        }
        sleep(Duration::from_millis(1)).await;
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn behind_any_number_of_half_sent_forms_there_is_a_place_before_clients_give_up() {
        for (first, bytes, every) in [
            (0, 0, PATIENCE),
            (600_000, 0, PATIENCE),
            (100_000, 1, Duration::from_millis(100)),
        ] {
            let queue = crowded(first, bytes, every).await;
            let place = queue.reserve(CancellationToken::new()).await;
            assert!(place.is_some(), "{first} {bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_keeps_his_place_however_many_wait() {
        let queue = Arc::new(empty());
        let give_up = CancellationToken::new();
        let place = queue.reserve(give_up.clone()).await.unwrap();
        for _ in 0..STRANGERS {
            tokio::spawn(upload(Arc::clone(&queue), 0, 0, PATIENCE));
        }
        // 500 KiB/s, and a line that fails for some seconds.
        for _ in 0..240 {
            sleep(Duration::from_millis(500)).await;
            place.received(250 * 1024);
        }
        sleep(Duration::from_secs(9)).await;
        assert!(!give_up.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_is_refused_and_who_is_slow_stays_while_nobody_waits() {
        let queue = empty();
        let give_up = CancellationToken::new();
        let mut taken = Vec::new();
        for _ in 0..PLACES {
            taken.push(queue.reserve(give_up.clone()).await.unwrap());
        }
        sleep(PATIENCE).await;
        assert!(!give_up.is_cancelled());
        // None of them ends, although each was given up.
        assert!(queue.reserve(CancellationToken::new()).await.is_none());
        assert!(give_up.is_cancelled());
        taken.pop();
        assert!(queue.reserve(CancellationToken::new()).await.is_some());
    }
}
