//! The protocol's messages as plain types.
//!
//! Nothing here does I/O or knows of a database, so that all of it can be fed with bytes of strangers.

pub mod header;
pub mod login;
pub mod media;
pub mod meta;
