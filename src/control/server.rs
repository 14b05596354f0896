//! The server's end of the control socket.

use std::{io, pin::pin, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    Operator, Reply,
    ask::{self, Ask, Request},
    kept::Rest,
    refusal::Refusal,
};
use crate::vault::backup::Backup;

/// Enough for a users file of some thousand users.
const LONGEST_REQUEST: u64 = 4 * 1024 * 1024;
/// How long to wait for a command that sends nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the server reports that it is working.
const BEAT: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted, for example because no file descriptors are
/// left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The answer, and a copy that is kept as long as the connection.
type Answer = (Value, Option<Backup>);

async fn answer(operator: &Operator, request: Request, rest: &mut Rest) -> Result<Answer, Refusal> {
    match request {
        Request::Status(_) => done::<ask::Status>(&operator.status().await),
        Request::Reload(asked) => done::<ask::Reload>(&operator.reload(asked.users).await?),
        Request::Users(_) => done::<ask::Users>(&operator.users().await),
        Request::Base(_) => done::<ask::Base>(&operator.base),
        Request::Rest(_) => done::<ask::Rest>(&operator.server.vaults.rest().await),
        Request::Rename(asked) => done::<ask::Rename>(&operator.rename(asked).await?),
        Request::RemoveData(asked) => {
            done::<ask::RemoveData>(&operator.remove_data(asked.user).await?)
        }
        Request::Devices(asked) => {
            done::<ask::Devices>(&operator.devices(asked.user.as_ref()).await?)
        }
        Request::Revoke(asked) => done::<ask::Revoke>(&operator.revoke(asked).await?),
        Request::NameDevice(asked) => done::<ask::NameDevice>(&operator.name_device(asked).await?),
        Request::Listening(_) => done::<ask::Listening>(&operator.listening),
        Request::SameUsers(asked) => done::<ask::SameUsers>(&operator.has_same_users(&asked)),
        Request::Mend(asked) => done::<ask::Mend>(&operator.mend(asked).await?),
        Request::BackUp(asked) => {
            let (backed_up, copy) = operator.back_up(&asked.user).await?;
            let (answer, _) = done::<ask::BackUp>(&backed_up)?;
            Ok((answer, Some(copy)))
        }
        Request::BackupDone(asked) => {
            done::<ask::BackupDone>(&operator.backup_done(&asked.users).await?)
        }
        Request::Snapshots(asked) => {
            done::<ask::Snapshots>(&operator.snapshots(&asked.user).await?)
        }
        Request::Preview(asked) => done::<ask::Preview>(&operator.preview(asked, rest).await?),
        Request::Restore(asked) => done::<ask::Restore>(&operator.restore(asked, rest).await?),
        Request::AllowUpload(asked) => {
            done::<ask::AllowUpload>(&operator.allow_upload(&asked.user).await?)
        }
    }
}

/// The compiler checks that the answer has the type that the command expects.
fn done<A: Ask>(answer: &A::Answer) -> Result<Answer, Refusal> {
    Ok((serde_json::to_value(answer)?, None))
}

/// Answers until dropped. Work that is under way then is finished, and counts as a request.
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

/// Waits for the answer, and reports every second that the server is working.
async fn working<A>(answer: impl Future<Output = A>, to: &OwnedWriteHalf) -> A {
    let mut answer = pin!(answer);
    let mut beats = interval_at(Instant::now() + BEAT, BEAT);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // A command that does not read, or has gone, gets no report.
            _ = beats.tick() => drop(to.try_write(b"\"working\"\n")),
        }
    }
}

async fn converse(operator: &Operator, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading.take(LONGEST_REQUEST));
    let mut line = String::new();
    timeout(PATIENCE, reading.read_line(&mut line)).await??;
    let counted = operator.server.statistics.requested();
    reading.get_mut().set_limit(u64::MAX);
    let mut held = None;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => match working(answer(operator, request, &mut reading), &writing).await {
            Ok((answer, copy)) => {
                held = copy;
                Reply::Done(answer)
            }
            Err(refusal) => Reply::Refused(refusal.to_string()),
        },
        // The message does not repeat the request: it may contain passwords.
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
        // Keeps an idle server from ending, but not a server that has to stop.
        let _connected = operator.server.statistics.connected();
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
