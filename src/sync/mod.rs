//! The sync methods, each a function over a vault.

pub mod full;
pub mod media;
pub mod meta;
pub mod normal;

use crate::{vault, wire::header::VERSIONS};

/// Why a method could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client that is too old, or newer than we know.
    #[error("sync version {0} is not one of {first} to {last}", first = VERSIONS.start(), last = VERSIONS.end())]
    Version(u8),
    /// A normal sync cannot be told from others without one.
    #[error("the session key is empty")]
    NoSessionKey,
    /// The user's data.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}
