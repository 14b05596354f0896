//! One user's `collection.anki2`, schema 18, over a [`rusqlite::Connection`].
//!
//! Everything here expects the collation [`unicase`] on the connection. Apart from [`create`], nothing opens or
//! commits a transaction: that is the caller's, who keeps one open from the start of a sync to its end.

mod create;
mod error;
pub mod open;
mod proto;
pub mod schema;
mod stock;
#[cfg(test)]
mod testing;
pub mod unicase;

pub use create::create;
pub use error::Error;

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, Error>;
