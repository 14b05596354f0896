//! One request: route, key, body, method, answer, and one line in the log.

use std::{
    io::{Read, Seek, SeekFrom},
    net::IpAddr,
    sync::Arc,
};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
};
use serde::de::DeserializeOwned;

use super::{
    Policy, Server,
    body::{BodyError, BodyLimits, discard},
    client_address::client_address,
    envelope::{self, Caller, Content},
    error::HttpError,
    log::{Entry, Outcome},
    page::page,
    reply::{Reply, ReplyBody, whole},
    route::{Method, NoRoute, Route, route},
};
use crate::{
    account::{Accounts, KeyError, host_key::DeviceId},
    collection::upload::Refusal,
    sync::{full, media, meta, normal},
    vault::{
        Vault,
        activity::{Attendance, Told, Traffic},
        conversation::Speaker,
        room::Room,
    },
    wire::{
        Usn,
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
        Ok(Route::Page) => page(&request, server.policy().trusts(peer)),
        Err(NoRoute::NotFound) => not_found(),
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    discard(
        &mut request.into_body(),
        server.policy().limits.body_timeout,
    )
    .await;
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
    let address = client_address(&policy, request.headers(), peer);
    let mut entry = Entry::new(method.name(), address);
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
    let room = policy.room;
    let mut limits = BodyLimits::from(&policy.limits);
    if method == Method::HostKey {
        (limits.sent, limits.decoded) = (LOGIN_BYTES, LOGIN_BYTES);
    }
    let (caller, content) = envelope::open(server, &head, body, limits).await?;
    entry.client.clone_from(&caller.client);
    entry.request.clone_from(&caller.session_key);
    let (reply, traffic) = if method == Method::HostKey {
        let reply = login(server, content, entry).await?;
        (reply, Traffic::default())
    } else {
        let device = match server.accounts.authenticate(&caller.host_key).await {
            Ok(device) => device,
            Err(error) => {
                content.discard().await;
                if let KeyError::Revoked(device) = &error {
                    entry.identify(device);
                }
                return Err(error.into());
            }
        };
        entry.identify(&device);
        server.accounts.devices.seen(&device, entry.sighting());
        let vault = server.vaults.get(&device.user).await?;
        // From the head on: while a body is under way, its device is not silent.
        let attendance = vault.attend(device.id);
        let mut call = Call {
            accounts: &server.accounts,
            caller: &caller,
            device: device.id,
            vault,
            attendance,
            limits,
            room,
            entry,
        };
        let reply = call.dispatch(method, content).await?;
        call.attendance.answered(reply.length());
        if let Some(action) = call.entry.action() {
            server.pulse.synced(&device.user);
            let sighting = call.entry.sighting();
            server.accounts.devices.synced(&device, sighting, action);
        }
        // Requests that get no line of their own count for the one that ends their sync.
        let traffic = call.entry.outcome.map(|_| call.attendance.take_traffic());
        (reply, traffic.unwrap_or_default())
    };
    Ok((caller.wrap(reply)?, traffic))
}

async fn login(server: &Server, content: Content, entry: &mut Entry) -> Result<Reply, HttpError> {
    let body = content.receive_object(Vec::new()).await?;
    let LoginRequest { user, password } = parse(&body)?;
    entry.user.clone_from(&user);
    let (device, key) = server
        .accounts
        .login(&user, password, entry.address())
        .await?;
    entry.identify(&device);
    server.accounts.devices.seen(&device, entry.sighting());
    entry.outcome = Some(Outcome::Login);
    json(LoginReply {
        key: key.to_string(),
    })
}

/// A method called by a device that may.
struct Call<'a> {
    accounts: &'a Accounts,
    caller: &'a Caller,
    device: DeviceId,
    vault: Arc<Vault>,
    attendance: Attendance,
    limits: BodyLimits,
    room: Room,
    entry: &'a mut Entry,
}

