//! Connections: finding, importing, ending.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use grantry_core::ids::{ConnectionId, ConnectorId, TeamId, TokenSetId};
use grantry_core::nouns::{Connection, Event, Grant, Revocation, Subject, TokenSet};
use grantry_core::store::{
    ChangeKind, ConnectionFilter, ConnectionStore, Ended, Live, Page, RevocationScope, Stored,
    Usage,
};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Bad, Query, Row, Statement, Write};
use crate::connectors::connector_is_live;
use crate::db::{and_contains, and_in, and_not_in, by_time, made_within};
use crate::rows::{
    Noun, Upsert, change, decode, insert, json, live, one_live, params, select, subject_columns,
};

/// What an import fails with when a live connection is in its place; the caller gets `false`.
pub(crate) const STANDS: StoreError = StoreError::Taken("connection");

pub(crate) fn and_subject(query: &mut Query, subject: &Subject) {
    query.push(
        " AND subject_type = {} AND subject_id = {} AND subject_issuer IS NOT DISTINCT FROM {}",
        subject_columns(subject),
    );
}

/// The end of every live connection in a scope.
pub(crate) struct Ending {
    /// `SELECT id FROM connections …`, to be used inside other statements, and its parameters.
    ids: Query,
}

impl Ending {
    /// The oldest `limit` of those in `scope`; all when absent.
    pub(crate) fn of(team: &TeamId, scope: &RevocationScope, limit: Option<u32>) -> Self {
        let mut ids = Query::new(
            "SELECT id FROM connections WHERE team = ?1 AND connector = ?2 AND state <> 'revoked'",
            params![team, &scope.connector],
        );
        if let Some(id) = &scope.connection {
            ids.push(" AND id = {}", params![id]);
        }
        if let Some(subject) = &scope.subject {
            and_subject(&mut ids, subject);
        }
        if let Some(environment) = &scope.environment {
            ids.push(" AND environment = {}", params![environment]);
        }
        if let Some(installation) = &scope.installation {
            ids.push(" AND installation = {}", params![installation]);
        }
        if let Some(limit) = limit {
            ids.push(" ORDER BY created_at, id LIMIT {}", params![limit]);
        }
        Self { ids }
    }

    /// `before (SELECT id …) after`; `{}` in `before` and `after` stand for `params`.
    fn around(&self, before: &str, after: &str, params: Vec<crate::backend::Value>) -> Query {
        // The numbers in the inner text are 1 … n, so the outer parameters come behind them.
        let mut query = Query::new("", self.ids.params.clone());
        query.push(&format!("{before} ({}){after}", self.ids.sql), params);
        query
    }

    /// Moves the token sets into the queue; returns the queued revocations.
    pub(crate) fn queue(&self, at: Timestamp, claim: Duration) -> Statement {
        let columns = Revocation::COLUMNS.join(", ");
        self.around(
            &format!(
                "INSERT INTO revocations ({columns})
                 SELECT t.set_id, t.team, c.connector, t.connection, t.access, t.refresh, t.servers, 0, {{}}, {{}}
                 FROM token_sets t JOIN connections c ON c.id = t.connection WHERE c.id IN"
            ),
            &format!(" RETURNING {columns}"),
            params![at, at.after(claim)],
        )
        .into()
    }

