//! Setups.

use grantry_core::nouns::{Setup, SetupState};

use super::Noun;
use super::values::{json, params, words};
use crate::backend::{Bad, Row, Value};

words!(SetupState {
    Pending = "pending",
    Created = "created",
    Finished = "finished",
    Canceled = "canceled",
});

impl Noun for Setup {
    const TABLE: &'static str = "setups";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "connector",
        "code",
        "ask",
        "requested_by",
        "credential",
        "requester",
        "state",
        "install",
        "created_at",
        "expires_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.connector,
            self.code.as_ref(),
            json(&self.ask),
            json(&self.requested_by),
            &self.credential,
            &self.requester,
            self.state,
            self.install.as_ref(),
            self.created_at,
            self.expires_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            connector: row.get("connector")?,
            code: row.get("code")?,
            ask: row.json("ask")?,
            requested_by: row.json("requested_by")?,
            credential: row.get("credential")?,
            requester: row.get("requester")?,
            state: row.get("state")?,
            install: row.get("install")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}
