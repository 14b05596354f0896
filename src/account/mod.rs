//! Who may sync: the user table, password verification, host keys, devices, throttling.

pub mod changes;
pub mod compare;
pub mod devices;
pub mod hint;
pub mod host_key;
pub mod name;
pub mod password;
pub mod subscriber;
pub mod throttle;
pub mod users_file;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::Semaphore;

use changes::UserChange;
use devices::{Devices, NotRead, PasswordMark, Record};
use hint::Hint;
use host_key::{DeviceId, HostKey, Secret};
use name::{NameError, UserName};
use password::Credential;
use throttle::{Refusal, Throttle};

use crate::vault::renames::Moved;

/// Verifications at a time: each may take 19 MiB and a core.
const VERIFICATIONS: usize = 2;

/// One device of one user, known by its host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Whose.
    pub user: UserName,
    /// Which.
    pub id: DeviceId,
    /// Which password its host key depends on.
    pub password: PasswordMark,
}

/// Why a host key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not issued here, or the password has been changed, or the user has been removed.
    #[error("the host key is not valid (any more); log in again")]
    Invalid,
    /// It was genuine.
    #[error("this device was revoked; log in again")]
    Revoked(Device),
    /// It is genuine, but it may have been revoked.
    #[error(transparent)]
    Unknown(#[from] NotRead),
}

/// Why a login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// An unknown user or a wrong password: nobody is told which, apart from the log.
    #[error("unknown user or wrong password")]
    Wrong(Hint),
    /// Too many attempts on this user from this address are being slowed down already.
    #[error("too many failed logins for this user from this address")]
    Throttled,
    /// Nobody's name, which is no attempt at anybody's password.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The system's random source or a verification thread failed.
    #[error("the login could not be verified: {0}")]
    Failed(String),
}

/// The users, in a table that is replaced whole.
struct Table {
    users: HashMap<UserName, Credential>,
    /// In a fixed order, for [`Secret::pick`].
    order: Vec<UserName>,
}

impl Table {
    fn new(users: HashMap<UserName, Credential>) -> Arc<Self> {
        let mut order: Vec<_> = users.keys().cloned().collect();
        order.sort();
        Arc::new(Self { users, order })
    }
}

/// Who may sync, and what is needed to verify them.
pub struct Accounts {
    table: RwLock<Arc<Table>>,
    secret: Secret,
    verifications: Semaphore,
    throttle: Throttle,
    /// What is remembered of their devices.
    pub devices: Devices,
}

impl Accounts {
    /// The users of the settings, with the secret that their host keys depend on.
    #[must_use]
    pub fn new(users: HashMap<UserName, Credential>, secret: Secret, devices: Devices) -> Self {
        Self {
            devices,
            table: RwLock::new(Table::new(users)),
            secret,
            verifications: Semaphore::new(VERIFICATIONS),
            throttle: Throttle::default(),
        }
    }

    /// Puts other users in place of the present ones, and answers what has changed. Devices of those whose password stays the same stay logged in.
    pub fn replace(
        &self,
        users: HashMap<UserName, Credential>,
        renamed: &[Moved],
    ) -> Vec<UserChange> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let changes = changes::between(&table.users, &users, renamed);
        *table = Table::new(users);
        changes
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn contains(&self, user: &UserName) -> bool {
        self.table().users.contains_key(user)
    }

    /// Everybody in the order of their names, with the kind of password.
    #[must_use]
    pub fn users(&self) -> Vec<(UserName, String)> {
        let table = self.table();
        let kind = |user| table.users.get(user).map_or("", Credential::kind);
        let users = table.order.iter();
        users
            .map(|user| (user.clone(), kind(user).to_owned()))
            .collect()
    }

    /// Whether a device's host key works, as far as the password goes.
    #[must_use]
    pub fn is_current(&self, record: &Record) -> bool {
        let table = self.table();
        let user = record.user.parse().ok();
        user.and_then(|user| Some((table.users.get(&user)?, user)))
            .is_some_and(|(credential, user)| {
                self.secret.mark(&user, credential) == record.password
            })
    }

