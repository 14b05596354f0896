//! A body that is kept as it comes, because its sender is not known yet.

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

/// Collected before a blocking thread is asked to write it.
const PIECE: usize = 64 * 1024;
/// What a stranger may send without a place in the upload queue: every connection can have that much.
const LITTLE: u64 = 32 * 1024;

/// The part `data` of a multipart form.
pub enum FormData {
    /// Not there, or empty.
    Missing,
    /// Larger than the limit as sent.
    TooLarge,
    /// As it came.
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
        // It has just been written.
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

/// Takes in `data`.
pub struct Spool<'a> {
    queue: &'a UploadQueue,
    guest: &'a Guest,
    limits: BodyLimits,
    sent: u64,
    collected: BytesMut,
    /// None once there is too much of it.
    file: Option<disk::Spool>,
    /// What a stranger needs for more than a little.
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

    /// Keeps a piece. `known` says whether its sender has shown a valid host key: one who has
    /// not waits for a place as soon as it is more than a little, and then has to be quick.
    /// Being larger than the limit is no error.
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

    /// What has been taken in.
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