    /// Everything else: one event per connection, the caches told, the rows gone, the state final.
    pub(crate) fn statements(&self, at: Timestamp, event: &Event) -> Write {
        let Event {
            id,
            team,
            at: when,
            kind,
            actor,
            connector,
            connection: _,
            data,
        } = event;
        vec![
            self.around(
                "INSERT INTO events (id, team, at, kind, actor, connector, connection, data)
                 SELECT CASE place WHEN 0 THEN {} ELSE {} || '.' || CAST(place AS TEXT) END,
                        {}, {}, {}, {}, {}, id, {}
                 FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) - 1 AS place FROM",
                " AS ended) AS numbered",
                params![
                    id,
                    id,
                    team.as_ref(),
                    *when,
                    *kind,
                    json(actor),
                    connector.as_ref(),
                    json(data),
                ],
            )
            .into(),
            self.around(
                "INSERT INTO changes (kind, key, at) SELECT {}, id, now_us() FROM",
                " AS ended",
                params![ChangeKind::Connection],
            )
            .into(),
            self.around(
                "DELETE FROM refresh_attempts WHERE set_id IN
                 (SELECT set_id FROM token_sets WHERE connection IN",
                ")",
                vec![],
            )
            .into(),
            self.around("DELETE FROM token_sets WHERE connection IN", "", vec![])
                .into(),
            // What was said of it ends with it: whoever connects the account again says it anew.
            self.around("DELETE FROM credentials WHERE connection IN", "", vec![])
                .into(),
            self.around(
                "UPDATE connections SET state = 'revoked', state_reason = NULL, updated_at = {} WHERE id IN",
                "",
                params![at],
            )
            .into(),
        ]
    }
}

/// The connections that [`live`] found, with the rows of each one after the other.
fn lives(rows: &[Row]) -> Stored<Vec<Live>> {
    let id = |row: &Row| row.value("id").cloned();
    let lives = rows.chunk_by(|one, next| id(one) == id(next)).map(one_live);
    lives.filter_map(Stored::transpose).collect()
}

/// Connectors whose connections one query looks at: databases bound the values that a statement has.
const USAGES_AT_ONCE: usize = 500;

/// What `some_usages` has the database write in one text.
fn usage_of(text: &str) -> Option<Usage> {
    let mut numbers = text.split(' ').map(|number| number.parse::<i64>().ok());
    let mut next = || numbers.next().flatten();
    let (live, needs_reauth, unanswered, last) = (next()?, next()?, next()?, next()?);
    Some(Usage {
        live: live.try_into().ok()?,
        needs_reauth: needs_reauth.try_into().ok()?,
        unanswered: unanswered.try_into().ok()?,
        last_received: (last >= 0).then_some(Timestamp(last)),
    })
}

impl<B: Backend> Db<B> {
    /// At most [`USAGES_AT_ONCE`]. Each connector's part ends by itself at the newest of its connections; a
    /// window over all of them would read every one. One text for each, for neither database has all of a lateral
    /// join; and one statement for all, which is prepared once.
    async fn some_usages(&self, team: &TeamId, connectors: &[ConnectorId]) -> Stored<Vec<Usage>> {
        let mut query = Query::new(
            "SELECT id, (SELECT COUNT(*) || ' ' || COUNT(CASE WHEN newest.state = 'needs_reauth' THEN 1 END)
                || ' ' || COUNT(CASE WHEN t.failures > 0 THEN 1 END) || ' ' || COALESCE(MAX(t.received_at), -1)
              FROM (SELECT id, state FROM connections
                    WHERE team = connectors.team AND connector = connectors.id AND state <> 'revoked'
                    ORDER BY created_at DESC, id DESC LIMIT ?2) AS newest
              LEFT JOIN token_sets t ON t.connection = newest.id AND t.kind = 'main') AS usage
             FROM connectors WHERE team = ?1",
            params![team, Usage::LOOKED_AT_MAX],
        );
        let ids = connectors.iter().map(Into::into);
        and_in(&mut query, "id", ids.collect());
        let rows = self.backend.read(query).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let read = || {
                let (id, usage): (String, String) = (row.get("id")?, row.get("usage")?);
                let usage = usage_of(&usage).ok_or(Bad("usage"))?;
                Ok::<_, Bad>((id, usage))
            };
            let (id, usage) = read().map_err(|Bad(column)| StoreError::Inconsistent {
                table: "connections",
                column,
                row: team.to_string(),
            })?;
            found.insert(id, usage);
        }
        let usage = |id: &ConnectorId| found.get(id.as_str()).copied().unwrap_or_default();
        Ok(connectors.iter().map(usage).collect())
    }

    /// Ends connections between what is written `before` and `after`, if the guards in both hold.
    pub(crate) async fn end(
        &self,
        before: Write,
        ending: &Ending,
        at: Timestamp,
        claim: Duration,
        event: &Event,
        after: Write,
    ) -> Stored<Ended> {
        let queue = before.len();
        let mut write = before;
        write.push(ending.queue(at, claim));
        write.extend(ending.statements(at, event));
        // The last one changes each connection's row.
        let last = write.len() - 1;
        write.extend(after);
        let done = self.backend.write(write).await?;
        let queued = done.get(queue).map_or(&[][..], |done| &done.rows);
        let ended = done.get(last).map_or(0, |done| done.count);
        Ok(Ended {
            connections: u64::try_from(ended).unwrap_or(u64::MAX),
            queued: queued.iter().map(decode).collect::<Stored<_>>()?,
        })
    }
}

