//! Decodes request bodies up to a limit: zstd while it arrives, gzip from a file.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read, Write},
};

use flate2::bufread::GzDecoder;
use zstd::{
    bulk::Decompressor,
    stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe::{DCtx, find_frame_compressed_size},
};

/// The largest window that a frame of any length may ask for, as a power of two: 8 MiB. Clients ask for 2 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// Most bodies decode to less. Decoding that much takes some microseconds.
pub const BRIEF: usize = 64 * 1024;

thread_local! {
    /// Making a decoder takes longer than decoding a brief body.
    static DECODER: RefCell<(Decompressor<'static>, Vec<u8>)> =
        RefCell::new((Decompressor::default(), vec![0; BRIEF]));
}

/// Decodes a whole frame of at most `most` bytes, of which [`BRIEF`] is the most, to `to`. Answers
/// whether it did: what is longer or malformed is left to [`Inflate`]. No window takes memory here.
pub fn brief(frame: &[u8], most: usize, to: &mut impl Write) -> io::Result<bool> {
    if most == 0 || find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Ok(false);
    }
    DECODER.with_borrow_mut(|(decoder, buffer)| {
        let room = &mut buffer[..most.min(BRIEF)];
        match decoder.decompress_to_buffer(frame, room) {
            Ok(length) => {
                let decoded = &mut buffer[..length];
                let written = to.write_all(decoded);
                // It may be a password.
                decoded.fill(0);
                written.map(|()| true)
            }
            Err(_) => Ok(false),
        }
    })
}

/// Writes the decoded bytes to `W`.
pub struct Inflate<W> {
    decoder: Decoder<'static>,
    buffer: Vec<u8>,
    to: W,
    room: u64,
    frame_ended: bool,
}

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Wrongly compressed, cut off, or followed by other bytes.
    #[error("the request body is not exactly one complete zstd frame or gzip member")]
    Malformed,
    /// Larger than the limit once decoded.
    #[error("the decompressed request body is larger than the limit")]
    TooLarge,
    /// It could not be stored.
    #[error("the request body cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl<W: Write> Inflate<W> {
    /// Decodes to `to`, at most `limit` bytes.
    pub fn new(to: W, limit: u64) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            buffer: vec![0; DCtx::out_size()],
            to,
            room: limit,
            frame_ended: false,
        })
    }

    /// Decodes a piece of the body. After an error, the rest need not be decoded.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), DecodeError> {
        let mut input = InBuffer::around(piece);
        loop {
            if self.frame_ended {
                return if input.pos() == piece.len() {
                    Ok(())
                } else {
                    Err(DecodeError::Malformed)
                };
            }
            let mut output = OutBuffer::around(self.buffer.as_mut_slice());
            let hint = self
                .decoder
                .run(&mut input, &mut output)
                .map_err(|_| DecodeError::Malformed)?;
            let decoded = output.as_slice();
            self.room = self
                .room
                .checked_sub(decoded.len() as u64)
                .ok_or(DecodeError::TooLarge)?;
            self.to.write_all(decoded)?;
            self.frame_ended = hint == 0;
            let buffer_was_filled = decoded.len() == self.buffer.len();
            if input.pos() == piece.len() && !buffer_was_filled {
                return Ok(());
            }
        }
    }

    /// Returns the writer, if the body was complete.
    pub fn finish(self) -> Result<W, DecodeError> {
        if self.frame_ended {
            Ok(self.to)
        } else {
            Err(DecodeError::Malformed)
        }
    }
}

/// Decodes one gzip member to `to`, at most `limit` bytes.
pub fn gunzip<W: Write>(from: impl Read, to: W, limit: u64) -> Result<W, DecodeError> {
    let mut decoder = GzDecoder::new(BufReader::new(from));
    let to = copy(&mut decoder, to, limit)?;
    if decoder.into_inner().fill_buf()?.is_empty() {
        Ok(to)
    } else {
        Err(DecodeError::Malformed)
    }
}

/// Copies everything to `to`, at most `limit` bytes.
pub fn copy<W: Write>(mut from: impl Read, mut to: W, limit: u64) -> Result<W, DecodeError> {
    let mut buffer = vec![0; DCtx::out_size()];
    let mut room = limit;
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(to),
            Ok(length) => length,
            Err(error) if is_malformed(&error) => return Err(DecodeError::Malformed),
            Err(error) => return Err(error.into()),
        };
        room = room
            .checked_sub(length as u64)
            .ok_or(DecodeError::TooLarge)?;
        to.write_all(&buffer[..length])?;
    }
}

