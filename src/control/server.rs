//! The server's end.

use std::{io, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{Reloaded, Reply, Request};
use crate::{
    account::name::UserName,
    clock,
    http::{Server, pulse::Counted},
    service::reload::Reloader,
    vault::{
        backup::Backup,
        upkeep::{Mend, Mended},
    },
};

/// A users file of some thousand users.
const LONGEST_REQUEST: u64 = 4 * 1024 * 1024;
/// With a command that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a command hears that its request is being worked on.
const BEAT: Duration = Duration::from_secs(1);
/// After a connection could not be accepted, such as for want of descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What the operator's requests are about.
pub struct Operator {
    pub(super) server: Arc<Server>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) base: PathBuf,
    pub(super) listening: Vec<String>,
    pub(super) since_secs: i64,
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

    /// Counts somebody who asks, so that the server does not end meanwhile.
    #[must_use]
    pub fn connected(&self) -> Counted {
        self.server.pulse.connected()
    }

    async fn answer(&self, request: Request, rest: &mut Rest) -> Result<Answer, String> {
        match request {
            Request::Status => value(&self.status().await),
            Request::Reload { users } => value(&self.reload(users).await?),
            Request::Users => value(&self.users().await),
            Request::Base => value(&self.base),
            Request::Rest => value(&self.server.vaults.rest().await),
            Request::Rename { from, to } => value(&self.rename(&from, &to).await?),
            Request::RemoveData { user } => value(&self.remove_data(user).await?),
            Request::Devices { user } => value(&self.devices(user.as_ref()).await?),
            Request::Revoke { devices, all_of } => {
                value(&self.revoke(&devices, all_of.as_ref()).await?)
            }
            Request::NameDevice { device, name } => value(&self.name_device(&device, name).await?),
            Request::Listening => value(&self.listening),
            Request::SameUsers { salt, digest } => {
                value(&self.server.accounts.are_those_of(&salt, &digest))
            }
            Request::Mend { user, mend } => value(&self.mend(&user, mend).await?),
            Request::BackUp { user } => self.back_up(&user).await,
            Request::BackupDone { users } => value(&self.backup_done(&users).await?),
            Request::Snapshots { user } => value(&self.snapshots(&user).await?),
            Request::Preview { user, source } => value(&self.preview(&user, source, rest).await?),
            Request::Restore { user, source } => value(&self.restore(&user, source, rest).await?),
            Request::AllowUpload { user } => value(&self.allow_upload(&user).await?),
        }
    }

    async fn mend(&self, user: &UserName, mend: Mend) -> Result<Mended, String> {
        if !self.base.join(user.as_str()).is_dir() {
            return Err(format!("there are no data of the user {user}"));
        }
        let mended = self.server.vaults.mend(user, mend).await;
        mended.map_err(|error| error.to_string())
    }

    async fn reload(&self, users: Option<String>) -> Result<Reloaded, String> {
        let reloaded = match users {
            Some(users) => self.reloader.replace_users(users).await,
            None => self.reloader.reload().await,
        };
        reloaded.map_err(|problems| problems.to_string())?;
        Ok(Reloaded {
            users: self.server.accounts.count(),
            warnings: self.reloader.warnings(),
        })
    }
}

/// What follows the line of a request.
pub(super) type Rest = BufReader<Take<OwnedReadHalf>>;

/// What a request is answered.
pub(super) struct Answer {
    value: Value,
    /// A copy that goes with the connection.
    pub(super) held: Option<Backup>,
}

pub(super) fn value(answer: &impl serde::Serialize) -> Result<Answer, String> {
    let value = serde_json::to_value(answer).map_err(|error| error.to_string())?;
    Ok(Answer { value, held: None })
}

/// Answers until dropped. What is under way then goes on to its end, and counts as a request.
pub async fn serve(operator: Arc<Operator>, listener: UnixListener) {
    let conversations = TaskTracker::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let operator = Arc::clone(&operator);
                conversations.spawn(async move {
                    if let Err(error) = converse(&operator, stream).await {
                        tracing::debug!(%error, "an anki-syncd command closed its connection");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept the connection of an anki-syncd command");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Waits for the answer, and says meanwhile that there will be one.
async fn working<A>(answer: impl Future<Output = A>, to: &OwnedWriteHalf) -> A {
    let mut answer = pin!(answer);
    let mut beats = interval_at(Instant::now() + BEAT, BEAT);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // A command that does not read, or has gone, needs no word.
            _ = beats.tick() => drop(to.try_write(b"\"working\"\n")),
        }
    }
}

async fn converse(operator: &Operator, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading.take(LONGEST_REQUEST));
    let mut line = String::new();
    timeout(PATIENCE, reading.read_line(&mut line)).await??;
    let counted = operator.server.pulse.requested();
    reading.get_mut().set_limit(u64::MAX);
    let mut held = None;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => match working(operator.answer(request, &mut reading), &writing).await {
            Ok(answer) => {
                held = answer.held;
                Reply::Done(answer.value)
            }
            Err(reason) => Reply::Refused(reason),
        },
        // Nothing of it is repeated: it may hold what users log in with.
        Err(error) => Reply::Refused(format!(
            "the server does not understand this command (column {}): it may be of another version. Restart the server after an upgrade",
            error.column()
        )),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    let written = writing.write_all(&line).await;
    if let Some(_copy) = held
        && written.is_ok()
    {
        // Keeps an idle server, but not one that is told to end.
        let _connected = operator.server.pulse.connected();
        drop(counted);
        while reading.read(&mut [0]).await? > 0 {}
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_hears_that_its_request_is_worked_on() {
        let (mut command, server) = UnixStream::pair().unwrap();
        let (_, writing) = server.into_split();
        let answer = async {
            sleep(BEAT * 7 / 2).await;
            7
        };
        assert_eq!(working(answer, &writing).await, 7);
        drop(writing);
        let mut heard = String::new();
        command.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "\"working\"\n".repeat(3));
    }
}
