//! Events, signing keys, workload tokens.

use grantry_core::nouns::Event as EventRow;
use grantry_engine::{PublishedKey, WorkloadToken};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Actor, Time};

/// A line of the event log.
#[derive(Serialize, ToSchema)]
pub struct Event<'a> {
    id: &'a str,
    at: Time,
    kind: &'static str,
    actor: Actor<'a>,
    connector: Option<&'a str>,
    connection: Option<&'a str>,
    data: &'a Map<String, Value>,
}

impl<'a> From<&'a EventRow> for Event<'a> {
    fn from(row: &'a EventRow) -> Self {
        Self {
            id: row.id.as_str(),
            at: Time(row.at),
            kind: row.kind.as_str(),
            actor: Actor::from(&row.actor),
            connector: row.connector.as_ref().map(|id| id.as_str()),
            connection: row.connection.as_ref().map(|id| id.as_str()),
            data: &row.data,
        }
    }
}

/// A workload token.
#[derive(Serialize, ToSchema)]
pub struct Minted<'a> {
    token: &'a str,
    expires_at: Time,
}

impl<'a> From<&'a WorkloadToken> for Minted<'a> {
    fn from(minted: &'a WorkloadToken) -> Self {
        Self {
            token: minted.token.expose(),
            expires_at: Time(minted.expires_at),
        }
    }
}

/// A key that signs our own tokens.
#[derive(Serialize, ToSchema)]
pub struct SigningKey<'a> {
    kid: &'a str,
    /// What it signs: `workload`, `sign_in`.
    purpose: &'static str,
    /// `pending`, `active`, `verifying`.
    state: &'static str,
    created_at: Time,
    signs_from: Time,
    /// When the last of its tokens ends.
    verifies_until: Option<Time>,
}

impl<'a> From<&'a PublishedKey> for SigningKey<'a> {
    fn from(key: &'a PublishedKey) -> Self {
        Self {
            kid: &key.kid,
            purpose: key.purpose.as_str(),
            state: key.state.as_str(),
            created_at: Time(key.created_at),
            signs_from: Time(key.signs_from),
            verifies_until: key.verifies_until.map(Time),
        }
    }
}
