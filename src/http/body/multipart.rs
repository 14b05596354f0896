//! The multipart form, the envelope of sync versions 8 to 10.
//!
//! Most clients send the body first, then the flag for gzip, and the host key last. So the body is stored as it
//! arrives, and decoded only after the key was verified.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use hyper::{body::Incoming, header::HeaderValue};
use multer::{Field, Multipart};
use tokio::task::yield_now;

use super::{
    BodyError, BodyLimits,
    caller::Caller,
    discard, next,
    spool::{FormData, Spool},
};
use crate::{http::connections::Guest, state::Server};

/// The envelope does not contain the version; all its clients that are still in use speak this one.
const VERSION: u8 = 10;
/// The most bytes of a part other than `data`.
const TEXT: usize = 4096;
/// The most bytes between two parts or before the first: a few lines, in the largest pieces that arrive at once.
const BETWEEN: u64 = 1024 * 1024;

/// What separates the parts.
pub fn boundary(content_type: Option<&HeaderValue>) -> Result<String, BodyError> {
    let content_type = content_type.and_then(|value| value.to_str().ok());
    multer::parse_boundary(content_type.unwrap_or_default())
        .map_err(|error| BodyError::NoEnvelope(error.to_string()))
}

/// The client of `GET /msync/begin?k=…&v=…`.
pub fn caller_in_query(query: &str) -> Result<Caller, BodyError> {
    let mut parts = Texts::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parts.take(&name, value.into_owned());
    }
    match parts.key {
        Some(_) => Ok(parts.into_caller()),
        None => Err(BodyError::NoKey),
    }
}

/// Reads the whole body. Errors in `data` are reported later.
pub async fn read(
    server: &Server,
    guest: &Guest,
    boundary: String,
    mut body: Incoming,
    limits: BodyLimits,
) -> Result<(Caller, FormData), BodyError> {
    let form = read_form(server, guest, boundary, &mut body, limits).await;
    if !matches!(form, Err(BodyError::Stalled | BodyError::Connection(_))) {
        // The form may end before the body does.
        discard(&mut body, limits.stall).await;
    }
    form
}

async fn read_form(
    server: &Server,
    guest: &Guest,
    boundary: String,
    body: &mut Incoming,
    limits: BodyLimits,
) -> Result<(Caller, FormData), BodyError> {
    let mut form = Form::new(boundary, body, limits);
    let mut texts = Texts::default();
    let mut spool = Spool::new(server.vaults.upload_queue(), guest, limits);
    while let Some(mut part) = form.next_part().await? {
        let name = part.name().unwrap_or_default().to_owned();
        if Texts::NAMES.contains(&name.as_str()) {
            let text = form.text(&mut part).await?;
            texts.take(&name, text);
            continue;
        }
        let known = match texts.key.as_deref() {
            None | Some("") => false,
            // Verified first, so that a wrong key is answered as soon as possible.
            Some(key) => match server.accounts.authenticate(key).await {
                Ok(device) => {
                    guest.authenticated(&device.user);
                    true
                }
                Err(_) => return Ok((texts.into_caller(), FormData::Missing)),
            },
        };
        while let Some(piece) = form.piece(&mut part).await? {
            if name == "data" {
                spool.add(&piece, known).await?;
            }
        }
    }
    let data = spool.into_data(texts.gzip).await?;
    Ok((texts.into_caller(), data))
}

/// The short parts.
#[derive(Default)]
struct Texts {
    key: Option<String>,
    session_key: String,
    client: Option<String>,
    gzip: bool,
}

impl Texts {
    const NAMES: [&str; 5] = ["k", "sk", "s", "v", "c"];

    fn take(&mut self, name: &str, text: String) {
        match name {
            "k" | "sk" => self.key = Some(text),
            "s" => self.session_key = text,
            "v" => self.client = Some(text),
            "c" => self.gzip = text != "0",
            _ => {}
        }
    }

    fn into_caller(self) -> Caller {
        Caller {
            version: VERSION,
            host_key: self.key.unwrap_or_default(),
            session_key: self.session_key,
            client: self.client.clone().unwrap_or_default(),
            media_client: self.client,
        }
    }
}

/// The form, and the bytes read since the last piece of a part.
struct Form<'a> {
    parts: Multipart<'a>,
    between: Arc<AtomicU64>,
}

impl<'a> Form<'a> {
    fn new(boundary: String, body: &'a mut Incoming, limits: BodyLimits) -> Self {
        let between = Arc::default();
        let pieces = one_at_a_time(body, limits, Arc::clone(&between));
        Self {
            parts: Multipart::new(pieces, boundary),
            between,
        }
    }

    async fn next_part(&mut self) -> Result<Option<Field<'a>>, BodyError> {
        let part = self.parts.next_field().await.map_err(failure)?;
        self.between.store(0, Ordering::Relaxed);
        Ok(part)
    }

    async fn piece(&self, part: &mut Field<'a>) -> Result<Option<Bytes>, BodyError> {
        let piece = part.chunk().await.map_err(failure)?;
        self.between.store(0, Ordering::Relaxed);
        Ok(piece)
    }

    /// Some clients send arbitrary bytes as session key; they only have to stay the same.
    async fn text(&self, part: &mut Field<'a>) -> Result<String, BodyError> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece(part).await? {
            text.extend_from_slice(&piece);
            if text.len() > TEXT {
                return Err(BodyError::Multipart("a part is too long".to_owned()));
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The body in pieces as they arrive. Without this, the parser would take everything that the network has ready, search
/// the end of a part's head without limit, and accept any number of parts.
fn one_at_a_time(
    body: &mut Incoming,
    limits: BodyLimits,
    between: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, BodyError>> {
    // An upload above the limit is still read, so that its sender gets the answer.
    let room = limits.decoded + BETWEEN;
    stream::try_unfold(
        (body, room, limits.form_pace),
        move |(body, room, mut pace)| {
            let between = Arc::clone(&between);
            async move {
                // The parser stops reading when nothing is ready.
                yield_now().await;
                let Some(piece) = next(body, &mut pace).await? else {
                    return Ok(None);
                };
                let length = piece.len() as u64;
                if between.fetch_add(length, Ordering::Relaxed) > BETWEEN {
                    return Err(BodyError::Multipart(
                        "too much data between two parts".to_owned(),
                    ));
                }
                let room = room.checked_sub(length).ok_or(BodyError::TooLarge)?;
                Ok(Some((piece, (body, room, pace))))
            }
        },
    )
}

fn failure(error: multer::Error) -> BodyError {
    let multer::Error::StreamReadFailed(error) = error else {
        return BodyError::Multipart(error.to_string());
    };
    match error.downcast() {
        Ok(error) => *error,
        Err(error) => BodyError::Multipart(error.to_string()),
    }
}
