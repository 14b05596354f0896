//! One request: route, key, body, method, answer, and one line in the log.

use std::{
    io::{Read, Seek, Write},
    net::IpAddr,
    sync::Arc,
};

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
};
use serde::de::DeserializeOwned;
use tempfile::SpooledTempFile;

use super::{
    Policy, Server,
    body::{BodyError, BodyLimits, Received, discard, receive},
    client_address::client_address,
    error::HttpError,
    log::{Entry, Outcome},
    reply::{Reply, ReplyBody, whole},
    route::{Method, NoRoute, Route, route},
};
use crate::{
    account::host_key::DeviceId,
    collection::open::Refusal,
    sync::{full, media, meta, normal},
    vault::{
        Vault,
        activity::{Attendance, Traffic},
        conversation::Speaker,
    },
    wire::{
        header::SyncHeader,
        login::{LoginReply, LoginRequest},
        media::{BeginRequest, MediaReply},
        parse,
    },
};

/// A login's body; the only one that is decoded before the key is known.
const LOGIN_BYTES: u64 = 16 * 1024;

/// Answers any request.
pub async fn handle(
    server: Arc<Server>,
    peer: Option<IpAddr>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let response = match route(request.method(), request.uri().path()) {
        Ok(Route::Method(method)) => return run(&server, peer, method, request).await,
        Ok(Route::Health) => Response::new(whole("")),
        Err(NoRoute::NotFound) => not_found(),
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    discard(request.into_body(), server.policy().limits.body_timeout).await;
    response
}

fn not_found() -> Response<ReplyBody> {
    let hint = "there is nothing here; in Anki, give this server's address without sync/ and with a slash at the end";
    HttpError::new(StatusCode::NOT_FOUND, hint).into_response()
}

fn wrong_verb(verbs: &'static str) -> Response<ReplyBody> {
    let hint = format!("this address answers to {verbs} only");
    let mut response = HttpError::new(StatusCode::METHOD_NOT_ALLOWED, hint).into_response();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(verbs));
    response
}

/// Runs a method and logs how it went, once.
async fn run(
    server: &Server,
    peer: Option<IpAddr>,
    method: Method,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let policy = server.policy();
    let mut entry = Entry::new(
        method.name(),
        client_address(&policy, request.headers(), peer),
    );
    match answer(server, &policy, method, request, &mut entry).await {
        Ok((response, traffic)) => {
            entry.succeeded(traffic);
            response
        }
        Err(error) => {
            entry.failed(&error);
            error.into_response()
        }
    }
}

async fn answer(
    server: &Server,
    policy: &Policy,
    method: Method,
    request: Request<Incoming>,
    entry: &mut Entry,
) -> Result<(Response<ReplyBody>, Traffic), HttpError> {
    let (head, body) = request.into_parts();
    let limits = BodyLimits::from(&policy.limits);
    let header = match read_header(&head.headers) {
        Ok(header) => header,
        Err(error) => {
            discard(body, limits.stall).await;
            return Err(error);
        }
    };
    entry.client.clone_from(&header.client);
    entry.request.clone_from(&header.session_key);
    let (reply, traffic) = if method == Method::HostKey {
        (
            login(server, body, limits, entry).await?,
            Traffic::default(),
        )
    } else {
        let Some(device) = server.accounts.authenticate(&header.host_key) else {
            discard(body, limits.stall).await;
            return Err(HttpError::new(
                StatusCode::FORBIDDEN,
                "the host key is not valid (any more); log in again",
            ));
        };
        entry.identify(&device);
        let vault = server.vaults.get(&device.user).await?;
        // From the head on: while a body is under way, its device is not silent.
        let attendance = vault.attend(device.id);
        let mut call = Call {
            header: &header,
            device: device.id,
            vault,
            attendance,
            limits,
            entry,
        };
        let reply = call.dispatch(method, body).await?;
        call.attendance.answered(reply.length());
        if let Some(Outcome::Sync(_) | Outcome::Upload | Outcome::Download) = call.entry.outcome {
            server.pulse.synced(&device.user);
        }
        // Requests that get no line of their own count for the one that ends their sync.
        let traffic = call.entry.outcome.map(|_| call.attendance.take_traffic());
        (reply, traffic.unwrap_or_default())
    };
    let response = if header.wants_zstd() {
        reply.into_zstd()?
    } else {
        reply.into_plain()?
    };
    Ok((response, traffic))
}

fn read_header(headers: &HeaderMap) -> Result<SyncHeader, HttpError> {
    let value = headers.get("anki-sync").ok_or_else(|| {
        HttpError::new(
            StatusCode::BAD_REQUEST,
            "there is no anki-sync header: not an Anki client of version 2.1.57 or newer",
        )
    })?;
    Ok(SyncHeader::parse(value.as_bytes())?)
}

async fn login(
    server: &Server,
    body: Incoming,
    limits: BodyLimits,
    entry: &mut Entry,
) -> Result<Reply, HttpError> {
    let limits = BodyLimits {
        sent: LOGIN_BYTES,
        decoded: LOGIN_BYTES,
        ..limits
    };
    let LoginRequest { user, password } = parse(&receive(body, Vec::new(), limits).await?.content)?;
    entry.user.clone_from(&user);
    let (device, key) = server
        .accounts
        .login(&user, password, entry.address())
        .await?;
    entry.identify(&device);
    entry.outcome = Some(Outcome::Login);
    json(LoginReply {
        key: key.to_string(),
    })
}

