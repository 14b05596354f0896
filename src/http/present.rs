//! A request of a known device. Its result is added to the device's visit.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    deed::{Cards, MediaDeed, Step},
    frontend::Frontend,
    log::Entry,
    visits::{Visit, remember},
};
use crate::{account::Device, state::statistics::Counts};

/// A request of a device, until its answer is sent.
pub struct Present {
    frontend: Arc<Frontend>,
    device: Device,
    began: Instant,
}

impl Present {
    pub fn enter(frontend: &Arc<Frontend>, device: &Device, step: Step) -> Self {
        for visit in frontend.visits.enter(device, step) {
            visit.write(&frontend.server);
        }
        Self {
            frontend: Arc::clone(frontend),
            device: device.clone(),
            began: Instant::now(),
        }
    }

    pub fn received(&self, bytes: u64) {
        self.count(|counts| counts.received_bytes += bytes);
        self.with(|visit| visit.traffic.received += bytes);
    }

    pub fn answered(&self, bytes: u64) {
        self.count(|counts| counts.sent_bytes += bytes);
        self.with(|visit| visit.traffic.sent += bytes);
    }

    /// Notes the result. `modified` is the modification stamp of the device's collection after it.
    pub fn did_cards(&self, entry: &Entry, cards: Cards, modified: i64) {
        remember(
            &self.frontend.server,
            &self.device,
            entry,
            cards,
            Some(modified),
        );
        self.with(|visit| visit.did_cards(entry.clone(), cards));
    }

    /// Notes that the device has received this modification stamp as the answer to `meta`. If its
    /// collection has that stamp already and it does nothing more, it has synced.
    pub fn has_meta(&self, entry: &Entry, modified: i64) {
        let devices = &self.frontend.server.accounts.devices;
        if devices.has(&self.device, modified) {
            self.with(|visit| visit.did_cards(entry.clone(), Cards::Unchanged));
        }
    }

    /// Notes the result for the media.
    pub fn did_media(&self, entry: &Entry, deed: MediaDeed) {
        self.with(|visit| visit.did_media(entry.clone(), deed));
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        let statistics = &self.frontend.server.statistics;
        statistics.count(Some(&self.device.user), count);
    }

    fn with(&self, change: impl FnOnce(&mut Visit)) {
        self.frontend.visits.with(self.device.id, change);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.with(|visit| visit.leave(self.began));
    }
}
