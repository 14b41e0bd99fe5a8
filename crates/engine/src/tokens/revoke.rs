//! Ending connections, here at once and at the provider as soon as it answers (requirement 51).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use grantry_core::error::Forbidden;
use grantry_core::ids::{ConnectionId, TeamId};
use grantry_core::limits::AWAITED_REVOCATIONS_MAX;
use grantry_core::nouns::{Connector, Environment, EventKind, Revocation, Subject};
use grantry_core::store::{Ended, RevocationScope};
use grantry_core::{Error, Result, StoreError};
use grantry_oauth::revoke::{self, TokenKind};

use super::pair::Half;
use crate::connectors::{Entry, OauthClient, types};
use crate::events::Draft;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// A queued revocation is left alone by the sweep for this long: whoever took it is trying.
pub const CLAIM: Duration = Duration::from_secs(60);

/// Revocations of one connector that are under way at once.
pub const AT_ONCE: usize = 8;

/// Connections ended in one transaction.
pub const BATCH: u32 = 500;

/// Which connections of a connector to end. Absent parts match all.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Of this subject.
    pub subject: Option<Subject>,
    /// In this environment.
    pub environment: Option<Environment>,
    /// Of this installation.
    pub installation: Option<String>,
}

/// What became of a revocation (reference/vercel-connect D3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Connections that were live.
    pub found: u64,
    /// Connections that are no longer.
    pub deleted: u64,
    /// Token sets that the provider has ended.
    pub provider_revoked: u64,
    /// Token sets whose provider has no way to end them.
    pub provider_skipped: u64,
    /// Token sets that the provider did not end, or not yet.
    pub provider_failed: u64,
}

impl Revoked {
    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            deleted: self.deleted + other.deleted,
            provider_revoked: self.provider_revoked + other.provider_revoked,
            provider_skipped: self.provider_skipped + other.provider_skipped,
            provider_failed: self.provider_failed + other.provider_failed,
        }
    }
}

/// What became of one token set at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtProvider {
    Revoked,
    Skipped,
    Failed,
    Later(Option<Duration>),
}

impl Engine {
    /// Ends all connections of `connector` that are `which`: here at once, and at the provider for as
    /// many as an answer can wait for; the rest is tried by the sweep. Without a subject that is
    /// everybody's, and takes [`Act::RevokeAny`], as does all that the caller does not own.
    #[tracing::instrument(target = "grantry_spans", name = "revoke", skip_all)]
    pub async fn revoke(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        which: Which,
    ) -> Result<Revoked> {
        let entry = self
            .revocable(caller, connector, which.subject.as_ref())
            .await?;
        let scope = Self::scope(caller, &entry, which)?;
        self.end_connections(caller, &entry, &scope).await
    }

    async fn revocable(
        &self,
        caller: &Caller,
        connector: &str,
        subject: Option<&Subject>,
    ) -> Result<Arc<Entry>> {
        match subject {
            Some(subject) => {
                caller.require(Act::RevokeOwn)?;
                if !caller.owns(subject) {
                    caller.require(Act::RevokeAny)?;
                }
            }
            None => caller.require(Act::RevokeAny)?,
        }
        self.usable_connector(caller, connector).await
    }

    /// A workload reaches its own environment's grants only.
    fn scope(caller: &Caller, entry: &Entry, which: Which) -> Result<RevocationScope> {
        let own = caller.project().map(|_| caller.environment());
        if let (Some(own), Some(asked)) = (&own, &which.environment)
            && own != asked
        {
            return Err(Error::Forbidden(Forbidden::OtherEnvironment));
        }
        Ok(RevocationScope {
            connector: entry.connector.id.clone(),
            connection: None,
            subject: which.subject,
            environment: own.or(which.environment),
            installation: which.installation,
        })
    }

    /// Ends the oldest `limit` of the connections that [`Engine::revoke`] would end, and says how many
    /// are left: a caller that goes on until none is ends many, and can show how far it is.
    pub async fn revoke_some(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        which: Which,
        limit: u32,
    ) -> Result<(Revoked, u64)> {
        let entry = self
            .revocable(caller, connector, which.subject.as_ref())
            .await?;
        let scope = Self::scope(caller, &entry, which)?;
        let ended = self.begin_revocation(caller, &scope, limit).await?;
        let store = &self.ports.store;
        let left = store.count_connections(&caller.team, &scope).await?;
        let mut revoked = self.finish_at_provider(&entry, ended.queued).await?;
        (revoked.found, revoked.deleted) = (ended.connections, ended.connections);
        Ok((revoked, left))
    }

