//! Host keys: `user . device . MAC`, which need no storage to be verified.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac, digest::Key};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{devices::PasswordMark, name::UserName, password::Credential};

/// The server's 32 random bytes that every host key depends on.
#[derive(Clone)]
pub struct Secret([u8; Secret::BYTES]);

impl Secret {
    /// Its length.
    pub const BYTES: usize = 32;

    /// Takes bytes that came from a file or the system's random source.
    #[must_use]
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// A MAC over parts, each preceded by its length, so that no two lists of parts look alike.
    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC fills a shorter key up with zeros.
        let mut key = Key::<Hmac<Sha256>>::default();
        key[..Self::BYTES].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&key);
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// Stands for a user's stored password without telling anything of it.
    #[must_use]
    pub fn mark(&self, user: &UserName, credential: &Credential) -> PasswordMark {
        let parts = [
            b"password",
            user.as_str().as_bytes(),
            credential.fingerprint_input(),
        ];
        let digest = self.mac(&parts).finalize().into_bytes();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        PasswordMark(i64::from_be_bytes(number))
    }

    /// A number below `below`, always the same for the same name: which of the
    /// users an unknown name is verified as, so that both cost the same.
    #[must_use]
    pub fn pick(&self, name: &str, below: usize) -> usize {
        let digest = self
            .mac(&[b"decoy", name.as_bytes()])
            .finalize()
            .into_bytes();
        let (first, _) = digest.split_at(8);
        let number = first
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(number % below.max(1) as u64).unwrap_or(0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Which device of a user: drawn at login, and part of its host key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeviceId([u8; DeviceId::BYTES]);

impl DeviceId {
    const BYTES: usize = 12;
    /// So many digits of one are shown to people, who can name it by them.
    const SHORT: usize = 8;

    /// The operator, who takes turns like one more device. Others are drawn at random.
    pub const OPERATOR: Self = Self([0; Self::BYTES]);

    /// As it is shown to people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(Self::SHORT).collect()
    }

    /// Draws a new one.
    ///
    /// # Errors
    /// When the system's random source fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl From<[u8; Self::BYTES]> for DeviceId {
    fn from(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

/// In hexadecimal digits, which people can read out and type the beginning of.
impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for DeviceId {
    type Err = hex::FromHexError;

    fn from_str(digits: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(digits, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for DeviceId {
    type Error = hex::FromHexError;

    fn try_from(digits: String) -> Result<Self, Self::Error> {
        digits.parse()
    }
}

impl FromSql for DeviceId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let digits = value.as_str()?;
        digits.parse().map_err(FromSqlError::other)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bearer token of one device of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Whose it says it is.
    pub user: String,
    /// Which device it says it is.
    pub device: DeviceId,
    mac: Vec<u8>,
}

impl HostKey {
    /// Makes the key that [`HostKey::is_genuine`] accepts as long as secret and credential stay.
    #[must_use]
    pub fn issue(
        secret: &Secret,
        user: &UserName,
        device: DeviceId,
        credential: &Credential,
    ) -> Self {
        let mac = Self::expected(secret, user.as_str(), device, credential).finalize();
        Self {
            user: user.as_str().to_owned(),
            device,
            mac: mac.into_bytes().to_vec(),
        }
    }

    /// Reads a key as a client sends it; none when it is not even shaped like one,
    /// as the reference server's keys are not.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('.').map(|part| BASE64.decode(part).ok());
        let (user, device, mac) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            user: String::from_utf8(user).ok()?,
            device: <[u8; DeviceId::BYTES]>::try_from(device).ok()?.into(),
            mac,
        })
    }

    /// Whether this server issued it for this credential; constant in time.
    #[must_use]
    pub fn is_genuine(&self, secret: &Secret, credential: &Credential) -> bool {
        Self::expected(secret, &self.user, self.device, credential)
            .verify_slice(&self.mac)
            .is_ok()
    }

    fn expected(
        secret: &Secret,
        user: &str,
        device: DeviceId,
        credential: &Credential,
    ) -> Hmac<Sha256> {
        secret.mac(&[
            b"host key",
            user.as_bytes(),
            &device.0,
            credential.fingerprint_input(),
        ])
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, device, mac } = self;
        let [user, device, mac] = [user.as_bytes(), &device.0, mac].map(|part| BASE64.encode(part));
        write!(f, "{user}.{device}.{mac}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued() -> (Secret, Credential, HostKey) {
        let secret = Secret::new([7; 32]);
        let credential = Credential::plain("secret").unwrap();
        let device = DeviceId::random().unwrap();
        let key = HostKey::issue(&secret, &"älice".parse().unwrap(), device, &credential);
        (secret, credential, key)
    }

    #[test]
    fn a_key_survives_being_sent_and_names_user_and_device() {
        let (secret, credential, key) = issued();
        let read = HostKey::parse(&key.to_string()).unwrap();
        assert_eq!(read, key);
        assert_eq!(read.user, "älice");
        assert!(read.is_genuine(&secret, &credential));
    }

    #[test]
    fn a_changed_password_secret_user_or_device_invalidates_a_key() {
        let (secret, credential, key) = issued();
        assert!(!key.is_genuine(&secret, &Credential::plain("other").unwrap()));
        assert!(!key.is_genuine(&Secret::new([8; 32]), &credential));
        let other_user = HostKey {
            user: "bob".into(),
            ..key.clone()
        };
        assert!(!other_user.is_genuine(&secret, &credential));
        let other_device = HostKey {
            device: DeviceId([0; 12]),
            ..key.clone()
        };
        assert!(!other_device.is_genuine(&secret, &credential));
        let shorter = HostKey {
            mac: key.mac[..16].to_vec(),
            ..key
        };
        assert!(!shorter.is_genuine(&secret, &credential));
    }

    #[test]
    fn what_is_not_a_key_is_not_read_as_one() {
        for key in [
            "",
            ".",
            "..",
            "b2619aa1529dfdc4248e6edbf3c1b2a2b014cf6d",
            "a.b.c.d",
            "YQ.YQ.YQ",
        ] {
            assert_eq!(HostKey::parse(key), None, "{key}");
        }
    }
}
