//! Connectors that are to be registered.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectorId, SetupId, TeamId};
use crate::nouns::{Connector, Digest, Event, Link, Setup};

/// Setups. They are found by their ids, which are unguessable, and by hashes.
#[async_trait]
pub trait SetupStore: Send + Sync + 'static {
    /// Stores a pending setup. `Taken("setup.code")` when there is one with its code, `InUse("team.setups")` when
    /// `open_max` of the team's are pending and in time at its `created_at`.
    async fn create_setup(&self, setup: &Setup, open_max: u32, event: &Event) -> Stored<()>;

    /// One setup by its id, which is the link itself.
    async fn setup(&self, id: &SetupId) -> Stored<Option<Setup>>;

    /// One setup by the hash of its requester's verifier.
    async fn setup_by_code(&self, code: &Digest) -> Stored<Option<Setup>>;

    /// The team's setups that are pending and in time at `at`, or the one of `connector`; newest first. Of a page's
    /// last row the connector's id is told, in place of the setup's.
    async fn open_setups(
        &self,
        team: &TeamId,
        connector: Option<&ConnectorId>,
        at: Timestamp,
        page: &Page,
    ) -> Stored<Vec<Setup>>;

    /// Makes the connector of a setup, and its links, as `create_connector` does, and with it the setup `Created`: of
    /// many at once one succeeds. `Missing("setup")` when it is not pending and in time at the event's time, or of
    /// another team.
    async fn complete_setup(
        &self,
        id: &SetupId,
        connector: &Connector,
        links: &[Link],
        event: &Event,
    ) -> Stored<()>;

    /// Cancels a setup that is pending and in time at the event's time. `Missing("setup")` when it is not.
    async fn cancel_setup(&self, id: &SetupId, event: &Event) -> Stored<()>;

    /// Says that nobody waits for an installation of what was created. `Missing("setup")` when nothing was.
    async fn finish_setup(&self, id: &SetupId) -> Stored<()>;

    /// Notes what installs the application of a created setup, in place of `before`. `Missing("setup")` when that is
    /// another one by now.
    async fn install_setup(
        &self,
        id: &SetupId,
        before: Option<&AuthorizationId>,
        install: &AuthorizationId,
    ) -> Stored<()>;
}
