//! Credentials and link flows.

use grantry_core::nouns::{Credential, LinkFlow};

use super::Noun;
use super::values::{json, params};
use crate::backend::{Bad, Row, Value};

impl Noun for Credential {
    const TABLE: &'static str = "credentials";
    const COLUMNS: &'static [&'static str] = &[
        "connection",
        "team",
        "kind",
        "properties",
        "metadata",
        "imported",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.connection,
            &self.team,
            &self.kind,
            json(&self.properties),
            json(&self.metadata),
            self.imported.as_ref(),
            self.updated_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            connection: row.get("connection")?,
            team: row.get("team")?,
            kind: row.get("kind")?,
            properties: row.json("properties")?,
            metadata: row.json("metadata")?,
            imported: row.get("imported")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Noun for LinkFlow {
    const TABLE: &'static str = "link_flows";
    const COLUMNS: &'static [&'static str] = &[
        "authorization_id",
        "team",
        "kind",
        "state",
        "started_at",
        "expires_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.authorization,
            &self.team,
            &self.kind,
            json(&self.state),
            self.started_at,
            self.expires_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            authorization: row.get("authorization_id")?,
            team: row.get("team")?,
            kind: row.get("kind")?,
            state: row.json("state")?,
            started_at: row.get("started_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}
