//! The state of the running server: users, data, policy and counts.
//!
//! All services use it: devices over HTTP, the operator's commands, metrics, systemd. They share
//! this state and need not know each other.

pub mod statistics;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use ipnet::IpNet;

use crate::{
    account::Accounts,
    config::{Limits, Settings, client_address::ClientAddress},
    vault::{Vaults, room::Room},
};
use statistics::Statistics;

/// The running server.
pub struct Server {
    /// The users.
    pub accounts: Accounts,
    /// Their data.
    pub vaults: Vaults,
    /// The limits, and the trusted proxies.
    policy: RwLock<Arc<Policy>>,
    /// Counts, for status and metrics.
    pub statistics: Statistics,
}

/// The settings that may change while the server runs.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Limits on what a client may ask for.
    pub limits: Limits,
    /// How much may be stored.
    pub room: Room,
    /// The header that contains the client's address.
    pub client_address: ClientAddress,
    /// The proxies whose headers are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl From<&Settings> for Policy {
    fn from(settings: &Settings) -> Self {
        Self {
            limits: settings.limits,
            room: settings.room,
            client_address: settings.client_address,
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }
}

impl Policy {
    /// Whether the headers of this peer about clients are believed. Over a unix socket, which has
    /// no address, they always are.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.trusted_proxies.iter().any(|net| net.contains(&peer)))
    }
}

impl Server {
    /// A server that has not served anything yet.
    pub fn new(accounts: Accounts, vaults: Vaults, policy: Policy) -> Self {
        vaults.disk().keep_free(policy.room.reserve);
        Self {
            accounts,
            vaults,
            policy: RwLock::new(Arc::new(policy)),
            statistics: Statistics::default(),
        }
    }

    /// The present policy. A request keeps the policy of its beginning, so that a reload during an
    /// upload does not refuse the rest of it.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the policy for new requests.
    pub fn change_policy(&self, policy: Policy) {
        self.vaults.disk().keep_free(policy.room.reserve);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
