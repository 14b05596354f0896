//! Limits log lines that could appear with every request to one a minute.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The pause between two lines about the same thing.
const PAUSE: Duration = Duration::from_secs(60);
/// How many different things may be logged a minute, so that strangers fill neither the memory nor
/// the log.
const MOST: usize = 20;

/// The things that were logged within the last minute.
pub struct Seldom<T>(Mutex<HashMap<T, Instant>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash> Seldom<T> {
    /// Whether a line about this is due. If so, the next one is due a minute later.
    pub fn is_due(&self, about: T) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, at| at.elapsed() < PAUSE);
        let is_due = logged.len() < MOST && !logged.contains_key(&about);
        if is_due {
            logged.insert(about, Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_comes_once_a_minute_and_not_too_many_different_ones() {
        let seldom = Seldom::default();
        assert!(seldom.is_due(0) && seldom.is_due(1));
        assert!(!seldom.is_due(0));
        advance(PAUSE).await;
        assert!(seldom.is_due(0) && !seldom.is_due(0));
        let others = (1..1000).filter(|number| seldom.is_due(*number)).count();
        assert_eq!(others, MOST - 1);
    }
}
