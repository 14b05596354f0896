//! Compressed bodies, cut in pieces.

use std::io::Write;

use anki_syncd::http::decode::{DecodeError, Inflate, gunzip};

const LIMIT: u64 = 1 << 20;

/// The first byte says in how large pieces the rest arrives.
pub fn decode(data: &[u8]) {
    let Some((&piece, body)) = data.split_first() else {
        return;
    };
    let piece = usize::from(piece) + 1;
    let (whole, cut) = (
        inflate(body, LIMIT, usize::MAX),
        inflate(body, LIMIT, piece),
    );
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
    // What is both too large and malformed is one or the other, as its pieces fall.
    assert!(no_failure_of_ours(&whole) && no_failure_of_ours(&cut));
    if let Ok(content) = &whole {
        assert!(content.len() as u64 <= LIMIT);
        assert_eq!(&zstd::decode_all(body).unwrap(), content);
    }
    if let Ok(content) = gunzip(body, Vec::new(), LIMIT) {
        assert!(content.len() as u64 <= LIMIT);
    }
    there_and_back(body, piece);
}

fn there_and_back(content: &[u8], piece: usize) {
    let length = content.len() as u64;
    let frame = zstd::encode_all(content, 1).unwrap();
    assert_eq!(inflate(&frame, length, piece).unwrap(), content);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    let member = encoder.finish().unwrap();
    assert_eq!(gunzip(&*member, Vec::new(), length).unwrap(), content);
    if length > 0 {
        let over = [
            inflate(&frame, length - 1, piece),
            gunzip(&*member, Vec::new(), length - 1),
        ];
        assert!(
            over.iter()
                .all(|over| matches!(over, Err(DecodeError::TooLarge)))
        );
    }
}

fn inflate(body: &[u8], limit: u64, piece: usize) -> Result<Vec<u8>, DecodeError> {
    let mut inflate = Inflate::new(Vec::new(), limit).unwrap();
    for piece in body.chunks(piece.min(body.len().max(1))) {
        inflate.feed(piece)?;
    }
    inflate.finish()
}

fn no_failure_of_ours(result: &Result<Vec<u8>, DecodeError>) -> bool {
    !matches!(result, Err(DecodeError::Io(_)))
}
