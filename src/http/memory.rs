//! What all requests together may hold in memory.

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::error::HttpError;
use crate::wire::stream::LARGEST_OBJECT;

/// How long a request waits for its share; clients give up after 30 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// The budget is counted in these.
const UNIT: u64 = 4096;
/// What any request takes that reads or writes more than a little.
const BASE: u64 = 512 * 1024;
/// A database holds an object up to so many times while it is stored.
const COPIES: u64 = 4;
/// A portion of a normal sync, as objects and as text.
const CHUNK: u64 = 8 * 1024 * 1024;

/// A budget. Whoever does not fit waits, and the first to come is the first to be served.
pub struct Memory {
    units: Arc<Semaphore>,
    all: u32,
}

/// A share of it, as long as it lives.
#[must_use]
pub struct Share(#[expect(dead_code, reason = "it only has to be held")] OwnedSemaphorePermit);

impl Memory {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            units: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// For storing what a body of this length holds, object by object.
    ///
    /// The body has arrived: nobody keeps a share by being slow.
    ///
    /// # Errors
    /// 503 when it takes too long.
    pub async fn for_storing(&self, body: u64) -> Result<Share, HttpError> {
        self.share(BASE + COPIES * body.min(LARGEST_OBJECT)).await
    }

    /// For sending a portion of a normal sync.
    ///
    /// # Errors
    /// 503 when it takes too long.
    pub async fn for_chunk(&self) -> Result<Share, HttpError> {
        self.share(CHUNK).await
    }

    /// Taken at once, so that no two requests wait for each other. Whoever needs more than
    /// there is gets all of it.
    async fn share(&self, bytes: u64) -> Result<Share, HttpError> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let share = Arc::clone(&self.units).acquire_many_owned(units.min(self.all));
        match timeout(PATIENCE, share).await {
            Ok(Ok(share)) => Ok(Share(share)),
            _ => Err(HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "other requests fill the memory there is for them (memory_megs); try again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: u64 = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_fit_waits_but_not_forever() {
        let memory = Memory::new(8 * MEBIBYTE);
        let first = memory.for_storing(MEBIBYTE).await.unwrap();
        assert!(memory.for_storing(MEBIBYTE).await.is_err());
        drop(first);
        assert!(memory.for_storing(MEBIBYTE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_larger_than_the_budget_gets_all_of_it() {
        let memory = Memory::new(MEBIBYTE);
        let all = memory.for_storing(1000 * MEBIBYTE).await.unwrap();
        assert!(memory.for_storing(0).await.is_err());
        drop(all);
        assert!(memory.for_chunk().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_one_is_not_passed_by_small_ones() {
        let memory = Arc::new(Memory::new(4 * MEBIBYTE));
        let first = memory.for_storing(0).await.unwrap();
        let large = tokio::spawn({
            let memory = Arc::clone(&memory);
            async move { memory.for_storing(MEBIBYTE).await.is_ok() }
        });
        tokio::task::yield_now().await;
        let small = memory.for_storing(0);
        tokio::pin!(small);
        assert!(
            timeout(Duration::from_secs(1), &mut small).await.is_err(),
            "it would fit, but came later"
        );
        drop(first);
        assert!(large.await.unwrap());
        assert!(small.await.is_ok());
    }
}
