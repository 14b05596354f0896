//! Receives request bodies as they arrive, and reads every one to its end.

use std::{io::Write, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use super::inflate::{Inflate, InflateError};
use crate::config::Limits;

/// Collected before a blocking thread is asked to decode it.
const PIECE: usize = 64 * 1024;
/// What is read of a body that nobody has a right to send, so that the sender sees the answer.
const UNWANTED: u64 = 1024 * 1024;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes as sent.
    pub sent: u64,
    /// Bytes once decoded.
    pub decoded: u64,
    /// How long it may stand still.
    pub stall: Duration,
}

impl From<&Limits> for BodyLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            sent: limits.sent,
            decoded: limits.decoded,
            stall: limits.body_timeout,
        }
    }
}

/// A body that has come whole.
pub struct Received<W> {
    /// What it was decoded into.
    pub content: W,
    /// Bytes as sent.
    pub sent: u64,
}

/// Why a body could not be received.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// There was none.
    #[error("the request body is empty")]
    Empty,
    /// More bytes than the limit, as sent or decoded.
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// Not one whole zstd frame.
    #[error("the request body is not one whole zstd frame")]
    Malformed,
    /// No byte for too long.
    #[error("the request body stood still for too long")]
    Stalled,
    /// The client went away.
    #[error("the connection broke off: {0}")]
    Connection(#[from] hyper::Error),
    /// It could not be kept.
    #[error("the request body cannot be kept: {0}")]
    Io(#[from] std::io::Error),
    /// A bug of ours.
    #[error("panicked: {0}")]
    Panicked(#[from] JoinError),
}

impl From<InflateError> for BodyError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Malformed => Self::Malformed,
            InflateError::TooLarge => Self::TooLarge,
            InflateError::Io(error) => Self::Io(error),
        }
    }
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
) -> Result<Received<W>, BodyError> {
    let decoded = decode(&mut body, to, limits).await;
    if matches!(
        decoded,
        Err(BodyError::TooLarge | BodyError::Malformed | BodyError::Io(_))
    ) {
        while next(&mut body, limits.stall).await?.is_some() {}
    }
    decoded
}

/// Reads some of a body and forgets it.
pub async fn discard(mut body: Incoming, stall: Duration) {
    let mut read = 0;
    while read < UNWANTED
        && let Ok(Some(piece)) = next(&mut body, stall).await
    {
        read += piece.len() as u64;
    }
}

async fn decode<W: Write + Send + 'static>(
    body: &mut Incoming,
    to: W,
    limits: BodyLimits,
) -> Result<Received<W>, BodyError> {
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
            inflate = feed(inflate, collected.split().freeze()).await?;
        }
    }
    if sent == 0 {
        return Err(BodyError::Empty);
    }
    let content = feed(inflate, collected.freeze()).await?.finish()?;
    Ok(Received { content, sent })
}

/// Decodes, and perhaps writes to disk, off the async threads.
async fn feed<W: Write + Send + 'static>(
    mut inflate: Inflate<W>,
    piece: Bytes,
) -> Result<Inflate<W>, BodyError> {
    spawn_blocking(move || {
        inflate.feed(&piece)?;
        Ok(inflate)
    })
    .await?
}

async fn next(body: &mut Incoming, stall: Duration) -> Result<Option<Bytes>, BodyError> {
    loop {
        match timeout(stall, body.frame()).await {
            Err(_) => return Err(BodyError::Stalled),
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => {
                // Trailers carry nothing for us.
                if let Ok(data) = frame?.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
