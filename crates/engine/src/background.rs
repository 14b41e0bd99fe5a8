//! What runs without being asked. Each loop does one thing, logs its failures and goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use grantry_core::Result;
use grantry_core::ids::{ConnectionId, ConnectorId};
use grantry_core::store::{Change, ChangeKind};

use crate::Engine;

/// How often the change feed is asked (design §8).
const POLL: Duration = Duration::from_millis(500);
/// How often counted token reads of past minutes are written.
const FLUSH: Duration = Duration::from_secs(10);
/// How often queued revocations and spooled pairs are tried.
const RETRY: Duration = Duration::from_secs(5);
/// How often idle connections are looked for.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How often rows that nothing needs any more are dropped, and how long they are kept.
const SWEEP: Duration = Duration::from_secs(3600);
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Idle connections refreshed in one round, and at the same time.
const KEEP_ALIVE_BATCH: u32 = 500;
const KEEP_ALIVE_AT_ONCE: usize = 16;

/// A change may be committed after one with a higher position (several nodes on one database), but
/// not later than this: no write lives longer than the store's statement timeout of 5 s.
const LATE: Duration = Duration::from_secs(15);

/// What has been heard of the change feed: everything up to `newest` but the holes, positions that
/// were given out and not seen committed yet. They are asked for again until they are too old to come.
struct Feed {
    newest: i64,
    holes: BTreeMap<i64, Duration>,
}

impl Feed {
    /// Everything up to `newest` was committed before the caches were first filled.
    const fn from(newest: i64) -> Self {
        Self {
            newest,
            holes: BTreeMap::new(),
        }
    }

    /// The position to ask from.
    fn since(&self) -> i64 {
        self.holes
            .first_key_value()
            .map_or(self.newest, |(first, _)| first - 1)
    }

    /// Whether `seq` is heard of for the first time.
    fn is_news(&mut self, seq: i64, now: Duration) -> bool {
        if seq <= self.newest {
            return self.holes.remove(&seq).is_some();
        }
        self.holes
            .extend((self.newest + 1..seq).map(|hole| (hole, now)));
        self.newest = seq;
        true
    }

    /// Gives up on holes that nothing can fill any more: their writes were rolled back.
    fn settle(&mut self, now: Duration) {
        self.holes
            .retain(|_, since| now.saturating_sub(*since) <= LATE);
    }
}

impl Engine {
    /// Brings home what the last process left in the spool. Call before listening (design §6f).
    pub async fn replay_spool(self: &Arc<Self>) -> Result<()> {
        for spooled in self.ports.spool.entries().await? {
            let team = &spooled.next.team;
            let connection = self
                .ports
                .store
                .connection(team, &spooled.next.connection)
                .await?;
            match connection {
                Some(live) => {
                    // A revoked or moved connection is an answer too: the pair is settled either way.
                    let landed = self.bring_home(&live.connection, spooled).await;
                    tracing::info!(connection = %live.connection.id, stored = landed.is_ok(), "replayed a spooled pair");
                }
                None => self.ports.spool.remove(&spooled.next.id).await?,
            }
        }
        Ok(())
    }

    /// Starts the background loops. They end with [`Engine::drain`].
    pub async fn start(self: &Arc<Self>) -> Result<()> {
        let newest = self.ports.store.last_change().await?;
        self.heard();
        self.spawn_poll(newest);
        self.spawn_loop("token-read counts", FLUSH, |engine| async move {
            let events = engine.reads.flush(engine.now(), false, engine.entropy());
            if events.is_empty() {
                Ok(())
            } else {
                Ok(engine.ports.store.append_events(&events).await?)
            }
        });
        self.spawn_loop("revocations", RETRY, |engine| async move {
            engine.retry_revocations().await
        });
        self.spawn_loop("spool", RETRY, |engine| async move {
            engine.replay_spool().await
        });
        self.spawn_loop("keep-alive", KEEP_ALIVE, |engine| async move {
            engine.keep_alive().await
        });
        self.spawn_loop("sweep", SWEEP, |engine| async move {
            let before = engine.now().before(KEEP_ENDED);
            let dropped = engine.ports.store.sweep(before).await?;
            tracing::debug!(dropped, "swept");
            Ok(())
        });
        Ok(())
    }

