//! Finds problems in a server's settings, files and data, and repairs those that need no decision.
//!
//! Each subject has a file. A check changes nothing and takes no lock, so it can run at any time,
//! and it reports what it could not read. Only the server's account opens users' data. The running
//! server repairs a user's data in that user's turn; while none runs, the command locks `SYNC_BASE`.

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

/// Checks everything on this machine.
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
        // `files` has reported these.
        Err(error) if [NotFound, NotADirectory, PermissionDenied].contains(&error.kind()) => {}
        // Without this finding, the report would look as if all users' data were good.
        Err(error) => QuietError::Io(error).report(base.display(), findings),
    }
}
