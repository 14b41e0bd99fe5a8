//! Installations.

use async_trait::async_trait;
use grantry_core::ids::{ConnectorId, InstallationId, TeamId};
use grantry_core::nouns::{Event, Installation, InstallationStatus};
use grantry_core::store::{ChangeKind, InstallationStore, Page, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Query, Statement};
use crate::connectors::{connector_is_live, reckon_reinstall};
use crate::db::{by_time, guard};
use crate::rows::{change, insert, json, params, select, update};

const GONE: StoreError = StoreError::Missing("installation");

#[async_trait]
impl<B: Backend> InstallationStore for Db<B> {
    async fn create_installation(&self, installation: &Installation, event: &Event) -> Stored<()> {
        self.run(vec![
            connector_is_live(&installation.team, &installation.connector),
            insert(installation),
            reckon_reinstall(&installation.team, &installation.connector),
            insert(event),
            change(ChangeKind::Connector, &installation.connector),
        ])
        .await
    }

    async fn update_installation(
        &self,
        installation: &Installation,
        expected: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let Installation {
            id,
            team,
            connector,
            ..
        } = installation;
        let kept = [
            "id",
            "team",
            "connector",
            "external_id",
            "terms_at",
            "created_by",
            "created_at",
        ];
        self.run(vec![
            update(
                installation,
                &kept,
                "WHERE id = {} AND team = {} AND updated_at = {}",
                params![id, team, expected],
            )
            .one_or(GONE),
            reckon_reinstall(team, connector),
            insert(event),
            change(ChangeKind::Connector, connector),
        ])
        .await
    }

    async fn installation(
        &self,
        team: &TeamId,
        id: &InstallationId,
    ) -> Stored<Option<Installation>> {
        self.first(select::<Installation>(
            "WHERE id = ?1 AND team = ?2",
            params![id, team],
        ))
        .await
    }

    async fn installation_by_external_id(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        external_id: &str,
    ) -> Stored<Option<Installation>> {
        self.first(select::<Installation>(
            "WHERE connector = ?1 AND external_id = ?2 AND team = ?3",
            params![connector, external_id, team],
        ))
        .await
    }

    async fn installations(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        page: &Page,
    ) -> Stored<Vec<Installation>> {
        let mut query = select::<Installation>(
            "WHERE team = ?1 AND connector = ?2",
            params![team, connector],
        );
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn inactive(&self, team: &TeamId, connector: &ConnectorId) -> Stored<Vec<Installation>> {
        self.all(select::<Installation>(
            "WHERE team = ?1 AND connector = ?2 AND status <> ?3 ORDER BY external_id",
            params![team, connector, InstallationStatus::Active],
        ))
        .await
    }

    async fn set_default_installation(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        installation: Option<&InstallationId>,
        event: &Event,
    ) -> Stored<()> {
        let mut write = vec![connector_is_live(team, connector)];
        write.extend(installation.map(|id| {
            guard(
                "SELECT 1 FROM installations WHERE id = ?1 AND team = ?2 AND connector = ?3",
                params![id, team, connector],
                GONE,
            )
        }));
        write.extend([
            Statement::new(
                "UPDATE connectors SET updated_at = ?4, updated_by = ?5, default_installation =
                 (SELECT external_id FROM installations WHERE id = ?3 AND team = ?2)
                 WHERE id = ?1 AND team = ?2",
                params![connector, team, installation, event.at, json(&event.actor)],
            ),
            insert(event),
            change(ChangeKind::Connector, connector),
        ]);
        self.run(write).await
    }

    async fn delete_installation(
        &self,
        installation: &Installation,
        expected: Option<Timestamp>,
        event: &Event,
    ) -> Stored<()> {
        let Installation {
            id,
            team,
            connector,
            external_id,
            ..
        } = installation;
        let mut delete = Query::new(
            "DELETE FROM installations WHERE id = ?1 AND team = ?2",
            params![id, team],
        );
        if let Some(expected) = expected {
            delete.push(" AND updated_at = {}", params![expected]);
        }
        self.run(vec![
            Statement::from(delete).one_or(GONE),
            Statement::new(
                "UPDATE connectors SET default_installation = NULL, updated_at = ?4, updated_by = ?5
                 WHERE id = ?1 AND team = ?2 AND default_installation = ?3",
                params![connector, team, external_id, event.at, json(&event.actor)],
            ),
            reckon_reinstall(team, connector),
            insert(event),
            change(ChangeKind::Connector, connector),
        ])
        .await
    }
}