impl Call<'_> {
    async fn dispatch(&mut self, method: Method, content: Content) -> Result<Reply, HttpError> {
        if method.begins_storing()
            && let Err(error) = self.vault.admit(self.room).await
        {
            // Read to its end, or the client would not see the answer.
            content.receive(std::io::sink()).await?;
            return Err(error.into());
        }
        match method {
            Method::Upload => {
                self.attendance.tell(None);
                self.upload(content).await
            }
            Method::Download => {
                self.attendance.tell(None);
                self.ignore(content).await?;
                let file = full::download(&self.vault, self.device, self.caller.schema()).await?;
                self.entry.outcome = Some(Outcome::Download);
                Ok(Reply::file(file)?)
            }
            Method::Meta => {
                let request = self.read(content).await?;
                let meta = meta::meta(&self.vault, self.device, request).await?;
                self.attendance.tell(Some(Told {
                    schema: meta.schema_changed,
                    usn: Usn(meta.usn),
                }));
                json(meta)
            }
            Method::MediaBegin
            | Method::MediaChanges
            | Method::MediaUpload
            | Method::MediaDownload
            | Method::MediaSanity => self.media(method, content).await,
            _ => self.converse(method, content).await,
        }
    }

    async fn converse(&mut self, method: Method, content: Content) -> Result<Reply, HttpError> {
        let vault = &Arc::clone(&self.vault);
        let speaker = Speaker {
            device: self.device,
            session_key: self.caller.session_key.clone(),
        };
        match method {
            Method::Start => json(normal::start(vault, speaker, self.read(content).await?).await?),
            Method::ApplyGraves => {
                json(normal::apply_graves(vault, speaker, self.read(content).await?).await?)
            }
            Method::ApplyChanges => {
                json(normal::apply_changes(vault, speaker, self.read(content).await?).await?)
            }
            Method::ApplyChunk => {
                json(normal::apply_chunk(vault, speaker, self.read(content).await?).await?)
            }
            Method::SanityCheck => {
                json(normal::sanity_check(vault, speaker, self.read(content).await?).await?)
            }
            _ => {
                self.ignore(content).await?;
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

    async fn media(&mut self, method: Method, content: Content) -> Result<Reply, HttpError> {
        let vault = &Arc::clone(&self.vault);
        match method {
            Method::MediaBegin => {
                if self.caller.media_client.is_none() {
                    let _: BeginRequest = self.read(content).await?;
                }
                json(MediaReply::ok(
                    media::begin(vault, self.caller.host_key.clone()).await?,
                ))
            }
            Method::MediaChanges => json(MediaReply::ok(
                media::changes(vault, self.read(content).await?).await?,
            )),
            Method::MediaUpload => {
                let mut zip = content.receive(vault.spool()).await?;
                self.authenticate_again().await?;
                self.attendance.received(zip.seek(SeekFrom::End(0))?);
                let uploaded = media::upload(vault, zip, self.room).await?;
                self.entry.outcome = Some(Outcome::MediaSent(uploaded.0));
                json(MediaReply::ok(uploaded))
            }
            Method::MediaDownload => {
                let request = self.read(content).await?;
                let zip = media::download(vault, request, vault.spool()).await?;
                self.entry.outcome = Some(Outcome::MediaReceived);
                Ok(Reply::file(zip)?)
            }
            _ => json(MediaReply::ok(
                media::sanity(vault, &self.read(content).await?).await?,
            )),
        }
    }

    /// The device may have been revoked while the body was under way.
    async fn authenticate_again(&self) -> Result<(), HttpError> {
        self.accounts.authenticate(&self.caller.host_key).await?;
        Ok(())
    }

    /// What is wrong with an upload is told with status 200, since only then clients show it.
    async fn upload(&mut self, content: Content) -> Result<Reply, HttpError> {
        let refusal = match content.receive(self.vault.upload_file()?).await {
            Ok(file) => {
                self.authenticate_again().await?;
                self.attendance.received(file.as_file().metadata()?.len());
                match full::upload(&self.vault, self.device, file, self.room).await? {
                    Ok(()) => {
                        self.entry.outcome = Some(Outcome::Upload);
                        return Ok(Reply::text(full::OK));
                    }
                    Err(refusal) => refusal,
                }
            }
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

    /// Whatever an empty request carries does not matter.
    async fn ignore(&self, content: Content) -> Result<(), HttpError> {
        content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await
    }

    async fn read<T: DeserializeOwned>(&self, content: Content) -> Result<T, HttpError> {
        let mut spooled = content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await?;
        spooled.rewind()?;
        let mut bytes = Vec::new();
        spooled.read_to_end(&mut bytes)?;
        self.attendance.received(bytes.len() as u64);
        Ok(parse(&bytes)?)
    }
}

fn json(value: impl serde::Serialize) -> Result<Reply, HttpError> {
    Ok(Reply::json(&value)?)
}
