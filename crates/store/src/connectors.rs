//! Connectors and links.

use std::time::Duration;

use async_trait::async_trait;
use grantry_core::ids::{ConnectorId, ProjectId, SecretId, TeamId};
use grantry_core::nouns::{Connector, Event, FailedExchange, Fault, InstallationStatus, Link};
use grantry_core::store::{
    ChangeKind, ConnectorFilter, ConnectorSort, ConnectorStore, Declared, Ended, LinkChange, Page,
    RevocationScope, Stored,
};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Query, Statement, Write};
use crate::connect::queue_held;
use crate::connections::Ending;
use crate::db::{
    UNCHANGED, and_contains, and_in, by_name, by_time, guard, made_within, rows_wanted,
};
use crate::endings;
use crate::rows::{
    Noun, Upsert, change, exchange_columns, fault_columns, insert, json, params, select, update,
};

/// What the provider thinks of the client: no change of anything else touches it.
const FAULT: [&str; 6] = [
    "fault_code",
    "fault_count",
    "fault_at",
    "fault_not_before",
    "exchange_code",
    "exchange_at",
];

/// How its client is known to the authorization server: written when the client changes, or by itself.
const REGISTRATION: [&str; 2] = ["registration", "registration_secrets"];

/// The statement that makes a declared connector. It does not say who changed it when, what the provider
/// thinks of it, and how its secrets are sealed: a difference in these alone is none. Of a row that is
/// there, secrets and fault stay unless they are others: they may have changed since it was read.
fn declared_connector(connector: &Connector, declared: Declared) -> Statement {
    let mut kept = vec!["created_by", "created_at", "reinstall_at"];
    if !declared.secrets {
        kept.extend(["secrets", "client_secret_id", "client_secret_at"]);
    }
    if !declared.client {
        kept.extend(FAULT);
        kept.extend(REGISTRATION);
    }
    let mut quiet = vec![
        "secrets",
        "client_secret_id",
        "client_secret_at",
        "updated_by",
        "updated_at",
    ];
    quiet.extend(FAULT);
    quiet.extend(REGISTRATION);
    let upsert = Upsert {
        key: "id",
        kept: &kept,
        quiet: &quiet,
    };
    if declared.secrets {
        upsert.when(connector, "1 = 1")
    } else {
        upsert.of(connector)
    }
}

/// The row as given, where it is live and as it was read.
fn replace(connector: &Connector, expected: Timestamp, kept: &[&str]) -> Statement {
    let never = [
        "id",
        "team",
        "created_by",
        "created_at",
        "deleted_at",
        "reinstall_at",
    ];
    update(
        connector,
        &[&never[..], kept].concat(),
        "WHERE id = {} AND team = {} AND updated_at = {} AND deleted_at IS NULL",
        params![&connector.id, &connector.team, expected],
    )
    .one_or(StoreError::Missing("connector"))
}

/// Since when the connector has to be installed again somewhere: as long as one of its installations was made under earlier
/// terms. One that its provider does not know any more asks for nothing again.
pub(crate) fn reckon_reinstall(team: &TeamId, id: &ConnectorId) -> Statement {
    Statement::new(
        "UPDATE connectors SET reinstall_at = CASE WHEN EXISTS
         (SELECT 1 FROM installations i WHERE i.connector = ?1 AND i.team = ?2 AND i.status <> ?3
          AND COALESCE(i.terms_at, 0) < connectors.terms_at)
         THEN COALESCE(reinstall_at, terms_at) END
         WHERE id = ?1 AND team = ?2 AND terms_at IS NOT NULL",
        params![id, team, InstallationStatus::Removed],
    )
}

/// The end of every consent that the connector has asked for and that has not become a connection.
fn end_consents(team: &TeamId, id: &ConnectorId, at: Timestamp) -> [Statement; 4] {
    let held = "connector = {} AND team = {}";
    [
        Statement::new(
            "UPDATE authorizations SET state = 'canceled', over_at = ?3,
             webhook_due = CASE WHEN webhook IS NULL THEN NULL ELSE CAST(?3 AS BIGINT) END
             WHERE connector = ?1 AND team = ?2 AND state = 'pending'",
            params![id, team, at],
        ),
        Statement::new(
            "UPDATE authorizations SET state = 'canceled', over_at = ?3,
             webhook_due = CASE WHEN webhook IS NULL THEN NULL ELSE CAST(?3 AS BIGINT) END WHERE id IN
             (SELECT authorization_id FROM held_consents WHERE connector = ?1 AND team = ?2)",
            params![id, team, at],
        ),
        queue_held(at, at, held, params![id, team]),
        Statement::new(
            "DELETE FROM held_consents WHERE connector = ?1 AND team = ?2",
            params![id, team],
        ),
    ]
}

