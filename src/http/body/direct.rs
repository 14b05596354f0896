//! The direct post, the envelope of sync version 11: a header, and a zstd frame as the body.

use std::io::{Read, Seek, Write};

use bytes::BytesMut;
use hyper::{HeaderMap, body::Incoming};

use super::{
    BodyError, BodyLimits, Pace,
    caller::Caller,
    decode::{self, DecodeError, Inflate},
    next,
};
use crate::{
    disk::Spool,
    vault::workers::{Decoding, Share},
    wire::header::{HeaderError, SyncHeader},
};

/// The header that marks this envelope.
pub const HEADER: &str = "anki-sync";

/// The bytes that are collected before a blocking thread decodes them.
const PIECE: usize = 64 * 1024;

/// What the header says about the client; none if there is no such header.
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

/// Decodes a body into `to`. The body is read to its end even after an error: a client that is
/// answered before it has sent everything sees a broken connection instead of the answer.
pub async fn receive<W: Write + Send + 'static>(
    mut body: Incoming,
    to: W,
    kept: Spool,
    limits: BodyLimits,
    share: &Share,
) -> Result<W, BodyError> {
    let mut pace = limits.pace;
    let intake = Intake {
        state: State::Keeping(kept, to),
        limit: limits.decoded,
    };
    let decoded = decode(&mut body, &mut pace, intake, limits, share).await;
    if matches!(
        decoded,
        Err(BodyError::TooLarge | BodyError::Malformed | BodyError::Io(_))
    ) {
        while next(&mut body, &mut pace).await?.is_some() {}
    }
    decoded
}

/// Decodes, and perhaps writes to disk, on a thread for blocking work, unless it is brief.
async fn decode<W: Write + Send + 'static>(
    body: &mut Incoming,
    pace: &mut Pace,
    mut intake: Intake<W>,
    limits: BodyLimits,
    share: &Share,
) -> Result<W, BodyError> {
    let mut collected = BytesMut::new();
    let mut sent = 0;
    while let Some(piece) = next(body, pace).await? {
        sent += piece.len() as u64;
        if sent > limits.sent {
            return Err(BodyError::TooLarge);
        }
        collected.extend_from_slice(&piece);
        if collected.len() >= PIECE {
            let piece = collected.split().freeze();
            let decoding = intake.is_keeping().then(|| share.decoding()).flatten();
            let added = share.run_on_body(sent, move || {
                Ok::<_, BodyError>(intake.add(&piece, decoding)?)
            });
            intake = added.await?;
        }
    }
    if sent == 0 {
        return Err(BodyError::Empty);
    }
    if sent < PIECE as u64 {
        match intake.at_once(&collected, limits)? {
            Ok(decoded) => return Ok(decoded),
            Err(longer) => intake = longer,
        }
    }
    let decoded = share.run_on_body(sent, move || Ok::<_, BodyError>(intake.finish(&collected)?));
    decoded.await
}

/// The state of a body that is being received.
struct Intake<W> {
    state: State<W>,
    limit: u64,
}

/// A decoder takes up to some 8 MiB for as long as the body takes. So only a few decoders stay
/// open. Other bodies are stored first, and decoded on a thread once they are complete.
enum State<W> {
    Keeping(Spool, W),
    /// Decoded as far as it has arrived.
    Decoding(Inflate<W>, Decoding),
}

impl<W: Write> Intake<W> {
    fn is_keeping(&self) -> bool {
        matches!(self.state, State::Keeping(..))
    }

    fn add(self, piece: &[u8], decoding: Option<Decoding>) -> Result<Self, DecodeError> {
        let state = match (self.state, decoding) {
            (State::Decoding(mut inflate, decoding), _) => {
                inflate.feed(piece)?;
                State::Decoding(inflate, decoding)
            }
            (State::Keeping(kept, to), Some(decoding)) => {
                let mut inflate = inflate(kept, to, self.limit)?;
                inflate.feed(piece)?;
                State::Decoding(inflate, decoding)
            }
            (State::Keeping(mut kept, to), None) => {
                kept.write_all(piece)?;
                State::Keeping(kept, to)
            }
        };
        Ok(Self { state, ..self })
    }

    /// Decodes a whole body if it is brief.
    fn at_once(mut self, body: &[u8], limits: BodyLimits) -> Result<Result<W, Self>, DecodeError> {
        match self.state {
            State::Keeping(kept, mut to) => Ok(if decode::brief(body, limits.brief(), &mut to)? {
                Ok(to)
            } else {
                self.state = State::Keeping(kept, to);
                Err(self)
            }),
            State::Decoding(..) => Ok(Err(self)),
        }
    }

    fn finish(self, rest: &[u8]) -> Result<W, DecodeError> {
        let mut inflate = match self.state {
            State::Decoding(inflate, _) => inflate,
            State::Keeping(kept, to) => inflate(kept, to, self.limit)?,
        };
        inflate.feed(rest)?;
        inflate.finish()
    }
}

/// Decodes a stored body.
fn inflate<W: Write>(mut kept: Spool, to: W, limit: u64) -> Result<Inflate<W>, DecodeError> {
    let mut inflate = Inflate::new(to, limit)?;
    if kept.stream_position()? > 0 {
        kept.rewind()?;
        let mut piece = vec![0; PIECE];
        loop {
            match kept.read(&mut piece)? {
                0 => break,
                length => inflate.feed(&piece[..length])?,
            }
        }
    }
    Ok(inflate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::Disk, disk::Purpose, vault::workers::Workers};

    #[test]
    fn a_body_is_decoded_from_whichever_piece_on_there_is_a_decoder() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        let frame = zstd::encode_all(&*content, 1).unwrap();
        let pieces: Vec<_> = frame.chunks(PIECE).collect();
        let share = Workers::default().share();
        for from in 0..=pieces.len() {
            let disk = Disk::new(folder.path().to_owned());
            let kept = disk.spool(0, folder.path(), Purpose::Keep);
            let mut intake = Intake {
                state: State::Keeping(kept, Vec::new()),
                limit: content.len() as u64,
            };
            let (last, others) = pieces.split_last().unwrap();
            for (number, piece) in others.iter().enumerate() {
                let decoding = (number >= from).then(|| share.decoding()).flatten();
                intake = intake.add(piece, decoding).unwrap();
                assert_eq!(intake.is_keeping(), number < from);
            }
            assert!(intake.finish(last).unwrap() == content, "{from}");
        }
    }

    #[test]
    fn a_user_has_few_decoders_and_leaves_some_to_others() {
        let workers = Workers::default();
        let (greedy, other) = (workers.share(), workers.share());
        let held: Vec<_> = std::iter::from_fn(|| greedy.decoding()).collect();
        assert!(!held.is_empty());
        let one = other.decoding();
        assert!(one.is_some());
        drop(held);
        assert!(greedy.decoding().is_some());
    }
}
