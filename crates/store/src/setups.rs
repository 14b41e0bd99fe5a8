//! Setups.

use async_trait::async_trait;
use grantry_core::ids::{AuthorizationId, ConnectorId, SetupId, TeamId};
use grantry_core::nouns::{Connector, Digest, Event, Link, Setup};
use grantry_core::store::{Page, SetupStore, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Statement};
use crate::connectors;
use crate::db::by_time_and;
use crate::rows::{insert, insert_if, params, select};

const GONE: StoreError = StoreError::Missing("setup");

#[async_trait]
impl<B: Backend> SetupStore for Db<B> {
    async fn create_setup(&self, setup: &Setup, open_max: u32, event: &Event) -> Stored<()> {
        let room = "(SELECT COUNT(*) FROM setups WHERE team = {} AND state = 'pending' AND expires_at > {}) < {}";
        let values = params![&setup.team, setup.created_at, open_max];
        let made = insert_if(setup, room, values);
        self.run(vec![
            made.one_or(StoreError::InUse("team.setups")),
            insert(event),
        ])
        .await
    }

    async fn setup(&self, id: &SetupId) -> Stored<Option<Setup>> {
        self.first(select::<Setup>("WHERE id = ?1", params![id]))
            .await
    }

    async fn setup_by_code(&self, code: &Digest) -> Stored<Option<Setup>> {
        self.first(select::<Setup>("WHERE code = ?1", params![code]))
            .await
    }

    async fn open_setups(
        &self,
        team: &TeamId,
        connector: Option<&ConnectorId>,
        at: Timestamp,
        page: &Page,
    ) -> Stored<Vec<Setup>> {
        let mut query = select::<Setup>(
            "WHERE team = ?1 AND state = 'pending' AND expires_at > ?2",
            params![team, at],
        );
        if let Some(connector) = connector {
            query.push(" AND connector = {}", params![connector]);
        }
        // A cursor is shown, and a setup's id is its link.
        by_time_and(&mut query, "created_at", "connector", page);
        self.all(query).await
    }

    async fn complete_setup(
        &self,
        id: &SetupId,
        connector: &Connector,
        links: &[Link],
        event: &Event,
    ) -> Stored<()> {
        let done = Statement::new(
            "UPDATE setups SET state = 'created'
             WHERE id = ?1 AND team = ?2 AND connector = ?3 AND state = 'pending' AND expires_at > ?4",
            params![id, &connector.team, &connector.id, event.at],
        );
        let mut write = vec![done.one_or(GONE)];
        write.extend(connectors::created(connector, links, event));
        self.run(write).await
    }

    async fn cancel_setup(&self, id: &SetupId, event: &Event) -> Stored<()> {
        let canceled = Statement::new(
            "UPDATE setups SET state = 'canceled'
             WHERE id = ?1 AND state = 'pending' AND expires_at > ?2",
            params![id, event.at],
        );
        self.run(vec![canceled.one_or(GONE), insert(event)]).await
    }

    async fn finish_setup(&self, id: &SetupId) -> Stored<()> {
        let finished = Statement::new(
            "UPDATE setups SET state = 'finished' WHERE id = ?1 AND state IN ('created', 'finished')",
            params![id],
        );
        self.run(vec![finished.one_or(GONE)]).await
    }

    async fn install_setup(
        &self,
        id: &SetupId,
        before: Option<&AuthorizationId>,
        install: &AuthorizationId,
    ) -> Stored<()> {
        let noted = Statement::new(
            "UPDATE setups SET install = ?3
             WHERE id = ?1 AND state = 'created' AND install IS NOT DISTINCT FROM ?2",
            params![id, before, install],
        );
        self.run(vec![noted.one_or(GONE)]).await
    }
}
