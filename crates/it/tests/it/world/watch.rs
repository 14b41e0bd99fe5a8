//! Knows whether the database is at work, and can break it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use grantry_core::store::Stored;
use grantry_core::testing::ManualClock;
use grantry_core::{Clock, StoreError};
use grantry_store::backend::{Backend, Done, Query, Row, Write};
use grantry_store::migrate::Migrations;

/// What a write meets.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Broken {
    /// Nothing: it is done and answered.
    No = 0,
    /// It is refused.
    Refused = 1,
    /// It is done, and the answer says that it was not: a commit whose answer was lost.
    AnswerLost = 2,
    /// It is done, and the answer takes [`SLOW`].
    Slow = 3,
    /// It is done and answered, and the last thing that is: afterwards nothing is read.
    Last = 4,
    /// Nothing is read.
    Deaf = 5,
}

/// Longer than a lease leaves room for.
const SLOW: Duration = Duration::from_secs(20);

/// What is under way outside the test's own tasks, and the lever.
#[derive(Clone, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    under_way: AtomicUsize,
    broken: AtomicU8,
    /// Reads that are still answered, and whether they are counted.
    answered: AtomicUsize,
    counted: AtomicBool,
}

/// Counted while it lives.
pub struct UnderWay(Watch);

impl Watch {
    /// Something is under way.
    pub fn enter(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.clone())
    }

    /// Whether anything is.
    pub fn busy(&self) -> bool {
        self.0.under_way.load(Ordering::SeqCst) > 0
    }

    /// From now on writes meet `broken`.
    pub fn break_writes(&self, broken: Broken) {
        self.0.broken.store(broken as u8, Ordering::SeqCst);
    }

    /// So many further reads are answered, and no write then.
    pub fn deafen_after(&self, reads: usize) {
        self.0.answered.store(reads, Ordering::SeqCst);
        self.0.counted.store(true, Ordering::SeqCst);
    }

    /// Reads are answered again.
    pub fn hear(&self) {
        self.0.counted.store(false, Ordering::SeqCst);
    }

    /// Whether one more read, or a write, is answered.
    fn answers(&self, read: bool) -> bool {
        if !self.0.counted.load(Ordering::SeqCst) {
            return true;
        }
        let answered = &self.0.answered;
        match read {
            true => answered
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok(),
            false => answered.load(Ordering::SeqCst) > 0,
        }
    }

    /// `inner`, watched; `clock` says how slow it can be made.
    pub fn around<B>(&self, inner: B, clock: ManualClock) -> Watched<B> {
        Watched {
            inner,
            clock,
            watch: self.clone(),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A watched backend.
pub struct Watched<B> {
    inner: B,
    clock: ManualClock,
    watch: Watch,
}

impl<B: Backend> Backend for Watched<B> {
    const MIGRATIONS: Migrations = B::MIGRATIONS;

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let under_way = self.watch.enter();
        let broken = self.watch.0.broken.load(Ordering::SeqCst);
        if broken == Broken::Refused as u8 || !self.watch.answers(false) {
            return Err(StoreError::Unavailable);
        }
        let done = self.inner.write(write).await;
        drop(under_way);
        if broken == Broken::AnswerLost as u8 {
            return Err(StoreError::Unavailable);
        }
        if broken == Broken::Last as u8 {
            self.watch.break_writes(Broken::Deaf);
        }
        if broken == Broken::Slow as u8 {
            self.clock.sleep(SLOW).await;
        }
        done
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        let _under_way = self.watch.enter();
        let deaf = self.watch.0.broken.load(Ordering::SeqCst) == Broken::Deaf as u8;
        if deaf || !self.watch.answers(true) {
            return Err(StoreError::Unavailable);
        }
        self.inner.read(query).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
