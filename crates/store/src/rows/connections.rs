//! Connections, token sets, revocations.

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{Connection, ConnectionState, Revocation, TokenSet};
use grantry_core::store::{ConnectionStatus, Live, Stored};

use super::grants::{grant, grant_columns};
use super::values::{json, params, words};
use super::{Noun, decode};
use crate::backend::{Bad, Query, Row, Value};

words!(ReconnectReason {
    NeverConnected = "never_connected",
    Revoked = "revoked",
    Rejected = "rejected",
    LostResponse = "lost_response",
    Expired = "expired",
});

words!(ConnectionStatus {
    Active = "active",
    NeedsReauth = "needs_reauth",
    Revoked = "revoked",
});

fn state_columns(state: ConnectionState) -> Vec<Value> {
    match state {
        ConnectionState::Active => params!["active", Value::Null],
        ConnectionState::NeedsReauth(reason) => params!["needs_reauth", reason],
        ConnectionState::Revoked => params!["revoked", Value::Null],
    }
}

fn state(row: &Row) -> Result<ConnectionState, Bad> {
    let word: String = row.get("state")?;
    match word.as_str() {
        "active" => Ok(ConnectionState::Active),
        "needs_reauth" => Ok(ConnectionState::NeedsReauth(row.get("state_reason")?)),
        "revoked" => Ok(ConnectionState::Revoked),
        _ => Err(Bad("state")),
    }
}

impl Noun for Connection {
    const TABLE: &'static str = "connections";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "connector",
        "subject_type",
        "subject_id",
        "subject_issuer",
        "environment",
        "installation",
        "scopes",
        "audience",
        "resources",
        "details",
        "grant_key",
        "state",
        "state_reason",
        "name",
        "external_subject",
        "imported",
        "created_at",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        let mut row = params![&self.id, &self.team];
        row.extend(grant_columns(&self.grant));
        row.push(self.grant.key().into());
        row.extend(state_columns(self.state));
        row.extend(params![
            self.name.as_ref(),
            self.external_subject.as_ref(),
            self.imported,
            self.created_at,
            self.updated_at,
        ]);
        row
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            grant: grant(row)?,
            state: state(row)?,
            name: row.get("name")?,
            external_subject: row.get("external_subject")?,
            imported: row.get("imported")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// The id's column is `set_id`, so that a row can hold a connection and a token set of it.
impl Noun for TokenSet {
    const TABLE: &'static str = "token_sets";
    const COLUMNS: &'static [&'static str] = &[
        "set_id",
        "team",
        "connection",
        "kind",
        "access",
        "access_expires_at",
        "refresh",
        "scope",
        "metadata",
        "servers",
        "received_at",
        "failures",
        "not_before",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.connection,
            &self.kind,
            &self.access,
            self.access_expires_at,
            self.refresh.as_ref(),
            self.scope.as_ref(),
            json(&self.metadata),
            self.servers.as_ref(),
            self.received_at,
            self.failures,
            self.not_before,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("set_id")?,
            team: row.get("team")?,
            connection: row.get("connection")?,
            kind: row.get("kind")?,
            access: row.get("access")?,
            access_expires_at: row.get("access_expires_at")?,
            refresh: row.get("refresh")?,
            scope: row.get("scope")?,
            metadata: row.json("metadata")?,
            servers: row.get("servers")?,
            received_at: row.get("received_at")?,
            failures: row.get("failures")?,
            not_before: row.get("not_before")?,
        })
    }
}

impl Noun for Revocation {
    const TABLE: &'static str = "revocations";
    const COLUMNS: &'static [&'static str] = &[
        "set_id",
        "team",
        "connector",
        "connection",
        "access",
        "refresh",
        "servers",
        "tries",
        "created_at",
        "not_before",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.set,
            &self.team,
            &self.connector,
            &self.connection,
            &self.access,
            self.refresh.as_ref(),
            self.servers.as_ref(),
            self.tries,
            self.created_at,
            self.not_before,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            set: row.get("set_id")?,
            team: row.get("team")?,
            connector: row.get("connector")?,
            connection: row.get("connection")?,
            access: row.get("access")?,
            refresh: row.get("refresh")?,
            servers: row.get("servers")?,
            tries: row.get("tries")?,
            created_at: row.get("created_at")?,
            not_before: row.get("not_before")?,
        })
    }
}

/// Connections with their token sets in one answer, so that both are of the same moment: one row per
/// set, one for a connection without any. `c` and `t` are the two tables; `tail` begins with `JOIN` or `WHERE`.
pub(crate) fn live(tail: &str, params: Vec<Value>) -> Query {
    let columns = |table: &'static str, columns: &'static [&'static str]| {
        columns
            .iter()
            .map(move |column| format!("{table}.{column}"))
    };
    let columns: Vec<_> = columns("c", Connection::COLUMNS)
        .chain(columns("t", TokenSet::COLUMNS))
        .collect();
    let sql = format!(
        "SELECT {} FROM connections c LEFT JOIN token_sets t ON t.connection = c.id {tail}",
        columns.join(", ")
    );
    Query::new(sql, params)
}

/// The token set of a row of [`live`].
pub(crate) fn set_of(row: &Row) -> Stored<Option<TokenSet>> {
    match row.value("set_id") {
        Some(Value::Null) | None => Ok(None),
        Some(_) => decode(row).map(Some),
    }
}

/// One connection out of all rows that [`live`] returned for it.
pub(crate) fn one_live(rows: &[Row]) -> Stored<Option<Live>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let sets = rows.iter().filter_map(|row| set_of(row).transpose());
    Ok(Some(Live {
        connection: decode(first)?,
        sets: sets.collect::<Stored<_>>()?,
    }))
}
