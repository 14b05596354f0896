//! Who may sync: the user table, password verification, host keys, devices, throttling.

pub mod changes;
pub mod compare;
mod device;
pub mod devices;
pub mod hint;
pub mod host_key;
pub mod name;
pub mod password;
mod secret;
pub mod subscriber;
mod table;
pub mod throttle;
pub mod users;
pub mod users_file;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::Semaphore;

use changes::{Moved, UserChange};
use devices::{Devices, NotRead, Record};
use hint::Hint;
use host_key::HostKey;
use name::{NameError, UserName};
use password::Credential;
use table::Table;
use throttle::{Refusal, Throttle};
use users::{Standing, Users};

pub use device::{Device, DeviceId};
pub use secret::{PasswordMark, Secret};

/// How many passwords are verified at a time: each may take 19 MiB and a core.
const VERIFICATIONS: usize = 2;

/// Why a host key is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not issued by this server, or the password was changed, or the user removed.
    #[error("the host key is not valid (the password may have been changed); log in again")]
    Invalid,
    /// The key was genuine, but its device was revoked.
    #[error("this device was revoked; log in again")]
    Revoked(Device),
    /// The key is genuine, but the device may have been revoked.
    #[error(transparent)]
    Unknown(#[from] NotRead),
    /// The key belongs to a user whose entry in the list of users has a mistake.
    #[error(
        "the entry of {0} in the list of users has a mistake; `anki-syncd check` names the line"
    )]
    KeptOut(UserName),
}

/// Why a login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// An unknown user or a wrong password. Only the log says which.
    #[error("unknown user or wrong password")]
    Wrong(Hint),
    /// The user's entry in the list of users has a mistake. Only the log says so.
    #[error(
        "the entry of this user in the list of users has a mistake; `anki-syncd check` names the line"
    )]
    KeptOut,
    /// Too many attempts on this user from this address are waiting already.
    #[error("too many failed logins for this user from this address")]
    Throttled,
    /// No user can have this name, so it is no attempt at a user's password.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The system's random source or a verification thread failed.
    #[error("the login could not be verified: {0}")]
    Failed(String),
}

/// A login before it is verified.
struct Claim {
    /// The user of that name; none if there is no such user.
    user: Option<UserName>,
    /// The user whose credential is compared. For an unknown name it is some other user's, so that
    /// the login costs the same.
    compared_with: UserName,
    /// What the password is compared with.
    credential: Credential,
}

/// The users, and what is needed to verify them.
pub struct Accounts {
    table: RwLock<Arc<Table>>,
    secret: Secret,
    verifications: Semaphore,
    throttle: Throttle,
    /// Their devices.
    pub devices: Devices,
}

impl Accounts {
    /// The users of the settings, with the secret that host keys depend on.
    pub fn new(users: impl Into<Users>, secret: Secret, devices: Devices) -> Self {
        Self {
            devices,
            table: RwLock::new(Table::new(users.into())),
            secret,
            verifications: Semaphore::new(VERIFICATIONS),
            throttle: Throttle::default(),
        }
    }

    /// Replaces the users, and returns what has changed. Devices of users whose password stays the
    /// same stay logged in.
    pub fn replace(&self, users: impl Into<Users>, renamed: &[Moved]) -> Vec<UserChange> {
        let users = users.into();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let changes = changes::between(&table.users, &users, renamed);
        *table = Table::new(users);
        changes
    }

    /// Whether there is such a user.
    pub fn contains(&self, user: &UserName) -> bool {
        self.standing(user) == Standing::Able
    }

    /// What the lists of users say of this name.
    pub fn standing(&self, user: &UserName) -> Standing {
        self.table().users.standing(user)
    }

    /// How many entries of the lists have a mistake.
    pub fn kept_out(&self) -> usize {
        self.table().users.kept_out()
    }

    /// All users sorted by name, with the kind of password; also those whose entry has a mistake.
    pub fn users(&self) -> Vec<(UserName, String)> {
        let table = self.table();
        let mut users: Vec<_> = table.users.named().collect();
        users.sort_unstable();
        users.dedup();
        let kind = |user| table.users.kind(user).to_owned();
        let users = users.into_iter();
        users.map(|user| (user.clone(), kind(user))).collect()
    }

    /// Whether a device's host key still fits its user's password.
    pub fn is_current(&self, record: &Record) -> bool {
        let table = self.table();
        let user = record.user.parse().ok();
        user.and_then(|user| Some((table.users.able.get(&user)?, user)))
            .is_some_and(|(credential, user)| {
                self.secret.has_made(record.password, &user, credential)
            })
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.table().order.len()
    }

