//! The sync methods, each a function over a vault.

pub mod full;
pub mod media;
pub mod meta;
pub mod normal;

use crate::{vault, wire::header::VERSIONS};

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client is too old, or newer than this server knows.
    #[error("sync version {0} is not one of {first} to {last}", first = VERSIONS.start(), last = VERSIONS.end())]
    Version(u8),
    /// Without a session key, a normal sync cannot be distinguished from others.
    #[error("the session key is empty")]
    NoSessionKey,
    /// The user's data could not be used.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}
