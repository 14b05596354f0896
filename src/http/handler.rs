//! One request: route, key, body, method, answer, and one line in the log.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};

use super::{
    body::{caller::Caller, envelope},
    client_address::{client_address, forwarded},
    connections::Guest,
    error::HttpError,
    frontend::Frontend,
    log::Entry,
    method::{Call, Method, login},
    page::page,
    present::Present,
    refuse::{not_found, refuse, wrong_verb},
    reply::{ReplyBody, whole},
    route::{NoRoute, Route, lacks_slash, route},
    tracked::Tracked,
};
use crate::{
    account::{Device, DeviceId, KeyError},
    state::{Policy, Server},
};

pub async fn handle(
    frontend: Arc<Frontend>,
    guest: &Guest,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let policy = frontend.server.policy();
    guest.request_from(
        forwarded(&policy, request.headers(), guest.peer),
        policy.limits.connections_per_address,
    );
    let response = match route(request.method(), request.uri().path()) {
        Ok(Route::Method(method)) => {
            // In a box, for a connection keeps the room for what is not, also while it is idle.
            return Box::pin(run(&frontend, &policy, guest, method, request)).await;
        }
        Ok(Route::Health) => Response::new(whole("")),
        Ok(Route::Page) => page(&request, policy.trusts(guest.peer)),
        Err(NoRoute::NotFound) => {
            let address = client_address(&policy, request.headers(), guest.peer);
            let lacks_slash = lacks_slash(request.uri().path());
            frontend.lost.request(address, &request, lacks_slash);
            not_found()
        }
        Err(NoRoute::WrongVerb(verbs)) => wrong_verb(verbs),
    };
    refuse(response, request.into_body(), policy.limits.body_timeout).await
}

/// Runs a method, and logs the result once.
async fn run(
    frontend: &Arc<Frontend>,
    policy: &Policy,
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let address = client_address(policy, request.headers(), guest.peer);
    let mut entry = Entry::new(method.name(), address);
    match answer(frontend, policy, guest, method, request, &mut entry).await {
        Ok(response) => {
            entry.succeeded();
            response
        }
        Err(Failure { error, revoked }) => {
            if !error.is_parting {
                let user = entry.owner();
                let statistics = &frontend.server.statistics;
                statistics.count(user, |counts| counts.failures += 1);
            }
            // A revoked device keeps trying.
            if revoked.is_none_or(|device| frontend.revoked.is_due(device)) {
                entry.failed(&error);
            }
            error.into_response()
        }
    }
}

struct Failure {
    error: HttpError,
    /// The device, if the reason is its revocation.
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
    frontend: &Arc<Frontend>,
    policy: &Policy,
    guest: &Guest,
    method: Method,
    request: Request<Incoming>,
    entry: &mut Entry,
) -> Result<Response<ReplyBody>, Failure> {
    let server = &frontend.server;
    let (head, body) = request.into_parts();
    let limits = method.limits(&policy.limits);
    let (caller, content) = envelope::open(server, guest, &head, body, limits).await?;
    entry.client.clone_from(&caller.client);
    entry.request.clone_from(&caller.session_key);
    let (reply, share, present) = match method {
        Method::HostKey => {
            let reply = login::answer(server, guest, content, entry).await?;
            (reply, server.vaults.upload_queue().share().clone(), None)
        }
        Method::Keyed(method) => {
            let device = authenticate(server, guest, &caller, entry).await;
            let device = match device {
                Ok(device) => device,
                Err(failure) => {
                    content.discard().await;
                    return Err(failure);
                }
            };
            let vault = server.vaults.get(&device.user).await?;
            let share = vault.share().clone();
            let present = Arc::new(Present::enter(frontend, &device, method.rules().step));
            let call = Call {
                frontend,
                policy,
                caller: &caller,
                entry,
                device: device.id,
                // From the head on: a device whose body is arriving is not silent.
                active: vault.active_request(device.id),
                present: Arc::clone(&present),
                vault,
            };
            let reply = method.answer(&call, content.of(&call.vault)).await?;
            present.answered(reply.length());
            (reply, share, Some(present))
        }
    };
    let response = caller.wrap(reply, &share)?;
    Ok(response.map(|body| Tracked::new(body, present).boxed_unsync()))
}

/// The device that the host key belongs to.
async fn authenticate(
    server: &Server,
    guest: &Guest,
    caller: &Caller,
    entry: &mut Entry,
) -> Result<Device, Failure> {
    let devices = &server.accounts.devices;
    match server.accounts.authenticate(&caller.host_key).await {
        Ok(device) => {
            guest.authenticated(&device.user);
            entry.identify(&device, devices.name(&device));
            devices.seen(&device, entry.client_info());
            Ok(device)
        }
        Err(error) => {
            let mut revoked = None;
            if let KeyError::Revoked(device) = &error {
                entry.identify(device, devices.name(device));
                revoked = Some(device.id);
            }
            Err(Failure {
                revoked,
                ..error.into()
            })
        }
    }
}
