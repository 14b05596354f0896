//! The protocol's messages as plain types.
//!
//! This module does no I/O and knows no database, so all of it can be tested with strangers' bytes.

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
