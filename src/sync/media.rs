//! The methods under `/msync/`.

use std::{
    io::{Read, Seek, Write},
    sync::Arc,
};

use super::Error;
use crate::{
    clock,
    media::{Media, MediaStore, Taken},
    vault::{Vault, room::Room},
    wire::media::{
        Begin, Change, ChangesRequest, DownloadRequest, Sanity, SanityRequest, Uploaded,
    },
};

/// The state of the media. The session key of older protocols is the host key.
pub async fn begin(vault: &Arc<Vault>, host_key: String) -> Result<Begin, Error> {
    Ok(Begin {
        usn: vault.media(|media| media.last_usn()).await?,
        session_key: host_key,
    })
}

/// The changes since the client's last sync.
pub async fn changes(vault: &Arc<Vault>, request: ChangesRequest) -> Result<Vec<Change>, Error> {
    Ok(vault
        .media(move |media| media.changes_after(request.last_usn))
        .await?)
}

/// Applies a zip of new, changed and removed files. The collection's size counts against the quota
/// as well. After an error, nothing of the batch is applied.
pub async fn upload(
    vault: &Arc<Vault>,
    zip: impl Read + Seek + Send + 'static,
    room: Room,
) -> Result<(Uploaded, Taken), Error> {
    let allowed = match room.quota {
        Some(quota) => quota.saturating_sub(vault.collection_bytes()?),
        None => u64::MAX,
    };
    Ok(vault
        .media(move |media| media.upload(zip, clock::now_secs(), allowed))
        .await?)
}

/// Packs files into a zip, and returns their number and size. Fails if one is missing.
pub async fn download<W>(
    vault: &Arc<Vault>,
    request: DownloadRequest,
    to: W,
) -> Result<(W, Media), Error>
where
    W: Write + Seek + Send + 'static,
{
    Ok(vault
        .media(move |media| media.download(&request.files, to))
        .await?)
}

/// Compares the numbers of files on both sides.
pub async fn sanity(vault: &Arc<Vault>, request: &SanityRequest) -> Result<Sanity, Error> {
    let files = vault.media(MediaStore::files).await?;
    Ok(if files == request.local {
        Sanity::Equal
    } else {
        Sanity::Different
    })
}
