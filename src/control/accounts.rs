//! The operator's requests about users and devices.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{DeviceReport, DeviceState, Operator, UserReport, ask, refusal::Refusal};
use crate::account::{devices::Record, name::UserName};

/// With fewer digits, a typing mistake could name another device.
const FEWEST_DIGITS: usize = 4;

impl Operator {
    pub(super) async fn users(&self) -> Vec<UserReport> {
        let mut by_user: HashMap<String, Vec<DeviceReport>> = HashMap::new();
        for device in self.devices(None).await.unwrap_or_default() {
            let of_user = by_user.entry(device.record.user.clone());
            of_user.or_default().push(device);
        }
        let report = |(name, password): (UserName, String)| {
            let own = by_user.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let logged_in = |device: &&DeviceReport| device.state == DeviceState::LoggedIn;
            let synced = own.iter().map(|device| &device.record);
            let last = synced
                .filter(|record| record.last_sync.is_some())
                .max_by_key(|record| record.last_sync);
            UserReport {
                password,
                devices: Some(own.iter().filter(logged_in).count()),
                last_sync: last.and_then(|record| record.last_sync),
                last_device: last.and_then(|record| record.name.clone()),
                name,
            }
        };
        let users = self.server.accounts.users();
        users.into_iter().map(report).collect()
    }

    pub(super) async fn rename(&self, asked: ask::Rename) -> Result<(), Refusal> {
        let ask::Rename { from, to } = asked;
        if self.server.accounts.standing(&to).is_listed() {
            return Err(Refusal::UserExists(to));
        }
        // Records in memory are dropped when the data move; a failure is logged.
        let _ = self.server.accounts.devices.store().await;
        Ok(self.server.vaults.begin_rename(&from, &to).await?)
    }

    pub(super) async fn remove_data(&self, user: UserName) -> Result<(), Refusal> {
        if self.server.accounts.standing(&user).is_listed() {
            return Err(Refusal::StillListed(user));
        }
        let removed = self.server.vaults.remove(&user).await;
        self.server.accounts.devices.forget(&user);
        removed?;
        tracing::info!("the data of the removed user {user} have been deleted");
        Ok(())
    }

    pub(super) async fn devices(
        &self,
        user: Option<&UserName>,
    ) -> Result<Vec<DeviceReport>, Refusal> {
        let records = self.server.accounts.devices.list(user).await?;
        Ok(records
            .into_iter()
            .map(|record| self.report(record))
            .collect())
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

    pub(super) async fn revoke(&self, asked: ask::Revoke) -> Result<Vec<DeviceReport>, Refusal> {
        let mut candidates = match &asked.all_of {
            Some(user) if asked.devices.is_empty() => self.devices(Some(user)).await?,
            _ => self.devices(None).await?,
        };
        candidates.retain(|device| device.state != DeviceState::Revoked);
        let mut meant = Vec::new();
        for beginning in &asked.devices {
            meant.push(the_only(&candidates, beginning)?);
        }
        if let Some(user) = &asked.all_of {
            let own = candidates.iter().map(|device| &device.record);
            let own: Vec<_> = own.filter(|record| record.user == user.as_str()).collect();
            // Otherwise, after a mistyped name, the operator would believe that a lost phone is
            // logged out.
            if own.is_empty() && !self.server.accounts.standing(user).is_listed() {
                return Err(Refusal::NoUser(user.clone()));
            }
            meant.extend(own);
        }
        let users = meant
            .iter()
            .filter_map(|record| Some((record.user.parse().ok()?, record.id)));
        let stored = self
            .server
            .accounts
            .devices
            .revoke(&users.collect::<Vec<_>>())
            .await;
        for record in &meant {
            self.end_sync(record);
            tracing::info!(
                user = record.user,
                device = %record.id,
                "a device of {} was revoked", record.user
            );
        }
        stored?;
        let revoked = meant.into_iter().map(|record| DeviceReport {
            record: record.clone(),
            state: DeviceState::Revoked,
        });
        Ok(revoked.collect())
    }

    pub(super) async fn name_device(
        &self,
        asked: ask::NameDevice,
    ) -> Result<DeviceReport, Refusal> {
        let ask::NameDevice { device, name } = asked;
        let mut candidates = self.devices(None).await?;
        candidates.retain(|device| device.state != DeviceState::Revoked);
        let mut record = the_only(&candidates, &device)?.clone();
        record.name.clone_from(&name);
        let user = record.user.parse();
        let user = user.map_err(|_| Refusal::NotAName(record.user.clone()))?;
        let devices = &self.server.accounts.devices;
        let stored = devices.rename(&user, record.id, name).await;
        tracing::info!(
            user = record.user,
            device = %record.id,
            "a device of {user} was named {:?}", record.name.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        stored.map_err(Refusal::NameNotSaved)?;
        Ok(self.report(record))
    }

    /// Rolls back a device's sync as soon as its present step ends. The command does not wait for
    /// that, since every further step is refused anyway.
    fn end_sync(&self, record: &Record) {
        let user = record.user.parse().ok();
        let Some(vault) = user.and_then(|user| self.server.vaults.in_use(&user)) else {
            return;
        };
        let (device, asked) = (record.id, Instant::now());
        tokio::spawn(async move {
            if let Err(error) = vault.abort(device, asked).await {
                tracing::warn!(%error, "cannot end the sync of a revoked device");
            }
        });
    }
}

/// The device with this name, or whose id begins like this.
fn the_only<'a>(candidates: &'a [DeviceReport], beginning: &str) -> Result<&'a Record, Refusal> {
    let records = || candidates.iter().map(|device| &device.record);
    let is_called = |record: &&Record| record.name.as_ref().is_some_and(|name| name == beginning);
    let mut called = records().filter(is_called);
    match (called.next(), called.next()) {
        (Some(record), None) => return Ok(record),
        (Some(_), Some(_)) => return Err(Refusal::NameShared(beginning.to_owned())),
        (None, _) => {}
    }
    if beginning.len() < FEWEST_DIGITS {
        return Err(Refusal::TooShort {
            beginning: beginning.to_owned(),
            fewest: FEWEST_DIGITS,
        });
    }
    let beginning = beginning.to_lowercase();
    let mut matching = records().filter(|record| record.id.to_string().starts_with(&beginning));
    match (matching.next(), matching.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous(beginning)),
        (None, _) => Err(Refusal::NoDevice(beginning)),
    }
}
