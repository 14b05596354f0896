//! A database that is opened when needed, used by one request at a time on a
//! blocking thread, and closed when idle.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::{JoinError, spawn_blocking},
    time::Instant,
};

use super::{Error, workers::Share};

/// Holds the database while it is open. Requests wait for each other without
/// occupying a thread.
///
/// One lock for the whole of a request: two threads in one `SQLite` connection would be in one
/// transaction, and a device's `finish` would commit what another one has half sent. It is owned,
/// since it goes along to the thread: a client that leaves must not let the next one in while its
/// own work still goes on there.
pub struct Slot<T>(Arc<Mutex<Content<T>>>);

struct Content<T> {
    open: Option<T>,
    last_used: Instant,
    sealed: bool,
}

/// Keeps everybody out for as long as it lives, and for good unless it is lifted.
pub struct Seal<T>(OwnedMutexGuard<Content<T>>);

impl<T> Seal<T> {
    /// Lets people in again.
    pub fn lift(mut self) {
        self.0.sealed = false;
    }
}

/// Whoever is in: nobody else uses the database as long as this lives.
pub struct Inside<T>(OwnedMutexGuard<Content<T>>);

impl<T: Send + 'static> Inside<T> {
    /// What is open.
    pub fn open(&self) -> Option<&T> {
        self.0.open.as_ref()
    }

    /// Does some work with the database, which the work opens if it is not, and may close.
    ///
    /// # Errors
    /// As the work does and [`Share::run`]; a panic closes the database, which rolls back what
    /// was begun.
    pub async fn run<R: Send + 'static>(
        self,
        share: &Share,
        work: impl FnOnce(&mut Option<T>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let Self(mut content) = self;
        let worked = share.run(move || {
            // Taken out, so that unwinding drops it: a transaction that a panic has cut off in the
            // middle would else go on with the next request.
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
    /// Waits until nobody uses the database.
    ///
    /// # Errors
    /// [`Error::Moved`] when the files are not here any more.
    pub async fn enter(&self) -> Result<Inside<T>, Error> {
        let content = self.lock().await;
        // Asked only once it is one's turn: who has waited while the folder was moved would
        // make it anew under the old name.
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

    /// Waits until nobody uses the database, closes it, which rolls back what was begun,
    /// and lets nobody in.
    ///
    /// # Errors
    /// When closing panics; it is not sealed then.
    pub async fn seal(&self) -> Result<Seal<T>, JoinError> {
        let mut content = self.lock().await;
        spawn_blocking(move || {
            drop(content.open.take());
            content.sealed = true;
            Seal(content)
        })
        .await
    }

    /// Looks at what is open; none while somebody is using it.
    pub fn look<R>(&self, at: impl FnOnce(Option<&T>) -> R) -> Option<R> {
        self.0
            .try_lock()
            .ok()
            .map(|content| at(content.open.as_ref()))
    }

    /// Closes the database if nobody is using it now and `may_close` agrees, which is
    /// told for how long nobody has.
    pub async fn close_if(&self, may_close: impl FnOnce(&T, Duration) -> bool) {
        if let Ok(mut content) = Arc::clone(&self.0).try_lock_owned()
            && let Some(open) = &content.open
            && may_close(open, content.last_used.elapsed())
        {
            // A failure to close leaves a journal, which the next opening brings in. It is closed
            // before anybody comes in: the last one to close removes the journal by its path, which
            // might by then be that of a collection put in its place.
            let _ = spawn_blocking(move || drop(content.open.take())).await;
        }
    }

    /// Closes the database, as soon as nobody is using it.
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
