//! One request: route, key, body, method, answer, and one line in the log.

use std::{
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

use hyper::{Request, Response, body::Incoming};
use serde::de::DeserializeOwned;

use super::{
    Policy, Server,
    body::{BodyError, BodyLimits, Pace},
    client_address::{client_address, forwarded},
    connections::Guest,
    envelope::{self, Caller, Content},
    error::HttpError,
    log::{Entry, Outcome},
    memory::Memory,
    page::page,
    refuse::{not_found, refuse, wrong_verb},
    reply::{Reply, ReplyBody, whole},
    route::{Method, NoRoute, Route, route},
};
use crate::{
    account::{Accounts, KeyError, host_key::DeviceId},
    collection::upload::Refusal,
    disk::Spool,
    sync::{full, media, meta, normal},
    vault::{
        self, Vault,
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

/// Answers any request.
pub async fn handle(
    server: Arc<Server>,
    guest: &Guest,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let policy = server.policy();
    guest.request_from(
        forwarded(&policy, request.headers(), guest.peer),
        policy.limits.connections_per_address,
    );
    let response = match route(request.method(), request.uri().path()) {
        Ok(Route::Method(method)) => return run(&server, &policy, guest, method, request).await,
        Ok(Route::Health) => Response::new(whole("")),
        Ok(Route::Page) => page(&request, policy.trusts(guest.peer)),
        Err(NoRoute::NotFound) => not_found(),
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    refuse(response, request.into_body(), policy.limits.body_timeout).await
}

/// Runs a method and logs how it went, once.
async fn run(
    server: &Server,
    policy: &Policy,
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let address = client_address(policy, request.headers(), guest.peer);
    let mut entry = Entry::new(method.name(), address);
    match answer(server, policy, guest, method, request, &mut entry).await {
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
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
    entry: &mut Entry,
) -> Result<(Response<ReplyBody>, Traffic), HttpError> {
    let (head, body) = request.into_parts();
    let room = policy.room;
    let mut limits = BodyLimits::from(&policy.limits);
    limits.decoded = limits.decoded.min(method.largest_body());
    if method == Method::HostKey {
        // The only one that is decoded before the key is known.
        limits.sent = limits.decoded;
        limits.pace = Pace::stranger(limits.stall);
        limits.form_pace = limits.pace;
    }
    let (caller, mut content) = envelope::open(server, guest, &head, body, limits).await?;
    entry.client.clone_from(&caller.client);
    entry.request.clone_from(&caller.session_key);
    let (reply, traffic, share) = if method == Method::HostKey {
        let share = server.vaults.lobby().share().clone();
        let reply = login(server, guest, content, entry).await?;
        (reply, Traffic::default(), share)
    } else {
        let device = match server.accounts.authenticate(&caller.host_key).await {
            Ok(device) => device,
            Err(error) => {
                content.discard().await;
                if let KeyError::Revoked(device) = &error {
                    entry.identify(device, server.accounts.devices.name(device));
                }
                return Err(error.into());
            }
        };
        guest.authenticated(&device.user);
        entry.identify(&device, server.accounts.devices.name(&device));
        server.accounts.devices.seen(&device, entry.sighting());
        let vault = server.vaults.get(&device.user).await?;
        // From the head on: while a body is under way, its device is not silent.
        let share = vault.share().clone();
        content.belongs_to(&vault);
        let attendance = vault.attend(device.id);
        let mut call = Call {
            accounts: &server.accounts,
            memory: &server.memory,
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
        (reply, traffic.unwrap_or_default(), share)
    };
    Ok((caller.wrap(reply, &share)?, traffic))
}

async fn login(
    server: &Server,
    guest: &Guest,
    content: Content,
    entry: &mut Entry,
) -> Result<Reply, HttpError> {
    let body = content.receive_object(Vec::new()).await?;
    let LoginRequest { user, password } = parse(&body)?;
    entry.user.clone_from(&user);
    guest.admitted();
    let (device, key) = server
        .accounts
        .login(&user, password, entry.address())
        .await?;
    guest.authenticated(&device.user);
    entry.identify(&device, server.accounts.devices.name(&device));
    server.accounts.devices.seen(&device, entry.sighting());
    entry.outcome = Some(Outcome::Login);
    json(LoginReply {
        key: key.to_string(),
    })
}

/// A method called by a device that may.
struct Call<'a> {
    accounts: &'a Accounts,
    memory: &'a Memory,
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
        if method.continues_sync() && !self.vault.is_under_way(&self.speaker()) {
            content.read_to_end().await?;
            return Err(vault::Error::NotInSync.into());
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
        let speaker = self.speaker();
        match method {
            Method::Start => {
                let (body, _) = self.receive(content).await?;
                json(normal::start(vault, speaker, body).await?)
            }
            Method::ApplyGraves => {
                let (body, _) = self.receive(content).await?;
                json(normal::apply_graves(vault, speaker, body).await?)
            }
            Method::ApplyChanges => {
                let (body, length) = self.receive(content).await?;
                let _share = self.memory.for_storing(vault, length).await?;
                let reply = normal::apply_changes(vault, speaker, body, vault.spool());
                Ok(Reply::spooled(reply.await?)?)
            }
            Method::ApplyChunk => {
                let (body, length) = self.receive(content).await?;
                let _share = self.memory.for_storing(vault, length).await?;
                json(normal::apply_chunk(vault, speaker, body).await?)
            }
            Method::SanityCheck => {
                json(normal::sanity_check(vault, speaker, self.read(content).await?).await?)
            }
            _ => {
                self.ignore(content).await?;
                match method {
                    Method::Chunk => {
                        let _share = self.memory.for_chunk(vault).await?;
                        let reply = normal::chunk(vault, speaker, vault.spool());
                        Ok(Reply::spooled(reply.await?)?)
                    }
                    Method::Finish => {
                        let finished = normal::finish(vault, speaker).await?;
                        self.entry.outcome = Some(Outcome::Sync(finished));
                        json(finished.modified)
                    }
                    _ => json(normal::abort(vault, speaker, self.attendance.since()).await?),
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
                let zip = media::download(vault, request, vault.parcel()).await?;
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
                let file = file.into_inner();
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

    /// A small body, as its method's limit sees to.
    async fn read<T: DeserializeOwned>(&self, content: Content) -> Result<T, HttpError> {
        let (mut body, _) = self.receive(content).await?;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        Ok(parse(&bytes)?)
    }

    /// A body that is read where it is needed, and its length.
    async fn receive(&self, content: Content) -> Result<(Spool, u64), HttpError> {
        let mut body = content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await?;
        let length = body.stream_position()?;
        body.rewind()?;
        self.attendance.received(length);
        Ok((body, length))
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            device: self.device,
            session_key: self.caller.session_key.clone(),
        }
    }
}

fn json(value: impl serde::Serialize) -> Result<Reply, HttpError> {
    Ok(Reply::json(&value)?)
}
