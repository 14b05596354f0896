//! State that only requests need. It is separate from the state of the server.

use std::sync::Arc;

use super::{lost::Lost, memory::Memory, visits::Visits};
use crate::{account::DeviceId, seldom::Seldom, state::Server};

/// What every request needs.
pub struct Frontend {
    /// The users, their data, and the limits.
    pub(super) server: Arc<Server>,
    /// The memory budget of all requests.
    pub(super) memory: Memory,
    /// What devices are doing; each device gets a line in the log.
    pub(super) visits: Visits,
    /// Revoked devices that were logged recently.
    pub(super) revoked: Seldom<DeviceId>,
    /// Wrong addresses that were logged recently.
    pub(super) lost: Lost,
}

impl Frontend {
    /// A front end without requests.
    pub fn new(server: Arc<Server>) -> Self {
        Self {
            memory: Memory::new(server.policy().limits.memory),
            visits: Visits::default(),
            revoked: Seldom::default(),
            lost: Lost::default(),
            server,
        }
    }

    /// Logs what each device has done, for as long as it is polled.
    pub async fn log_visits(&self) {
        self.visits.log(&self.server).await;
    }

    /// Logs what is left when the server ends.
    pub fn log_last_visits(&self) {
        self.visits.log_last(&self.server);
    }
}
