//! Connectors and links.

use std::time::Duration;

use async_trait::async_trait;

use super::{Ended, Page, Stored};
use crate::Timestamp;
use crate::ids::{ConnectorId, ProjectId, SecretId, TeamId};
use crate::nouns::{Connector, ConnectorType, Event, FailedExchange, Fault, Link};

/// What of a declared connector is other than of the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// When that one had changed last: it has to be so still. None where none was there.
    pub read: Option<Timestamp>,
    /// The secrets. A value is sealed anew each time, so bytes do not tell; the stored ones stay when they
    /// are the same.
    pub secrets: bool,
    /// Data or secrets: whether the provider takes the client will be seen, and a fault is forgotten.
    pub client: bool,
}

/// A link that changes together with its connector.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkChange {
    /// As it shall be; `created_at` of an existing one stays.
    pub link: Link,
    /// When the one that was read had changed last; none where none was there.
    pub read: Option<Timestamp>,
}

/// What a list of connectors is ordered by. Times begin with the latest, names with the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectorSort {
    /// When it was made; the page's sort value is microseconds.
    #[default]
    Created,
    /// When it was changed last; likewise.
    Updated,
    /// Its name, which is the page's sort value.
    Name,
}

/// Which connectors to list. Absent parts match all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectorFilter {
    /// Linked to this project.
    pub project: Option<ProjectId>,
    /// Of one of these types; all when empty.
    pub kinds: Vec<ConnectorType>,
    /// Of one of these services; all when empty.
    pub services: Vec<String>,
    /// Text in name, uid or service, ignoring ASCII case.
    pub search: Option<String>,
    /// Made at this instant or later.
    pub since: Option<Timestamp>,
    /// Made before this instant.
    pub until: Option<Timestamp>,
    /// Their order; a page may turn it round.
    pub sort: ConnectorSort,
    /// So many of the first are left out, for dialects that count rows in place of keeping a cursor.
    pub skip: u32,
}

/// Rows that say which third-party clients exist and who may use them.
#[async_trait]
pub trait ConnectorStore: Send + Sync + 'static {
    /// Makes a connector and its links. `Taken("connector.id")`, `Taken("connector.uid")` (a deleted
    /// connector's uid is free, its id is not); `Missing("project")` when a link's project is not the team's.
    async fn create_connector(
        &self,
        connector: &Connector,
        links: &[Link],
        event: &Event,
    ) -> Stored<()>;

    /// Replaces the row if it is live and was last changed at `expected`, and makes `links` exist; else, or when
    /// one of these is not as it was read, `Missing("connector")`. The fault stays as it is unless the client is
    /// another one (`client_changed`); `reinstall_at` follows from `terms_at` and the installations.
    /// `Missing("project")`.
    async fn update_connector(
        &self,
        connector: &Connector,
        expected: Timestamp,
        client_changed: bool,
        links: &[LinkChange],
        event: &Event,
    ) -> Stored<()>;

    /// [`ConnectorStore::update_connector`] for a connector that becomes of another type: what belongs to the type that
    /// it was ends in the same write. Its pending and unconfirmed authorizations end (`Canceled`), pairs of the latter
    /// are queued for revocation, and its connections end as [`super::ConnectionStore::revoke`] ends them, `ended` being
    /// the event of each. `InUse("connector.connections")`, and nothing is changed, when it has more than `limit`.
    async fn convert_connector(
        &self,
        connector: &Connector,
        expected: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
        ended: &Event,
    ) -> Stored<Ended>;

    /// Makes a declared connector live as given, be it new, changed or deleted (`apply`). Returns whether
    /// anything changed. `Missing("connector as it was read")`, `InUse("connector.end")` while a
    /// deleted one has connections.
    async fn put_connector(
        &self,
        connector: &Connector,
        declared: Declared,
        event: &Event,
    ) -> Stored<bool>;

    /// One connector by id or, failing that, by uid among the live ones. A deleted one is found by its id.
    async fn connector(&self, team: &TeamId, id_or_uid: &str) -> Stored<Option<Connector>>;

    /// The live connector whose client secret is known by this id.
    async fn connector_by_client_secret(
        &self,
        team: &TeamId,
        id: &SecretId,
    ) -> Stored<Option<Connector>>;

    /// A live connector of any team by its id: what strangers may read of its client is public, and what a provider delivers
    /// for it is believed by its signature.
    async fn public_client(&self, id: &ConnectorId) -> Stored<Option<Connector>>;

    /// A team's live connectors, in the filter's order.
    async fn connectors(
        &self,
        team: &TeamId,
        filter: &ConnectorFilter,
        page: &Page,
    ) -> Stored<Vec<Connector>>;

    /// Live connectors of all teams with a stored key that runs out before `until`, by the time of their first one
    /// and id; those that follow `after`.
    async fn expiring_connectors(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, ConnectorId)>,
        limit: u32,
    ) -> Stored<Vec<Connector>>;

    /// How many live connectors a team has.
    async fn count_connectors(&self, team: &TeamId) -> Stored<u64>;

    /// Marks a live connector deleted: from this commit on it gives out nothing. Its links and installations go,
    /// its pending and unconfirmed authorizations end (`Canceled`), pairs of the latter are queued for revocation.
    /// Its connections and its secrets have their end still before them: [`super::EndingStore`], which nobody
    /// else takes up for `claim`. `Missing("connector")`.
    async fn delete_connector(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<()>;

    /// Sets or clears the fault of a live connector; no event when `event` is absent.
    async fn set_fault(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        fault: Option<&Fault>,
        event: Option<&Event>,
    ) -> Stored<()>;

    /// Says how the last code exchange of a live connector went: `None` when it brought tokens. It is no change of the
    /// row: its `updated_at` stays. `Missing("connector")`.
    async fn set_failed_exchange(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        failed: Option<&FailedExchange>,
    ) -> Stored<()>;

    /// Stores `registration`, its secrets and `updated_at` of a live connector that was last changed at `expected`,
    /// and nothing else of it. `Missing("connector")`.
    async fn set_registration(
        &self,
        connector: &Connector,
        expected: Timestamp,
        event: Option<&Event>,
    ) -> Stored<()>;

    /// Makes the link exist as given (created or its environments replaced), keeping `created_at` of an
    /// existing one; returns the stored link. `Missing("connector")`, `Missing("project")`.
    async fn put_link(&self, link: &Link, event: &Event) -> Stored<Link>;

    /// [`ConnectorStore::put_link`] if the link is as it was read, so that of two changes none is lost;
    /// `Missing("connector")` else.
    async fn change_link(&self, change: &LinkChange, event: &Event) -> Stored<()>;

    /// Removes a link. `Missing("link")`.
    async fn delete_link(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        project: &ProjectId,
        event: &Event,
    ) -> Stored<()>;

    /// All links of one project, by connector id, which is the page's sort value.
    async fn project_links(
        &self,
        team: &TeamId,
        project: &ProjectId,
        page: &Page,
    ) -> Stored<Vec<Link>>;

    /// All links of one connector, by project id.
    async fn links(&self, team: &TeamId, connector: &ConnectorId) -> Stored<Vec<Link>>;

    /// All links of these connectors, by connector and project id.
    async fn links_of(&self, team: &TeamId, connectors: &[ConnectorId]) -> Stored<Vec<Link>>;
}
