//! What runs without being asked. Each loop does one thing, logs its failures and goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use grantry_core::Result;
use grantry_core::ids::{ConnectionId, ConnectorId};
use grantry_core::store::{Change, ChangeKind};

use crate::Engine;
use crate::feed::{Feed, Heard};
use crate::tokens::Home;

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

impl Engine {
    /// Brings home what the last process left in the spool. Call before listening (design §6f). What
    /// the store does not take yet stays, and the set that was presented for it is not presented again.
    pub async fn replay_spool(self: &Arc<Self>) -> Result<()> {
        let entries = self.ports.spool.entries().await?;
        for spooled in &entries {
            self.flights.remember_spooled(spooled.clone());
        }
        for spooled in entries {
            let team = &spooled.next.team;
            let connection = self
                .ports
                .store
                .connection(team, &spooled.next.connection)
                .await?;
            match connection {
                Some(live) => {
                    let connection = &live.connection;
                    match self.bring_home(connection, spooled).await? {
                        Home::Stored(_) => {
                            tracing::info!(connection = %connection.id, "stored a spooled pair");
                        }
                        Home::StillSpooled(_) => {
                            tracing::warn!(connection = %connection.id, "the store does not take a spooled pair yet");
                        }
                        Home::Settled(_) => {
                            tracing::info!(connection = %connection.id, "a spooled pair is not needed any more");
                        }
                    }
                }
                None => {
                    self.ports.spool.remove(&spooled.next.id).await?;
                    self.flights.forget_spooled(&spooled.presented);
                }
            }
        }
        Ok(())
    }

    /// Starts the background loops. They end with [`Engine::drain`].
    pub async fn start(self: &Arc<Self>) -> Result<()> {
        let asked = self.ports.clock.boot();
        let newest = self.ports.store.last_change().await?;
        self.heard(asked);
        self.spawn_poll(newest);
        self.spawn_loop("token-read counts", FLUSH, |engine| async move {
            let over = engine.reads.take(engine.now(), false);
            engine.write_counts(over).await
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
            let mut feed = Feed::join(newest);
            while engine.pause(POLL).await {
                // What is committed while the question is under way may not be in the answer.
                let asked = engine.ports.clock.boot();
                match engine.listen(&mut feed, asked).await {
                    Ok(()) => engine.heard(asked),
                    Err(error) => tracing::warn!(%error, "the change feed does not answer"),
                }
            }
        });
    }

    /// Forgets what others have changed since the last call.
    async fn listen(&self, feed: &mut Feed, now: Duration) -> Result<()> {
        let mut since = feed.since();
        loop {
            let changes = self.ports.store.changes(since).await?;
            let Some(last) = changes.last() else { break };
            since = last.seq;
            for change in &changes {
                match feed.hear(change.seq, now) {
                    Heard::Before => {}
                    Heard::News => self.forget(change),
                    Heard::Gap => {
                        tracing::warn!(
                            seq = change.seq,
                            "the change feed jumped; all caches are emptied"
                        );
                        self.caches.clear();
                    }
                }
            }
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

    /// The caches know what was committed before `asked`.
    fn heard(&self, asked: Duration) {
        let asked = i64::try_from(asked.as_micros()).unwrap_or(i64::MAX);
        self.caches.polled_at.store(asked, Ordering::Relaxed);
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
            .take_until(self.stop.cancelled())
            .buffer_unordered(KEEP_ALIVE_AT_ONCE)
            .for_each(|_| async {})
            .await;
        Ok(())
    }
}
