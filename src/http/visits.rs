//! Combines the requests of a device: the sync of its collection, and of its media, which uses
//! separate requests. Both make one line in the log when the device is done.
//!
//! No client reports that it is done. A media sync with changes ends with a comparison; everything
//! else ends with silence.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::HumanBytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    deed::{Cards, MediaDeed, Step},
    log::{Entry, line, millis},
};
use crate::{
    account::{Device, DeviceId},
    media::Media,
    state::Server,
    vault::conversation::ABANDONED,
};

/// A device is done after this long without a request.
const QUIET: Duration = Duration::from_secs(5);
/// How often to look for such devices.
const PERIOD: Duration = Duration::from_secs(1);
/// How many devices are tracked. Beyond that, the line of the longest silent device is written
/// early.
const MOST: usize = 1000;

/// Bytes of requests, decompressed, and of answers, before compression.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub received: u64,
    pub sent: u64,
}

/// A device's requests from its first to its last.
pub struct Visit {
    device: Device,
    /// The request that the log line uses.
    entry: Option<Entry>,
    cards: Option<Cards>,
    sent: Media,
    received: Media,
    removed: u64,
    pub traffic: Traffic,
    began: Instant,
    /// When it last did something.
    ended: Instant,
    /// When its last request ended.
    last: Instant,
    requests: usize,
    stage: Stage,
}

/// What a device may do next. It decides how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Anything.
    Open,
    /// Continue a normal sync.
    Conversing,
    /// Nothing: its media sync is over.
    Done,
}

/// The devices that are not done, or whose end is recent.
#[derive(Default)]
pub struct Visits(Mutex<HashMap<DeviceId, Visit>>);

impl Visits {
    /// A request begins. Returns the visits that end with it.
    pub(super) fn enter(&self, device: &Device, step: Step) -> Vec<Visit> {
        let mut visits = self.lock();
        let mut over = Vec::new();
        let visit = visits
            .entry(device.id)
            .or_insert_with(|| Visit::new(device));
        if step.begins_collection_sync() && visit.has_changed_cards() {
            let next = Visit {
                requests: visit.requests,
                ..Visit::new(device)
            };
            over.push(std::mem::replace(visit, next));
        }
        visit.enter(step);
        if visits.len() > MOST {
            let silent = visits.iter().filter(|(_, visit)| visit.requests == 0);
            let oldest = silent.min_by_key(|(_, visit)| visit.last);
            let oldest = oldest.map(|(id, _)| *id);
            over.extend(oldest.and_then(|id| visits.remove(&id)));
        }
        over
    }

    pub(super) fn with(&self, device: DeviceId, change: impl FnOnce(&mut Visit)) {
        if let Some(visit) = self.lock().get_mut(&device) {
            change(visit);
        }
    }

