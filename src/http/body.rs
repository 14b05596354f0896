//! What a request body may be, why it is refused, and reading it to its end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{task::JoinError, time::timeout};

use super::decode::DecodeError;
use crate::{config::Limits, work::Interrupted};

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

/// Why a body could not be received.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// There was none.
    #[error("the request body is empty")]
    Empty,
    /// More bytes than the limit, as sent or decoded.
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// Not one whole zstd frame or gzip member.
    #[error("the request body cannot be decompressed")]
    Malformed,
    /// Not multipart/form-data as its head says.
    #[error("the request body is no multipart form: {0}")]
    Multipart(String),
    /// No byte for too long.
    #[error("the request body stood still for too long")]
    Stalled,
    /// Strangers fill all the room that there is for them.
    #[error("too many uploads at a time have not shown a host key yet")]
    Crowded,
    /// The client went away.
    #[error("the connection broke off: {0}")]
    Connection(#[from] hyper::Error),
    /// It could not be kept.
    #[error("the request body cannot be kept: {0}")]
    Io(#[from] std::io::Error),
    /// The server stops.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A bug of ours.
    #[error("panicked: {0}")]
    Panicked(#[from] JoinError),
}

impl From<DecodeError> for BodyError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed => Self::Malformed,
            DecodeError::TooLarge => Self::TooLarge,
            DecodeError::Io(error) => Self::Io(error),
        }
    }
}

/// Reads some of a body and forgets it.
pub async fn discard(body: &mut Incoming, stall: Duration) {
    let mut read = 0;
    while read < UNWANTED
        && let Ok(Some(piece)) = next(body, stall).await
    {
        read += piece.len() as u64;
    }
}

/// The next piece, however small; none at the end.
///
/// # Errors
/// [`BodyError::Stalled`], or when the client went away.
pub async fn next(body: &mut Incoming, stall: Duration) -> Result<Option<Bytes>, BodyError> {
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
