//! The dialect's JSON.

use grantry_core::{Secret, Timestamp};
use grantry_engine::{ConnectorView, Health, HealthStatus};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

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
        let client_id = row.data.get("clientId").and_then(Value::as_str);
        Self {
            id: row.id.as_str(),
            provider: &row.service,
            name: &row.name,
            client_id: client_id.unwrap_or_default(),
            client_secret: shown.map_or(MASK, Secret::expose),
            metadata: &row.metadata,
            health: AppHealth {
                status: word(health.status),
                notes: health.notes,
                time: Time(health.at),
            },
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
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
