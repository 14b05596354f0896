//! Why the server gives no answer: what it could not tell itself, systemd, its settings and
//! the kernel know.

use std::{thread::sleep, time::Duration};

use procfs::process::Process;

use super::subject::Subject;
use crate::{
    config::Sources,
    control::client::AskError,
    service::{
        listeners::{SYSTEMD, holder},
        notify::CANNOT_START,
        unit::Unit,
    },
};

/// The exit status that systemd gives a service whose credentials it cannot load.
const CREDENTIALS: &str = "243";
/// A server that fails again and again is starting now and then.
const LOOKS: u32 = 3;
const AGAIN: Duration = Duration::from_millis(200);
const LOG: &str = "`journalctl -u anki-syncd -p err`";

/// Adds to a failure why there was no answer, as far as that can be found out.
pub fn explain(sources: &Sources, failure: AskError) -> AskError {
    if matches!(failure, AskError::Forbidden | AskError::Refused(_)) {
        return failure;
    }
    let mut subject = Subject::gather(sources);
    for _ in 0..LOOKS {
        if !subject.unit.as_ref().is_some_and(Unit::is_starting) {
            break;
        }
        sleep(AGAIN);
        subject = Subject::gather(sources);
    }
    subject.explain(failure)
}

impl Subject {
    pub(super) fn explain(&self, failure: AskError) -> AskError {
        let absent = |why| AskError::NotRunning { why };
        match (failure, &self.unit) {
            (AskError::NotRunning { .. }, None) => absent(self.why_absent()),
            (AskError::NotRunning { .. }, Some(unit)) => absent(self.why_failed(unit)),
            (AskError::Silent { listener, .. }, Some(unit)) if listener == Some(SYSTEMD) => {
                match self.why_failed(unit) {
                    Some(why) => absent(Some(why)),
                    None => AskError::Silent {
                        listener,
                        why: Some(why_silent(unit)),
                    },
                }
            }
            (AskError::Silent { listener, .. }, unit) => AskError::Silent {
                listener,
                why: listener.map(|pid| hanging(pid, unit.is_some())),
            },
            (AskError::Broken(how), Some(unit)) => self
                .why_failed(unit)
                .map_or(AskError::Broken(how), |why| absent(Some(why))),
            (failure, _) => failure,
        }
    }

    /// Of a server that no systemd starts.
    fn why_absent(&self) -> Option<String> {
        match &self.settings {
            Err(problems) => Some(format!(
                "no server answers, and one cannot start with these settings: {}",
                problems.in_a_line()
            )),
            Ok(settings) => {
                let holder = holder(settings.port)?;
                Some(format!(
                    "the server with the data folder {} is not running, and port {} is in use by {holder}: stop that program, or choose another port with SYNC_PORT (port)",
                    settings.base.display(),
                    settings.port
                ))
            }
        }
    }

    fn why_failed(&self, unit: &Unit) -> Option<String> {
        let has_ended_badly = unit.has_failed();
        if let Some(socket) = &unit.socket
            && socket.has_failed()
            // Otherwise it has given up on a service that fails again and again.
            && (socket.cannot_listen() || !has_ended_badly)
        {
            return Some(format!("{}. {}", socket.failure(), socket.remedy()));
        }
        has_ended_badly.then(|| {
            format!(
                "the server cannot start: {}. Fix that, then run `systemctl restart anki-syncd`",
                self.why_ended(unit).trim_end_matches('.')
            )
        })
    }

    /// Why the service has ended badly, in its own words where it had any.
    pub(super) fn why_ended(&self, unit: &Unit) -> String {
        if let Some(reason) = unit.said.strip_prefix(CANNOT_START) {
            return reason.to_owned();
        }
        if unit.status == CREDENTIALS {
            return self.why_not_passed();
        }
        match &self.settings {
            Err(problems) => problems.in_a_line(),
            Ok(_) => format!(
                "it ended with exit status {} ({}); {LOG} shows why",
                unit.status, unit.result
            ),
        }
    }

    fn why_not_passed(&self) -> String {
        let credentials = self.lists.iter().filter(|list| list.is_credential);
        let unread = credentials
            .filter_map(|list| Some((list.path.display(), list.text.as_ref().err()?)))
            .map(|(path, error)| {
                format!("the list of users, {path}, cannot be read: {error}. Restore it, or create an empty one: `install -m 600 /dev/null {path}`")
            });
        unread.into_iter().next().unwrap_or_else(|| {
            format!("systemd cannot load the server's credentials, such as the list of users (exit status {CREDENTIALS}); {LOG} shows which one. A list of users can have at most 1 MB")
        })
    }
}

/// Of a server that has not ended badly.
fn why_silent(unit: &Unit) -> String {
    match (unit.state.as_str(), unit.process) {
        ("activating", _) => "the server is still starting: try again in a moment. If it does not start, `systemctl status anki-syncd` shows more".to_owned(),
        ("deactivating", _) => "the server is stopping or restarting, and finishes running syncs first: try again in a minute".to_owned(),
        (_, Some(pid)) => hanging(pid, true),
        _ => format!("systemd does not start the server: `systemctl status anki-syncd.socket anki-syncd.service` and {LOG} may show why"),
    }
}

fn hanging(pid: i32, has_unit: bool) -> String {
    let states = states(pid);
    let (what, remedy) = if states.contains(&'T') {
        (
            "was paused with a signal",
            format!("`kill -CONT {pid}` resumes it"),
        )
    } else if states.contains(&'D') {
        (
            "is waiting for its disk",
            "the kernel's log (`dmesg`) may show what is wrong with the disk".to_owned(),
        )
    } else if states.is_empty() {
        ("has just ended", "try again".to_owned())
    } else {
        ("is busy or hangs", "try again in a moment".to_owned())
    };
    let restart = if has_unit {
        "; `systemctl restart anki-syncd` starts it again"
    } else {
        ""
    };
    format!("the server (process {pid}) does not answer; it {what}: {remedy}{restart}")
}

/// Of all threads: `T` for stopped, `D` for waiting for a disk.
fn states(pid: i32) -> Vec<char> {
    let threads = Process::new(pid).and_then(|process| process.tasks());
    let threads = threads.into_iter().flatten().flatten();
    threads
        .filter_map(|thread| Some(thread.stat().ok()?.state))
        .collect()
}
