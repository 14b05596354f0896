//! Decodes a request body of one zstd frame as it arrives, up to a limit.

use std::io::{self, Write};

use zstd::{
    stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe::DCtx,
};

/// A frame may ask for at most this window, as a power of two: 8 MiB. Clients ask for 2 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// Writes what it decodes to `W`.
pub struct Inflate<W> {
    decoder: Decoder<'static>,
    buffer: Vec<u8>,
    to: W,
    room: u64,
    frame_ended: bool,
}

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// Not zstd, cut off, or something behind the frame's end.
    #[error("the request body is not one whole zstd frame")]
    Malformed,
    /// Larger than the limit once decoded.
    #[error("the request body is larger than the limit once decoded")]
    TooLarge,
    /// It could not be kept.
    #[error("the request body cannot be kept: {0}")]
    Io(#[from] io::Error),
}

impl<W: Write> Inflate<W> {
    /// Decodes to `to`, at most `limit` bytes.
    ///
    /// # Errors
    /// When there is no memory for a decoder.
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

    /// Decodes a piece of the body.
    ///
    /// # Errors
    /// [`InflateError`]; the rest of the body is then not worth decoding.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), InflateError> {
        let mut input = InBuffer::around(piece);
        loop {
            if self.frame_ended {
                return if input.pos() == piece.len() {
                    Ok(())
                } else {
                    Err(InflateError::Malformed)
                };
            }
            let mut output = OutBuffer::around(self.buffer.as_mut_slice());
            let hint = self
                .decoder
                .run(&mut input, &mut output)
                .map_err(|_| InflateError::Malformed)?;
            let decoded = output.as_slice();
            self.room = self
                .room
                .checked_sub(decoded.len() as u64)
                .ok_or(InflateError::TooLarge)?;
            self.to.write_all(decoded)?;
            self.frame_ended = hint == 0;
            let buffer_was_filled = decoded.len() == self.buffer.len();
            if input.pos() == piece.len() && !buffer_was_filled {
                return Ok(());
            }
        }
    }

    /// Gives back what was written to, if the body was whole.
    ///
    /// # Errors
    /// [`InflateError::Malformed`] when the frame was cut off.
    pub fn finish(self) -> Result<W, InflateError> {
        if self.frame_ended {
            Ok(self.to)
        } else {
            Err(InflateError::Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(body: &[u8], limit: u64, piece: usize) -> Result<Vec<u8>, InflateError> {
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
    fn decoding_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 50_000_000]);
        assert!(bomb.len() < 10_000);
        let mut inflate = Inflate::new(Vec::new(), 1_000_000).unwrap();
        assert!(matches!(inflate.feed(&bomb), Err(InflateError::TooLarge)));
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
                    matches!(inflate(body, 1000, piece), Err(InflateError::Malformed)),
                    "{body:?}"
                );
            }
        }
    }
}