/// A method called by a device that may.
struct Call<'a> {
    header: &'a SyncHeader,
    device: DeviceId,
    vault: Arc<Vault>,
    attendance: Attendance,
    limits: BodyLimits,
    entry: &'a mut Entry,
}

impl Call<'_> {
    async fn dispatch(&mut self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        match method {
            Method::Upload => self.upload(body).await,
            Method::Download => {
                self.spool(body).await?;
                self.entry.outcome = Some(Outcome::Download);
                Ok(Reply::file(
                    full::download(&self.vault, self.device).await?,
                )?)
            }
            Method::Meta => {
                let request = self.read(body).await?;
                json(meta::meta(&self.vault, self.device, request).await?)
            }
            Method::MediaBegin
            | Method::MediaChanges
            | Method::MediaUpload
            | Method::MediaDownload
            | Method::MediaSanity => self.media(method, body).await,
            _ => self.converse(method, body).await,
        }
    }

    async fn converse(&mut self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        let vault = &Arc::clone(&self.vault);
        let speaker = Speaker {
            device: self.device,
            session_key: self.header.session_key.clone(),
        };
        match method {
            Method::Start => json(normal::start(vault, speaker, self.read(body).await?).await?),
            Method::ApplyGraves => {
                json(normal::apply_graves(vault, speaker, self.read(body).await?).await?)
            }
            Method::ApplyChanges => {
                json(normal::apply_changes(vault, speaker, self.read(body).await?).await?)
            }
            Method::ApplyChunk => {
                json(normal::apply_chunk(vault, speaker, self.read(body).await?).await?)
            }
            Method::SanityCheck => {
                json(normal::sanity_check(vault, speaker, self.read(body).await?).await?)
            }
            _ => {
                // Whatever an empty request carries is ignored.
                self.spool(body).await?;
                match method {
                    Method::Chunk => json(normal::chunk(vault, speaker).await?),
                    Method::Finish => {
                        let finished = normal::finish(vault, speaker).await?;
                        self.entry.outcome = Some(Outcome::Sync(finished));
                        json(finished.modified)
                    }
                    _ => json(normal::abort(vault, speaker).await?),
                }
            }
        }
    }

    async fn media(&mut self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        let vault = &Arc::clone(&self.vault);
        match method {
            Method::MediaBegin => {
                let _: BeginRequest = self.read(body).await?;
                json(MediaReply::ok(
                    media::begin(vault, self.header.host_key.clone()).await?,
                ))
            }
            Method::MediaChanges => json(MediaReply::ok(
                media::changes(vault, self.read(body).await?).await?,
            )),
            Method::MediaUpload => {
                let uploaded = media::upload(vault, self.spool(body).await?).await?;
                self.entry.outcome = Some(Outcome::MediaSent(uploaded.0));
                json(MediaReply::ok(uploaded))
            }
            Method::MediaDownload => {
                let request = self.read(body).await?;
                let zip = media::download(vault, request, vault.spool()).await?;
                self.entry.outcome = Some(Outcome::MediaReceived);
                Ok(Reply::file(zip)?)
            }
            _ => json(MediaReply::ok(
                media::sanity(vault, &self.read(body).await?).await?,
            )),
        }
    }

    /// What is wrong with an upload is told with status 200, since only then clients show it.
    async fn upload(&mut self, body: Incoming) -> Result<Reply, HttpError> {
        let refusal = match self.receive(body, self.vault.upload_file()?).await {
            Ok(file) => match full::upload(&self.vault, self.device, file).await? {
                Ok(()) => {
                    self.entry.outcome = Some(Outcome::Upload);
                    return Ok(Reply::text(full::OK));
                }
                Err(refusal) => refusal,
            },
            Err(BodyError::Empty) => Refusal::Empty,
            Err(BodyError::TooLarge) => Refusal::TooLarge {
                sent: self.limits.sent,
                decoded: self.limits.decoded,
            },
            Err(error) => return Err(error.into()),
        };
        let sentence = refusal.to_string();
        self.entry.upload_refused(&sentence);
        Ok(Reply::text(sentence))
    }

    async fn spool(&mut self, body: Incoming) -> Result<SpooledTempFile, HttpError> {
        Ok(self.receive(body, self.vault.spool()).await?)
    }

    async fn receive<W: Write + Send + 'static>(
        &mut self,
        body: Incoming,
        to: W,
    ) -> Result<W, BodyError> {
        let Received { content, sent } = receive(body, to, self.limits).await?;
        self.attendance.received(sent);
        Ok(content)
    }

    async fn read<T: DeserializeOwned>(&mut self, body: Incoming) -> Result<T, HttpError> {
        let mut spooled = self.spool(body).await?;
        spooled.rewind()?;
        let mut bytes = Vec::new();
        spooled.read_to_end(&mut bytes)?;
        Ok(parse(&bytes)?)
    }
}

fn json(value: impl serde::Serialize) -> Result<Reply, HttpError> {
    Ok(Reply::json(&value)?)
}
