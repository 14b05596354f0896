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

/// Where the media stand. The session key of old is the host key.
///
/// # Errors
/// [`Error`].
pub async fn begin(vault: &Arc<Vault>, host_key: String) -> Result<Begin, Error> {
    Ok(Begin {
        usn: vault.media(|media| media.last_usn()).await?,
        session_key: host_key,
    })
}

/// What changed since the client was here.
///
/// # Errors
/// [`Error`].
pub async fn changes(vault: &Arc<Vault>, request: ChangesRequest) -> Result<Vec<Change>, Error> {
    Ok(vault
        .media(move |media| media.changes_after(request.last_usn))
        .await?)
}

/// Takes a zip of new, changed and removed files, which fill what the collection leaves of
/// the quota.
///
/// # Errors
/// [`Error`]; nothing of the batch is applied then.
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

/// Packs files into a zip, and tells what they are.
///
/// # Errors
/// [`Error`], also when a file is not there.
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

/// Compares how many files there are on both sides.
///
/// # Errors
/// [`Error`].
pub async fn sanity(vault: &Arc<Vault>, request: &SanityRequest) -> Result<Sanity, Error> {
    let files = vault.media(MediaStore::files).await?;
    Ok(if files == request.local {
        Sanity::Equal
    } else {
        Sanity::Different
    })
}
