//! Events. Their place in the chain is written by the sealer alone.

use grantry_core::nouns::{Event, EventKind};

use super::Noun;
use super::values::{json, params};
use crate::backend::{Bad, FromValue, Row, Value};

impl From<EventKind> for Value {
    fn from(kind: EventKind) -> Self {
        Self::from(kind.as_str())
    }
}

impl FromValue for EventKind {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(word) => Self::from_word(word),
            _ => None,
        }
    }
}

impl Noun for Event {
    const TABLE: &'static str = "events";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "at",
        "kind",
        "actor",
        "connector",
        "connection",
        "data",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            self.team.as_ref(),
            self.at,
            self.kind,
            json(&self.actor),
            self.connector.as_ref(),
            self.connection.as_ref(),
            json(&self.data),
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            actor: row.json("actor")?,
            connector: row.get("connector")?,
            connection: row.get("connection")?,
            data: row.json("data")?,
        })
    }
}
