//! anki-syncd: a sync server for Anki flashcards.
