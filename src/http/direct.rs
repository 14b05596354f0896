//! The direct post, the envelope of sync version 11: a header, and one zstd frame as the body.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use hyper::{HeaderMap, body::Incoming};

use super::{
    body::{BodyError, BodyLimits, next},
    decode::Inflate,
    envelope::Caller,
};
use crate::{
    vault::workers::Share,
    wire::header::{HeaderError, SyncHeader},
};

/// The header that marks this envelope.
pub const HEADER: &str = "anki-sync";

/// Collected before a blocking thread is asked to decode it.
const PIECE: usize = 64 * 1024;

/// Who asks, by the header; none when there is no such header.
///
/// # Errors
/// [`HeaderError`].
pub fn caller(headers: &HeaderMap) -> Result<Option<Caller>, HeaderError> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let header = SyncHeader::parse(value.as_bytes())?;
    Ok(Some(Caller {
        version: header.version,
        host_key: header.host_key,
        session_key: header.session_key,
        client: header.client,
        media_client: None,
    }))
}

/// Decodes a body into `to`. Whatever is wrong with it, it is read to its end: a client
/// that is answered before it has sent everything sees a broken connection instead.
///
/// # Errors
/// [`BodyError`].
pub async fn receive<W: Write + Send + 'static>(
    mut body: Incoming,
    to: W,
    limits: BodyLimits,
    share: &Share,
) -> Result<W, BodyError> {
    let decoded = decode(&mut body, to, limits, share).await;
    if matches!(
        decoded,
        Err(BodyError::TooLarge | BodyError::Malformed | BodyError::Io(_))
    ) {
        while next(&mut body, limits.stall).await?.is_some() {}
    }
    decoded
}

async fn decode<W: Write + Send + 'static>(
    body: &mut Incoming,
    to: W,
    limits: BodyLimits,
    share: &Share,
) -> Result<W, BodyError> {
    let mut inflate = Inflate::new(to, limits.decoded)?;
    let mut collected = BytesMut::new();
    let mut sent = 0;
    while let Some(piece) = next(body, limits.stall).await? {
        sent += piece.len() as u64;
        if sent > limits.sent {
            return Err(BodyError::TooLarge);
        }
        collected.extend_from_slice(&piece);
        if collected.len() >= PIECE {
            inflate = feed(inflate, collected.split().freeze(), share).await?;
        }
    }
    if sent == 0 {
        return Err(BodyError::Empty);
    }
    let inflate = feed(inflate, collected.freeze(), share).await?;
    Ok(inflate.finish()?)
}

/// Decodes, and perhaps writes to disk, off the async threads.
async fn feed<W: Write + Send + 'static>(
    mut inflate: Inflate<W>,
    piece: Bytes,
    share: &Share,
) -> Result<Inflate<W>, BodyError> {
    let fed = share.run(move || {
        inflate.feed(&piece)?;
        Ok(inflate)
    });
    fed.await
}
