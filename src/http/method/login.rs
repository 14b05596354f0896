//! `hostKey`: a host key for a name and a password. Anybody may ask, in any version.

use super::{
    call::{Answer, json},
    rules::KIB,
};
use crate::{
    http::{body::envelope::Content, connections::Guest, log::Entry},
    state::Server,
    wire::{
        login::{LoginReply, LoginRequest},
        parse,
    },
};

pub const NAME: &str = "hostKey";
pub const LARGEST_BODY: u64 = 16 * KIB;

pub async fn answer(server: &Server, guest: &Guest, content: Content, entry: &mut Entry) -> Answer {
    let body = content.receive_object(Vec::new()).await?;
    let LoginRequest { user, password } = parse(&body)?;
    entry.user.clone_from(&user);
    guest.admitted();
    let login = server.accounts.login(&user, password, entry.address());
    let (device, key) = login.await?;
    guest.authenticated(&device.user);
    entry.identify(&device, server.accounts.devices.name(&device));
    server.accounts.devices.seen(&device, entry.client_info());
    let user = Some(&device.user);
    server.statistics.count(user, |counts| counts.logins += 1);
    json(LoginReply {
        key: key.to_string(),
    })
}
