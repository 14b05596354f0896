//! What the running server is made of: who may sync, their data, what they may ask, and what has
//! happened so far.
//!
//! It stands below everything that serves: devices over HTTP, the operator's commands, metrics,
//! systemd. They share this and do not know each other.

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
    /// Who may sync.
    pub accounts: Accounts,
    /// Their data.
    pub vaults: Vaults,
    /// What they may ask, and whose word is taken about where they are.
    policy: RwLock<Arc<Policy>>,
    /// What has happened, for whoever watches.
    pub statistics: Statistics,
}

/// What may change while the server runs.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What a client may ask.
    pub limits: Limits,
    /// How much may be stored.
    pub room: Room,
    /// Where its address is to be found.
    pub client_address: ClientAddress,
    /// From whom that is believed.
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
    /// Whether what the other end of a connection says about clients is believed; over a unix
    /// socket, which has no address, it is.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.trusted_proxies.iter().any(|net| net.contains(&peer)))
    }
}

impl Server {
    /// One that has not served anything yet.
    pub fn new(accounts: Accounts, vaults: Vaults, policy: Policy) -> Self {
        vaults.disk().keep_free(policy.room.reserve);
        Self {
            accounts,
            vaults,
            policy: RwLock::new(Arc::new(policy)),
            statistics: Statistics::default(),
        }
    }

    /// What holds now. A request keeps what held at its beginning: a reload in the middle of an
    /// upload does not refuse the rest of it.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds from now on, for requests that come.
    pub fn change_policy(&self, policy: Policy) {
        self.vaults.disk().keep_free(policy.room.reserve);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
