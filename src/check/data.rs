//! Users' data, looked at with no more rights than the server's account has.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::{
    child, collection,
    finding::{Finding, Findings},
    media,
    subject::{Account, Subject, users_folders},
};
use crate::{
    account::name::UserName,
    control::Request,
    layout::{self, is_absent},
};

/// The command of a process that looks.
const COMMAND: &str = "look-at-data";

/// What is to be known of a server for that.
#[derive(Serialize, Deserialize)]
pub struct Data {
    base: PathBuf,
    /// Bytes that an upload may have; none if the settings are in disorder.
    pub(super) limit: Option<u64>,
    /// The running server's process.
    pub(super) server: Option<u32>,
    /// Whether there may be a server that cannot be asked.
    pub(super) is_silent: bool,
    /// Who can log in, or could without a mistake in the list.
    #[serde(default)]
    users: Vec<UserName>,
}

pub(super) fn check(subject: &Subject, base: &Path, findings: &mut Findings) {
    let settings = subject.settings.as_ref().ok();
    if subject.running.is_some() {
        // Or each database that was in use lately would have to be waited for. A server that was
        // not upgraded yet does not know this.
        let _ = subject.ask::<()>(&Request::Rest);
    }
    let data = Data {
        base: base.to_owned(),
        limit: settings.map(|settings| settings.limits.decoded),
        server: subject.running.as_ref().map(|running| running.pid),
        is_silent: subject.silent.is_some(),
        users: settings
            .map(|settings| settings.users.named().cloned().collect())
            .unwrap_or_default(),
    };
    match &subject.account {
        Some(account) if Uid::effective().is_root() && !account.uid.is_root() => {
            match looked_at_by(account, &data) {
                Ok(found) => findings.extend(found),
                Err(error) => findings.unseen("the users' data", error),
            }
        }
        Some(_) => data.look(findings),
        None => findings.unseen(
            "the users' data",
            "the account that the server runs as is not known",
        ),
    }
}

fn looked_at_by(account: &Account, data: &Data) -> io::Result<Vec<Finding>> {
    let mut found = Vec::new();
    child::run(account, &[COMMAND.as_ref()], data, |line| {
        found = serde_json::from_str(line)?;
        Ok(())
    })?;
    Ok(found)
}

impl Data {
    /// Looks with the rights of this process.
    pub fn look(&self, findings: &mut Findings) {
        if let Err(error) = self.base.read_dir() {
            return findings.unseen(self.base.display(), error);
        }
        self.check_absent(findings);
        collection::check(self, findings);
        media::check(self, findings);
    }

    fn check_absent(&self, findings: &mut Findings) {
        for user in &self.users {
            match is_absent(&self.base, user.as_str()) {
                Ok(false) => {}
                Ok(true) => {
                    let folder = layout::user_folder(&self.base, user.as_str());
                    let mark = layout::mark(&self.base, user.as_str());
                    findings.problem(
                        "data-missing",
                        folder.display(),
                        format_args!("is missing or empty, although {user} has synced with it before, so {user} cannot sync"),
                        format_args!("Mount its disk, or restore the folder from a backup. If the data are lost for good, remove {} and restart the server: the first device to sync then uploads its collection.", mark.display()),
                    );
                }
                Err(error) => findings.unseen(
                    layout::user_folder(&self.base, user.as_str()).display(),
                    error,
                ),
            }
        }
    }

    pub(super) fn users(&self) -> Vec<(UserName, PathBuf)> {
        users_folders(&self.base)
    }
}
