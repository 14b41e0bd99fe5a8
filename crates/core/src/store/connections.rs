//! Connections: finding, importing, ending.

use std::time::Duration;

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{ConnectionId, ConnectorId, TeamId, TokenSetId};
use crate::nouns::{Connection, Environment, Event, Grant, Revocation, Subject, TokenSet};

/// A connection with its current token sets.
#[derive(Clone)]
pub struct Live {
    /// The connection.
    pub connection: Connection,
    /// Its token sets, by kind.
    pub sets: Vec<TokenSet>,
}

/// Which connections to list. Absent parts match all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionFilter {
    /// Of this connector.
    pub connector: Option<ConnectorId>,
    /// Of connectors of this service.
    pub service: Option<String>,
    /// Of this subject.
    pub subject: Option<Subject>,
    /// Of subjects of this kind ([`Subject::kind`]).
    pub subject_kind: Option<&'static str>,
    /// In this state; absent: live ones.
    pub status: Option<ConnectionStatus>,
    /// Revoked ones too.
    pub include_revoked: bool,
    /// In this environment.
    pub environment: Option<Environment>,
    /// Of this installation.
    pub installation: Option<String>,
    /// Of this account at the provider.
    pub external_subject: Option<String>,
    /// Only those that were taken in ([`Connection::imported`]).
    pub imported: bool,
    /// Text in name, external subject or the subject's id, ignoring ASCII case.
    pub search: Option<String>,
    /// Made at this instant or later.
    pub since: Option<Timestamp>,
    /// Made before this instant.
    pub until: Option<Timestamp>,
}

/// A [`crate::nouns::ConnectionState`] without its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Gives tokens.
    Active,
    /// Waits for a new consent.
    NeedsReauth,
    /// Ended.
    Revoked,
}

/// What a revocation ended.
#[derive(Clone)]
pub struct Ended {
    /// How many connections.
    pub connections: u64,
    /// What of theirs is queued for the provider.
    pub queued: Vec<Revocation>,
}

/// Which live connections of a connector to end. Absent parts match all.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationScope {
    /// The connector.
    pub connector: ConnectorId,
    /// One connection.
    pub connection: Option<ConnectionId>,
    /// One subject.
    pub subject: Option<Subject>,
    /// One environment.
    pub environment: Option<Environment>,
    /// One installation.
    pub installation: Option<String>,
}

impl RevocationScope {
    /// All of a connector's.
    pub const fn of(connector: ConnectorId) -> Self {
        Self {
            connector,
            connection: None,
            subject: None,
            environment: None,
            installation: None,
        }
    }
}

/// How a connector's newest connections are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Live connections that were looked at, at most [`Usage::LOOKED_AT_MAX`].
    pub live: u64,
    /// Those of them that need a new consent.
    pub needs_reauth: u64,
    /// Those whose last refresh brought no answer.
    pub unanswered: u64,
    /// When the newest of their tokens arrived.
    pub last_received: Option<Timestamp>,
}

impl Usage {
    /// How many of a connector's connections are looked at, newest first.
    pub const LOOKED_AT_MAX: u32 = 1_000;
}

/// Rows that tokens are served from.
#[async_trait]
pub trait ConnectionStore: Send + Sync + 'static {
    /// The live (not revoked) connection of a grant.
    async fn connection_by_grant(&self, team: &TeamId, grant: &Grant) -> Stored<Option<Live>>;

    /// The live connections of these grants, in any order.
    async fn connections_by_grants(&self, team: &TeamId, grants: &[Grant]) -> Stored<Vec<Live>>;

    /// One connection by id, revoked or not (a revoked one has no sets).
    async fn connection(&self, team: &TeamId, id: &ConnectionId) -> Stored<Option<Live>>;

    /// A team's connections, newest first; the page's sort value is `created_at` in microseconds.
    async fn connections(
        &self,
        team: &TeamId,
        filter: &ConnectionFilter,
        page: &Page,
    ) -> Stored<Vec<Connection>>;

    /// Stores a connection with its sets if neither its id nor its grant has a live one; false when
    /// there is one, which stays as it is (an import never overwrites tokens), or when the id is another
    /// team's. `Missing("connector")`.
    async fn import_connection(
        &self,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<bool>;

    /// Gives a live connection another name. `Missing("connection")`.
    async fn rename_connection(
        &self,
        team: &TeamId,
        id: &ConnectionId,
        name: Option<&str>,
        event: &Event,
    ) -> Stored<()>;

    /// Ends live connections in `scope` at `at`, the oldest `limit` of them: state `Revoked`, token sets moved to the
    /// revocation queue with their sealed bytes untouched, attempts and leases dropped. Each ended
    /// connection writes one event: `event` with its id filled in, further ids minted by appending
    /// `.1`, `.2` … The queued revocations have `not_before` = `at` + `claim`: the caller tries them
    /// first, the sweep later.
    async fn revoke(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        at: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
    ) -> Stored<Ended>;

    /// The same for the one live connection in `scope` that has `set`. Where that has got another since it was read, nothing
    /// is ended.
    async fn revoke_with_set(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        set: &TokenSetId,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<Ended>;

    /// Has the tokens of live connections in `scope` served no more from `event.at` on, where they are kept without what
    /// refreshes them: whoever asks next gets new ones. Returns their connections; with none, nothing is written.
    async fn expire_tokens(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        event: &Event,
    ) -> Stored<Vec<ConnectionId>>;

    /// Live connections of a connector whose tokens' metadata holds each of `words`, in any case and anywhere, by id; those
    /// that follow `after`, at most `limit`. Who asks looks where the words stand: no index knows.
    async fn connections_told_of(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        words: &[&str],
        after: Option<&ConnectionId>,
        limit: u32,
    ) -> Stored<Vec<Live>>;

    /// How many live connections `scope` matches.
    async fn count_connections(&self, team: &TeamId, scope: &RevocationScope) -> Stored<u64>;

    /// How the newest connections of each of these connectors are doing, in their order.
    async fn usages(&self, team: &TeamId, connectors: &[ConnectorId]) -> Stored<Vec<Usage>>;

    /// Queues a pair that arrived for a connection that is no longer live: it is revoked too
    /// (requirement 52).
    async fn queue_revocation(&self, revocation: &Revocation) -> Stored<()>;

    /// Revocations of all teams that are due at `now`, at most `limit`, and none of the connectors in
    /// `resting`; each one's `not_before` moves to `now` + `claim`, so that two workers do not take the same
    /// one. For the sweep.
    async fn due_revocations(
        &self,
        now: Timestamp,
        claim: Duration,
        limit: u32,
        resting: &[ConnectorId],
    ) -> Stored<Vec<Revocation>>;

    /// Drops a queued revocation: the provider confirmed it, or it was given up.
    async fn finish_revocation(&self, set: &TokenSetId, event: &Event) -> Stored<()>;

    /// Notes a failed try and sets the next one.
    async fn retry_revocation(&self, set: &TokenSetId, not_before: Timestamp) -> Stored<()>;
}
