//! What both envelopes have in common: the client and the body.

use std::io::Write;

use hyper::{body::Incoming, header::CONTENT_TYPE, http::request::Parts};

use super::{
    BodyError, BodyLimits, caller::Caller, decode::BRIEF, direct, discard, multipart, next,
    spool::FormData,
};
use crate::{
    disk::Spool,
    http::connections::Guest,
    state::Server,
    vault::{Vault, workers::Share},
};

/// A request's body, which is decoded only when its method asks for it.
pub struct Content {
    source: Source,
    limits: BodyLimits,
    share: Share,
    /// A place for bodies that cannot be decoded as they arrive.
    kept: Spool,
}

enum Source {
    Direct(Incoming),
    Multipart(FormData),
}

impl Content {
    /// Uses this user's threads and disk space from now on.
    pub fn of(self, vault: &Vault) -> Self {
        Self {
            share: vault.share().clone(),
            kept: vault.file(),
            ..self
        }
    }

    /// Decodes the body into `to`, on a thread, since `to` may be a file.
    pub async fn receive<W: Write + Send + 'static>(self, to: W) -> Result<W, BodyError> {
        match self.source {
            Source::Direct(body) => {
                direct::receive(body, to, self.kept, self.limits, &self.share).await
            }
            Source::Multipart(data) => data.decode(to, self.limits.decoded, &self.share).await,
        }
    }

    /// Decodes an object into `to`, which keeps what is brief in memory: handing that over to a
    /// thread and back takes longer than decoding it. Old clients leave out empty arguments: a
    /// missing body counts as `{}`.
    pub async fn receive_object<W: Write + Send + 'static>(
        self,
        mut to: W,
    ) -> Result<W, BodyError> {
        if matches!(self.source, Source::Multipart(FormData::Missing)) {
            to.write_all(b"{}")?;
            return Ok(to);
        }
        let limits = BodyLimits {
            at_once: BRIEF,
            ..self.limits
        };
        Self { limits, ..self }.receive(to).await
    }

    /// Reads a body to its end without decoding it. Otherwise the sender would not see the answer.
    pub async fn read_to_end(self) -> Result<(), BodyError> {
        let Source::Direct(mut body) = self.source else {
            return Ok(());
        };
        let mut pace = self.limits.pace;
        let mut sent = 0;
        while let Some(piece) = next(&mut body, &mut pace).await? {
            sent += piece.len() as u64;
            if sent > self.limits.sent {
                return Err(BodyError::TooLarge);
            }
        }
        Ok(())
    }

    /// Reads enough of an unwanted body that its sender sees the answer.
    pub async fn discard(self) {
        if let Source::Direct(mut body) = self.source {
            discard(&mut body, self.limits.stall).await;
        }
    }
}

pub async fn open(
    server: &Server,
    guest: &Guest,
    head: &Parts,
    mut body: Incoming,
    limits: BodyLimits,
) -> Result<(Caller, Content), BodyError> {
    let (caller, source) = match direct::caller(&head.headers) {
        Ok(Some(caller)) => (caller, Source::Direct(body)),
        Ok(None) if head.method == hyper::Method::GET => {
            let caller = multipart::caller_in_query(head.uri.query().unwrap_or_default())?;
            (caller, Source::Multipart(FormData::Missing))
        }
        Ok(None) => match multipart::boundary(head.headers.get(CONTENT_TYPE)) {
            Ok(boundary) => {
                let (caller, data) = multipart::read(server, guest, boundary, body, limits).await?;
                (caller, Source::Multipart(data))
            }
            Err(error) => {
                discard(&mut body, limits.stall).await;
                return Err(error);
            }
        },
        Err(error) => {
            discard(&mut body, limits.stall).await;
            return Err(error.into());
        }
    };
    let content = Content {
        source,
        limits,
        // Until the user is known.
        share: server.vaults.upload_queue().share().clone(),
        kept: server.vaults.upload_queue().spool(),
    };
    Ok((caller, content))
}
