//! One request: route, key, body, method, answer, and one line in the log.

use std::{
    io::{Read, Seek},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
};
use serde::de::DeserializeOwned;
use tempfile::SpooledTempFile;

use super::{
    Server,
    body::{BodyError, BodyLimits, discard, receive},
    client_address::client_address,
    error::HttpError,
    reply::{Reply, ReplyBody, whole},
    route::{Method, NoRoute, Route, route},
};
use crate::{
    account::{Device, host_key::DeviceId},
    collection::open::Refusal,
    sync::{full, media, meta, normal},
    vault::{Vault, conversation::Speaker},
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
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let response = match route(request.method(), request.uri().path()) {
        Ok(Route::Method(method)) => return run(&server, peer, method, request).await,
        Ok(Route::Health) => Response::new(whole("")),
        Err(NoRoute::NotFound) => not_found(),
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    discard(request.into_body(), server.limits.body_timeout).await;
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
    peer: SocketAddr,
    method: Method,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let began = Instant::now();
    let address = client_address(server.client_address, request.headers(), peer);
    let mut log = LogEntry {
        method: method.name(),
        address,
        user: String::new(),
        client: String::new(),
    };
    let result = answer(server, method, request, &mut log).await;
    let ms = began.elapsed().as_millis();
    let LogEntry {
        method,
        address,
        user,
        client,
    } = log;
    match result {
        Ok(response) => {
            tracing::info!(method, user, %address, client, ms, "done");
            response
        }
        Err(error) if error.status.is_server_error() => {
            tracing::error!(method, user, %address, client, ms, status = error.status.as_u16(), "failed: {}", error.cause);
            error.into_response()
        }
        Err(error) => {
            tracing::warn!(method, user, %address, client, ms, status = error.status.as_u16(), "refused: {}", error.cause);
            error.into_response()
        }
    }
}

/// What is known of a request, as it becomes known.
struct LogEntry {
    method: &'static str,
    address: IpAddr,
    user: String,
    client: String,
}

async fn answer(
    server: &Server,
    method: Method,
    request: Request<Incoming>,
    log: &mut LogEntry,
) -> Result<Response<ReplyBody>, HttpError> {
    let (head, body) = request.into_parts();
    let stall = server.limits.body_timeout;
    let header = match read_header(&head.headers) {
        Ok(header) => header,
        Err(error) => {
            discard(body, stall).await;
            return Err(error);
        }
    };
    log.client.clone_from(&header.client);
    let reply = if method == Method::HostKey {
        login(server, body, log).await?
    } else {
        let Some(device) = server.accounts.authenticate(&header.host_key) else {
            discard(body, stall).await;
            return Err(HttpError::new(
                StatusCode::FORBIDDEN,
                "the host key is not valid (any more); log in again",
            ));
        };
        log.user = device.user.to_string();
        Call::new(server, device, &header)
            .await?
            .dispatch(method, body)
            .await?
    };
    Ok(if header.wants_zstd() {
        reply.into_zstd()?
    } else {
        reply.into_plain()?
    })
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

async fn login(server: &Server, body: Incoming, log: &mut LogEntry) -> Result<Reply, HttpError> {
    let limits = BodyLimits {
        sent: LOGIN_BYTES,
        decoded: LOGIN_BYTES,
        stall: server.limits.body_timeout,
    };
    let LoginRequest { user, password } = parse(&receive(body, Vec::new(), limits).await?)?;
    log.user.clone_from(&user);
    let (_, key) = server
        .accounts
        .login(&user, password, Some(log.address))
        .await?;
    Ok(Reply::json(&LoginReply {
        key: key.to_string(),
    })?)
}

/// A method called by a device that may.
struct Call<'a> {
    header: &'a SyncHeader,
    device: DeviceId,
    vault: Arc<Vault>,
    limits: BodyLimits,
}

impl<'a> Call<'a> {
    async fn new(
        server: &Server,
        device: Device,
        header: &'a SyncHeader,
    ) -> Result<Self, HttpError> {
        let vault = server.vaults.get(&device.user).await?;
        let limits = BodyLimits {
            sent: server.limits.sent,
            decoded: server.limits.decoded,
            stall: server.limits.body_timeout,
        };
        Ok(Self {
            header,
            device: device.id,
            vault,
            limits,
        })
    }

    async fn dispatch(self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        // From the head on: while a body is under way, its device is not silent.
        let _attendance = self.vault.attend(self.device);
        match method {
            Method::Upload => self.upload(body).await,
            Method::Download => {
                self.spool(body).await?;
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

    async fn converse(&self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        let vault = &self.vault;
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
                    Method::Finish => json(normal::finish(vault, speaker).await?),
                    _ => json(normal::abort(vault, speaker).await?),
                }
            }
        }
    }

    async fn media(&self, method: Method, body: Incoming) -> Result<Reply, HttpError> {
        let vault = &self.vault;
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
            Method::MediaUpload => json(MediaReply::ok(
                media::upload(vault, self.spool(body).await?).await?,
            )),
            Method::MediaDownload => {
                let zip = media::download(vault, self.read(body).await?, vault.spool()).await?;
                Ok(Reply::file(zip)?)
            }
            _ => json(MediaReply::ok(
                media::sanity(vault, &self.read(body).await?).await?,
            )),
        }
    }

    /// What is wrong with an upload is told with status 200, since only then clients show it.
    async fn upload(&self, body: Incoming) -> Result<Reply, HttpError> {
        let refusal = match receive(body, self.vault.upload_file()?, self.limits).await {
            Ok(file) => match full::upload(&self.vault, self.device, file).await? {
                Ok(()) => return Ok(Reply::text(full::OK)),
                Err(refusal) => refusal,
            },
            Err(BodyError::Empty) => Refusal::Empty,
            Err(BodyError::TooLarge) => Refusal::TooLarge {
                sent: self.limits.sent,
                decoded: self.limits.decoded,
            },
            Err(error) => return Err(error.into()),
        };
        tracing::warn!("upload refused: {refusal}");
        Ok(Reply::text(refusal.to_string()))
    }

    async fn spool(&self, body: Incoming) -> Result<SpooledTempFile, HttpError> {
        Ok(receive(body, self.vault.spool(), self.limits).await?)
    }

    async fn read<T: DeserializeOwned>(&self, body: Incoming) -> Result<T, HttpError> {
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