/// The connector is the team's and not deleted.
pub(crate) fn connector_is_live(team: &TeamId, id: &ConnectorId) -> Statement {
    guard(
        "SELECT 1 FROM connectors WHERE id = ?1 AND team = ?2 AND deleted_at IS NULL",
        params![id, team],
        StoreError::Missing("connector"),
    )
}

fn project_exists(team: &TeamId, id: &ProjectId) -> Statement {
    guard(
        "SELECT 1 FROM projects WHERE id = ?1 AND team = ?2",
        params![id, team],
        StoreError::Missing("project"),
    )
}

/// A new connector and its links.
pub(crate) fn created(connector: &Connector, links: &[Link], event: &Event) -> Write {
    let mut write: Write = links
        .iter()
        .map(|link| project_exists(&connector.team, &link.project))
        .collect();
    write.push(insert(connector));
    write.extend(links.iter().map(insert));
    write.push(insert(event));
    write.push(change(ChangeKind::Connector, &connector.id));
    write
}

const PUT_LINK: Upsert<'static> = Upsert {
    key: "connector, project",
    kept: &["connector", "project", "team", "created_at"],
    quiet: &[],
};

fn link_is_as_read(link: &Link, read: Option<Timestamp>) -> Statement {
    let moved_on = StoreError::Missing("connector");
    match read {
        Some(read) => guard(
            "SELECT 1 FROM links WHERE connector = ?1 AND project = ?2 AND team = ?3 AND updated_at = ?4",
            params![&link.connector, &link.project, &link.team, read],
            moved_on,
        ),
        None => Statement::new(
            "SELECT 1 FROM links WHERE connector = ?1 AND project = ?2",
            params![&link.connector, &link.project],
        )
        .none_or(moved_on),
    }
}

/// Makes a link as given; the last statement returns the stored one.
pub(crate) fn link_write(link: &Link, event: &Event) -> Write {
    let mut put = PUT_LINK.when(link, "1 = 1").query;
    put.push(&format!(" RETURNING {}", Link::COLUMNS.join(", ")), vec![]);
    vec![
        connector_is_live(&link.team, &link.connector),
        project_exists(&link.team, &link.project),
        insert(event),
        change(ChangeKind::Connector, &link.connector),
        put.into(),
    ]
}

#[async_trait]
impl<B: Backend> ConnectorStore for Db<B> {
    async fn create_connector(
        &self,
        connector: &Connector,
        links: &[Link],
        event: &Event,
    ) -> Stored<()> {
        self.run(created(connector, links, event)).await
    }

    async fn update_connector(
        &self,
        connector: &Connector,
        expected: Timestamp,
        client_changed: bool,
        links: &[LinkChange],
        event: &Event,
    ) -> Stored<()> {
        let mut kept: Vec<&str> = Vec::new();
        if !client_changed {
            kept.extend(FAULT);
            kept.extend(REGISTRATION);
        }
        let mut write = vec![replace(connector, expected, &kept)];
        for LinkChange { link, read } in links {
            write.push(link_is_as_read(link, *read));
            write.push(project_exists(&link.team, &link.project));
            write.push(PUT_LINK.when(link, "1 = 1"));
        }
        write.push(reckon_reinstall(&connector.team, &connector.id));
        write.push(insert(event));
        write.push(change(ChangeKind::Connector, &connector.id));
        self.run(write).await
    }

    async fn convert_connector(
        &self,
        connector: &Connector,
        expected: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
        ended: &Event,
    ) -> Stored<Ended> {
        let Connector { id, team, .. } = connector;
        let scope = RevocationScope {
            connector: id.clone(),
            connection: None,
            subject: None,
            environment: None,
            installation: None,
        };
        let mut before = vec![replace(connector, expected, &[])];
        before.push(reckon_reinstall(team, id));
        before.extend(end_consents(team, id, event.at));
        before.push(insert(event));
        before.push(change(ChangeKind::Connector, id));
        let none_left = Statement::new(
            "SELECT 1 FROM connections
             WHERE team = ?1 AND connector = ?2 AND state <> 'revoked' LIMIT 1",
            params![team, id],
        )
        .none_or(StoreError::InUse("connector.connections"));
        let ends = Ending::of(team, &scope, Some(limit));
        self.end(before, &ends, event.at, claim, ended, vec![none_left])
            .await
    }

