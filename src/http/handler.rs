//! One request: route, key, body, method, answer, and one line in the log.

use std::{
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use serde::de::DeserializeOwned;

use super::{
    Policy, Server,
    body::{BodyError, BodyLimits, Pace},
    client_address::{client_address, forwarded},
    connections::Guest,
    envelope::{self, Caller, Content},
    error::HttpError,
    log::Entry,
    memory::Memory,
    page::page,
    present::Present,
    refuse::{not_found, refuse, wrong_verb},
    reply::{Reply, ReplyBody, whole},
    route::{Method, NoRoute, Route, route},
    sending::Sending,
    tracked::Tracked,
    visits::{Cards, MediaDeed},
};
use crate::{
    account::{Accounts, DeviceId, KeyError},
    collection::upload::Refusal,
    disk::Spool,
    sync::{full, media, meta, normal},
    vault::{
        self, Vault,
        activity::{Attendance, Told},
        conversation::Speaker,
        room::Room,
    },
    wire::{
        Usn,
        login::{LoginReply, LoginRequest},
        media::{BeginRequest, MediaReply, Sanity},
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
        Err(NoRoute::NotFound) => {
            let address = client_address(&policy, request.headers(), guest.peer);
            server.lost.request(address, &request);
            not_found()
        }
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    refuse(response, request.into_body(), policy.limits.body_timeout).await
}

/// Runs a method and logs how it went, once.
async fn run(
    server: &Arc<Server>,
    policy: &Policy,
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let address = client_address(policy, request.headers(), guest.peer);
    let mut entry = Entry::new(method.name(), address);
    match answer(server, policy, guest, method, request, &mut entry).await {
        Ok(response) => {
            entry.succeeded();
            response
        }
        Err(Failure { error, revoked }) => {
            if !error.is_parting {
                let user = entry.owner();
                server.pulse.count(user, |counts| counts.failures += 1);
            }
            // A revoked device goes on asking.
            if revoked.is_none_or(|device| server.revoked.is_due(device)) {
                entry.failed(&error);
            }
            error.into_response()
        }
    }
}

/// Why a request failed.
struct Failure {
    error: HttpError,
    /// The device, if it is because that was revoked.
    revoked: Option<DeviceId>,
}

impl<E: Into<HttpError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            revoked: None,
        }
    }
}

async fn answer(
    server: &Arc<Server>,
    policy: &Policy,
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
    entry: &mut Entry,
) -> Result<Response<ReplyBody>, Failure> {
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
    let (reply, present, share) = if method == Method::HostKey {
        let share = server.vaults.lobby().share().clone();
        let reply = login(server, guest, content, entry).await?;
        (reply, None, share)
    } else {
        let device = match server.accounts.authenticate(&caller.host_key).await {
            Ok(device) => device,
            Err(error) => {
                content.discard().await;
                let mut revoked = None;
                if let KeyError::Revoked(device) = &error {
                    entry.identify(device, server.accounts.devices.name(device));
                    revoked = Some(device.id);
                }
                return Err(Failure {
                    revoked,
                    ..error.into()
                });
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
        let present = Arc::new(Present::enter(server, &device, method));
        let mut call = Call {
            accounts: &server.accounts,
            memory: &server.memory,
            caller: &caller,
            device: device.id,
            vault,
            attendance,
            present: Arc::clone(&present),
            limits,
            room,
            entry,
        };
        let reply = call.dispatch(method, content).await?;
        present.answered(reply.length());
        (reply, Some(present), share)
    };
    let response = caller.wrap(reply, &share)?;
    Ok(response.map(|body| Tracked::new(body, present).boxed_unsync()))
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
    let user = Some(&device.user);
    server.pulse.count(user, |counts| counts.logins += 1);
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
    present: Arc<Present>,
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
                let present = Arc::clone(&self.present);
                let file = Sending::new(file, present, self.entry.clone())?;
                Ok(Reply::file(file)?)
            }
            Method::Meta => {
                let request = self.read(content).await?;
                let meta = meta::meta(&self.vault, self.device, request).await?;
                self.attendance.tell(Some(Told {
                    schema: meta.schema_changed,
                    usn: Usn(meta.usn),
                }));
                if meta.proceed {
                    self.present.was_told(self.entry, meta.modified);
                }
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
                        // As the device sees it.
                        let cards = Cards::Synced {
                            sent: finished.received,
                            received: finished.sent,
                        };
                        self.present.did_cards(self.entry, cards, finished.modified);
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
                self.present.received(zip.seek(SeekFrom::End(0))?);
                let (uploaded, taken) = media::upload(vault, zip, self.room).await?;
                self.present.did_media(self.entry, MediaDeed::Sent(taken));
                json(MediaReply::ok(uploaded))
            }
            Method::MediaDownload => {
                let request = self.read(content).await?;
                let (zip, files) = media::download(vault, request, vault.parcel()).await?;
                self.present
                    .did_media(self.entry, MediaDeed::Received(files));
                Ok(Reply::file(zip)?)
            }
            _ => {
                let sanity = media::sanity(vault, &self.read(content).await?).await?;
                if sanity == Sanity::Equal {
                    self.present.did_media(self.entry, MediaDeed::Compared);
                }
                json(MediaReply::ok(sanity))
            }
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
                let bytes = file.as_file().metadata()?.len();
                self.present.received(bytes);
                match full::upload(&self.vault, self.device, file, self.room).await? {
                    Ok(modified) => {
                        let cards = Cards::Uploaded { bytes };
                        self.present.did_cards(self.entry, cards, modified);
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
        self.present.received(length);
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