    fn spawn_loop<W>(
        self: &Arc<Self>,
        name: &'static str,
        every: Duration,
        work: impl Fn(Arc<Self>) -> W + Send + 'static,
    ) where
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            while engine.pause(every).await {
                if let Err(error) = work(Arc::clone(&engine)).await {
                    tracing::warn!(work = name, %error, "background work failed; it will be tried again");
                }
            }
        });
    }

    fn spawn_poll(self: &Arc<Self>, newest: i64) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut feed = Feed::from(newest);
            while engine.pause(POLL).await {
                match engine.listen(&mut feed).await {
                    Ok(()) => engine.heard(),
                    Err(error) => tracing::warn!(%error, "the change feed does not answer"),
                }
            }
        });
    }

    /// Forgets what others have changed since the last call.
    async fn listen(&self, feed: &mut Feed) -> Result<()> {
        let (mut since, now) = (feed.since(), self.ports.clock.boot());
        loop {
            let changes = self.ports.store.changes(since).await?;
            let Some(last) = changes.last() else { break };
            since = last.seq;
            let news = changes
                .iter()
                .filter(|change| feed.is_news(change.seq, now));
            news.for_each(|change| self.forget(change));
        }
        feed.settle(now);
        Ok(())
    }

    /// Sleeps; false when it is time to stop.
    async fn pause(&self, duration: Duration) -> bool {
        let stop = std::pin::pin!(self.stop.cancelled());
        matches!(
            select(stop, self.ports.clock.sleep(duration)).await,
            Either::Right(_)
        )
    }

    fn heard(&self) {
        let now = i64::try_from(self.ports.clock.boot().as_micros()).unwrap_or(i64::MAX);
        self.caches.polled_at.store(now, Ordering::Relaxed);
    }

    fn forget(&self, change: &Change) {
        match change.kind {
            ChangeKind::Key | ChangeKind::User | ChangeKind::Team | ChangeKind::Project => {
                self.caches.callers.clear()
            }
            ChangeKind::Service => self.caches.catalogue.clear(),
            ChangeKind::Connector => self.forget_connector(&ConnectorId::from(change.key.as_str())),
            ChangeKind::Connection => self
                .caches
                .lives
                .invalidate(&ConnectionId::from(change.key.as_str())),
        }
    }

    /// Refreshes connections that nobody has used for long, so that their grants do not lapse (requirement 50).
    async fn keep_alive(self: Arc<Self>) -> Result<()> {
        let Some(idle) = self.settings.refresh.keep_alive else {
            return Ok(());
        };
        let now = self.now();
        let sets = self
            .ports
            .store
            .idle_sets(now.before(idle), now, KEEP_ALIVE_BATCH)
            .await?;
        let flights = sets.into_iter().map(|live| self.refresh(Arc::new(live)));
        stream::iter(flights)
            .buffer_unordered(KEEP_ALIVE_AT_ONCE)
            .for_each(|_| async {})
            .await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_change_that_was_committed_late_is_heard_once() {
        let mut feed = Feed::from(10);
        assert!(feed.is_news(12, at(1)));
        assert_eq!(feed.since(), 10, "11 may still come");
        assert!(!feed.is_news(12, at(2)));
        assert!(feed.is_news(11, at(2)));
        assert!(!feed.is_news(11, at(2)));
        assert_eq!(feed.since(), 12);
    }

    #[test]
    fn a_hole_that_nobody_fills_is_given_up() {
        let mut feed = Feed::from(10);
        assert!(feed.is_news(12, at(1)));
        feed.settle(at(16));
        assert_eq!(feed.since(), 10);
        feed.settle(at(17));
        assert_eq!(feed.since(), 12);
    }
}