    async fn put_connector(
        &self,
        connector: &Connector,
        declared: Declared,
        event: &Event,
    ) -> Stored<bool> {
        let mut write = vec![
            Statement::new(
                "SELECT 1 FROM connectors WHERE id = ?1 AND team <> ?2",
                params![&connector.id, &connector.team],
            )
            .none_or(StoreError::Taken("connector.id")),
        ];
        write.extend(declared.read.map(|read| {
            guard(
                "SELECT 1 FROM connectors WHERE id = ?1 AND team = ?2 AND updated_at = ?3",
                params![&connector.id, &connector.team, read],
                StoreError::Missing("connector as it was read"),
            )
        }));
        write.push(declared_connector(connector, declared).one_or(UNCHANGED));
        write.push(reckon_reinstall(&connector.team, &connector.id));
        write.extend(endings::cancel(&connector.id));
        write.push(insert(event));
        write.push(change(ChangeKind::Connector, &connector.id));
        self.run_unless(UNCHANGED, write).await
    }

    async fn connector(&self, team: &TeamId, id_or_uid: &str) -> Stored<Option<Connector>> {
        self.first(select::<Connector>(
            "WHERE (id = ?2 AND team = ?1) OR (team = ?1 AND uid = ?2 AND deleted_at IS NULL)
             ORDER BY CASE WHEN id = ?2 THEN 0 ELSE 1 END LIMIT 1",
            params![team, id_or_uid],
        ))
        .await
    }

    async fn connector_by_client_secret(
        &self,
        team: &TeamId,
        id: &SecretId,
    ) -> Stored<Option<Connector>> {
        self.first(select::<Connector>(
            "WHERE team = ?1 AND client_secret_id = ?2 AND deleted_at IS NULL",
            params![team, id],
        ))
        .await
    }

    async fn public_client(&self, id: &ConnectorId) -> Stored<Option<Connector>> {
        self.first(select::<Connector>(
            "WHERE id = ?1 AND deleted_at IS NULL",
            params![id],
        ))
        .await
    }

    async fn connectors(
        &self,
        team: &TeamId,
        filter: &ConnectorFilter,
        page: &Page,
    ) -> Stored<Vec<Connector>> {
        let mut query =
            select::<Connector>("WHERE team = ?1 AND deleted_at IS NULL", params![team]);
        if let Some(project) = &filter.project {
            query.push(
                " AND id IN (SELECT connector FROM links WHERE project = {} AND team = ?1)",
                params![project],
            );
        }
        let kinds = filter.kinds.iter().map(|kind| (*kind).into());
        and_in(&mut query, "kind", kinds.collect());
        let services = filter.services.iter().map(Into::into);
        and_in(&mut query, "service", services.collect());
        and_contains(&mut query, &["search"], filter.search.as_deref());
        made_within(&mut query, filter.since, filter.until);
        match filter.sort {
            ConnectorSort::Created => by_time(&mut query, "created_at", page),
            ConnectorSort::Updated => by_time(&mut query, "updated_at", page),
            ConnectorSort::Name => by_name(&mut query, "name", page),
        }
        if filter.skip > 0 {
            query.push(" OFFSET {}", params![i64::from(filter.skip)]);
        }
        self.all(query).await
    }

