//! What the operator's requests need.

use std::{path::PathBuf, sync::Arc};

use super::{Reloaded, ask, refusal::Refusal};
use crate::{
    clock,
    service::reload::Reloader,
    state::{Server, statistics::Counted},
    vault::upkeep::Mended,
};

/// The server as the operator's requests see it. The files of each subject answer the requests.
pub struct Operator {
    pub(super) server: Arc<Server>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) base: PathBuf,
    pub(super) listening: Vec<String>,
    pub(super) since_secs: i64,
}

impl Operator {
    /// For a server that begins to listen at these places.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        reloader: Arc<Reloader>,
        base: PathBuf,
        listening: Vec<String>,
    ) -> Self {
        Self {
            server,
            reloader,
            base,
            listening,
            since_secs: clock::now_secs(),
        }
    }

    /// Counts a client, so that the server does not end meanwhile.
    pub fn connected(&self) -> Counted {
        self.server.statistics.connected()
    }

    pub(super) fn has_same_users(&self, asked: &ask::SameUsers) -> bool {
        let accounts = &self.server.accounts;
        accounts.are_those_of(&asked.salt, &asked.digest)
    }

    pub(super) async fn mend(&self, asked: ask::Mend) -> Result<Mended, Refusal> {
        // Otherwise the vault would create a folder for a user without data.
        if !self.base.join(asked.user.as_str()).is_dir() {
            return Err(Refusal::NoData(asked.user));
        }
        Ok(self.server.vaults.mend(&asked.user, asked.mend).await?)
    }

    pub(super) async fn reload(&self, users: Option<String>) -> Result<Reloaded, Refusal> {
        let reloaded = match users {
            Some(users) => self.reloader.replace_users(users).await,
            None => self.reloader.reload().await,
        };
        reloaded.map_err(Refusal::Settings)?;
        Ok(Reloaded {
            users: self.server.accounts.count(),
            warnings: self.reloader.warnings(),
        })
    }
}
