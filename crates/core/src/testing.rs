//! Time and randomness that a test holds in its hand. Behind the feature `testing`, which only
//! dev-dependencies switch on.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::{Clock, Entropy, Timestamp};

/// A caller that goes away: `work` is dropped when it would go on after `steps` steps. False when it was
/// done before. A step is a poll that something woke it for, however often it is looked at.
pub async fn cut_short(work: impl Future, steps: u32) -> bool {
    struct Woken {
        woken: AtomicBool,
        outer: Mutex<Waker>,
    }
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.woken.store(true, Ordering::SeqCst);
            let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
            outer.wake_by_ref();
        }
    }
    let woken = Arc::new(Woken {
        woken: AtomicBool::new(true),
        outer: Mutex::new(Waker::noop().clone()),
    });
    let waker = Waker::from(Arc::clone(&woken));
    let mut work = std::pin::pin!(work);
    let mut left = steps;
    std::future::poll_fn(|context| {
        let mut outer = woken.outer.lock().unwrap_or_else(PoisonError::into_inner);
        outer.clone_from(context.waker());
        drop(outer);
        if !woken.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        let mut context = Context::from_waker(&waker);
        work.as_mut().poll(&mut context).map(|_| false)
    })
    .await
}

/// A clock that stands still until it is told to move. Clones show the same time.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Hands>>);

struct Hands {
    now: Timestamp,
    boot: Duration,
    next_sleeper: u64,
    sleepers: Vec<Sleeper>,
}

struct Sleeper {
    id: u64,
    until: Duration,
    waker: Waker,
}

impl ManualClock {
    /// A clock that shows `now`, on a machine that has just booted.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands {
            now,
            boot: Duration::ZERO,
            next_sleeper: 0,
            sleepers: Vec::new(),
        })))
    }

    /// Lets `duration` pass, and wakes who has slept long enough.
    pub fn advance(&self, duration: Duration) {
        let mut hands = self.hands();
        hands.now = hands.now.after(duration);
        hands.boot += duration;
        let woken = std::mem::take(&mut hands.sleepers);
        drop(hands);
        // Who has to sleep on registers again when polled.
        woken.into_iter().for_each(|sleeper| sleeper.waker.wake());
    }

    /// Steps the wall clock alone, in either direction: an NTP correction, an operator's mistake.
    pub fn step_to(&self, now: Timestamp) {
        self.hands().now = now;
    }

    /// How many sleeps are being waited for. A test waits for this level before it advances.
    pub fn sleepers(&self) -> usize {
        self.hands().sleepers.len()
    }

    /// How long until the first of them has slept enough; `None` when nobody sleeps.
    pub fn until_next(&self) -> Option<Duration> {
        let hands = self.hands();
        let first = hands.sleepers.iter().map(|sleeper| sleeper.until).min();
        first.map(|until| until.saturating_sub(hands.boot))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows 2026-01-01T00:00:00Z.
impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Timestamp(1_767_225_600_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    fn boot(&self) -> Duration {
        self.hands().boot
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut hands = self.hands();
        hands.next_sleeper += 1;
        Box::pin(Sleep {
            id: hands.next_sleeper,
            until: hands.boot.saturating_add(duration),
            clock: self.clone(),
        })
    }
}

struct Sleep {
    id: u64,
    until: Duration,
    clock: ManualClock,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        hands.sleepers.retain(|sleeper| sleeper.id != self.id);
        if hands.boot >= self.until {
            return Poll::Ready(());
        }
        hands.sleepers.push(Sleeper {
            id: self.id,
            until: self.until,
            waker: context.waker().clone(),
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock
            .hands()
            .sleepers
            .retain(|sleeper| sleeper.id != self.id);
    }
}

/// A reproducible stream (SplitMix64): the same seed, the same bytes. Not random at all, so for tests only.
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy;

    fn poll(sleep: &mut Pin<Box<dyn Future<Output = ()> + Send>>) -> Poll<()> {
        sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_sleep_ends_when_its_time_has_passed_and_not_before() {
        let clock = ManualClock::default();
        let mut sleep = clock.sleep(Duration::from_secs(2));
        assert_eq!(poll(&mut sleep), Poll::Pending);
        assert_eq!(clock.sleepers(), 1);
        assert_eq!(clock.until_next(), Some(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(poll(&mut sleep), Poll::Pending);
        clock.advance(Duration::from_secs(1));
        assert_eq!(poll(&mut sleep), Poll::Ready(()));
        assert_eq!(clock.sleepers(), 0);
        assert_eq!(clock.until_next(), None);
    }

    #[test]
    fn a_step_moves_the_wall_clock_alone() {
        let clock = ManualClock::default();
        let start = clock.now();
        clock.advance(Duration::from_secs(5));
        clock.step_to(start);
        assert_eq!((clock.now(), clock.boot()), (start, Duration::from_secs(5)));
    }

    #[test]
    fn a_seed_gives_one_stream_and_another_seed_another() {
        let draw = |seed| entropy::bytes::<20>(&SeededEntropy::new(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
