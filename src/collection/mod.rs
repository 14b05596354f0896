//! One user's `collection.anki2`, schema 18, over a [`rusqlite::Connection`].
//!
//! Each connection needs the collation of `unicase::register`. `create`, `upgrade` and `downgrade` are one transaction
//! each. Nothing else here opens or commits one: the caller keeps one open from the start of a sync to its end.

pub mod card;
pub mod card_data;
pub mod changes;
pub mod chunk;
pub mod config;
mod create;
pub mod deck;
pub mod deck_config;
mod deck_name;
pub mod distrust;
mod downgrade;
mod error;
pub mod examine;
pub mod file;
pub mod grave;
mod legacy;
pub mod note;
pub mod notetype;
pub mod open;
mod other;
mod pending;
mod proto;
pub mod revlog;
pub mod sanity;
pub mod schema;
pub mod screen;
mod stock;
pub mod strip;
pub mod tag;
#[cfg(test)]
mod testing;
pub mod timing;
pub mod unicase;
mod upgrade;
pub mod upload;

pub use create::create;
pub use downgrade::downgrade;
pub use error::Error;
pub use upgrade::{is_upgradable, upgrade};

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, Error>;
