//! The server's end.

use std::{io, path::PathBuf, sync::Arc};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    task::spawn_blocking,
};
use tokio_util::task::TaskTracker;

use super::{Reply, Request, Status};
use crate::{
    account::name::UserName,
    clock,
    http::Server,
    service::reload::Reloader,
    vault::upkeep::{Mend, Mended},
};

/// A users file of some thousand users.
const LONGEST_REQUEST: u64 = 4 * 1024 * 1024;

/// What the operator's requests are about.
pub struct Operator {
    pub(super) server: Arc<Server>,
    reloader: Arc<Reloader>,
    base: PathBuf,
    listening: Vec<String>,
    since_secs: i64,
}

impl Operator {
    /// For a server that begins to listen at these places now.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        reloader: Arc<Reloader>,
        base: PathBuf,
        listening: Vec<String>,
    ) -> Self {
        Self {
            server,
            reloader,
            base,
            listening,
            since_secs: clock::now_secs(),
        }
    }

    async fn answer(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::Status => value(&self.status()),
            Request::Reload { users } => value(&self.reload(users).await?),
            Request::Users => value(&self.users()),
            Request::MoveData { from, to } => value(&self.move_data(from, to).await?),
            Request::RemoveData { user } => value(&self.remove_data(user).await?),
            Request::Devices { user } => value(&self.devices(user.as_ref())),
            Request::Revoke { devices, all_of } => {
                value(&self.revoke(&devices, all_of.as_ref()).await?)
            }
            Request::SameUsers { salt, digest } => {
                value(&self.server.accounts.are_those_of(&salt, &digest))
            }
            Request::Mend { user, mend } => value(&self.mend(&user, mend).await?),
        }
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since_secs: self.since_secs,
            listening: self.listening.clone(),
            base: self.base.clone(),
            users: self.server.accounts.count(),
            syncing: self.server.vaults.devices(),
        }
    }

    async fn mend(&self, user: &UserName, mend: Mend) -> Result<Mended, String> {
        if !self.base.join(user.as_str()).is_dir() {
            return Err(format!("there are no data of a user {user}"));
        }
        let mended = self.server.vaults.mend(user, mend).await;
        mended.map_err(|error| error.to_string())
    }

    async fn reload(&self, users: Option<String>) -> Result<usize, String> {
        let reloader = Arc::clone(&self.reloader);
        let reloading = spawn_blocking(move || match users {
            Some(users) => reloader.replace_users(users),
            None => reloader.reload(),
        });
        match reloading.await {
            Ok(Ok(())) => Ok(self.server.accounts.count()),
            Ok(Err(problems)) => Err(problems.to_string()),
            Err(panicked) => Err(panicked.to_string()),
        }
    }
}

fn value(answer: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// Answers until dropped. What is under way then goes on to its end, and counts as a request.
pub async fn serve(operator: Arc<Operator>, listener: UnixListener) {
    let conversations = TaskTracker::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let operator = Arc::clone(&operator);
                conversations.spawn(async move {
                    let _counted = operator.server.pulse.requested();
                    if let Err(error) = converse(&operator, stream).await {
                        tracing::debug!(%error, "an operator's command went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the operator's socket fails; it is closed");
                return;
            }
        }
    }
}

async fn converse(operator: &Operator, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reading.take(LONGEST_REQUEST))
        .read_line(&mut line)
        .await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => match operator.answer(request).await {
            Ok(answer) => Reply::Done(answer),
            Err(reason) => Reply::Refused(reason),
        },
        // Nothing of it is repeated: it may hold what users log in with.
        Err(error) => Reply::Refused(format!(
            "the server does not understand this command (column {}); are both of the same version?",
            error.column()
        )),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    writing.write_all(&line).await
}
