/// Why a collection could not be read or changed.
///
/// Each of these ends the sync that met it. The texts name rows by table and id and never quote what a person wrote.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused a statement, or a column holds another type than it should.
    #[error("database: {0}")]
    Sql(#[from] rusqlite::Error),
}
