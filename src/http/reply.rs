//! Answers: a length and a reader, compressed while they are sent.

use std::{
    cell::RefCell,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    body::Frame,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Serialize;
use zstd::{bulk::Compressor, stream::raw::CParameter};

use crate::{disk::Spool, vault::workers::Share};

/// The answer's length before compression; clients fail without it.
const ORIGINAL_SIZE: &str = "anki-original-size";
/// The fastest level: most servers are small computers in the same house.
const LEVEL: i32 = 1;
/// The window as a power of two: 128 KiB. Each slow reader holds memory in proportion to it, and a
/// window four times as large makes answers hardly smaller.
const WINDOW_LOG: u32 = 17;
/// Answers in memory up to this size are sent in one piece, with their length.
const SMALL: u64 = 64 * 1024;
const PIECE: usize = 64 * 1024;

thread_local! {
    /// Making a compressor takes longer than compressing a small answer.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

pub type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;

/// The answer to a method that succeeded.
pub struct Reply {
    length: u64,
    content: Box<dyn Read + Send>,
    in_memory: bool,
}

impl Reply {
    pub fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self::bytes(serde_json::to_vec(value)?))
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes(text.into().into_bytes())
    }

    /// The whole content of a spool.
    pub fn spooled(file: Spool) -> io::Result<Self> {
        let in_memory = file.is_in_memory();
        Ok(Self {
            in_memory,
            ..Self::file(file)?
        })
    }

    /// The whole content of a file, from any position.
    pub fn file(mut file: impl Read + Seek + Send + 'static) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self {
            length,
            content: Box::new(file),
            in_memory: false,
        })
    }

    /// Its length before compression.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Answers from the disk are not small: reading them blocks.
    fn is_small(&self) -> bool {
        self.in_memory && self.length <= SMALL
    }

    fn bytes(bytes: Vec<u8>) -> Self {
        Self {
            length: bytes.len() as u64,
            content: Box::new(Cursor::new(bytes)),
            in_memory: true,
        }
    }

    /// For direct-post clients: zstd, with the original size in a header.
    pub fn into_zstd(self, share: &Share) -> io::Result<Response<ReplyBody>> {
        let mut response = if self.is_small() {
            Response::new(whole(compress(&read(self.content)?)?))
        } else {
            let content = BufReader::with_capacity(PIECE, self.content);
            let mut compressed = zstd::stream::read::Encoder::with_buffer(content, LEVEL)?;
            compressed.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
            // Also in the frame's header: some clients decompress in one step.
            compressed.set_pledged_src_size(Some(self.length))?;
            Response::new(in_pieces(compressed, share))
        };
        response
            .headers_mut()
            .insert(ORIGINAL_SIZE, self.length.into());
        Ok(response)
    }

    /// For older clients: uncompressed.
    pub fn into_plain(self, share: &Share) -> io::Result<Response<ReplyBody>> {
        let mut response = Response::new(if self.is_small() {
            whole(read(self.content)?)
        } else {
            in_pieces(self.content, share)
        });
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, self.length.into());
        headers.insert(
            CONTENT_TYPE,
            hyper::header::HeaderValue::from_static("application/octet-stream"),
        );
        Ok(response)
    }
}

fn read(mut content: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Compresses a small answer at once.
fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(bytes),
        none => none.insert(Compressor::new(LEVEL)?).compress(bytes),
    })
}

fn in_pieces(content: impl Read + Send + 'static, share: &Share) -> ReplyBody {
    let pieces = stream::try_unfold((content, share.clone()), |(mut content, share)| async {
        let read = share.run(move || {
            let mut piece = Vec::with_capacity(PIECE);
            content
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, content))
        });
        let (piece, content) = read.await?;
        Ok((!piece.is_empty()).then(|| (Frame::data(Bytes::from(piece)), (content, share))))
    });
    StreamBody::new(pieces).boxed_unsync()
}

pub fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