    /// Ends one connection of a connector.
    pub(crate) async fn end_connection(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Arc<Entry>,
        id: &ConnectionId,
    ) -> Result<Revoked> {
        let scope = RevocationScope {
            connection: Some(id.clone()),
            ..Self::scope(caller, entry, Which::default())?
        };
        self.end_connections(caller, entry, &scope).await
    }

    /// Ends all connections within `scope`, so many in each transaction that none holds up the others',
    /// whatever becomes of the caller.
    pub(crate) async fn end_connections(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Arc<Entry>,
        scope: &RevocationScope,
    ) -> Result<Revoked> {
        let engine = Arc::clone(self);
        let (caller, entry, scope) = (caller.clone(), Arc::clone(entry), scope.clone());
        self.uncancellable(async move { engine.end_all(&caller, &entry, &scope).await })
            .await
    }

    /// The same for who is not cancelled.
    pub(crate) async fn end_all(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Arc<Entry>,
        scope: &RevocationScope,
    ) -> Result<Revoked> {
        let (mut connections, mut queued, mut later) = (0, Vec::new(), 0);
        loop {
            let ended = self.begin_revocation(caller, scope, BATCH).await?;
            connections += ended.connections;
            queued.extend(ended.queued);
            later += queued.len().saturating_sub(AWAITED_REVOCATIONS_MAX) as u64;
            queued.truncate(AWAITED_REVOCATIONS_MAX);
            if ended.connections < u64::from(BATCH) {
                break;
            }
        }
        let mut revoked = self.finish_at_provider(entry, queued).await?;
        (revoked.found, revoked.deleted) = (connections, connections);
        revoked.provider_failed += later;
        Ok(revoked)
    }

    async fn finish_at_provider(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        queued: Vec<Revocation>,
    ) -> Result<Revoked> {
        let (engine, entry) = (Arc::clone(self), Arc::clone(entry));
        self.uncancellable(async move {
            let client = engine.revoking_client(&entry.connector).await;
            Ok(engine.revoke_at_provider(&client, queued).await)
        })
        .await
    }

    /// Ends the oldest `limit` connections here: from this commit on nothing is served, and the intent
    /// to revoke is durable.
    pub(crate) async fn begin_revocation(
        &self,
        caller: &Caller,
        scope: &RevocationScope,
        limit: u32,
    ) -> Result<Ended> {
        let draft = self.draft(EventKind::ConnectionRevoked, caller);
        self.end_here(&caller.team, scope, limit, draft).await
    }

    /// The same, as `draft` tells of it.
    pub(crate) async fn end_here(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        limit: u32,
        draft: Draft,
    ) -> Result<Ended> {
        let event = draft.connector(&scope.connector).done();
        let ended = self
            .ports
            .store
            .revoke(team, scope, self.now(), CLAIM, limit, &event)
            .await?;
        for revocation in &ended.queued {
            self.caches.lives.invalidate(&revocation.connection);
        }
        Ok(ended)
    }

    /// The client that ends tokens of `connector` at its provider; none where the provider has no way
    /// to do that. An error says that this is not known now.
    pub(crate) async fn revoking_client(
        &self,
        connector: &Connector,
    ) -> Result<Option<OauthClient>> {
        if !types::speaks_oauth(connector) {
            return Ok(None);
        }
        let client = self.oauth_client(connector).await?;
        let able = revoke::is_offered(&client.server, client.quirks.revocation);
        Ok(able.then_some(client))
    }

