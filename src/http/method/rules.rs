//! What holds of a method, whoever asks it.

use crate::http::deed::Step;

pub const KIB: u64 = 1024;
/// A few numbers, and whatever an empty request is padded with; or 25 names of 255 bytes, each of
/// which may be written as \u0000.
pub const SMALL: u64 = 64 * KIB;
/// Some clients send everything that was ever deleted at once: two million ids.
pub const IDS: u64 = 32 * 1024 * KIB;
/// As much as the settings allow.
pub const ANY: u64 = u64::MAX;

/// What holds of a method, whoever asks it.
pub struct Rules {
    pub name: &'static str,
    /// Bytes of its body once decoded, apart from the limit in the settings.
    pub largest_body: u64,
    /// What it is in a sync.
    pub step: Step,
    /// Whether something may be stored that nothing before it has made room for.
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
