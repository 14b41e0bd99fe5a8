//! What runs without being asked. Each loop does one thing, logs its failures and goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use grantry_core::ids::{ConnectionId, ConnectorId, TokenSetId};
use grantry_core::store::{Change, ChangeKind};
use grantry_core::{Result, Timestamp};

use crate::Engine;
use crate::feed::{Feed, Heard};
use crate::tokens::Home;

/// How often the change feed is asked without a wake-up call (design §8), and how often at most.
const POLL: Duration = Duration::from_millis(500);
const POLL_GAP: Duration = Duration::from_millis(20);
/// How often counted token reads of past minutes are written.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two writes of counted reads.
const FLUSH: Duration = Duration::from_secs(10);
/// How often queued revocations and spooled pairs are tried.
const RETRY: Duration = Duration::from_secs(5);
/// How often idle connections are looked for.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How often news for requesters are looked for.
const WEBHOOKS: Duration = Duration::from_secs(1);
/// How often stored keys that run out soon are looked for.
const EXPIRIES: Duration = Duration::from_secs(600);
/// How often sign-ins are looked for that have lost what they rest on, or that nobody redeemed.
const SIGN_INS: Duration = Duration::from_secs(60);
/// How often signing keys that have become old or useless are looked for.
const SIGNING_KEYS: Duration = Duration::from_secs(600);
/// How often rows that nothing needs any more are dropped, and how long they are kept.
const SWEEP: Duration = Duration::from_secs(3600);
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Rows of a kind dropped in one transaction, and how long the node that does it may take for that.
const SWEEP_BATCH: u32 = 1000;
const SWEEP_LEASE: Duration = Duration::from_secs(60);

/// Idle connections asked for at once, how often in one round, and refreshed at the same time.
const KEEP_ALIVE_BATCH: u32 = 500;
const KEEP_ALIVE_BATCHES: u32 = 20;
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
        self.warn_of_slugs().await?;
        self.spawn_poll(newest);
        self.spawn_loop("token-read counts", FLUSH, |engine| async move {
            let over = engine.reads.take(engine.now(), false);
            engine.write_counts(over).await
        });
        self.spawn_loop("revocations", RETRY, |engine| async move {
            engine.retry_revocations().await
        });
        self.spawn_loop("deleted connectors", RETRY, |engine| async move {
            engine.end_connectors().await
        });
        self.spawn_loop("unconfirmed consents", RETRY, |engine| async move {
            engine.drop_expired_consents().await
        });
        self.spawn_loop("webhooks", WEBHOOKS, |engine| async move {
            engine.deliver_webhooks().await
        });
        self.spawn_loop("expiring keys", EXPIRIES, |engine| async move {
            engine.warn_of_expiries().await
        });
        self.spawn_loop("spool", RETRY, |engine| async move {
            engine.replay_spool().await
        });
        self.spawn_loop("sign-ins", SIGN_INS, |engine| async move {
            engine.end_sign_ins().await
        });
        self.spawn_loop("signing keys", SIGNING_KEYS, |engine| async move {
            engine.tend_signing_keys().await
        });
        self.spawn_keep_alive();
        self.spawn_loop("sweep", SWEEP, |engine| async move { engine.sweep().await });
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
            while engine.pause(POLL_GAP).await
                && engine
                    .pause_or(POLL - POLL_GAP, engine.ports.store.changed())
                    .await
            {
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
        self.pause_or(duration, std::future::pending()).await
    }

    /// Sleeps, or less if it is `woken`; false when it is time to stop.
    async fn pause_or(&self, duration: Duration, woken: impl Future<Output = ()>) -> bool {
        let (stop, woken) = (std::pin::pin!(self.stop.cancelled()), std::pin::pin!(woken));
        let over = select(woken, self.ports.clock.sleep(duration));
        matches!(select(stop, over).await, Either::Right(_))
    }

    /// Changes were heard of once, and then not for [`SILENCE`].
    pub(crate) fn feed_is_silent(&self) -> bool {
        let polled = self.caches.polled_at.load(Ordering::Relaxed);
        let now = i64::try_from(self.ports.clock.boot().as_micros()).unwrap_or(i64::MAX);
        polled != i64::MIN && now.saturating_sub(polled) > SILENCE.as_micros() as i64
    }

    /// The caches know what was committed before `asked`.
    fn heard(&self, asked: Duration) {
        let asked = i64::try_from(asked.as_micros()).unwrap_or(i64::MAX);
        self.caches.polled_at.store(asked, Ordering::Relaxed);
    }

    fn forget(&self, change: &Change) {
        match change.kind {
            ChangeKind::Key
            | ChangeKind::User
            | ChangeKind::Team
            | ChangeKind::Project
            | ChangeKind::SigningKey => self.caches.callers.clear(),
            ChangeKind::Service => self.caches.catalogue.clear(),
            ChangeKind::Connector => self.forget_connector(&ConnectorId::from(change.key.as_str())),
            ChangeKind::Connection => self
                .caches
                .lives
                .invalidate(&ConnectionId::from(change.key.as_str())),
        }
    }

    /// Drops what nothing needs any more, in small transactions, on one node at a time.
    async fn sweep(&self) -> Result<()> {
        let store = &self.ports.store;
        let before = self.now().before(KEEP_ENDED);
        let mut dropped = 0;
        while store
            .lease("sweep", &self.settings.node, SWEEP_LEASE)
            .await?
        {
            let gone = store.sweep(before, SWEEP_BATCH).await?;
            let expired = store.sweep_requests(self.now(), SWEEP_BATCH).await?;
            dropped += gone + expired;
            if gone.max(expired) < u64::from(SWEEP_BATCH) || self.stop.is_cancelled() {
                break;
            }
        }
        tracing::debug!(dropped, "swept");
        Ok(())
    }

    fn spawn_keep_alive(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut behind = None;
            while engine.pause(KEEP_ALIVE).await {
                if let Err(error) = engine.keep_alive(&mut behind).await {
                    tracing::warn!(%error, "idle connections cannot be looked for");
                }
            }
        });
    }

    /// Refreshes connections that nobody has used for long, so that their grants do not lapse
    /// (requirement 50). A round goes on `behind` where the one before ended: sets that cannot be
    /// refreshed at all must not keep the others waiting.
    async fn keep_alive(
        self: &Arc<Self>,
        behind: &mut Option<(Timestamp, TokenSetId)>,
    ) -> Result<()> {
        let Some(idle) = self.settings.refresh.keep_alive else {
            return Ok(());
        };
        let (mut refreshed, mut failed) = (0_u32, 0_u32);
        for _ in 0..KEEP_ALIVE_BATCHES {
            let now = self.now();
            let after = behind.take();
            let sets = self
                .ports
                .store
                .idle_sets(now.before(idle), now, after.as_ref(), KEEP_ALIVE_BATCH)
                .await?;
            let last = sets.last().and_then(|live| live.sets.first());
            *behind = last.map(|set| (set.received_at, set.id.clone()));
            let flights = sets.into_iter().map(|live| self.refresh(Arc::new(live)));
            let landings = stream::iter(flights)
                .take_until(self.stop.cancelled())
                .buffer_unordered(KEEP_ALIVE_AT_ONCE);
            let mut landings = std::pin::pin!(landings);
            while let Some(landed) = landings.next().await {
                match landed {
                    Ok(_) => refreshed += 1,
                    Err(_) => failed += 1,
                }
            }
            if behind.is_none() || self.stop.is_cancelled() {
                break;
            }
        }
        if failed > 0 {
            tracing::warn!(refreshed, failed, "idle connections could not be refreshed");
        }
        Ok(())
    }
}
