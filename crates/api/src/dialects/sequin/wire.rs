//! The dialect's JSON.

use std::sync::LazyLock;

use grantry_core::{Secret, Timestamp};
use grantry_engine::{ConnectorView, CredentialView, Health, HealthStatus, types};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::error::spelling;
use super::kinds;

/// What stands for a client secret: ten asterisks (seed 002).
pub const MASK: &str = "**********";

/// An OAuth app.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinApp)]
pub struct App<'a> {
    id: &'a str,
    provider: &'a str,
    name: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
    metadata: &'a Map<String, Value>,
    health: AppHealth,
    created_at: Time,
    updated_at: Time,
}

/// How an app does. Its status is [`HealthStatus`].
#[derive(Serialize, ToSchema)]
#[schema(as = SequinAppHealth)]
struct AppHealth {
    status: &'static str,
    notes: Vec<String>,
    time: Time,
}

/// A list. The dialect has no pages: it is whole.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinApps)]
pub struct Apps<'a> {
    /// All of them.
    pub data: Vec<App<'a>>,
}

impl<'a> App<'a> {
    /// A connector, whatever dialect it was made in, with its secret where that is shown.
    pub fn of(view: &'a ConnectorView, health: Health, shown: Option<&'a Secret>) -> Self {
        let row = &view.connector;
        let client_id = types::client_id(row);
        Self {
            id: row.id.as_str(),
            provider: &row.service,
            name: &row.name,
            client_id: client_id.unwrap_or_default(),
            client_secret: shown.map_or(MASK, Secret::expose),
            metadata: &row.metadata,
            health: AppHealth::of(health),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

impl AppHealth {
    fn of(health: Health) -> Self {
        let missing = health.missing.into_iter();
        let missing =
            missing.map(|problem| format!("{} {}", spelling(problem.field), problem.message));
        Self {
            status: word(health.status),
            notes: missing.chain(health.notes).collect(),
            time: Time(health.at),
        }
    }
}

/// A credential.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinCredential)]
pub struct Credential<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    provider: &'a str,
    oauth_app_id: &'a str,
    oauth_app: OfApp<'a>,
    properties: Map<String, Value>,
    health: AppHealth,
    metadata: &'a Map<String, Value>,
    created_at: Time,
    updated_at: Time,
}

/// The app of a credential.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinCredentialApp)]
struct OfApp<'a> {
    id: &'a str,
    name: &'a str,
    client_id: &'a str,
    client_secret: &'static str,
    metadata: &'a Map<String, Value>,
    provider: &'a str,
    created_at: Time,
    updated_at: Time,
}

/// All credentials.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinCredentials)]
pub struct Credentials<'a> {
    /// All of them.
    pub data: Vec<Credential<'a>>,
}

impl<'a> Credential<'a> {
    /// A connection, whatever dialect it was made in.
    pub fn of(view: &'a CredentialView) -> Self {
        let (row, app) = (&view.connection, &view.connector.connector);
        let client_id = types::client_id(app);
        let kept = view.kept.as_ref();
        let noted = kept.map_or(row.updated_at, |kept| kept.updated_at.max(row.updated_at));
        Self {
            id: row.id.as_str(),
            name: row.name.as_deref(),
            provider: &app.service,
            oauth_app_id: app.id.as_str(),
            oauth_app: OfApp {
                id: app.id.as_str(),
                name: &app.name,
                client_id: client_id.unwrap_or_default(),
                client_secret: MASK,
                metadata: &app.metadata,
                provider: &app.service,
                created_at: Time(app.created_at),
                updated_at: Time(app.updated_at),
            },
            properties: properties(view),
            health: AppHealth::of(view.health()),
            metadata: kept.map_or(&NONE, |kept| &kept.metadata),
            created_at: Time(row.created_at),
            updated_at: Time(noted),
        }
    }
}

/// Where a link flow starts.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinStart)]
pub struct Start {
    /// The link for the user's browser.
    pub start_url: String,
}

static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// The kind of a credential.
pub fn kind(view: &CredentialView) -> String {
    let kept = view.kept.as_ref().map(|kept| kept.kind.as_str());
    match kept.filter(|kind| !kind.is_empty()) {
        Some(kind) => kind.to_owned(),
        None => kinds::usual(&view.connector.connector.service),
    }
}

/// What its importer sent; of connections of other dialects, that they have a secret.
fn properties(view: &CredentialView) -> Map<String, Value> {
    match &view.kept {
        Some(kept) if !kept.properties.is_empty() => kept.properties.clone(),
        _ => {
            let word = kind(view);
            let secrets = kinds::named(&word).access_property();
            let mut properties = Map::new();
            properties.insert("kind".to_owned(), word.into());
            properties.extend(secrets.map(|name| (name.to_owned(), MASK.into())));
            properties
        }
    }
}

/// The word of a status.
pub const fn word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Ok => "ok",
        HealthStatus::Warn => "warn",
        HealthStatus::Error => "error",
    }
}

/// ISO 8601, to the second as in the samples.
#[derive(ToSchema)]
#[schema(as = SequinTime, value_type = String, format = DateTime)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = Timestamp::from_millis(self.0.as_secs() * 1000);
        serializer.collect_str(&whole)
    }
}
