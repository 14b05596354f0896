//! A request of a device that is known: what it comes to counts for the device's visit.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Server,
    log::Entry,
    route::Method,
    visits::{Cards, MediaDeed, Visit, remember},
};
use crate::account::Device;

/// A request of a device is under way, to the end of its answer.
pub struct Present {
    server: Arc<Server>,
    device: Device,
    began: Instant,
}

impl Present {
    /// One begins.
    pub fn enter(server: &Arc<Server>, device: &Device, method: Method) -> Self {
        for visit in server.visits.enter(device, method) {
            visit.write(server);
        }
        Self {
            server: Arc::clone(server),
            device: device.clone(),
            began: Instant::now(),
        }
    }

    /// Counts its body.
    pub fn received(&self, bytes: u64) {
        let user = Some(&self.device.user);
        self.server
            .pulse
            .count(user, |counts| counts.received_bytes += bytes);
        self.with(|visit| visit.traffic.received += bytes);
    }

    /// Counts its answer.
    pub fn answered(&self, bytes: u64) {
        let user = Some(&self.device.user);
        self.server
            .pulse
            .count(user, |counts| counts.sent_bytes += bytes);
        self.with(|visit| visit.traffic.sent += bytes);
    }

    /// Notes what it came to, for the collection whose modification stamp the device has now.
    pub fn did_cards(&self, entry: &Entry, cards: Cards, modified: i64) {
        remember(&self.server, &self.device, entry, cards, Some(modified));
        self.with(|visit| visit.did_cards(entry.clone(), cards));
    }

    /// Notes that the device has been told of a collection with this modification stamp. If it has
    /// that already and does nothing more, it has synced.
    pub fn was_told(&self, entry: &Entry, modified: i64) {
        if self.server.accounts.devices.has(&self.device, modified) {
            self.with(|visit| visit.did_cards(entry.clone(), Cards::Unchanged));
        }
    }

    /// Notes what it came to.
    pub fn did_media(&self, entry: &Entry, deed: MediaDeed) {
        self.with(|visit| visit.did_media(entry.clone(), deed));
    }

    fn with(&self, change: impl FnOnce(&mut Visit)) {
        self.server.visits.with(self.device.id, change);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.with(|visit| visit.leave(self.began));
    }
}
