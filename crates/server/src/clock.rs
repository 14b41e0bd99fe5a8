//! The clocks of the machine.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grantry_core::{Clock, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The one production implementation of [`Clock`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one production implementation of core::Clock"
        )]
        let now = SystemTime::now();
        // A machine set before 1970 has no useful time; zero expires everything, which is safe.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().after(since)
    }

    fn boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one production implementation of core::Clock"
        )]
        let sleep = tokio::time::sleep(duration);
        Box::pin(sleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_in_microseconds_and_boot_time_never_steps_back() {
        // 2026-01-01 and 2100-01-01: a unit that is wrong by 1 000 falls outside.
        let now = SystemClock.now().as_secs();
        assert!((1_767_225_600..4_102_444_800).contains(&now), "{now}");
        let earlier = SystemClock.boot();
        assert!(earlier > Duration::ZERO && SystemClock.boot() >= earlier);
    }
}