#[async_trait]
impl<B: Backend> ConnectionStore for Db<B> {
    async fn connection_by_grant(&self, team: &TeamId, grant: &Grant) -> Stored<Option<Live>> {
        let query = live(
            "WHERE c.team = ?1 AND c.connector = ?2 AND c.grant_key = ?3 AND c.state <> 'revoked'
             ORDER BY t.kind",
            params![team, &grant.connector, grant.key()],
        );
        one_live(&self.backend.read(query).await?)
    }

    async fn connections_by_grants(&self, team: &TeamId, grants: &[Grant]) -> Stored<Vec<Live>> {
        if grants.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = live("WHERE c.team = ?1 AND c.state <> 'revoked'", params![team]);
        // Each connector with each key brings pairs that nobody asked for: few, as most grants of a list share a key.
        let mut keys: Vec<String> = grants.iter().map(Grant::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let connectors = grants.iter().map(|grant| (&grant.connector).into());
        and_in(&mut query, "c.connector", connectors.collect());
        let keys = keys.iter().map(|key| key.as_str().into());
        and_in(&mut query, "c.grant_key", keys.collect());
        query.push(" ORDER BY c.id, t.kind", vec![]);
        let mut lives = lives(&self.backend.read(query).await?)?;
        lives.retain(|live| grants.contains(&live.connection.grant));
        Ok(lives)
    }

    async fn connection(&self, team: &TeamId, id: &ConnectionId) -> Stored<Option<Live>> {
        let query = live(
            "WHERE c.id = ?1 AND c.team = ?2 ORDER BY t.kind",
            params![id, team],
        );
        one_live(&self.backend.read(query).await?)
    }

    async fn connections(
        &self,
        team: &TeamId,
        filter: &ConnectionFilter,
        page: &Page,
    ) -> Stored<Vec<Connection>> {
        let mut query = select::<Connection>("WHERE team = ?1", params![team]);
        if let Some(connector) = &filter.connector {
            query.push(" AND connector = {}", params![connector]);
        }
        if let Some(service) = &filter.service {
            query.push(
                " AND connector IN (SELECT id FROM connectors WHERE team = ?1 AND service = {})",
                params![service],
            );
        }
        if let Some(subject) = &filter.subject {
            and_subject(&mut query, subject);
        }
        if let Some(kind) = filter.subject_kind {
            query.push(" AND subject_type = {}", params![kind]);
        }
        match filter.status {
            Some(status) => query.push(" AND state = {}", params![status]),
            None if filter.include_revoked => {}
            None => query.push(" AND state <> 'revoked'", vec![]),
        }
        if let Some(environment) = &filter.environment {
            query.push(" AND environment = {}", params![environment]);
        }
        if let Some(installation) = &filter.installation {
            query.push(" AND installation = {}", params![installation]);
        }
        if let Some(subject) = &filter.external_subject {
            query.push(" AND external_subject = {}", params![subject]);
        }
        if filter.imported {
            query.push(" AND imported = 1", vec![]);
        }
        let columns = ["name", "external_subject", "subject_id"];
        and_contains(&mut query, &columns, filter.search.as_deref());
        made_within(&mut query, filter.since, filter.until);
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn import_connection(
        &self,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<bool> {
        let anew = Upsert {
            key: "id",
            kept: &[],
            quiet: &[],
        };
        let mut write = vec![
            connector_is_live(&connection.team, &connection.grant.connector),
            // A revoked connection that is declared again comes back under its id, which stays its grant's:
            // what the log says of it must not be read of somebody else's. That nothing stands in
            // the way is not asked before: PostgreSQL would have to refuse one of any two imports that
            // look for a gap in the same page of an index.
            anew.when(
                connection,
                "connections.state = 'revoked' AND connections.team = excluded.team
                 AND connections.connector = excluded.connector AND connections.grant_key = excluded.grant_key",
            )
            .one_or(STANDS),
        ];
        write.extend(sets.iter().map(insert));
        write.push(insert(event));
        write.push(change(ChangeKind::Connection, &connection.id));
        match self.run_unless(STANDS, write).await {
            Err(StoreError::Taken("connection.grant")) => Ok(false),
            done => done,
        }
    }

    async fn revoke(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        at: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
    ) -> Stored<Ended> {
        let ending = Ending::of(team, scope, Some(limit));
        self.end(vec![], &ending, at, claim, event, vec![]).await
    }

    async fn revoke_with_set(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        set: &TokenSetId,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<Ended> {
        const MOVED: StoreError = StoreError::Missing("token_set");
        let ending = Ending::of(team, scope, None);
        let holds = ending.around(
            "SELECT 1 FROM token_sets WHERE set_id = {} AND connection IN",
            "",
            params![set],
        );
        let holds = Statement::from(holds).one_or(MOVED);
        match self
            .end(vec![holds], &ending, at, claim, event, vec![])
            .await
        {
            Err(MOVED) => Ok(Ended {
                connections: 0,
                queued: vec![],
            }),
            ended => ended,
        }
    }

    async fn expire_tokens(
        &self,
        team: &TeamId,
        scope: &RevocationScope,
        event: &Event,
    ) -> Stored<Vec<ConnectionId>> {
        const NONE: StoreError = StoreError::Missing("token_set");
        let at = event.at;
        let ending = Ending::of(team, scope, None);
        let lives = "refresh IS NULL AND (access_expires_at IS NULL OR access_expires_at > {})";
        let any = ending.around(
            &format!("SELECT 1 FROM token_sets WHERE {lives} AND connection IN"),
            " LIMIT 1",
            params![at],
        );
        let any = Statement::from(any).one_or(NONE);
        let changes = ending.around(
            &format!(
                "INSERT INTO changes (kind, key, at) SELECT {{}}, connection, now_us()
                 FROM token_sets WHERE {lives} AND connection IN"
            ),
            "",
            params![ChangeKind::Connection, at],
        );
        let expired = ending.around(
            &format!(
                "UPDATE token_sets SET access_expires_at = {{}} WHERE {lives} AND connection IN"
            ),
            " RETURNING connection",
            params![at, at],
        );
        let write = vec![any, insert(event), changes.into(), expired.into()];
        let done = match self.backend.write(write).await {
            Err(NONE) => return Ok(vec![]),
            done => done?,
        };
        let rows = done.last().map_or(&[][..], |done| &done.rows);
        let id = |row: &Row| row.get::<String>("connection").ok().map(Into::into);
        let ids: Option<_> = rows.iter().map(id).collect();
        ids.ok_or(StoreError::Unavailable)
    }

    async fn connections_told_of(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        words: &[&str],
        after: Option<&ConnectionId>,
        limit: u32,
    ) -> Stored<Vec<Live>> {
        let mut ids = Query::new(
            "SELECT c.id FROM connections c JOIN token_sets t ON t.connection = c.id
             WHERE c.team = ?1 AND c.connector = ?2 AND c.state <> 'revoked'",
            params![team, connector],
        );
        for word in words {
            and_contains(&mut ids, &["t.metadata"], Some(word));
        }
        if let Some(after) = after {
            ids.push(" AND c.id > {}", params![after]);
        }
        ids.push(" ORDER BY c.id LIMIT {}", params![limit]);
        let tail = format!("WHERE c.id IN ({}) ORDER BY c.id, t.kind", ids.sql);
        lives(&self.backend.read(live(&tail, ids.params)).await?)
    }

    async fn rename_connection(
        &self,
        team: &TeamId,
        id: &ConnectionId,
        name: Option<&str>,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            Statement::new(
                "UPDATE connections SET name = ?3, updated_at = ?4
                 WHERE id = ?1 AND team = ?2 AND state <> 'revoked'",
                params![id, team, name, event.at],
            )
            .one_or(StoreError::Missing("connection")),
            insert(event),
            change(ChangeKind::Connection, id),
        ])
        .await
    }

    async fn count_connections(&self, team: &TeamId, scope: &RevocationScope) -> Stored<u64> {
        let query = Ending::of(team, scope, None).around(
            "SELECT COUNT(*) AS total FROM",
            " AS ended",
            vec![],
        );
        let rows = self.backend.read(query).await?;
        let total = rows.first().and_then(|row| row.get("total").ok());
        total.ok_or(StoreError::Unavailable)
    }

    async fn usages(&self, team: &TeamId, connectors: &[ConnectorId]) -> Stored<Vec<Usage>> {
        let mut usages = Vec::with_capacity(connectors.len());
        for some in connectors.chunks(USAGES_AT_ONCE) {
            usages.extend(self.some_usages(team, some).await?);
        }
        Ok(usages)
    }

    async fn queue_revocation(&self, revocation: &Revocation) -> Stored<()> {
        let mut queue = insert(revocation).query;
        // Said twice (the first answer was lost), queued once.
        queue.push(" ON CONFLICT (set_id) DO NOTHING", vec![]);
        self.run(vec![queue.into()]).await
    }

    async fn due_revocations(
        &self,
        now: Timestamp,
        claim: Duration,
        limit: u32,
        resting: &[ConnectorId],
    ) -> Stored<Vec<Revocation>> {
        let mut claimed = Query::new(
            "UPDATE revocations SET not_before = ?2 WHERE set_id IN
             (SELECT set_id FROM revocations WHERE not_before <= ?1",
            params![now, now.after(claim)],
        );
        let resting = resting.iter().map(Into::into);
        and_not_in(&mut claimed, "connector", resting.collect());
        let columns = Revocation::COLUMNS.join(", ");
        claimed.push(
            &format!(" ORDER BY not_before, set_id LIMIT {{}}) RETURNING {columns}"),
            params![limit],
        );
        let done = self.backend.write(vec![claimed.into()]).await?;
        done.iter()
            .flat_map(|done| &done.rows)
            .map(decode)
            .collect()
    }

    async fn finish_revocation(&self, set: &TokenSetId, event: &Event) -> Stored<()> {
        const GONE: StoreError = StoreError::Missing("revocation");
        let write = vec![
            Statement::new("DELETE FROM revocations WHERE set_id = ?1", params![set]).one_or(GONE),
            insert(event),
        ];
        self.run_unless(GONE, write).await.map(drop)
    }

    async fn retry_revocation(&self, set: &TokenSetId, not_before: Timestamp) -> Stored<()> {
        self.run(vec![Statement::new(
            "UPDATE revocations SET tries = tries + 1, not_before = ?2 WHERE set_id = ?1",
            params![set, not_before],
        )])
        .await
    }
}
