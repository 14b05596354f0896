//! Why the server does not answer, as systemd, the settings and the kernel show.

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
/// systemd restarts a failing server again and again, so it may just be starting.
const LOOKS: u32 = 3;
const AGAIN: Duration = Duration::from_millis(200);
const LOG: &str = "`journalctl -u anki-syncd -p err`";

/// Adds the reason to a failure, if it can be found.
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

    /// Why a server without systemd does not run.
    fn why_absent(&self) -> Option<String> {
        match &self.settings {
            Err(problems) => Some(format!(
                "no server answers, and one cannot start with these settings: {}",
                problems.in_a_line()
            )),
            Ok(settings) => {
                let (base, port) = (settings.base.display(), settings.port);
                let holder = holder(port)?;
                Some(format!(
                    "the server with the data folder {base} is not running, and port {port} is in use by {holder}: stop that program, or choose another port with SYNC_PORT (port)"
                ))
            }
        }
    }

    fn why_failed(&self, unit: &Unit) -> Option<String> {
        let has_ended_badly = unit.has_failed();
        if let Some(socket) = &unit.socket
            && socket.has_failed()
            // Otherwise the socket failed only because the service fails again and again.
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

    /// Why the service has failed. Its own message comes first.
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

    /// Why systemd could not pass the list of users to the server.
    fn why_not_passed(&self) -> String {
        let mut credentials = self.lists.iter().filter(|list| list.is_credential);
        let unread =
            credentials.find_map(|list| Some((list.path.display(), list.text.as_ref().err()?)));
        match unread {
            Some((path, error)) => format!(
                "the list of users, {path}, cannot be read: {error}. Restore it, or create an empty one: `install -m 600 /dev/null {path}`"
            ),
            None => format!(
                "systemd cannot load the server's credentials, such as the list of users (exit status {CREDENTIALS}); {LOG} shows which one. A list of users can have at most 1 MB"
            ),
        }
    }
}

/// Why a server that has not failed does not answer.
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
    let resume = format!("`kill -CONT {pid}` resumes it");
    let (what, remedy) = if states.contains(&'T') {
        ("was paused with a signal", resume.as_str())
    } else if states.contains(&'D') {
        let remedy = "the kernel's log (`dmesg`) may show what is wrong with the disk";
        ("is waiting for its disk", remedy)
    } else if states.is_empty() {
        ("has just ended", "try again")
    } else {
        ("is busy or hangs", "try again in a moment")
    };
    let restart = if has_unit {
        "; `systemctl restart anki-syncd` starts it again"
    } else {
        ""
    };
    format!("the server (process {pid}) does not answer; it {what}: {remedy}{restart}")
}

/// The states of all threads: `T` is stopped, `D` waits for a disk.
fn states(pid: i32) -> Vec<char> {
    let threads = Process::new(pid).and_then(|process| process.tasks());
    let threads = threads.into_iter().flatten().flatten();
    threads
        .filter_map(|thread| Some(thread.stat().ok()?.state))
        .collect()
}
