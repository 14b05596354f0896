//! Users and devices, as the operator asks about them.

use super::{
    DeviceReport, DeviceState, Operator, UserReport,
    server::{Answer, Held, value},
};
use crate::account::{devices::Record, name::UserName};

/// With fewer digits, a slip of the hand could mean another device.
const FEWEST_DIGITS: usize = 4;

impl Operator {
    pub(super) fn users(&self) -> Vec<UserReport> {
        let devices = self.devices(None);
        let report = |(name, password): (UserName, String)| {
            let own = || {
                devices
                    .iter()
                    .filter(|device| device.record.user == name.as_str())
            };
            let logged_in = |device: &&DeviceReport| device.state == DeviceState::LoggedIn;
            UserReport {
                password,
                devices: Some(own().filter(logged_in).count()),
                last_sync: own().filter_map(|device| device.record.last_sync).max(),
                name,
            }
        };
        self.server
            .accounts
            .users()
            .into_iter()
            .map(report)
            .collect()
    }

    pub(super) async fn move_data(&self, from: UserName, to: UserName) -> Result<Answer, String> {
        if self.server.accounts.contains(&to) {
            return Err(format!("there is a user {to} already"));
        }
        let moved = self.server.vaults.rename(&from, &to).await;
        moved.map_err(|error| error.to_string())?;
        tracing::info!("the data of {from} are those of {to} from now on");
        let mut answer = value(&())?;
        answer.held = Some(Held::Moved { from, to });
        Ok(answer)
    }

    pub(super) async fn moved(&self, from: &UserName) {
        if let Err(error) = self.server.vaults.forget(from).await {
            tracing::warn!(%error, "that {from} is no user any more is noted at the next start");
        }
    }

    /// The list still has the old name: whoever logs in by it must not find an empty folder.
    pub(super) async fn move_back(&self, from: &UserName, to: &UserName) {
        match self.server.vaults.rename(to, from).await {
            Ok(()) => tracing::warn!("renaming {from} was broken off; the data are {from}'s again"),
            Err(error) => tracing::error!(
                "renaming {from} was broken off, and the data stay in the folder {to}: {error}"
            ),
        }
    }

    pub(super) async fn remove_data(&self, user: UserName) -> Result<(), String> {
        if self.server.accounts.contains(&user) {
            return Err(format!("{user} is still a user"));
        }
        let removed = self.server.vaults.remove(&user).await;
        removed.map_err(|error| error.to_string())?;
        tracing::info!("the data of {user}, who is no user any more, have been removed");
        Ok(())
    }

    pub(super) fn devices(&self, user: Option<&UserName>) -> Vec<DeviceReport> {
        let records = self.server.accounts.devices.all().into_iter();
        records
            .filter(|record| user.is_none_or(|user| record.user == user.as_str()))
            .map(|record| self.report(record))
            .collect()
    }

    fn report(&self, record: Record) -> DeviceReport {
        let state = if record.revoked.is_some() {
            DeviceState::Revoked
        } else if self.server.accounts.is_current(&record) {
            DeviceState::LoggedIn
        } else {
            DeviceState::LoggedOut
        };
        DeviceReport { record, state }
    }

    pub(super) async fn revoke(
        &self,
        beginnings: &[String],
        all_of: Option<&UserName>,
    ) -> Result<Vec<DeviceReport>, String> {
        let mut candidates = self.devices(None);
        candidates.retain(|device| device.state != DeviceState::Revoked);
        let mut meant = Vec::new();
        for beginning in beginnings {
            meant.push(the_only(&candidates, beginning)?);
        }
        if let Some(user) = all_of {
            let own = candidates.iter().map(|device| &device.record);
            meant.extend(own.filter(|record| record.user == user.as_str()));
        }
        let ids: Vec<_> = meant.iter().map(|record| record.id).collect();
        let stored = self.server.accounts.devices.revoke(&ids).await;
        for record in &meant {
            self.end_sync(record).await;
            tracing::info!(
                user = record.user,
                device = %record.id,
                "a device of {} was revoked", record.user
            );
        }
        stored.map_err(|error| error.to_string())?;
        let mut revoked = self.devices(None);
        revoked.retain(|device| ids.contains(&device.record.id));
        Ok(revoked)
    }

    /// Rolls back what a device has under way.
    async fn end_sync(&self, record: &Record) {
        let user = record.user.parse().ok();
        if let Some(vault) = user.and_then(|user| self.server.vaults.in_use(&user))
            && let Err(error) = vault.abort(record.id).await
        {
            tracing::warn!(%error, "the sync of a revoked device could not be ended");
        }
    }
}

fn the_only<'a>(candidates: &'a [DeviceReport], beginning: &str) -> Result<&'a Record, String> {
    if beginning.len() < FEWEST_DIGITS {
        return Err(format!(
            "{beginning:?} is too short for a device: give at least {FEWEST_DIGITS} digits of its id"
        ));
    }
    let beginning = beginning.to_lowercase();
    let mut matching = candidates
        .iter()
        .map(|device| &device.record)
        .filter(|record| record.id.to_string().starts_with(&beginning));
    match (matching.next(), matching.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(format!(
            "more than one device's id begins with {beginning}: give more of its digits"
        )),
        (None, _) => Err(format!(
            "no device is logged in whose id begins with {beginning:?}; `anki-syncd device list` shows them"
        )),
    }
}
