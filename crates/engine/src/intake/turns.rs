//! Looks at one thing come one after the other, and not too close: whoever saw one signed delivery could send it all day,
//! and each would cost a request of those that the provider allows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_core::limits::{LOOKS_APART_TIME, RENEWALS_APART_TIME};
use grantry_core::{Clock, Result};

/// The last look at one thing.
#[derive(Default)]
struct Turn {
    /// Who came, counted.
    came: AtomicU64,
    last: tokio::sync::Mutex<Option<Look>>,
}

struct Look {
    /// How many had come when it began: it answers for all of these.
    came: u64,
    /// When it began, since the process did.
    at: Duration,
    end: Result<()>,
}

/// Things that are looked at, by name, as long as they are and a little longer.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Arc<Turn>>>);

impl Turns {
    /// Looks, or waits for the end of a look that began after this call: what is to be seen may be newer than one that is
    /// under way.
    pub async fn take(
        &self,
        name: String,
        clock: &dyn Clock,
        look: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        let turn = self.turn(&name);
        let mine = turn.came.fetch_add(1, Ordering::SeqCst);
        let mut last = turn.last.lock().await;
        if let Some(done) = last.as_ref().filter(|done| done.came > mine) {
            return done.end.clone();
        }
        if let Some(before) = last.as_ref() {
            let since = clock.boot().saturating_sub(before.at);
            if let Some(wait) = LOOKS_APART_TIME
                .checked_sub(since)
                .filter(|wait| !wait.is_zero())
            {
                clock.sleep(wait).await;
            }
        }
        let (came, at) = (turn.came.load(Ordering::SeqCst), clock.boot());
        let end = look().await;
        *last = Some(Look {
            came,
            at,
            end: end.clone(),
        });
        drop(last);
        self.forget(clock.boot());
        end
    }

    fn turn(&self, name: &str) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }

    /// Forgets those that nobody waits for and that need not be kept apart any more.
    fn forget(&self, now: Duration) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| {
            let idle = Arc::strong_count(turn) == 1;
            let last = turn.last.try_lock();
            let over = last.is_ok_and(|last| {
                let last = last.as_ref();
                last.is_some_and(|last| now.saturating_sub(last.at) > LOOKS_APART_TIME)
            });
            !(idle && over)
        });
    }
}

/// When the kept tokens of an installation were given up last, or are going to be, by name; as long as that matters.
#[derive(Default)]
pub struct Renewals(Mutex<HashMap<String, Duration>>);

impl Renewals {
    /// How long to wait with one that is wanted `now`, since the process began. `None` where one is to come already.
    pub fn wait(&self, name: String, now: Duration) -> Option<Duration> {
        let mut renewals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        renewals.retain(|_, at| now < *at + RENEWALS_APART_TIME);
        let at = match renewals.get(&name) {
            Some(next) if *next > now => return None,
            Some(last) => *last + RENEWALS_APART_TIME,
            None => now,
        };
        renewals.insert(name, at);
        Some(at.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use grantry_core::Error;
    use grantry_core::testing::ManualClock;

    use super::*;

    #[test]
    fn a_renewal_is_now_or_once_the_last_one_is_long_enough_ago() {
        let renewals = Renewals::default();
        let (at, apart) = (Duration::from_secs, RENEWALS_APART_TIME);
        let wait = |name: &str, now| renewals.wait(name.to_owned(), now);
        assert_eq!(wait("one", at(5)), Some(Duration::ZERO));
        assert_eq!(wait("one", at(15)), Some(apart - at(10)));
        assert_eq!(wait("one", at(16)), None, "it is to come");
        assert_eq!(wait("two", at(16)), Some(Duration::ZERO));
        let came = at(5) + apart;
        assert_eq!(wait("one", came), Some(apart));
        assert_eq!(wait("one", came + apart * 2), Some(Duration::ZERO));
        assert_eq!(
            renewals.0.lock().unwrap().len(),
            1,
            "what is over is forgotten"
        );
    }

    #[tokio::test]
    async fn a_flood_is_a_look_now_and_one_for_all_that_came_meanwhile() {
        let (turns, clock) = (Turns::default(), ManualClock::default());
        let looks = AtomicUsize::new(0);
        let flood = (0..100).map(|_| {
            turns.take("one".to_owned(), &clock, async || {
                looks.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(())
            })
        });
        let flood = join_all(flood);
        let time = async {
            loop {
                for _ in 0..300 {
                    tokio::task::yield_now().await;
                }
                if let Some(wait) = clock.until_next() {
                    clock.advance(wait);
                }
            }
        };
        tokio::select! {
            ends = flood => assert!(ends.iter().all(Result::is_ok)),
            () = time => {}
        }
        let looked = looks.load(Ordering::SeqCst);
        assert!((1..=2).contains(&looked), "{looked}");
        clock.advance(2 * LOOKS_APART_TIME);
        let failed = turns.take("other".to_owned(), &clock, async || Err(Error::Unavailable));
        assert_eq!(failed.await, Err(Error::Unavailable));
        let left: Vec<String> = turns.0.lock().unwrap().keys().cloned().collect();
        assert_eq!(left, ["other"], "what is over is forgotten");
    }
}
