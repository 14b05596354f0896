//! The media of a vault: opened when they are needed, and settled after what went wrong.
//!
//! A batch that a full disk has stopped in the middle keeps its staged files, up to a gibibyte, and
//! folder and `media.db` disagree until it is settled, which opening does. So they are opened anew
//! right after the failure; where that fails as well, it is tried again in the background.

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

/// After the first failure: the disk may have been full for a moment only.
const SOON: Duration = Duration::from_secs(1);
/// After many. A disk that stays full is not to be asked to write each second, for each user, and
/// yet what is staged is to go soon after it has room again.
const SELDOM: Duration = Duration::from_secs(60);

/// A batch that was interrupted, and could not be settled.
#[derive(Default)]
pub(super) struct Unsettled(Mutex<Retry>);

#[derive(Default)]
struct Retry {
    /// None while nothing is to be settled, or it is being tried.
    due: Option<Instant>,
    /// How long the last failure was waited for.
    waited: Duration,
}

impl Unsettled {
    /// Notes whether there is one. Each failure is waited for twice as long as the one before.
    fn note(&self, is_unsettled: bool) {
        let mut retry = self.retry();
        if is_unsettled {
            retry.waited = (2 * retry.waited).clamp(SOON, SELDOM);
            retry.due = Some(Instant::now() + retry.waited);
        } else {
            *retry = Retry::default();
        }
    }

    /// Whether it is time to try again; whoever does notes what has come of it.
    fn take_due(&self) -> bool {
        let now = Instant::now();
        self.retry().due.take_if(|due| *due <= now).is_some()
    }

    fn retry(&self) -> MutexGuard<'_, Retry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Does some work with the media. After a failure they are opened anew.
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
            // At once, and not when there is a next time: all others miss the room it takes.
            if self.has_staged_media() {
                *open = self.open_media().ok();
            }
            error.into()
        })
    }

    /// Settles what was interrupted, to the end even if the client has left.
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

    /// Tries again to settle the media, in the background, when it is time to.
    pub(super) fn settle_media_again(self: &Arc<Self>) {
        if self.unsettled.take_due() {
            let vault = Arc::clone(self);
            tokio::spawn(async move { vault.media(|_| Ok(())).await });
        }
    }
}
