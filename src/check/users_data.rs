//! The checks of users' data, with the rights of the server's account only.

use std::path::Path;

use nix::unistd::Uid;

use super::{
    child, collection,
    data::Data,
    finding::{Findings, Id},
    media,
    quiet::QuietError,
    subject::Subject,
};
use crate::{account::name::UserName, control::ask, layout};

/// The command that runs [`look`] as the server's account.
const COMMAND: &str = "look-at-data";

pub(super) fn check(subject: &Subject, base: &Path, users: Vec<UserName>, findings: &mut Findings) {
    let settings = subject.settings.as_ref().ok();
    if subject.running.is_some() {
        // Otherwise the check would wait for each database that is still open. A server of an older
        // version does not know the request.
        let _ = subject.ask(ask::Rest {});
    }
    let named = settings.map(|settings| settings.users.named().cloned().collect());
    let data = Data {
        base: base.to_owned(),
        users,
        limit: settings.map(|settings| settings.limits.decoded),
        server: subject.running.as_ref().map(|running| running.pid),
        is_silent: subject.silent.is_some(),
        named: named.unwrap_or_default(),
    };
    let Some(account) = &subject.account else {
        let why = "the account that the server runs as is not known";
        return findings.unseen("the users' data", why);
    };
    if !Uid::effective().is_root() || account.uid.is_root() {
        return look(&data, findings);
    }
    let mut found = Vec::new();
    let ended = child::run(account, &[COMMAND.as_ref()], &data, |line| {
        found = serde_json::from_str(line)?;
        Ok(())
    });
    match ended {
        Ok(()) => findings.extend(found),
        Err(error) => findings.unseen("the users' data", error),
    }
}

/// Checks users' data with the rights of this process.
pub fn look(data: &Data, findings: &mut Findings) {
    if let Err(error) = data.base.read_dir() {
        return QuietError::Io(error).report(data.base.display(), findings);
    }
    absent(data, findings);
    collection::check(data, findings);
    media::check(data, findings);
}

/// Reports the users whose data were here and are gone.
fn absent(data: &Data, findings: &mut Findings) {
    for user in &data.named {
        let folder = data.folder(user);
        let folder = folder.display();
        match layout::is_absent(&data.base, user.as_str()) {
            Ok(false) => {}
            Ok(true) => {
                let mark = layout::mark(&data.base, user.as_str());
                let what = format_args!(
                    "is missing or empty, although {user} has synced with it before, so {user} cannot sync"
                );
                let remedy = format_args!(
                    "Mount its disk, or restore the folder from a backup. If the data are lost for good, remove {} and restart the server: the first device to sync then uploads its collection.",
                    mark.display()
                );
                findings.advise(Id::DataMissing, folder, what, remedy);
            }
            Err(error) => findings.unseen(folder, error),
        }
    }
}