    /// Verifies a password and makes the host key of a new device.
    ///
    /// # Errors
    /// [`LoginError`]. An unknown name costs as much as verifying a user, unless no user can have
    /// that name.
    pub async fn login(
        &self,
        name: &str,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<(Device, HostKey), LoginError> {
        let typed: UserName = name.parse()?;
        let refused = || self.refusal(&typed, &password);
        let claim = self.claim(&typed).ok_or_else(refused)?;
        // With the same name, password and credential the result is the same.
        let mark = self.secret.mark(&claim.compared_with, &claim.credential);
        let attempt = (mark.0, &password);
        // By the user and not by the spelling: otherwise each spelling would get its own attempts.
        let turn = self
            .throttle
            .attempt(address, &typed.caseless(), attempt)
            .await
            .map_err(|refusal| match refusal {
                Refusal::KnownToBeWrong => refused(),
                Refusal::TurnedAway => LoginError::Throttled,
            })?;
        // The users may have changed while this waited.
        let Claim {
            user, credential, ..
        } = self.claim(&typed).ok_or_else(refused)?;
        let refusal = refused();
        let matches = self.verify(credential.clone(), password).await?;
        if let Some(user) = user.filter(|_| matches) {
            turn.succeeded();
            let id = DeviceId::random().map_err(|error| LoginError::Failed(error.to_string()))?;
            let key = HostKey::issue(&self.secret, &user, id, &credential);
            let password = self.secret.mark(&user, &credential);
            let prepared = self.devices.prepare(&user).await;
            prepared.map_err(|error| LoginError::Failed(error.to_string()))?;
            Ok((Device { user, id, password }, key))
        } else {
            turn.failed();
            Err(refusal)
        }
    }

    fn claim(&self, typed: &UserName) -> Option<Claim> {
        let table = self.table();
        let user = table.meant_by(typed);
        let decoy = || {
            let number = self.secret.pick(&typed.caseless(), table.order.len());
            table.order.get(number)
        };
        let compared_with = user.or_else(decoy)?;
        let (compared_with, credential) = table.users.able.get_key_value(compared_with)?;
        Some(Claim {
            user: user.cloned(),
            compared_with: compared_with.clone(),
            credential: credential.clone(),
        })
    }

    fn refusal(&self, typed: &UserName, password: &str) -> LoginError {
        let table = self.table();
        if table.users.standing(typed) == Standing::KeptOut {
            return LoginError::KeptOut;
        }
        let stored = table.meant_by(typed);
        let stored = stored.and_then(|user| table.users.able.get(user));
        LoginError::Wrong(Hint::of(typed, password, table.order.iter(), stored))
    }

    /// The device that a host key belongs to.
    pub async fn authenticate(&self, key: &str) -> Result<Device, KeyError> {
        let Some(device) = self.genuine(key) else {
            return Err(self.ingenuine(key).await);
        };
        if self.devices.is_revoked(&device).await? {
            Err(KeyError::Revoked(device))
        } else {
            Ok(device)
        }
    }

    /// Clients forget a key that is answered as invalid. A user whose entry has a mistake would
    /// have to log in on every device once the entry is corrected. So the device's id is enough
    /// here: the key cannot be verified, but nobody else knows the id.
    async fn ingenuine(&self, key: &str) -> KeyError {
        let named = HostKey::parse(key).and_then(|key| Some((key.user.parse().ok()?, key.device)));
        match named {
            Some((user, device))
                if matches!(self.standing(&user), Standing::KeptOut | Standing::Unclear)
                    && self.devices.is_listed(&user, device).await =>
            {
                KeyError::KeptOut(user)
            }
            _ => KeyError::Invalid,
        }
    }

    fn genuine(&self, key: &str) -> Option<Device> {
        let key = HostKey::parse(key)?;
        let user = key.user.parse().ok()?;
        let table = self.table();
        let credential = table.users.able.get(&user)?;
        if !key.is_genuine(&self.secret, credential) {
            return None;
        }
        let password = self.secret.mark(&user, credential);
        Some(Device {
            user,
            id: key.device,
            password,
        })
    }

    async fn verify(&self, credential: Credential, password: String) -> Result<bool, LoginError> {
        let failed = |error: &dyn std::fmt::Display| LoginError::Failed(error.to_string());
        let _slot = self
            .verifications
            .acquire()
            .await
            .map_err(|error| failed(&error))?;
        tokio::task::spawn_blocking(move || credential.matches(&password))
            .await
            .map_err(|error| failed(&error))
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
