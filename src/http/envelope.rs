//! What both envelopes have in common: who asks, with which body, and how the answer is wrapped.

use std::io::{self, Write};

use hyper::{Response, body::Incoming, header::CONTENT_TYPE, http::request::Parts};

use super::{
    Server,
    body::{self, BodyError, BodyLimits},
    connections::Guest,
    direct,
    error::HttpError,
    multipart,
    reply::{Reply, ReplyBody},
    spool::Data,
};
use crate::{
    disk::Spool,
    sync::full::Schema,
    vault::{Vault, workers::Share},
    wire::header::DIRECT_POST,
};

/// Who asks, in the words of the envelope; nothing of it has been verified.
#[derive(Debug)]
pub struct Caller {
    /// Sync version; the older envelope does not tell, and counts as 10.
    pub version: u8,
    /// Empty before a login.
    pub host_key: String,
    /// What the client calls this sync; old clients have none outside a normal sync.
    pub session_key: String,
    /// Version, build and platform, as far as they are told.
    pub client: String,
    /// The client's version where `begin` has it beside the body.
    pub media_client: Option<String>,
}

impl Caller {
    /// The schema of the collections that this client reads.
    #[must_use]
    pub fn schema(&self) -> Schema {
        if self.version >= DIRECT_POST {
            Schema::Current
        } else {
            Schema::Old
        }
    }

    /// Puts an answer into the envelope that the request came in. One in the newer envelope
    /// with an older version is answered plainly, as by the reference server.
    ///
    /// # Errors
    /// When the content cannot be read.
    pub fn wrap(&self, reply: Reply, share: &Share) -> io::Result<Response<ReplyBody>> {
        if self.version >= DIRECT_POST {
            reply.into_zstd(share)
        } else {
            reply.into_plain(share)
        }
    }
}

/// A request's body, which is not decoded before someone asks for it.
pub struct Content {
    source: Source,
    limits: BodyLimits,
    share: Share,
    /// For what cannot be decoded as it comes.
    kept: Spool,
}

enum Source {
    Direct(Incoming),
    Multipart(Data),
}

impl Content {
    /// Notes whose threads are to decode it, and where there is room for it until then.
    pub fn belongs_to(&mut self, vault: &Vault) {
        self.share = vault.share().clone();
        self.kept = vault.file();
    }

    /// Decodes the body into `to`.
    ///
    /// # Errors
    /// [`BodyError`]; [`BodyError::Empty`] when there is none.
    pub async fn receive<W: Write + Send + 'static>(self, to: W) -> Result<W, BodyError> {
        match self.source {
            Source::Direct(body) => {
                direct::receive(body, to, self.kept, self.limits, &self.share).await
            }
            Source::Multipart(data) => data.decode(to, self.limits.decoded, &self.share).await,
        }
    }

    /// As [`Content::receive`], for methods whose arguments old clients leave out when they are
    /// empty: what is missing is `{}`.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn receive_object<W: Write + Send + 'static>(
        self,
        mut to: W,
    ) -> Result<W, BodyError> {
        if matches!(self.source, Source::Multipart(Data::Missing)) {
            to.write_all(b"{}")?;
            return Ok(to);
        }
        self.receive(to).await
    }

    /// Reads a body that is not wanted to its end, or the sender would not see the answer, and
    /// decodes nothing of it.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read_to_end(self) -> Result<(), BodyError> {
        let Source::Direct(mut body) = self.source else {
            return Ok(());
        };
        let mut pace = self.limits.pace;
        let mut sent = 0;
        while let Some(piece) = body::next(&mut body, &mut pace).await? {
            sent += piece.len() as u64;
            if sent > self.limits.sent {
                return Err(BodyError::TooLarge);
            }
        }
        Ok(())
    }

    /// Reads enough of a body that is not wanted for its sender to see the answer.
    pub async fn discard(self) {
        if let Source::Direct(mut body) = self.source {
            body::discard(&mut body, self.limits.stall).await;
        }
    }
}

/// Opens the envelope of a request.
///
/// # Errors
/// [`HttpError`] when it is none that clients use.
pub async fn open(
    server: &Server,
    guest: &Guest,
    head: &Parts,
    mut body: Incoming,
    limits: BodyLimits,
) -> Result<(Caller, Content), HttpError> {
    let (caller, source) = match direct::caller(&head.headers) {
        Ok(Some(caller)) => (caller, Source::Direct(body)),
        Ok(None) if head.method == hyper::Method::GET => {
            let caller = multipart::caller_in_query(head.uri.query().unwrap_or_default())?;
            (caller, Source::Multipart(Data::Missing))
        }
        Ok(None) => match multipart::boundary(head.headers.get(CONTENT_TYPE)) {
            Ok(boundary) => {
                let (caller, data) = multipart::read(server, guest, boundary, body, limits).await?;
                (caller, Source::Multipart(data))
            }
            Err(error) => {
                body::discard(&mut body, limits.stall).await;
                return Err(error);
            }
        },
        Err(error) => {
            body::discard(&mut body, limits.stall).await;
            return Err(error.into());
        }
    };
    let content = Content {
        source,
        limits,
        // Until its sender is known.
        share: server.vaults.lobby().share().clone(),
        kept: server.vaults.lobby().spool(),
    };
    Ok((caller, content))
}
