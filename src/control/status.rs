//! How the server is, as the operator asks.

use tokio::task::spawn_blocking;

use super::{Operator, Status, UserStatus};
use crate::vault::usage::Usage;

impl Operator {
    pub(super) async fn status(&self) -> Status {
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
            warnings,
        }
    }

    async fn user_statuses(&self, warnings: &mut Vec<String>) -> Vec<UserStatus> {
        let mut statuses = Vec::new();
        for user in self.users() {
            let folder = self.base.join(user.name.as_str());
            let usage = match spawn_blocking(move || Usage::of(&folder)).await {
                Ok(Ok(usage)) => Some(usage),
                Ok(Err(error)) => {
                    warnings.push(format!("{}: {error}", user.name));
                    None
                }
                Err(panicked) => {
                    warnings.push(format!("{}: {panicked}", user.name));
                    None
                }
            };
            statuses.push(UserStatus {
                name: user.name,
                devices: user.devices,
                last_sync: user.last_sync,
                usage,
            });
        }
        statuses
    }
}
