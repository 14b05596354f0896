//! Who may sync: the user table, password verification, host keys, throttling.

pub mod host_key;
pub mod name;
pub mod password;
pub mod throttle;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use tokio::sync::Semaphore;

use host_key::{DeviceId, HostKey, Secret};
use name::UserName;
use password::Credential;
use throttle::{Origin, Throttle};

/// Verifications at a time: each may take 19 MiB and a core.
const VERIFICATIONS: usize = 2;

/// One device of one user, known by its host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Whose.
    pub user: UserName,
    /// Which.
    pub id: DeviceId,
}

/// Why a login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// An unknown user or a wrong password: nobody is told which.
    #[error("unknown user or wrong password")]
    Wrong,
    /// Too many attempts on this user from this address are being slowed down already.
    #[error("too many failed logins for this user from this address")]
    Throttled,
    /// The system's random source or a verification thread failed.
    #[error("the login could not be verified: {0}")]
    Failed(String),
}

/// The users, and what is needed to verify them.
pub struct Accounts {
    users: Arc<HashMap<UserName, Credential>>,
    /// The users in a fixed order, for [`Secret::pick`].
    order: Vec<UserName>,
    secret: Secret,
    verifications: Arc<Semaphore>,
    throttle: Throttle,
}

impl Accounts {
    /// The users of the settings, with the secret that their host keys depend on.
    #[must_use]
    pub fn new(users: HashMap<UserName, Credential>, secret: Secret) -> Self {
        let mut order: Vec<_> = users.keys().cloned().collect();
        order.sort();
        Self {
            users: Arc::new(users),
            order,
            secret,
            verifications: Arc::new(Semaphore::new(VERIFICATIONS)),
            throttle: Throttle::default(),
        }
    }

    /// Verifies a password and makes the host key of a new device.
    ///
    /// # Errors
    /// [`LoginError`]. An unknown name costs what verifying one of the users costs.
    pub async fn login(
        &self,
        name: &str,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<(Device, HostKey), LoginError> {
        let origin = Origin {
            address,
            user: name.to_owned(),
        };
        let _turn = self
            .throttle
            .wait(&origin)
            .await
            .ok_or(LoginError::Throttled)?;
        let user = name
            .parse()
            .ok()
            .filter(|name| self.users.contains_key(name));
        let compared_with = match &user {
            Some(user) => user,
            None => self
                .order
                .get(self.secret.pick(name, self.order.len()))
                .ok_or(LoginError::Wrong)?,
        };
        let matches = self.verify(compared_with.clone(), password).await?;
        match user.filter(|_| matches) {
            Some(user) => {
                self.throttle.succeeded(&origin);
                self.issue(user)
            }
            None => {
                self.throttle.failed(origin);
                Err(LoginError::Wrong)
            }
        }
    }

    /// The device that a host key belongs to; none for one that is not valid (any more).
    #[must_use]
    pub fn authenticate(&self, key: &str) -> Option<Device> {
        let key = HostKey::parse(key)?;
        let user = key.user.parse().ok()?;
        let credential = self.users.get(&user)?;
        key.is_genuine(&self.secret, credential).then_some(Device {
            user,
            id: key.device,
        })
    }

    async fn verify(&self, user: UserName, password: String) -> Result<bool, LoginError> {
        let failed = |error: &dyn std::fmt::Display| LoginError::Failed(error.to_string());
        let _slot = self
            .verifications
            .acquire()
            .await
            .map_err(|error| failed(&error))?;
        let users = Arc::clone(&self.users);
        tokio::task::spawn_blocking(move || {
            users
                .get(&user)
                .is_some_and(|credential| credential.matches(&password))
        })
        .await
        .map_err(|error| failed(&error))
    }

    fn issue(&self, user: UserName) -> Result<(Device, HostKey), LoginError> {
        let id = DeviceId::random().map_err(|error| LoginError::Failed(error.to_string()))?;
        let credential = self.users.get(&user).ok_or(LoginError::Wrong)?;
        let key = HostKey::issue(&self.secret, &user, id, credential);
        Ok((Device { user, id }, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let users = [("alice", "a-secret"), ("bob", "b-secret")]
            .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()));
        Accounts::new(users.into(), Secret::new([1; 32]))
    }

    #[tokio::test]
    async fn a_login_gives_a_key_that_names_the_device() {
        let accounts = accounts();
        let (device, key) = accounts
            .login("alice", "a-secret".into(), None)
            .await
            .unwrap();
        assert_eq!(
            accounts.authenticate(&key.to_string()),
            Some(device.clone())
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
            ("", ""),
        ] {
            let refused = accounts.login(user, password.into(), None).await;
            assert!(matches!(refused, Err(LoginError::Wrong)), "{user}");
        }
    }

    #[tokio::test]
    async fn a_key_of_a_removed_user_is_refused() {
        let (_, key) = accounts()
            .login("alice", "a-secret".into(), None)
            .await
            .unwrap();
        let others = Accounts::new(
            [("bob".parse().unwrap(), Credential::plain("x").unwrap())].into(),
            Secret::new([1; 32]),
        );
        assert_eq!(others.authenticate(&key.to_string()), None);
    }
}
