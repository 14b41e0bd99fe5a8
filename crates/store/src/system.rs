//! Keys of the vault, the change feed, events, leases.

use std::time::Duration;

use async_trait::async_trait;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Event, Sealed};
use grantry_core::store::{
    Author, Change, ChangeKind, DataKey, Depths, EventFilter, Page, SigningKey, SigningPurpose,
    Stored, SystemStore,
};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Done, Query, Row, Statement};
use crate::db::{and_in, by_time, guard};
use crate::migrate;
use crate::rows::{change, insert, json, micros, params, select};

/// Rows that nothing can need again at `?1`, no more than `?2` of each.
const SWEPT: &[&str] = &[
    // The newest change stays: it is what the position of the feed is read from.
    "DELETE FROM changes WHERE seq IN
     (SELECT seq FROM changes WHERE at < ?1 AND seq < (SELECT MAX(seq) FROM changes) ORDER BY at LIMIT ?2)",
    "DELETE FROM flows WHERE state IN
     (SELECT state FROM flows WHERE over_at < ?1 ORDER BY over_at LIMIT ?2)",
    "DELETE FROM link_flows WHERE authorization_id IN
     (SELECT authorization_id FROM link_flows WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM sign_in_grants WHERE hash IN
     (SELECT hash FROM sign_in_grants WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM sign_ins WHERE id IN
     (SELECT id FROM sign_ins WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM authorizations WHERE id IN
     (SELECT id FROM authorizations WHERE over_at < ?1 ORDER BY over_at LIMIT ?2)",
    "DELETE FROM setups WHERE id IN
     (SELECT id FROM setups WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM tombstones WHERE (team, id) IN
     (SELECT team, id FROM tombstones WHERE deleted_at < ?1 ORDER BY deleted_at LIMIT ?2)",
    // Images that nothing shows. Who uploads one sets it to work within days.
    "DELETE FROM icons WHERE (team, digest) IN
     (SELECT team, digest FROM icons WHERE created_at < ?1 AND NOT EXISTS
      (SELECT 1 FROM connectors WHERE connectors.team = icons.team AND connectors.icon = icons.digest
       AND connectors.icon IS NOT NULL AND connectors.deleted_at IS NULL)
      ORDER BY created_at LIMIT ?2)",
];

/// An actor is kept as JSON: one with an id is found by how its text begins.
fn and_author(query: &mut Query, author: &Author) {
    match author {
        Author::Is(actor) => query.push(" AND actor = {}", params![json(actor)]),
        Author::Id(id) => {
            let id = serde_json::Value::from(id.as_str());
            let begins = |kind: &str, end: char| format!(r#"{{"type":"{kind}","id":{id}{end}"#);
            let project = begins("project", ',');
            // A parameter too, though it follows from the other: each text of a statement is kept for ever.
            let length = i64::try_from(project.chars().count()).unwrap_or(i64::MAX);
            query.push(
                " AND (actor IN ({}, {}) OR SUBSTR(actor, 1, CAST({} AS INTEGER)) = {})",
                params![begins("key", '}'), begins("user", '}'), length, project],
            );
        }
    }
}

fn sealed(row: &Row) -> Stored<Sealed> {
    row.get("sealed").map_err(|_| StoreError::Inconsistent {
        table: "key_check",
        column: "sealed",
        row: "1".to_owned(),
    })
}

#[async_trait]
impl<B: Backend> SystemStore for Db<B> {
    async fn ping(&self) -> Stored<()> {
        match migrate::state(&self.backend).await? {
            state if state.is_ours::<B>() => Ok(()),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn key_check(&self, value: &Sealed) -> Stored<Sealed> {
        let done = self
            .backend
            .write(vec![
                Statement::new(
                    "INSERT INTO key_check (id, sealed) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING",
                    params![value],
                ),
                Statement::new("SELECT sealed FROM key_check WHERE id = 1", vec![])
                    .one_or(StoreError::Missing("key_check")),
            ])
            .await?;
        let row = done.last().and_then(|done| done.rows.first());
        row.map_or(Err(StoreError::Missing("key_check")), sealed)
    }

    async fn read_key_check(&self) -> Stored<Option<Sealed>> {
        let query = Query::new("SELECT sealed FROM key_check WHERE id = 1", vec![]);
        let rows = self.backend.read(query).await?;
        rows.first().map(sealed).transpose()
    }

    async fn data_keys(&self, team: &TeamId) -> Stored<Vec<DataKey>> {
        self.all(select::<DataKey>(
            "WHERE team = ?1 ORDER BY created_at, id",
            params![team],
        ))
        .await
    }

    async fn add_data_key(&self, key: &DataKey) -> Stored<DataKey> {
        let mut add = insert(key).query;
        add.push(
            " ON CONFLICT (team) WHERE status = 'active' DO NOTHING",
            vec![],
        );
        let standing =
            select::<DataKey>("WHERE team = ?1 AND status = 'active'", params![&key.team]);
        let standing = Statement::from(standing).one_or(StoreError::Missing("data_key"));
        let done = self.backend.write(vec![add.into(), standing]).await?;
        Self::returned(done.last())
    }

    async fn signing_keys(&self, purpose: SigningPurpose) -> Stored<Vec<SigningKey>> {
        self.all(select::<SigningKey>(
            "WHERE retired_at IS NULL AND purpose = ?1 ORDER BY signs_from, kid",
            params![purpose],
        ))
        .await
    }

    async fn add_signing_key(
        &self,
        key: &SigningKey,
        newest: Option<&str>,
        lead: Duration,
        event: &Event,
    ) -> Stored<bool> {
        const SOMEBODY_WAS_FASTER: StoreError = StoreError::Missing("newest signing_key");
        let still_newest = guard(
            "SELECT 1 WHERE COALESCE((SELECT kid FROM signing_keys WHERE retired_at IS NULL
             AND purpose = ?2 ORDER BY signs_from DESC, kid DESC LIMIT 1), '') = ?1",
            params![newest.unwrap_or_default(), key.purpose],
            SOMEBODY_WAS_FASTER,
        );
        let in_time = guard(
            "SELECT 1 WHERE now_us() + ?1 >= ?2",
            params![micros(lead), key.signs_from],
            StoreError::InUse("database.clock"),
        );
        let write = vec![still_newest, in_time, insert(key), insert(event)];
        self.run_unless(SOMEBODY_WAS_FASTER, write).await
    }

    async fn retire_signing_key(
        &self,
        kid: &str,
        at: Timestamp,
        not_before: Option<Timestamp>,
        event: &Event,
    ) -> Stored<bool> {
        const GONE: StoreError = StoreError::Missing("signing_key");
        let mut retired = Query::new(
            "UPDATE signing_keys SET retired_at = ?2, sealed = ?3 WHERE kid = ?1 AND retired_at IS NULL",
            params![kid, at, &Sealed(vec![])],
        );
        if let Some(not_before) = not_before {
            retired.push(" AND now_us() >= {}", params![not_before]);
        }
        let write = vec![
            Statement::from(retired).one_or(GONE),
            insert(event),
            change(ChangeKind::SigningKey, kid),
        ];
        self.run_unless(GONE, write).await
    }

    async fn append_events(&self, events: &[Event]) -> Stored<()> {
        if events.is_empty() {
            return Ok(());
        }
        self.run(events.iter().map(insert).collect()).await
    }

    async fn events(&self, team: &TeamId, filter: &EventFilter, page: &Page) -> Stored<Vec<Event>> {
        let mut query = select::<Event>("WHERE team = ?1", params![team]);
        let kinds = filter.kinds.iter().map(|kind| (*kind).into());
        and_in(&mut query, "kind", kinds.collect());
        if let Some(author) = &filter.actor {
            and_author(&mut query, author);
        }
        if let Some(connector) = &filter.connector {
            query.push(" AND connector = {}", params![connector]);
        }
        if let Some(connection) = &filter.connection {
            query.push(" AND connection = {}", params![connection]);
        }
        if let Some(since) = filter.since {
            query.push(" AND at >= {}", params![since]);
        }
        if let Some(until) = filter.until {
            query.push(" AND at < {}", params![until]);
        }
        by_time(&mut query, "at", page);
        self.all(query).await
    }

    async fn changes(&self, seq: i64) -> Stored<Vec<Change>> {
        self.all(select::<Change>(
            "WHERE seq > ?1 ORDER BY seq LIMIT 1000",
            params![seq],
        ))
        .await
    }

    async fn changed(&self) {
        self.backend.changed().await;
    }

    async fn last_change(&self) -> Stored<i64> {
        let newest = self
            .first(select::<Change>(
                "WHERE seq = (SELECT MAX(seq) FROM changes)",
                vec![],
            ))
            .await?;
        Ok(newest.map_or(0, |change: Change| change.seq))
    }

    async fn depths(&self, now: Timestamp) -> Stored<Depths> {
        // What ends an authorization also moves `over_at` to that moment.
        let query = Query::new(
            "SELECT
             (SELECT COUNT(*) FROM (SELECT 1 FROM revocations WHERE not_before <= ?1 LIMIT ?2) AS counted)
             AS revocations_due,
             (SELECT COUNT(*) FROM (SELECT 1 FROM authorizations WHERE over_at > ?1 AND state = 'pending' LIMIT ?2)
              AS counted) AS authorizations_pending",
            params![now, Depths::MAX],
        );
        let rows = self.backend.read(query).await?;
        let depth = |column| {
            let counted = rows.first().and_then(|row| row.get::<i64>(column).ok());
            counted
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or_default()
        };
        Ok(Depths {
            revocations_due: depth("revocations_due"),
            authorizations_pending: depth("authorizations_pending"),
        })
    }

    async fn lease(&self, name: &str, owner: &str, ttl: Duration) -> Stored<bool> {
        let done = self
            .backend
            .write(vec![Statement::new(
                "INSERT INTO leases (name, owner, expires_at) VALUES (?1, ?2, now_us() + ?3)
                 ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
                 WHERE leases.owner = excluded.owner OR leases.expires_at <= now_us()",
                params![name, owner, micros(ttl)],
            )])
            .await?;
        Ok(done.iter().any(|done| done.count == 1))
    }

    async fn sweep(&self, before: Timestamp, limit: u32) -> Stored<u64> {
        let mut write: Vec<_> = SWEPT
            .iter()
            .map(|sql| Statement::new(*sql, params![before, limit]))
            .collect();
        write.push(Statement::new(
            "DELETE FROM leases WHERE expires_at <= now_us()",
            vec![],
        ));
        let done = self.backend.write(write).await?;
        let gone = |done: &Done| u64::try_from(done.count).unwrap_or(u64::MAX);
        Ok(done.iter().map(gone).sum())
    }
}
