//! Time as an argument.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::Timestamp;

/// The only source of time. The ambient clocks are banned by `clippy.toml`, so that a test can
/// play a minute of silence in a millisecond and a clock step is a test case (requirement 48).
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time. May step in either direction.
    fn now(&self) -> Timestamp;

    /// Time since boot, counting suspend (`CLOCK_BOOTTIME`). Never steps back; only differences mean anything.
    fn boot(&self) -> Duration;

    /// Completes after `duration` of this clock's time.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