    async fn expiring_connectors(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, ConnectorId)>,
        limit: u32,
    ) -> Stored<Vec<Connector>> {
        let mut query = select::<Connector>(
            "WHERE deleted_at IS NULL AND first_expiry < ?1",
            params![until],
        );
        if let Some((first, id)) = after {
            query.push(" AND (first_expiry, id) > ({}, {})", params![*first, id]);
        }
        query.push(" ORDER BY first_expiry, id LIMIT {}", params![limit]);
        self.all(query).await
    }

    async fn count_connectors(&self, team: &TeamId) -> Stored<u64> {
        let query = Query::new(
            "SELECT COUNT(*) AS total FROM connectors WHERE team = ?1 AND deleted_at IS NULL",
            params![team],
        );
        let rows = self.backend.read(query).await?;
        let total = rows.first().and_then(|row| row.get("total").ok());
        total.ok_or(StoreError::Unavailable)
    }

    async fn delete_connector(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<()> {
        let live = "WHERE id = {} AND team = {} AND deleted_at IS NULL";
        let mut write = vec![
            endings::begin(live, params![id, team], at, claim, event)
                .one_or(StoreError::Missing("connector")),
            Statement::new(
                "UPDATE connectors SET deleted_at = ?3, updated_at = ?3, updated_by = ?4,
                 client_secret_id = NULL, client_secret_at = NULL
                 WHERE id = ?1 AND team = ?2",
                params![id, team, at, json(&event.actor)],
            ),
            Statement::new(
                "DELETE FROM links WHERE connector = ?1 AND team = ?2",
                params![id, team],
            ),
            Statement::new(
                "DELETE FROM installations WHERE connector = ?1 AND team = ?2",
                params![id, team],
            ),
        ];
        write.extend(end_consents(team, id, at));
        write.extend([insert(event), change(ChangeKind::Connector, id)]);
        self.run(write).await
    }

    async fn set_fault(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        fault: Option<&Fault>,
        event: Option<&Event>,
    ) -> Stored<()> {
        let mut values = params![id, team];
        values.extend(fault_columns(fault));
        let mut write = vec![
            Statement::new(
                "UPDATE connectors SET fault_code = ?3, fault_count = ?4, fault_at = ?5, fault_not_before = ?6
                 WHERE id = ?1 AND team = ?2 AND deleted_at IS NULL",
                values,
            )
            .one_or(StoreError::Missing("connector")),
            change(ChangeKind::Connector, id),
        ];
        write.extend(event.map(insert));
        self.run(write).await
    }

    async fn set_failed_exchange(
        &self,
        team: &TeamId,
        id: &ConnectorId,
        failed: Option<&FailedExchange>,
    ) -> Stored<()> {
        let mut values = params![id, team];
        values.extend(exchange_columns(failed));
        self.run(vec![
            Statement::new(
                "UPDATE connectors SET exchange_code = ?3, exchange_at = ?4
                 WHERE id = ?1 AND team = ?2 AND deleted_at IS NULL",
                values,
            )
            .one_or(StoreError::Missing("connector")),
            change(ChangeKind::Connector, id),
        ])
        .await
    }

    async fn set_registration(
        &self,
        connector: &Connector,
        expected: Timestamp,
        event: Option<&Event>,
    ) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "UPDATE connectors SET registration = ?4, registration_secrets = ?5, updated_at = ?6
                 WHERE id = ?1 AND team = ?2 AND updated_at = ?3 AND deleted_at IS NULL",
                params![
                    &connector.id,
                    &connector.team,
                    expected,
                    connector.registration.as_ref().map(json),
                    connector.registration_secrets.as_ref(),
                    connector.updated_at,
                ],
            )
            .one_or(StoreError::Missing("connector")),
            change(ChangeKind::Connector, &connector.id),
        ];
        write.extend(event.map(insert));
        self.run(write).await
    }

    async fn put_link(&self, link: &Link, event: &Event) -> Stored<Link> {
        let done = self.backend.write(link_write(link, event)).await?;
        Self::returned(done.last())
    }

    async fn change_link(&self, change: &LinkChange, event: &Event) -> Stored<()> {
        let mut write = vec![link_is_as_read(&change.link, change.read)];
        write.extend(link_write(&change.link, event));
        self.run(write).await
    }

    async fn delete_link(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        project: &ProjectId,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            Statement::new(
                "DELETE FROM links WHERE connector = ?1 AND project = ?2 AND team = ?3",
                params![connector, project, team],
            )
            .one_or(StoreError::Missing("link")),
            insert(event),
            change(ChangeKind::Connector, connector),
        ])
        .await
    }

    async fn project_links(
        &self,
        team: &TeamId,
        project: &ProjectId,
        page: &Page,
    ) -> Stored<Vec<Link>> {
        let after = page.after.as_ref().map_or("", |(connector, _)| connector);
        self.all(select::<Link>(
            "WHERE project = ?1 AND team = ?2 AND connector > ?3 ORDER BY connector LIMIT ?4",
            params![project, team, after, rows_wanted(page)],
        ))
        .await
    }

    async fn links(&self, team: &TeamId, connector: &ConnectorId) -> Stored<Vec<Link>> {
        self.all(select::<Link>(
            "WHERE connector = ?1 AND team = ?2 ORDER BY project",
            params![connector, team],
        ))
        .await
    }

    async fn links_of(&self, team: &TeamId, connectors: &[ConnectorId]) -> Stored<Vec<Link>> {
        if connectors.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = select::<Link>("WHERE team = ?1", params![team]);
        let ids = connectors.iter().flat_map(|id| params![id]).collect();
        and_in(&mut query, "connector", ids);
        query.push(" ORDER BY connector, project", vec![]);
        self.all(query).await
    }
}
