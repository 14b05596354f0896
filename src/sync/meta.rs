//! `meta`: how things stand, from which the client decides how to sync.

use super::Error;
use crate::{
    clock,
    vault::Vault,
    wire::{
        header::VERSIONS,
        meta::{Meta, MetaRequest},
    },
};

/// Answers `meta`.
///
/// A collection that has outgrown the upload limit is reported as it is. The reference
/// server then forces a one-way sync, whose upload it refuses: there is no way out.
///
/// # Errors
/// [`Error`].
pub async fn meta(vault: &Vault, request: &MetaRequest) -> Result<Meta, Error> {
    if !VERSIONS.contains(&request.version) {
        return Err(Error::Version(request.version));
    }
    let media_usn = vault.media(|media| media.last_usn()).await?;
    let stamps = vault
        .collection(|collection| Ok(collection.stamps()?))
        .await?;
    Ok(Meta {
        modified: stamps.modified,
        schema_changed: stamps.schema_changed,
        usn: stamps.usn,
        server_time: clock::now_secs(),
        message: String::new(),
        proceed: true,
        host_number: 0,
        empty: stamps.empty,
        media_usn,
    })
}
