//! The media of a vault: opened when needed, and repaired after a failure.
//!
//! If a full disk interrupts a batch, its staged files stay, up to a gibibyte, and folder and
//! `media.db` disagree until the media are opened again. So they are opened again right after the
//! failure; if that fails too, it is tried again in the background.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Error, Vault, leftovers::is_occupied, served::check_is_there};
use crate::{
    layout,
    media::{self, MediaStore},
    work::to_the_end,
};

/// The pause after the first failure: the disk may have been full for a moment only.
const SOON: Duration = Duration::from_secs(1);
/// The longest pause. A disk that stays full should not be asked to write each second for each
/// user, but staged files should be removed soon after it has space again.
const SELDOM: Duration = Duration::from_secs(60);

/// A batch that was interrupted and could not be completed or dropped.
#[derive(Default)]
pub(super) struct Unsettled(Mutex<Retry>);

#[derive(Default)]
struct Retry {
    /// None if there is nothing to do, or an attempt is under way.
    due: Option<Instant>,
    /// The pause before the last attempt.
    waited: Duration,
}

impl Unsettled {
    /// Notes whether there is one. Each failure doubles the pause.
    fn note(&self, is_unsettled: bool) {
        let mut retry = self.retry();
        if is_unsettled {
            retry.waited = (2 * retry.waited).clamp(SOON, SELDOM);
            retry.due = Some(Instant::now() + retry.waited);
        } else {
            *retry = Retry::default();
        }
    }

    /// Whether another attempt is due. The caller makes it and notes the result.
    fn take_due(&self) -> bool {
        let now = Instant::now();
        self.retry().due.take_if(|due| *due <= now).is_some()
    }

    fn retry(&self) -> MutexGuard<'_, Retry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Runs work on the media. After a failure they are opened again.
    pub async fn media<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut MediaStore) -> Result<R, media::Error> + Send + 'static,
    ) -> Result<R, Error> {
        let vault = Arc::clone(self);
        let worked = self.media.run(&self.share, move |open| {
            let worked = vault.work_with_media(open, work);
            worked.map_err(|error| error.diagnosed(&vault.folder))
        });
        worked.await
    }

    /// The last USN, if the media are open and no request uses them. It blocks while another program
    /// locks `media.db`.
    pub fn media_usn_at_hand(&self) -> Option<i32> {
        let usn = |store: Option<&MediaStore>| store.and_then(|store| store.last_usn().ok());
        self.media.look(usn).flatten()
    }

    fn work_with_media<R>(
        &self,
        open: &mut Option<MediaStore>,
        work: impl FnOnce(&mut MediaStore) -> Result<R, media::Error>,
    ) -> Result<R, Error> {
        let store = match open {
            Some(store) => store,
            None => open.insert(self.open_media()?),
        };
        work(store).map_err(|error| {
            *open = None;
            // At once, and not at the next request: the staged files take space from all users.
            if self.has_staged_media() {
                *open = self.open_media().ok();
            }
            error.into()
        })
    }

    /// Opens the media. Interrupted work is finished even if the client has left.
    fn open_media(&self) -> Result<MediaStore, Error> {
        let [database, folder, staging] = [layout::MEDIA_DATABASE, layout::MEDIA, layout::STAGING]
            .map(|part| self.folder.join(part));
        let opened = check_is_there(&self.folder)
            .and_then(|()| Ok(to_the_end(|| MediaStore::open(&database, folder, staging))?));
        self.unsettled
            .note(opened.is_err() && self.has_staged_media());
        Ok(opened?.within(self.disk.clone()))
    }

    fn has_staged_media(&self) -> bool {
        is_occupied(&self.folder.join(layout::STAGING))
    }

    /// Starts another attempt in the background, if one is due.
    pub(super) fn settle_media_again(self: &Arc<Self>) {
        if self.unsettled.take_due() {
            let vault = Arc::clone(self);
            tokio::spawn(async move { vault.media(|_| Ok(())).await });
        }
    }
}
