//! What is wrong with a server's settings, files and data; and putting right what needs
//! nobody's judgement.
//!
//! One file per subject. Looking changes nothing and takes no lock, so that it can be done
//! at any time; what cannot be looked at is told as such. Users' data are opened as the
//! server's account only. Repairs of a user's data are made
//! by the running server in that user's turn, or with `SYNC_BASE` held.

mod address;
mod backups;
mod child;
mod clock;
mod collection;
pub(crate) mod data;
mod database;
mod file_system;
mod files;
pub(crate) mod finding;
mod links;
mod locks;
pub(crate) mod login;
mod media;
pub(crate) mod progress;
mod quiet;
pub(crate) mod repair;
mod secret;
mod settings;
pub(crate) mod silence;
mod space;
pub(crate) mod subject;
pub(crate) mod target;
pub(crate) mod users_data;

use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};

use finding::Findings;
pub use finding::{Id, Severity};
use quiet::QuietError;
use subject::Subject;

/// Looks at everything that is on this machine.
pub(crate) fn look(subject: &Subject, findings: &mut Findings) {
    settings::check(subject, findings);
    address::check(subject, findings);
    clock::check(findings);
    backups::check(subject, findings);
    let Some(base) = &subject.base else { return };
    let users = subject::users_in(base);
    let known = users.as_deref().unwrap_or_default();
    files::check(subject, base, known, findings);
    space::check(subject, base, known, findings);
    match users {
        Ok(users) => users_data::check(subject, base, users, findings),
        // That was reported with the files.
        Err(error) if [NotFound, NotADirectory, PermissionDenied].contains(&error.kind()) => {}
        // Or nobody's data would be looked at, and all of them be well.
        Err(error) => QuietError::Io(error).tell(base.display(), findings),
    }
}
