//! Requests that may be repeated.

use grantry_core::nouns::KeyedRequest;

use super::Noun;
use super::values::params;
use crate::backend::{Bad, Row, Value};

impl Noun for KeyedRequest {
    const TABLE: &'static str = "keyed_requests";
    const COLUMNS: &'static [&'static str] =
        &["id", "request", "answer", "created_at", "expires_at"];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.request,
            self.answer.as_ref(),
            self.created_at,
            self.expires_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            request: row.get("request")?,
            answer: row.get("answer")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}
