//! Installations.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{ConnectorId, InstallationId, TeamId};
use crate::nouns::{Event, Installation};

/// Rows that say in which provider tenants a connector's application is installed. What makes, changes or removes one
/// brings its connector's `reinstall_at` up to date: it is set while one that is not `Removed` was made under earlier
/// terms than the connector's, and stays what it was first.
#[async_trait]
pub trait InstallationStore: Send + Sync + 'static {
    /// Makes an installation. `Missing("connector")` when that is not live; `Taken("installation.id")`,
    /// `Taken("installation.external_id")` within the connector.
    async fn create_installation(&self, installation: &Installation, event: &Event) -> Stored<()>;

    /// Replaces name, tenant and status of the row if it was last changed at `expected`; else
    /// `Missing("installation")`.
    async fn update_installation(
        &self,
        installation: &Installation,
        expected: Timestamp,
        event: &Event,
    ) -> Stored<()>;

    /// One installation.
    async fn installation(
        &self,
        team: &TeamId,
        id: &InstallationId,
    ) -> Stored<Option<Installation>>;

    /// A connector's installation by the provider's id of it.
    async fn installation_by_external_id(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        external_id: &str,
    ) -> Stored<Option<Installation>>;

    /// A connector's installations by time; the page's sort value is `created_at` in microseconds.
    async fn installations(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        page: &Page,
    ) -> Stored<Vec<Installation>>;

    /// A connector's installations that are not active, by external id.
    async fn inactive(&self, team: &TeamId, connector: &ConnectorId) -> Stored<Vec<Installation>>;

    /// Makes the installation the one that is used when a token request names none, or takes that away
    /// when `installation` is absent. `Missing("connector")`, `Missing("installation")`.
    async fn set_default_installation(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        installation: Option<&InstallationId>,
        event: &Event,
    ) -> Stored<()>;

    /// Removes the row, where `expected` is given only if it was last changed then; its connector has no default any more if
    /// it was this one. Else `Missing("installation")`.
    async fn delete_installation(
        &self,
        installation: &Installation,
        expected: Option<Timestamp>,
        event: &Event,
    ) -> Stored<()>;
}
