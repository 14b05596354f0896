//! Users' data, looked at with no more rights than the server's account has.

use std::{io, path::Path};

use nix::unistd::Uid;

use super::{
    child, collection,
    data::Data,
    finding::{Finding, Findings, Id},
    media,
    quiet::QuietError,
    subject::{Account, Subject},
};
use crate::{account::name::UserName, control::ask, layout};

/// The command of a process that looks.
const COMMAND: &str = "look-at-data";

pub(super) fn check(subject: &Subject, base: &Path, users: Vec<UserName>, findings: &mut Findings) {
    let settings = subject.settings.as_ref().ok();
    if subject.running.is_some() {
        // Or each database that was in use lately would have to be waited for. A server that was
        // not upgraded yet does not know this.
        let _ = subject.ask(ask::Rest {});
    }
    let data = Data {
        base: base.to_owned(),
        users,
        limit: settings.map(|settings| settings.limits.decoded),
        server: subject.running.as_ref().map(|running| running.pid),
        is_silent: subject.silent.is_some(),
        named: settings
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
        Some(_) => look(&data, findings),
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

/// Looks with the rights of this process.
pub fn look(data: &Data, findings: &mut Findings) {
    if let Err(error) = data.base.read_dir() {
        return QuietError::Io(error).tell(data.base.display(), findings);
    }
    absent(data, findings);
    collection::check(data, findings);
    media::check(data, findings);
}

fn absent(data: &Data, findings: &mut Findings) {
    for user in &data.named {
        match layout::is_absent(&data.base, user.as_str()) {
            Ok(false) => {}
            Ok(true) => {
                let folder = layout::user_folder(&data.base, user.as_str());
                let mark = layout::mark(&data.base, user.as_str());
                findings.advise(
                    Id::DataMissing,
                    folder.display(),
                    format_args!(
                        "is missing or empty, although {user} has synced with it before, so {user} cannot sync"
                    ),
                    format_args!(
                        "Mount its disk, or restore the folder from a backup. If the data are lost for good, remove {} and restart the server: the first device to sync then uploads its collection.",
                        mark.display()
                    ),
                );
            }
            Err(error) => {
                let folder = layout::user_folder(&data.base, user.as_str());
                findings.unseen(folder.display(), error);
            }
        }
    }
}
