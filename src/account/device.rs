//! A device, and what it is known by.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{name::UserName, secret::PasswordMark};

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

/// Which device of a user: drawn at login, and part of its host key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeviceId(pub(super) [u8; DeviceId::BYTES]);

impl DeviceId {
    pub(super) const BYTES: usize = 12;
    /// So many digits of one are shown to people, who can name it by them.
    const SHORT: usize = 8;

    /// The operator, who takes turns like one more device. Others are drawn at random.
    pub const OPERATOR: Self = Self([0; Self::BYTES]);

    /// As it is shown to people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(Self::SHORT).collect()
    }

    /// Draws a new one.
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

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
