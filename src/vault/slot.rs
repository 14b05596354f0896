//! A database that is opened when needed, used by one request at a time on a blocking thread, and
//! closed when idle.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::{JoinError, spawn_blocking},
    time::Instant,
};

use super::{Error, workers::Share};

/// Holds the database while it is open. Requests wait for each other without using a thread.
///
/// One lock covers a whole request: two threads on one `SQLite` connection would share one
/// transaction, and a device's `finish` would commit half of another device's sync. The guard is
/// owned and moves to the thread: if a client leaves, the next request must not begin while the
/// first one's work still runs there.
pub struct Slot<T>(Arc<Mutex<Content<T>>>);

struct Content<T> {
    open: Option<T>,
    last_used: Instant,
    sealed: bool,
}

/// Keeps all requests out while it lives, and for good unless it is lifted.
pub struct Seal<T>(OwnedMutexGuard<Content<T>>);

impl<T> Seal<T> {
    /// Admits requests again.
    pub fn lift(mut self) {
        self.0.sealed = false;
    }
}

/// The right to use the database: no other request has it while this lives.
pub struct Inside<T>(OwnedMutexGuard<Content<T>>);

impl<T: Send + 'static> Inside<T> {
    /// The open database.
    pub fn open(&self) -> Option<&T> {
        self.0.open.as_ref()
    }

    /// Runs work on the database. The work opens it if needed, and may close it.
    ///
    /// # Errors
    /// As the work does and [`Share::run`]. A panic closes the database, which rolls back.
    pub async fn run<R: Send + 'static>(
        self,
        share: &Share,
        work: impl FnOnce(&mut Option<T>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let Self(mut content) = self;
        let worked = share.run(move || {
            // Taken out, so that a panic drops it: otherwise the next request would continue the
            // interrupted transaction.
            let mut open = content.open.take();
            let result = work(&mut open);
            content.open = open;
            content.last_used = Instant::now();
            result
        });
        worked.await
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Content {
            open: None,
            last_used: Instant::now(),
            sealed: false,
        })))
    }
}

impl<T: Send + 'static> Slot<T> {
    /// Waits until no request uses the database.
    ///
    /// # Errors
    /// [`Error::Moved`] if the files were moved away.
    pub async fn enter(&self) -> Result<Inside<T>, Error> {
        let content = self.lock().await;
        // Checked after the wait: a request that waited while the folder was moved would create it
        // again under the old name.
        if content.sealed {
            return Err(Error::Moved);
        }
        Ok(Inside(content))
    }

    /// [Enters](Self::enter), and [works](Inside::run).
    pub async fn run<R: Send + 'static>(
        &self,
        share: &Share,
        work: impl FnOnce(&mut Option<T>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.enter().await?.run(share, work).await
    }

    /// Waits until no request uses the database, closes it, which rolls back, and admits no further
    /// request.
    ///
    /// # Errors
    /// If closing panics; it is not sealed then.
    pub async fn seal(&self) -> Result<Seal<T>, JoinError> {
        let mut content = self.lock().await;
        spawn_blocking(move || {
            drop(content.open.take());
            content.sealed = true;
            Seal(content)
        })
        .await
    }

    /// Looks at the open database; none while a request uses it.
    pub fn look<R>(&self, at: impl FnOnce(Option<&T>) -> R) -> Option<R> {
        self.0
            .try_lock()
            .ok()
            .map(|content| at(content.open.as_ref()))
    }

    /// Closes the database if no request uses it and `may_close` agrees. Its second argument is how
    /// long it has not been used.
    pub async fn close_if(&self, may_close: impl FnOnce(&T, Duration) -> bool) {
        if let Ok(mut content) = Arc::clone(&self.0).try_lock_owned()
            && let Some(open) = &content.open
            && may_close(open, content.last_used.elapsed())
        {
            // If closing fails, a journal stays, which the next opening recovers. The lock is held
            // meanwhile: the last connection removes the journal by its path, which could otherwise
            // belong to a new collection by then.
            let _ = spawn_blocking(move || drop(content.open.take())).await;
        }
    }

    /// Closes the database as soon as no request uses it.
    pub async fn close(&self) {
        let mut content = self.lock().await;
        let _ = spawn_blocking(move || drop(content.open.take())).await;
    }

    async fn lock(&self) -> OwnedMutexGuard<Content<T>> {
        Arc::clone(&self.0).lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::workers::Workers;

    fn share() -> Share {
        Workers::default().share()
    }

    #[tokio::test]
    async fn what_was_opened_stays_open_until_it_is_idle() {
        let slot = Slot::default();
        slot.run(&share(), |open| Ok(open.replace(1)))
            .await
            .unwrap();
        slot.close_if(|_, _| false).await;
        assert_eq!(slot.run(&share(), |open| Ok(*open)).await.unwrap(), Some(1));
        slot.close_if(|open, _| *open == 1).await;
        assert_eq!(slot.run(&share(), |open| Ok(*open)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn nobody_gets_in_once_it_is_sealed_unless_the_seal_is_lifted() {
        let slot = Slot::default();
        slot.run(&share(), |open| Ok(open.replace(1)))
            .await
            .unwrap();
        slot.seal().await.unwrap().lift();
        assert_eq!(slot.run(&share(), |open| Ok(*open)).await.unwrap(), None);
        drop(slot.seal().await.unwrap());
        assert!(matches!(
            slot.run(&share(), |open| Ok(*open)).await,
            Err(Error::Moved)
        ));
    }

    #[tokio::test]
    async fn a_panic_closes_the_database_and_costs_one_request() {
        let slot = Slot::default();
        slot.run(&share(), |open| Ok(open.replace(1)))
            .await
            .unwrap();
        assert!(
            slot.run::<()>(&share(), |_| panic!("on purpose"))
                .await
                .is_err()
        );
        assert_eq!(slot.run(&share(), |open| Ok(*open)).await.unwrap(), None);
    }
}