    /// Asks the provider to end each queued pair, until it has no answer to one. Whatever has no verdict stays
    /// queued.
    pub(crate) async fn revoke_at_provider(
        &self,
        client: &Result<Option<OauthClient>>,
        queued: Vec<Revocation>,
    ) -> Revoked {
        let no_answer = AtomicBool::new(false);
        let no_answer = &no_answer;
        let tries = stream::iter(queued).map(|revocation| async move {
            if no_answer.load(Ordering::Relaxed) {
                return AtProvider::Later(None);
            }
            let verdict = self.try_at_provider(client, &revocation).await;
            if let Err(error) = self.settle(&revocation, verdict).await {
                tracing::warn!(connection = %revocation.connection, %error, "a revocation's outcome could not be stored");
            }
            if matches!(verdict, AtProvider::Later(_)) {
                no_answer.store(true, Ordering::Relaxed);
            }
            verdict
        });
        tries
            .buffer_unordered(AT_ONCE)
            .fold(Revoked::default(), |mut sum, verdict| async move {
                match verdict {
                    AtProvider::Revoked => sum.provider_revoked += 1,
                    AtProvider::Skipped => sum.provider_skipped += 1,
                    AtProvider::Failed | AtProvider::Later(_) => sum.provider_failed += 1,
                }
                sum
            })
            .await
    }

    pub(super) async fn try_at_provider(
        &self,
        client: &Result<Option<OauthClient>>,
        revocation: &Revocation,
    ) -> AtProvider {
        let client = match client {
            Ok(Some(client)) => client,
            Ok(None) => return AtProvider::Skipped,
            Err(error) => {
                tracing::info!(connector = %revocation.connector, %error, "it is not known how to revoke at the provider; it will be tried again");
                return AtProvider::Later(None);
            }
        };
        if !client.is_for(revocation.servers.as_deref()) {
            tracing::info!(connector = %revocation.connector, "the connector asks at another server now, which is not told the tokens of the one before");
            return AtProvider::Failed;
        }
        // The refresh token first: with it goes the power to make new ones.
        let halves = [
            (
                revocation.refresh.as_ref(),
                Half::Refresh,
                TokenKind::Refresh,
            ),
            (Some(&revocation.access), Half::Access, TokenKind::Access),
        ];
        let mut verdict = AtProvider::Skipped;
        for (sealed, half, kind) in halves {
            let Some(sealed) = sealed else { continue };
            let opened = self
                .open_token(&revocation.team, &revocation.set, half, sealed)
                .await;
            let token = match opened {
                Ok(token) => token,
                Err(Error::Unavailable) => return AtProvider::Later(None),
                Err(_) => return AtProvider::Failed,
            };
            let way = client.quirks.revocation;
            let Ok(presented) = client.presented(self.entropy(), self.now()) else {
                return AtProvider::Failed;
            };
            let request = revoke::request(&client.server, &presented, way, &token, kind);
            let request = match request {
                Ok(Some(request)) => request,
                Ok(None) => continue,
                Err(_) => return AtProvider::Failed,
            };
            match revoke::parse(self.ports.http.send(request).await, way, self.now()) {
                revoke::Revoked::Done => verdict = AtProvider::Revoked,
                revoke::Revoked::Retry { retry_after } => return AtProvider::Later(retry_after),
                revoke::Revoked::Unsupported => {}
                // An access token that outlives its revoked refresh token ends by itself.
                revoke::Revoked::Failed if verdict == AtProvider::Revoked => {}
                revoke::Revoked::Failed => return AtProvider::Failed,
            }
        }
        verdict
    }

    pub(super) async fn settle(
        &self,
        revocation: &Revocation,
        verdict: AtProvider,
    ) -> Result<(), StoreError> {
        let event = |kind: EventKind, outcome: &str| {
            self.system_draft(kind, &revocation.team)
                .connector(&revocation.connector)
                .connection(&revocation.connection)
                .with("outcome", outcome)
                .done()
        };
        let event = match verdict {
            AtProvider::Revoked => event(EventKind::ProviderRevoked, "revoked"),
            AtProvider::Skipped => event(EventKind::ProviderRevokeFailed, "unsupported"),
            AtProvider::Failed => event(EventKind::ProviderRevokeFailed, "failed"),
            AtProvider::Later(wait) => {
                let backoff = Duration::from_secs(60).saturating_mul(1 << revocation.tries.min(6));
                let not_before = self.now().after(wait.unwrap_or(backoff));
                return self
                    .ports
                    .store
                    .retry_revocation(&revocation.set, not_before)
                    .await;
            }
        };
        self.ports
            .store
            .finish_revocation(&revocation.set, &event)
            .await
    }
}
