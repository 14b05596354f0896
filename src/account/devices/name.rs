//! The name that a person gives a device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// In characters.
const LONGEST: usize = 60;

/// A device's name: one short line that can be shown anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

/// Why a name cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceNameError {
    /// Nothing but blanks.
    #[error("a device's name must not be empty")]
    Empty,
    /// Too long for the tables that show it.
    #[error("a device's name may have at most {LONGEST} characters")]
    TooLong,
    /// Would garble a terminal or the log.
    #[error("a device's name must not contain control characters or line breaks")]
    Control,
}

impl FromStr for DeviceName {
    type Err = DeviceNameError;

    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        let name = text.trim();
        if name.is_empty() {
            Err(DeviceNameError::Empty)
        } else if name.chars().count() > LONGEST {
            Err(DeviceNameError::TooLong)
        } else if name.chars().any(moves_the_cursor) {
            Err(DeviceNameError::Control)
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

/// Control characters, line and paragraph separators, and marks that change the direction of text.
fn moves_the_cursor(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl PartialEq<str> for DeviceName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl TryFrom<String> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: String) -> Result<Self, DeviceNameError> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        for name in ["Anna's phone", "Ännas Händy 📱", &"ü".repeat(LONGEST)] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!(
            " tablet ".parse::<DeviceName>().unwrap().to_string(),
            "tablet"
        );
        for (name, error) in [
            ("", DeviceNameError::Empty),
            (" \t", DeviceNameError::Empty),
            (&*"x".repeat(LONGEST + 1), DeviceNameError::TooLong),
            ("two\nlines", DeviceNameError::Control),
            ("\u{1b}[2J", DeviceNameError::Control),
            ("back\u{202e}wards", DeviceNameError::Control),
        ] {
            assert_eq!(name.parse::<DeviceName>().unwrap_err(), error, "{name:?}");
        }
    }
}
