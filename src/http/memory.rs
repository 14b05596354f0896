//! The memory budget of all requests together.

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use tokio::{
    sync::{MutexGuard, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::error::HttpError;
use crate::{vault::Vault, wire::stream::LARGE_OBJECT};

/// How long a request waits for its share; clients give up after 30 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// The unit of the budget, in bytes.
const UNIT: u64 = 4096;
/// The share of any request that reads or writes more than a little.
const BASE: u64 = 512 * 1024;
/// How many copies of an object a database holds while it stores it.
const COPIES: u64 = 4;
/// A chunk of a normal sync, as objects and as text.
const CHUNK: u64 = 8 * 1024 * 1024;

/// A budget. Requests that do not fit wait, first come, first served.
///
/// Objects above [`LARGE_OBJECT`] are not part of it: only one of them is in memory at a time.
pub struct Memory {
    units: Arc<Semaphore>,
    all: u32,
}

/// A share of the budget, as long as it lives.
#[must_use]
pub struct Share<'a> {
    _units: OwnedSemaphorePermit,
    _turn: MutexGuard<'a, ()>,
}

impl Memory {
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            units: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Storing the objects in a body of this length.
    ///
    /// The body has arrived already: a slow client does not hold a share.
    pub async fn for_storing<'v>(
        &self,
        vault: &'v Vault,
        body: u64,
    ) -> Result<Share<'v>, HttpError> {
        self.share(vault, BASE + COPIES * body.min(LARGE_OBJECT))
            .await
    }

    /// Sending a chunk of a normal sync.
    pub async fn for_chunk<'v>(&self, vault: &'v Vault) -> Result<Share<'v>, HttpError> {
        self.share(vault, CHUNK).await
    }

    /// Takes the share at once, so that no two requests each hold a part and wait for the other. A
    /// request that needs more than the budget gets all of it.
    async fn share<'v>(&self, vault: &'v Vault, bytes: u64) -> Result<Share<'v>, HttpError> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let share = async {
            // One user's requests wait for each other anyway, and must not hold a share each.
            let turn = vault.one_at_a_time().await;
            let units = Arc::clone(&self.units).acquire_many_owned(units.min(self.all));
            Some(Share {
                _units: units.await.ok()?,
                _turn: turn,
            })
        };
        match timeout(PATIENCE, share).await {
            Ok(Some(share)) => Ok(share),
            _ => Err(HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "other requests use all the memory that memory_megs allows; try again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::vault::{Vaults, base::Base, retention::Retention};

    const MEBIBYTE: u64 = 1024 * 1024;

    /// This many users, each with a vault.
    async fn vaults(count: usize) -> (tempfile::TempDir, Vec<Arc<Vault>>) {
        let folder = tempfile::tempdir().unwrap();
        let all = Vaults::new(Base::open(folder.path()).unwrap(), Retention::default());
        let mut vaults = Vec::new();
        for number in 0..count {
            let name = format!("user{number}").parse().unwrap();
            vaults.push(all.get(&name).await.unwrap());
        }
        (folder, vaults)
    }

    #[tokio::test]
    async fn who_does_not_fit_waits_for_those_who_came_before() {
        let (_folder, vaults) = vaults(3).await;
        let memory = Memory::new(5 * MEBIBYTE);
        let first = memory.for_storing(&vaults[0], MEBIBYTE).await.unwrap();
        let mut large = Box::pin(memory.for_storing(&vaults[1], MEBIBYTE));
        assert!((&mut large).now_or_never().is_none());
        let mut small = Box::pin(memory.for_storing(&vaults[2], 0));
        assert!(
            (&mut small).now_or_never().is_none(),
            "it would fit, but came later"
        );
        drop(first);
        drop(large.await.unwrap());
        assert!(small.await.is_ok());
    }

    #[tokio::test]
    async fn a_body_larger_than_the_budget_gets_all_of_it() {
        let (_folder, vaults) = vaults(2).await;
        let memory = Memory::new(MEBIBYTE);
        let all = memory
            .for_storing(&vaults[0], 1000 * MEBIBYTE)
            .await
            .unwrap();
        assert!(memory.for_storing(&vaults[1], 0).now_or_never().is_none());
        drop(all);
        assert!(memory.for_chunk(&vaults[1]).await.is_ok());
    }

    #[tokio::test]
    async fn a_user_has_one_share() {
        let (_folder, vaults) = vaults(2).await;
        let memory = Memory::new(100 * MEBIBYTE);
        let _first = memory.for_storing(&vaults[0], 0).await.unwrap();
        assert!(memory.for_storing(&vaults[0], 0).now_or_never().is_none());
        assert!(memory.for_storing(&vaults[1], 0).now_or_never().is_some());
    }
}
