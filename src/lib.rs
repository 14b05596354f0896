//! anki-syncd: a sync server for Anki flashcards.

/// One user's `collection.anki2`: its rows, and how a sync reads and merges them.
pub mod collection;
/// The protocol's messages as plain types: they parse and write JSON and do no I/O.
pub mod wire;
