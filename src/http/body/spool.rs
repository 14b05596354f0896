//! A body that is stored as it arrives, because its sender is not known yet.

use std::io::{Seek, Write};

use bytes::{Bytes, BytesMut};

use super::{
    BodyError, BodyLimits,
    decode::{copy, gunzip},
};
use crate::{
    disk,
    http::connections::Guest,
    vault::{
        upload_queue::{Reservation, UploadQueue},
        workers::Share,
    },
};

/// The bytes that are collected before a blocking thread writes them.
const PIECE: usize = 64 * 1024;
/// What a stranger may send without a place in the upload queue: every connection may use this
/// much.
const LITTLE: u64 = 32 * 1024;

/// The part `data` of a multipart form.
pub enum FormData {
    /// Missing or empty.
    Missing,
    /// More sent bytes than the limit.
    TooLarge,
    /// Stored as it arrived.
    Kept { file: disk::Spool, gzip: bool },
}

impl FormData {
    pub async fn decode<W: Write + Send + 'static>(
        self,
        to: W,
        limit: u64,
        share: &Share,
    ) -> Result<W, BodyError> {
        let (mut file, gzip) = match self {
            Self::Missing => return Err(BodyError::Empty),
            Self::TooLarge => return Err(BodyError::TooLarge),
            Self::Kept { file, gzip } => (file, gzip),
        };
        // The position is at the end, since it has just been written.
        let length = file.stream_position()?;
        let decoded = share.run_on_body(length, move || {
            file.rewind()?;
            Ok(if gzip {
                gunzip(file, to, limit)?
            } else {
                copy(file, to, limit)?
            })
        });
        decoded.await
    }
}

/// Receives `data`.
pub struct Spool<'a> {
    queue: &'a UploadQueue,
    guest: &'a Guest,
    limits: BodyLimits,
    sent: u64,
    collected: BytesMut,
    /// None after the limit was exceeded.
    file: Option<disk::Spool>,
    /// A place in the queue, which a stranger needs for larger bodies.
    place: Option<Reservation>,
}

impl<'a> Spool<'a> {
    pub fn new(queue: &'a UploadQueue, guest: &'a Guest, limits: BodyLimits) -> Self {
        Self {
            queue,
            guest,
            limits,
            sent: 0,
            collected: BytesMut::new(),
            file: Some(queue.spool()),
            place: None,
        }
    }

    /// Stores a piece. `known` says whether the sender has shown a valid host key. Other senders
    /// wait for a place once the body is larger than a little, and must then be quick. Exceeding
    /// the limit is not an error here.
    pub async fn add(&mut self, piece: &Bytes, known: bool) -> Result<(), BodyError> {
        self.sent += piece.len() as u64;
        if self.sent > self.limits.sent {
            self.file = None;
            self.place = None;
            return Ok(());
        }
        if !known && self.sent > LITTLE {
            self.place(piece.len()).await?;
        }
        self.collected.extend_from_slice(piece);
        if self.collected.len() >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    /// The stored body.
    pub async fn into_data(mut self, gzip: bool) -> Result<FormData, BodyError> {
        self.flush().await?;
        let Some(mut file) = self.file else {
            return Ok(FormData::TooLarge);
        };
        Ok(if file.stream_position()? == 0 {
            FormData::Missing
        } else {
            FormData::Kept { file, gzip }
        })
    }

    async fn place(&mut self, length: usize) -> Result<(), BodyError> {
        let place = match &mut self.place {
            Some(place) => place,
            none => {
                let place = self.queue.reserve(self.guest.end()).await;
                self.guest.admitted();
                none.insert(place.ok_or(BodyError::Crowded)?)
            }
        };
        place.received(length);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let collected = self.collected.split().freeze();
        let written = self.queue.share().run(move || {
            file.write_all(&collected)?;
            Ok::<_, BodyError>(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }
}
