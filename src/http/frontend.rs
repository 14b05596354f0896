//! What the answers to devices need beside the state of the server: it is about requests, and
//! ends with them.

use std::sync::Arc;

use super::{lost::Lost, memory::Memory, visits::Visits};
use crate::{account::DeviceId, seldom::Seldom, state::Server};

/// What every request needs.
pub struct Frontend {
    /// Who may sync, their data, and what they may ask.
    pub(super) server: Arc<Server>,
    /// What requests may hold in memory, all together.
    pub(super) memory: Memory,
    /// What devices are doing, each of which gets a line in the log.
    pub(super) visits: Visits,
    /// Which revoked devices have been logged of late.
    pub(super) revoked: Seldom<DeviceId>,
    /// Which wrong addresses have been logged of late.
    pub(super) lost: Lost,
}

impl Frontend {
    /// One that has not answered anything yet.
    pub fn new(server: Arc<Server>) -> Self {
        Self {
            memory: Memory::new(server.policy().limits.memory),
            visits: Visits::default(),
            revoked: Seldom::default(),
            lost: Lost::default(),
            server,
        }
    }

    /// Logs what each device has done when it is done, for as long as it is polled.
    pub async fn log_visits(&self) {
        self.visits.log(&self.server).await;
    }

    /// Logs what is still to be logged, when the server ends.
    pub fn log_last_visits(&self) {
        self.visits.log_last(&self.server);
    }
}