    /// How many users there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().order.len()
    }

    /// Verifies a password and makes the host key of a new device.
    ///
    /// # Errors
    /// [`LoginError`]. An unknown name costs what verifying one of the users costs, unless
    /// nobody can have it.
    pub async fn login(
        &self,
        name: &str,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<(Device, HostKey), LoginError> {
        let user: UserName = name.parse()?;
        let wrong = || LoginError::Wrong(self.hint(&user, &password));
        let (compared_with, credential) = self.compared_with(&user).ok_or_else(wrong)?;
        // With the same name, password and credential the outcome is the same.
        let attempt = (self.secret.mark(&compared_with, &credential).0, &password);
        let turn = self
            .throttle
            .attempt(address, name, attempt)
            .await
            .map_err(|refusal| match refusal {
                Refusal::KnownToBeWrong => wrong(),
                Refusal::TurnedAway => LoginError::Throttled,
            })?;
        // They may have changed meanwhile.
        let (compared_with, credential) = self.compared_with(&user).ok_or_else(wrong)?;
        let hint = self.hint(&user, &password);
        let matches = self.verify(credential.clone(), password).await?;
        if matches && compared_with == user {
            turn.succeeded();
            let id = DeviceId::random().map_err(|error| LoginError::Failed(error.to_string()))?;
            let key = HostKey::issue(&self.secret, &user, id, &credential);
            let password = self.secret.mark(&user, &credential);
            let prepared = self.devices.prepare(&user).await;
            prepared.map_err(|error| LoginError::Failed(error.to_string()))?;
            Ok((Device { user, id, password }, key))
        } else {
            turn.failed();
            Err(LoginError::Wrong(hint))
        }
    }

    /// The credential that a user's password is compared with: an unknown user's with anybody's.
    fn compared_with(&self, user: &UserName) -> Option<(UserName, Credential)> {
        let table = self.table();
        let decoy = || {
            let number = self.secret.pick(user.as_str(), table.order.len());
            table.users.get_key_value(table.order.get(number)?)
        };
        let (name, credential) = table.users.get_key_value(user).or_else(decoy)?;
        Some((name.clone(), credential.clone()))
    }

    fn hint(&self, name: &UserName, password: &str) -> Hint {
        let table = self.table();
        Hint::of(name, password, table.order.iter(), table.users.get(name))
    }

    /// The device that a host key belongs to.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn authenticate(&self, key: &str) -> Result<Device, KeyError> {
        let device = self.genuine(key).ok_or(KeyError::Invalid)?;
        if self.devices.is_revoked(&device).await? {
            Err(KeyError::Revoked(device))
        } else {
            Ok(device)
        }
    }

    fn genuine(&self, key: &str) -> Option<Device> {
        let key = HostKey::parse(key)?;
        let user = key.user.parse().ok()?;
        let table = self.table();
        let credential = table.users.get(&user)?;
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
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let users = [("alice", "a-secret"), ("bob", "b-secret")]
            .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()));
        Accounts::new(users.into(), Secret::new([1; 32]), Devices::in_memory())
    }

    #[tokio::test]
    async fn a_login_gives_a_key_that_names_the_device() {
        let accounts = accounts();
        let (device, key) = accounts
            .login("alice", "a-secret".into(), None)
            .await
            .unwrap();
        assert_eq!(
            accounts.authenticate(&key.to_string()).await.unwrap(),
            device
        );
        let (second, _) = accounts
            .login("alice", "a-secret".into(), None)
            .await
            .unwrap();
        assert_ne!(second.id, device.id);
    }

    #[tokio::test]
    async fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
        let accounts = accounts();
        // Whichever user "carol" is verified as, knowing that one's password does not let her in.
        for (user, password) in [
            ("alice", "b-secret"),
            ("carol", "a-secret"),
            ("carol", "b-secret"),
        ] {
            let refused = accounts.login(user, password.into(), None).await;
            assert!(matches!(refused, Err(LoginError::Wrong(_))), "{user}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_can_have_is_refused_at_once_however_often() {
        let accounts = accounts();
        let before = tokio::time::Instant::now();
        for name in ["", ".check"].repeat(20) {
            let refused = accounts.login(name, "a-secret".into(), None).await;
            assert!(matches!(refused, Err(LoginError::Name(_))), "{name}");
        }
        assert_eq!(before.elapsed(), std::time::Duration::ZERO);
    }

    #[tokio::test]
    async fn replaced_users_log_out_only_those_who_are_gone_or_changed() {
        let accounts = accounts();
        let (alice, alices_key) = accounts
            .login("alice", "a-secret".into(), None)
            .await
            .unwrap();
        let (_, bobs_key) = accounts
            .login("bob", "b-secret".into(), None)
            .await
            .unwrap();
        let users = [("alice", "a-secret"), ("bob", "new"), ("carol", "c")]
            .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()));
        accounts.replace(users.into(), &[]);
        assert_eq!(
            accounts
                .authenticate(&alices_key.to_string())
                .await
                .unwrap(),
            alice
        );
        let bobs = accounts.authenticate(&bobs_key.to_string()).await;
        assert!(matches!(bobs, Err(KeyError::Invalid)));
        assert!(accounts.login("carol", "c".into(), None).await.is_ok());
        accounts.replace(HashMap::new(), &[]);
        assert!(
            accounts
                .authenticate(&alices_key.to_string())
                .await
                .is_err()
        );
        assert!(matches!(
            accounts.login("carol", "c".into(), None).await,
            Err(LoginError::Wrong(_))
        ));
    }
}
