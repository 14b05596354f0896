//! The protocol's messages as plain types.
//!
//! Nothing here does I/O or knows of a database, so that all of it can be fed with bytes of strangers.

pub mod card;
pub mod changes;
pub mod chunk;
pub mod deck;
pub mod deck_config;
pub mod graves;
pub mod header;
mod json;
mod known;
pub mod login;
mod malformed;
pub mod media;
pub mod meta;
pub mod note;
pub mod notetype;
pub mod revlog;
pub mod sanity;
pub mod start;
pub mod stream;
pub(crate) mod tolerant;
mod tuple;
mod usn;

pub(crate) use json::{Json, Unknown};
pub use malformed::{Malformed, parse};
pub use usn::Usn;
