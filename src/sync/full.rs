//! `upload` and `download`: the collection as one file.

use std::sync::Arc;

use tempfile::NamedTempFile;

use super::Error;
use crate::{
    account::DeviceId,
    collection::upload::{CheckError, Refusal},
    vault::{self, Vault, download::Download, room::Room},
};

/// The answer to an accepted upload; clients show any other answer to the user.
pub const OK: &str = "OK";

/// The schema that a client can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// 18, since sync version 11.
    Current,
    /// 11, before that.
    Old,
}

/// Replaces the collection and returns its modification stamp, or a sentence why the upload is
/// refused. Errors are failures of the server; problems of the file are sentences.
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
