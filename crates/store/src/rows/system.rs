//! Keys of the vault, the change feed.

use grantry_core::store::{Change, ChangeKind, DataKey, KeyStatus, SigningKey, SigningPurpose};

use super::Noun;
use super::values::{json, params, words};
use crate::backend::{Bad, Row, Statement, Value};

words!(KeyStatus { Active = "active", DecryptOnly = "decrypt_only", Retired = "retired" });
words!(SigningPurpose { Workload = "workload", SignIn = "sign_in" });
words!(ChangeKind {
    Key = "key",
    User = "user",
    Team = "team",
    Project = "project",
    Service = "service",
    SigningKey = "signing_key",
    Connector = "connector",
    Connection = "connection",
});

/// Tells caches that a row changed.
pub(crate) fn change(kind: ChangeKind, key: impl Into<Value>) -> Statement {
    Statement::new(
        "INSERT INTO changes (kind, key, at) VALUES (?1, ?2, now_us())",
        vec![kind.into(), key.into()],
    )
}

impl Noun for DataKey {
    const TABLE: &'static str = "data_keys";
    const COLUMNS: &'static [&'static str] = &["id", "team", "status", "sealed", "created_at"];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            self.status,
            &self.sealed,
            self.created_at
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            status: row.get("status")?,
            sealed: row.get("sealed")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Noun for SigningKey {
    const TABLE: &'static str = "signing_keys";
    const COLUMNS: &'static [&'static str] = &[
        "kid",
        "public_jwk",
        "sealed",
        "created_at",
        "signs_from",
        "retired_at",
        "purpose",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.kid,
            json(&self.public_jwk),
            &self.sealed,
            self.created_at,
            self.signs_from,
            self.retired_at,
            self.purpose,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            kid: row.get("kid")?,
            public_jwk: row.json("public_jwk")?,
            sealed: row.get("sealed")?,
            created_at: row.get("created_at")?,
            signs_from: row.get("signs_from")?,
            retired_at: row.get("retired_at")?,
            purpose: row.get("purpose")?,
        })
    }
}

/// Written by [`change`], because the database gives the position and the time.
impl Noun for Change {
    const TABLE: &'static str = "changes";
    const COLUMNS: &'static [&'static str] = &["seq", "kind", "key"];

    fn to_row(&self) -> Vec<Value> {
        params![self.seq, self.kind, &self.key]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            seq: row.get("seq")?,
            kind: row.get("kind")?,
            key: row.get("key")?,
        })
    }
}