    /// Logs what each device has done, for as long as it is polled.
    pub(super) async fn log(&self, server: &Server) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for visit in self.take_over() {
                visit.write(server);
            }
        }
    }

    /// Logs what is left when the server ends.
    pub(super) fn log_last(&self, server: &Server) {
        for visit in self.take(|_| true) {
            visit.write(server);
        }
    }

    /// Removes and returns the visits that are over, sorted by their ends.
    fn take_over(&self) -> Vec<Visit> {
        self.take(Visit::is_over)
    }

    fn take(&self, which: impl Fn(&Visit) -> bool) -> Vec<Visit> {
        let mut visits = self.lock();
        let taken = visits.extract_if(|_, visit| which(visit));
        let mut taken: Vec<_> = taken.map(|(_, visit)| visit).collect();
        taken.sort_by_key(|visit| visit.ended);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Visit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    fn new(device: &Device) -> Self {
        let now = Instant::now();
        Self {
            device: device.clone(),
            entry: None,
            cards: None,
            sent: Media::default(),
            received: Media::default(),
            removed: 0,
            traffic: Traffic::default(),
            began: now,
            ended: now,
            last: now,
            requests: 0,
            stage: Stage::Open,
        }
    }

    fn enter(&mut self, step: Step) {
        self.requests += 1;
        if step.begins_collection_sync() {
            // This sync sets it again when it ends.
            self.cards = None;
        }
        if step.begins_operation() && !self.has_changed_cards() && !self.has_moved_media() {
            self.began = Instant::now();
        }
        self.stage = match step {
            Step::Begin | Step::Continue => Stage::Conversing,
            Step::BeginMedia | Step::Media if self.stage == Stage::Conversing => Stage::Conversing,
            Step::BeginMedia | Step::Media | Step::Ask | Step::Abort | Step::Replace => Stage::Open,
        };
    }

    /// A request that began at this time has ended.
    pub(super) fn leave(&mut self, began: Instant) {
        self.requests = self.requests.saturating_sub(1);
        self.last = Instant::now();
        if self.ended > began {
            self.ended = self.last;
        }
    }

    pub(super) fn did_cards(&mut self, entry: Entry, cards: Cards) {
        self.ended = Instant::now();
        if cards != Cards::Unchanged {
            self.stage = Stage::Open;
        } else if self.has_changed_cards() {
            return;
        }
        self.entry = Some(entry);
        self.cards = Some(cards);
    }

    pub(super) fn did_media(&mut self, entry: Entry, deed: MediaDeed) {
        match deed {
            MediaDeed::Sent(taken) => {
                self.sent += taken.files;
                self.removed += taken.removed;
            }
            MediaDeed::Received(files) => self.received += files,
            MediaDeed::Compared if self.stage == Stage::Open => self.stage = Stage::Done,
            MediaDeed::Compared => {}
        }
        self.ended = Instant::now();
        self.entry.get_or_insert(entry);
    }

    fn has_changed_cards(&self) -> bool {
        !matches!(self.cards, None | Some(Cards::Unchanged))
    }

    fn has_moved_media(&self) -> bool {
        self.sent.files + self.received.files + self.removed > 0
    }

    fn is_over(&self) -> bool {
        let silence = match self.stage {
            Stage::Open => QUIET,
            Stage::Conversing => ABANDONED,
            Stage::Done => Duration::ZERO,
        };
        self.requests == 0 && self.last.elapsed() >= silence
    }

    /// Writes the log line, if the device did anything.
    pub(super) fn write(self, server: &Server) {
        let Some(entry) = &self.entry else {
            return;
        };
        if self.cards == Some(Cards::Unchanged) {
            remember(server, &self.device, entry, Cards::Unchanged, None);
        }
        if self.is_worth_a_line() {
            self.log(entry);
        }
    }

    fn log(&self, entry: &Entry) {
        let who = entry.who();
        let (sent, received) = self.objects();
        let (media_sent, media_received) = (self.sent.files, self.received.files);
        let media_removed = self.removed;
        let (bytes_in, bytes_out) = (self.traffic.received, self.traffic.sent);
        let ms = millis(self.took());
        line!(
            info, entry, sent, received, media_sent, media_received, media_removed,
            bytes_in, bytes_out, ms;
            "{who}: {self}"
        );
    }

    fn is_worth_a_line(&self) -> bool {
        self.cards.is_some() || self.has_moved_media()
    }

    /// The time from its first to its last relevant request.
    fn took(&self) -> Duration {
        self.ended - self.began
    }

    /// Objects that the device has sent and received.
    fn objects(&self) -> (usize, usize) {
        match self.cards {
            Some(Cards::Synced { sent, received }) => (sent, received),
            None | Some(Cards::Unchanged | Cards::Uploaded { .. } | Cards::Downloaded { .. }) => {
                (0, 0)
            }
        }
    }
}

/// `sent 3, received 2; media: sent 12 (3.10 MiB), removed 1; 2.3 s`.
impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moved = self.has_moved_media();
        match self.cards {
            Some(Cards::Unchanged) if moved => {}
            Some(cards) => write!(f, "{cards}; ")?,
            None => {}
        }
        if moved {
            let files = |what, of: Media| {
                (of.files > 0).then(|| format!("{what} {} ({})", of.files, HumanBytes(of.bytes)))
            };
            let removed = (self.removed > 0).then(|| format!("removed {}", self.removed));
            let parts = [
                files("sent", self.sent),
                files("received", self.received),
                removed,
            ];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            write!(f, "media: {}; ", parts.join(", "))?;
        }
        write!(f, "{:.1} s", self.took().as_secs_f32())
    }
}

/// Records the visit for the status of users and devices.
pub(super) fn remember(
    server: &Server,
    device: &Device,
    entry: &Entry,
    cards: Cards,
    modified: Option<i64>,
) {
    server.statistics.synced(&device.user);
    let devices = &server.accounts.devices;
    devices.synced(device, entry.client_info(), cards.to_string(), modified);
}

#[cfg(test)]
mod tests;
