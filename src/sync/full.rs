//! `upload` and `download`: the collection as one file.

use std::sync::Arc;

use tempfile::NamedTempFile;

use super::Error;
use crate::{
    account::DeviceId,
    collection::upload::{CheckError, Refusal},
    vault::{self, Vault, download::Download, room::Room},
};

/// What an upload is answered when it was taken; anything else is shown to the person.
pub const OK: &str = "OK";

/// What a client can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// 18, since sync version 11.
    Current,
    /// 11, before.
    Old,
}

/// Replaces the collection, whose modification stamp it answers, or says in a sentence why not.
///
/// # Errors
/// [`Error`] for failures of ours; what is wrong with the file is an answer.
pub async fn upload(
    vault: &Arc<Vault>,
    device: DeviceId,
    file: NamedTempFile,
    room: Room,
) -> Result<Result<i64, Refusal>, Error> {
    if let Some(quota) = room.quota {
        let size = file.as_file().metadata().map_err(vault::Error::from)?.len();
        let media = vault.media(|media| media.bytes()).await?;
        if size.saturating_add(media) > quota {
            return Ok(Err(Refusal::OverQuota { size, media, quota }));
        }
    }
    match vault.replace_collection(device, file).await {
        Ok(modified) => Ok(Ok(modified)),
        Err(vault::Error::Upload(CheckError::Refused(refusal))) => Ok(Err(refusal)),
        Err(error) => Err(error.into()),
    }
}

/// The collection as a file, in the schema that the client reads.
///
/// # Errors
/// [`Error`].
pub async fn download(
    vault: &Arc<Vault>,
    device: DeviceId,
    schema: Schema,
) -> Result<Download, Error> {
    Ok(match schema {
        Schema::Current => vault.copy_collection(device).await?,
        Schema::Old => vault.copy_for_old_clients(device).await?,
    })
}
