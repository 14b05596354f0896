//! Requests' bodies and the two envelopes around them: limits, errors, and reading a body to its
//! end.

pub mod caller;
pub mod decode;
pub mod direct;
pub mod envelope;
mod multipart;
mod spool;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    task::JoinError,
    time::{Instant, timeout},
};

use crate::{config::Limits, wire::header::HeaderError, work::Interrupted};
use decode::DecodeError;

/// How much of a forbidden body is read, so that the sender sees the answer.
const UNWANTED: u64 = 1024 * 1024;
/// The longest time that a stranger's body may take, even if pieces of it keep arriving.
const STRANGER: Duration = Duration::from_secs(10);

/// The average rate that a device's body must reach: less than half of what the slowest mobile
/// networks give. An upload of 100 MiB may take a day.
const DEVICE_RATE: u32 = 1024;
/// How long the rate may be too low. Clients give up after 30 or 60 seconds without progress, so a
/// line that recovers does so earlier.
const DEVICE_SLACK: Duration = Duration::from_secs(120);
/// Forms must be faster, since they are uploaded before their sender is known.
const FORM_RATE: u32 = 4 * 1024;
/// How long the rate of a form may be too low.
const FORM_SLACK: Duration = Duration::from_secs(30);

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub sent: u64,
    pub decoded: u64,
    /// Up to so many decoded bytes are stored without a thread. 0 if they may go to the disk.
    pub at_once: usize,
    /// The longest pause.
    pub stall: Duration,
    /// The required pace if the key comes before the body.
    pub pace: Pace,
    /// The required pace of a form.
    pub form_pace: Pace,
}

impl BodyLimits {
    /// The limits of a method that needs a host key and reads this many bytes.
    pub fn of_device(limits: &Limits, largest: u64) -> Self {
        Self {
            sent: limits.sent,
            decoded: limits.decoded.min(largest),
            at_once: 0,
            stall: limits.body_timeout,
            pace: Pace::device(limits.body_timeout),
            form_pace: Pace::form(limits.body_timeout),
        }
    }

    /// The limits of a method that anybody may call. Only such a body is decoded without a key, so
    /// the sent bytes are limited as well, and it must arrive quickly.
    pub fn of_stranger(limits: &Limits, largest: u64) -> Self {
        let limits = Self::of_device(limits, largest);
        let pace = Pace::stranger(limits.stall);
        Self {
            sent: limits.decoded,
            pace,
            form_pace: pace,
            ..limits
        }
    }

    /// The most decoded bytes of a body that is decoded at once.
    fn brief(self) -> usize {
        usize::try_from(self.decoded).map_or(self.at_once, |decoded| decoded.min(self.at_once))
    }
}

/// How much longer a body may take. Waiting for the sender uses time up, and arriving bytes give
/// some back, so that an average rate is required. A limit on each pause alone would let one byte a
/// minute hold a connection for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    left: Duration,
    slack: Duration,
    /// The time that each byte gives back.
    per_byte: Duration,
    stall: Duration,
}

impl Pace {
    /// For a device that has shown a valid host key.
    fn device(stall: Duration) -> Self {
        Self::new(stall, DEVICE_SLACK, Duration::from_secs(1) / DEVICE_RATE)
    }

    /// For a form, since its key comes at the end.
    fn form(stall: Duration) -> Self {
        Self::new(stall, FORM_SLACK, Duration::from_secs(1) / FORM_RATE)
    }

    /// For all others.
    fn stranger(stall: Duration) -> Self {
        Self::new(stall, STRANGER, Duration::ZERO)
    }

    fn new(stall: Duration, slack: Duration, per_byte: Duration) -> Self {
        Self {
            left: slack,
            slack,
            per_byte,
            stall,
        }
    }

    /// Waits for something, as long as time is left.
    async fn wait<T>(&mut self, coming: impl Future<Output = T>) -> Result<T, BodyError> {
        let began = Instant::now();
        let came = timeout(self.stall.min(self.left), coming).await;
        self.left = self.left.saturating_sub(began.elapsed());
        came.map_err(|_| BodyError::Stalled)
    }

