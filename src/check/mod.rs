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
pub mod data;
mod file_system;
mod files;
pub mod finding;
mod links;
mod locks;
pub mod login;
mod media;
mod quiet;
pub mod repair;
mod settings;
pub mod silence;
mod space;
pub mod subject;
pub mod target;

use std::{borrow::Cow, io::IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use finding::Findings;
use subject::Subject;

/// Looks at everything that is on this machine.
pub fn look(subject: &Subject, findings: &mut Findings) {
    settings::check(subject, findings);
    address::check(subject, findings);
    clock::check(findings);
    backups::check(subject, findings);
    let Some(base) = &subject.base else { return };
    files::check(subject, base, findings);
    space::check(subject, base, findings);
    // Otherwise that was told with the files.
    if base.read_dir().is_ok() {
        data::check(subject, base, findings);
    }
}

/// A bar for work that takes long, at a terminal only.
fn progress(length: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) = ProgressStyle::with_template("{msg:30} {wide_bar} {pos}/{len} ") {
        bar.set_style(style);
    }
    bar.with_message(what)
}