/// Whether the error is the decoder's, and not the file system's.
fn is_malformed(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_decoded_up_to_the_limit() {
        let content = b"hello".repeat(100_000);
        let body = gzip(&content);
        assert_eq!(gunzip(&*body, Vec::new(), 500_000).unwrap(), content);
        assert!(matches!(
            gunzip(&*body, Vec::new(), 499_999),
            Err(DecodeError::TooLarge)
        ));
        assert!(gunzip(&*gzip(b""), Vec::new(), 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_one_whole_gzip_member_is_refused() {
        let body = gzip(b"hello");
        let mut wrong_checksum = body.clone();
        wrong_checksum[body.len() - 8] ^= 1;
        for body in [
            &b""[..],
            b"{}",
            &body[..body.len() - 1],
            &body[..12],
            &wrong_checksum,
            &[&body[..], b"x"].concat(),
        ] {
            assert!(
                matches!(gunzip(body, Vec::new(), 1000), Err(DecodeError::Malformed)),
                "{body:?}"
            );
        }
    }

    fn inflate(body: &[u8], limit: u64, piece: usize) -> Result<Vec<u8>, DecodeError> {
        let mut inflate = Inflate::new(Vec::new(), limit).unwrap();
        for piece in body.chunks(piece) {
            inflate.feed(piece)?;
        }
        inflate.finish()
    }

    fn deflate(content: &[u8]) -> Vec<u8> {
        zstd::encode_all(content, 1).unwrap()
    }

    #[test]
    fn a_body_is_decoded_however_it_is_cut() {
        for size in [0, 1, 1000, 131_072, 262_144, 1_000_000] {
            let content: Vec<u8> = (0..size)
                .map(|n: u32| (n.wrapping_mul(n) / 7).to_le_bytes()[0])
                .collect();
            for piece in [1, 7, 4096, 10_000_000] {
                assert_eq!(
                    inflate(&deflate(&content), u64::from(size), piece).unwrap(),
                    content,
                    "{size} {piece}"
                );
            }
        }
    }

    #[test]
    fn what_is_brief_is_decoded_as_by_the_stream_and_all_else_is_left_to_it() {
        let frame = deflate(b"hello");
        let mut to = Vec::new();
        for (body, most, done) in [
            (frame.clone(), BRIEF, true),
            (frame.clone(), 5, true),
            (frame.clone(), 4, false),
            (frame.clone(), 0, false),
            (deflate(&vec![7; BRIEF]), BRIEF, true),
            (deflate(&vec![7; BRIEF + 1]), usize::MAX, false),
            (frame[..frame.len() - 1].to_vec(), BRIEF, false),
            ([frame.clone(), frame.clone()].concat(), BRIEF, false),
            ([frame.clone(), b"x".to_vec()].concat(), BRIEF, false),
            (b"plain".to_vec(), BRIEF, false),
            (Vec::new(), BRIEF, false),
        ] {
            to.clear();
            assert_eq!(
                brief(&body, most, &mut to).unwrap(),
                done,
                "{body:?} {most}"
            );
            let expected = if done {
                inflate(&body, u64::MAX, 7).unwrap()
            } else {
                Vec::new()
            };
            assert!(to == expected, "{body:?}");
        }
    }

    #[test]
    fn decoding_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 50_000_000]);
        assert!(bomb.len() < 10_000);
        let mut inflate = Inflate::new(Vec::new(), 1_000_000).unwrap();
        assert!(matches!(inflate.feed(&bomb), Err(DecodeError::TooLarge)));
        assert!(inflate.to.len() <= 1_000_000);
    }

    #[test]
    fn what_is_not_one_whole_frame_is_refused() {
        let frame = deflate(b"hello");
        let twice = [frame.clone(), frame.clone()].concat();
        for body in [
            &b""[..],
            b"plain",
            &frame[..frame.len() - 1],
            &twice,
            &[&frame[..], b"x"].concat(),
        ] {
            for piece in [1, 4096] {
                assert!(
                    matches!(inflate(body, 1000, piece), Err(DecodeError::Malformed)),
                    "{body:?}"
                );
            }
        }
    }
}
