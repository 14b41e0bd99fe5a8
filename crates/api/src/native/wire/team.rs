//! Projects, events, keys, signing keys, workload tokens.

use std::collections::BTreeMap;

use grantry_core::nouns::{
    CustomEnvironment, Event as EventRow, Key as KeyRow, Project as ProjectRow,
};
use grantry_engine::{PublishedKey, WorkloadToken};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Actor, KeyLevel, Role, Time};

/// A project.
#[derive(Serialize, ToSchema)]
pub struct Project<'a> {
    id: &'a str,
    name: &'a str,
    custom_environments: Vec<Environment<'a>>,
    /// Where it is served, by environment.
    base_urls: &'a BTreeMap<String, String>,
    created_at: Time,
}

impl<'a> From<&'a ProjectRow> for Project<'a> {
    fn from(row: &'a ProjectRow) -> Self {
        Self {
            id: row.id.as_str(),
            name: &row.name,
            custom_environments: row
                .custom_environments
                .iter()
                .map(Environment::from)
                .collect(),
            base_urls: &row.base_urls,
            created_at: Time(row.created_at),
        }
    }
}

/// An environment beside the built-in ones.
#[derive(Serialize, ToSchema)]
struct Environment<'a> {
    id: &'a str,
    slug: &'a str,
}

impl<'a> From<&'a CustomEnvironment> for Environment<'a> {
    fn from(row: &'a CustomEnvironment) -> Self {
        Self {
            id: &row.id,
            slug: &row.slug,
        }
    }
}

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

/// A key, without its text.
#[derive(Serialize, ToSchema)]
pub struct Key<'a> {
    id: &'a str,
    /// The first characters of its text.
    hint: &'a str,
    name: &'a str,
    level: KeyLevel,
    role: Role,
    user: Option<&'a str>,
    project: Option<&'a str>,
    environment: Option<&'a str>,
    created_at: Time,
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
}

impl<'a> From<&'a KeyRow> for Key<'a> {
    fn from(row: &'a KeyRow) -> Self {
        Self {
            id: row.id.as_str(),
            hint: &row.hint,
            name: &row.name,
            level: row.level.into(),
            role: row.role.into(),
            user: row.user.as_ref().map(|id| id.as_str()),
            project: row.project.as_ref().map(|id| id.as_str()),
            environment: row.environment.as_ref().map(|one| one.as_str()),
            created_at: Time(row.created_at),
            expires_at: row.expires_at.map(Time),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

/// A key that was just made: the only answer that shows its text.
#[derive(Serialize, ToSchema)]
pub struct NewKey<'a> {
    /// The text.
    pub key: &'a str,
    /// The row.
    #[serde(flatten)]
    pub row: Key<'a>,
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
            state: key.state.as_str(),
            created_at: Time(key.created_at),
            signs_from: Time(key.signs_from),
            verifies_until: key.verifies_until.map(Time),
        }
    }
}
