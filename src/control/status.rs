//! The operator's request for the state of the server.

use tokio::task::spawn_blocking;

use super::{Operator, Status, UserStatus};
use crate::vault::{backup::last_of, usage::Usage};

impl Operator {
    /// Answers `status`.
    pub async fn status(&self) -> Status {
        let mut warnings = self.reloader.warnings();
        let free = self.server.vaults.free().await;
        match &free {
            Ok(free) => {
                let nearly_full = self.server.policy().room.admit(*free).err();
                warnings.extend(nearly_full.map(|full| full.to_string()));
            }
            Err(error) => warnings.push(format!("{}: {error}", self.base.display())),
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since_secs: self.since_secs,
            listening: self.listening.clone(),
            base: self.base.clone(),
            free_bytes: free.ok().map(|free| free.bytes),
            syncing: self.server.vaults.devices(),
            users: self.user_statuses(&mut warnings).await,
            strangers: self.server.statistics.counts(None),
            warnings,
        }
    }

    async fn user_statuses(&self, warnings: &mut Vec<String>) -> Vec<UserStatus> {
        let mut statuses = Vec::new();
        for user in self.users().await {
            let folder = self.base.join(user.name.as_str());
            let looked = spawn_blocking(move || (Usage::of(&folder), last_of(&folder)));
            let (usage, last_backup) = match looked.await {
                Ok((usage, last)) => (usage.map_err(|error| error.to_string()), last),
                Err(panicked) => (Err(panicked.to_string()), None),
            };
            let warn = |error: String| warnings.push(format!("{}: {error}", user.name));
            let usage = usage.map_err(warn).ok();
            statuses.push(UserStatus {
                counts: self.server.statistics.counts(Some(&user.name)),
                name: user.name,
                devices: user.devices,
                last_sync: user.last_sync,
                last_device: user.last_device,
                last_backup,
                usage,
            });
        }
        statuses
    }
}
