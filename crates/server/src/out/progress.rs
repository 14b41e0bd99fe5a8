//! A sign of life for what takes long: on standard error, only on a terminal, only after a moment.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use grantry_core::Clock as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::SystemClock;

/// What is done sooner shows nothing, so that quick commands do not flicker.
const PATIENCE: Duration = Duration::from_millis(700);
/// Between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// Waits for `work`; a spinner beside `message` appears when it takes longer than a moment.
pub async fn during<T>(message: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = SystemClock.sleep(PATIENCE) => {}
    }
    let _spinner = Spinner::new(message);
    work.await
}

/// A spinner, until it is dropped.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// A spinner beside `message`.
    pub fn new(message: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(style("{spinner} {msg} {elapsed:.dim}"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar that fills, until it is dropped.
pub struct Bar {
    bar: ProgressBar,
    started: Duration,
    shown: bool,
}

impl Bar {
    /// A bar of `total` steps beside `message`.
    pub fn new(message: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(
            style("{msg} [{wide_bar}] {pos}/{len} {eta:.dim} left").progress_chars("=> "),
        );
        bar.set_message(message.to_owned());
        Self {
            bar,
            started: SystemClock.boot(),
            shown: false,
        }
    }

    /// `done` steps are behind us.
    pub fn at(&mut self, done: u64) {
        if !self.shown && SystemClock.boot().saturating_sub(self.started) > PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(target());
        }
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn target() -> ProgressDrawTarget {
    if super::look().quiet || !io::stderr().is_terminal() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    }
}

/// The style that `template` describes; one that cannot be read would leave the library's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_done_whether_it_is_quick_or_slow() {
        assert_eq!(during("waiting", async { 1 }).await, 1);
        let slow = async {
            SystemClock.sleep(PATIENCE * 3).await;
            2
        };
        assert_eq!(during("waiting", slow).await, 2);
    }

    #[test]
    fn every_style_can_be_read() {
        for template in [
            "{spinner} {msg} {elapsed:.dim}",
            "{msg} [{wide_bar}] {pos}/{len} {eta:.dim} left",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let mut bar = Bar::new("rows", 2);
        bar.at(2);
        assert_eq!(bar.bar.position(), 2);
    }
}