    fn came(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let back = self.per_byte.saturating_mul(bytes);
        self.left = self.left.saturating_add(back).min(self.slack);
    }
}

/// Why a body could not be received.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is missing.
    #[error("the request body is empty")]
    Empty,
    /// More bytes than the limit, as sent or decoded.
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// Not one complete zstd frame or gzip member.
    #[error("the request body cannot be decompressed")]
    Malformed,
    /// Not multipart/form-data as its head declares.
    #[error("the request body is not a multipart form: {0}")]
    Multipart(String),
    /// In neither of the two envelopes.
    #[error(
        "not a request of Anki, since there is neither an anki-sync header nor a multipart form: {0}"
    )]
    NoEnvelope(String),
    /// In the newer envelope, but with a wrong header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The address has parameters, but no key.
    #[error("the query has no parameter k")]
    NoKey,
    /// No byte for too long, or too slow.
    #[error("the request body stalled or arrived too slowly")]
    Stalled,
    /// Strangers use all space that is reserved for them.
    #[error("too many uploads at once without a valid host key; try again")]
    Crowded,
    /// The client closed the connection.
    #[error("the connection was interrupted: {0}")]
    Connection(#[from] hyper::Error),
    /// It could not be stored.
    #[error("the request body cannot be stored: {0}")]
    Io(#[from] std::io::Error),
    /// The server is stopping.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A bug of this server.
    #[error("internal error: {0}")]
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

/// Reads and drops a part of a stranger's body. Returns whether that was all of it; if not, the
/// connection has to end with the answer.
pub async fn discard(body: &mut Incoming, stall: Duration) -> bool {
    let mut pace = Pace::stranger(stall);
    let mut read = 0;
    while read < UNWANTED {
        match next(body, &mut pace).await {
            Ok(Some(piece)) => read += piece.len() as u64,
            Ok(None) => return true,
            Err(_) => break,
        }
    }
    false
}

/// The next piece, even if it is small; none at the end.
pub async fn next(body: &mut Incoming, pace: &mut Pace) -> Result<Option<Bytes>, BodyError> {
    loop {
        let Some(frame) = pace.wait(body.frame()).await? else {
            return Ok(None);
        };
        // Trailers are ignored.
        if let Ok(data) = frame?.into_data() {
            pace.came(data.len());
            return Ok(Some(data));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// How long a body is accepted whose pieces of this size arrive at this interval.
    async fn lasts(mut pace: Pace, bytes: usize, every: Duration) -> Duration {
        let began = Instant::now();
        while began.elapsed() < 100 * MINUTE && pace.wait(sleep(every)).await.is_ok() {
            pace.came(bytes);
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_bytes_now_and_then_do_not_keep_a_body_going() {
        let (piece, every) = (1, Duration::from_secs(5));
        for (pace, longest) in [
            (Pace::stranger(MINUTE), STRANGER),
            (Pace::form(MINUTE), FORM_SLACK + every),
            (Pace::device(MINUTE), DEVICE_SLACK + every),
        ] {
            assert!(lasts(pace, piece, every).await <= longest, "{pace:?}");
        }
        let pace = Pace::stranger(MINUTE);
        let trickle = Duration::from_millis(10);
        assert!(lasts(pace, 100, trickle).await <= STRANGER + trickle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_that_goes_on_is_borne_but_not_one_that_stands_still() {
        let pace = Pace::device(MINUTE);
        let every = Duration::from_secs(20);
        assert!(lasts(pace, 25 * 1024, every).await >= 100 * MINUTE);
        assert!(lasts(pace, 15 * 1024, every).await < 10 * MINUTE);
        assert_eq!(lasts(pace, 1 << 30, 2 * MINUTE).await, MINUTE);
        let form = Pace::form(MINUTE);
        assert!(lasts(form, 90 * 1024, every).await >= 100 * MINUTE);
        assert!(lasts(form, 60 * 1024, every).await < 5 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_in_a_burst_does_not_pay_for_hours_of_silence() {
        let mut pace = Pace::device(MINUTE);
        pace.came(1 << 30);
        assert!(lasts(pace, 1, Duration::from_secs(50)).await <= 3 * MINUTE);
    }
}
