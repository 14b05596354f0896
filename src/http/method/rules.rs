//! The properties of a method.

use crate::http::deed::Step;

pub const KIB: u64 = 1024;
/// Room for a few numbers and for padding in empty requests; or for 25 names of 255 bytes, even if
/// each byte is written as \u0000.
pub const SMALL: u64 = 64 * KIB;
/// Some clients send all deletions ever made at once: two million ids.
pub const IDS: u64 = 32 * 1024 * KIB;
/// Only limited by the settings.
pub const ANY: u64 = u64::MAX;

/// The properties of a method.
pub struct Rules {
    pub name: &'static str,
    /// The most bytes of its decoded body, besides the limit in the settings.
    pub largest_body: u64,
    /// Its role in a sync.
    pub step: Step,
    /// Whether it is the first of its operation to store data, so that the disk space must be
    /// checked before its body is stored. `start`, whose body is small, checks it by itself.
    pub begins_storing: bool,
}

impl Rules {
    pub fn new(name: &'static str, largest_body: u64, step: Step) -> Self {
        Self {
            name,
            largest_body,
            step,
            begins_storing: false,
        }
    }

    pub fn storing(self) -> Self {
        Self {
            begins_storing: true,
            ..self
        }
    }
}
