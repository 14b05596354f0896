use std::fmt::Display;

use crate::{sqlite::is_environment, wire::stream::Unreadable, work::Interrupted};

/// Why a collection could not be read or changed.
///
/// Each error ends its sync. The texts name rows by table and id. They never quote a person's text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused a statement.
    #[error("database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A row has a value that no client writes, so it cannot be sent.
    #[error("row {id} of {table} cannot be read: {reason}")]
    Undecodable {
        /// Where the row is.
        table: &'static str,
        /// Its primary key.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An object has the id 0, which means "none" to clients.
    #[error("a {0} has the id 0")]
    ZeroId(&'static str),
    /// A note was sent without its notetype.
    #[error("note {note} needs notetype {notetype}, which does not exist")]
    MissingNotetype {
        /// The note's id.
        note: i64,
        /// The id of the notetype that it names.
        notetype: i64,
    },
    /// A note does not fit its notetype.
    #[error("note {note} has {found} fields, but its notetype {notetype} has {expected}")]
    FieldCount {
        /// The note's id.
        note: i64,
        /// Its notetype's id.
        notetype: i64,
        /// How many fields the note has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Fields or templates were added or removed, which only a full sync can carry to other devices.
    #[error(
        "the number of fields or templates of notetype {0} has changed, which needs a full sync"
    )]
    NotetypeShape(i64),
    /// JSON in a collection of an old schema is invalid.
    #[error("col.{column} cannot be read: {reason}")]
    Legacy {
        /// The column of the table `col`.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The work was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// What a client sent cannot be read.
    #[error(transparent)]
    Request(#[from] Unreadable),
    /// The answer to the client could not be written.
    #[error("the reply cannot be written: {0}")]
    Reply(#[from] std::io::Error),
    /// The file has a schema that this server cannot upgrade.
    #[error("schema version {0} is not supported")]
    Version(i64),
}

impl Error {
    /// Whether the disk, the memory, a lock or an interruption is the cause, and neither request
    /// nor collection.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Sql(error) => is_environment(error),
            Self::Interrupted(_) | Self::Request(Unreadable::Io(_)) | Self::Reply(_) => true,
            _ => false,
        }
    }
}

/// Adds the failing row to an error.
pub(super) trait InRow<T> {
    /// Turns an error into [`Error::Undecodable`].
    fn in_row(self, table: &'static str, id: impl Display) -> Result<T, Error>;
}

impl<T, E: Display> InRow<T> for Result<T, E> {
    fn in_row(self, table: &'static str, id: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error::Undecodable {
            table,
            id: id.to_string(),
            reason: error.to_string(),
        })
    }
}
