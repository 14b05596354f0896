//! A device and its identifier.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{name::UserName, secret::PasswordMark};

/// One device of one user, known by its host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The user that the device belongs to.
    pub user: UserName,
    /// The device among this user's devices.
    pub id: DeviceId,
    /// Identifies the password that the host key depends on.
    pub password: PasswordMark,
}

/// Identifies a device among those of its user. It is generated at login and is part of the host
/// key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeviceId(pub(super) [u8; DeviceId::BYTES]);

impl DeviceId {
    pub(super) const BYTES: usize = 12;
    /// How many digits lists and the log show. Operators can name a device by them.
    const SHORT: usize = 8;

    /// The operator, who takes turns like another device. All other ids are random.
    pub const OPERATOR: Self = Self([0; Self::BYTES]);

    /// The short form for lists and the log.
    pub fn short(&self) -> String {
        self.to_string().chars().take(Self::SHORT).collect()
    }

    /// Generates a new id.
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

/// In hexadecimal digits; operators can type the first few of them.
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

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
