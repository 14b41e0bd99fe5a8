//! Connectors that are to be registered.

use grantry_core::nouns;
use grantry_engine::{SetupProgress, SetupView};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Actor, Time};

/// A connector that was asked for, and is registered at its service by a person or a program.
#[derive(Serialize, ToSchema)]
pub struct Setup<'a> {
    /// Its id. Whoever knows it can register the connector: it is a secret until it has ended.
    id: &'a str,
    /// The page on which a person registers it.
    url: &'a str,
    /// How far it has come.
    status: SetupStatus,
    r#type: &'static str,
    service: &'a str,
    connection_method: Option<&'a str>,
    name: Option<&'a str>,
    /// The connector's id, once it is there.
    connector: Option<&'a str>,
    /// The provider's id of what was installed.
    installation: Option<&'a str>,
    created_at: Time,
    expires_at: Time,
}

/// How far a setup has come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SetupStatus {
    /// Nobody has registered it yet.
    Pending,
    /// The connector is there, and its application is yet to be installed.
    Installing,
    /// The connector is there.
    Done,
    /// It was called off.
    Canceled,
    /// Nobody registered it in time.
    Expired,
}

impl<'a> From<&'a SetupView> for Setup<'a> {
    fn from(view: &'a SetupView) -> Self {
        let (setup, ask) = (&view.setup, &view.setup.ask);
        let (status, installation) = match &view.progress {
            SetupProgress::Pending => (SetupStatus::Pending, None),
            SetupProgress::Installing => (SetupStatus::Installing, None),
            SetupProgress::Done { installation } => (SetupStatus::Done, installation.as_deref()),
            SetupProgress::Canceled => (SetupStatus::Canceled, None),
            SetupProgress::Expired => (SetupStatus::Expired, None),
        };
        Self {
            id: setup.id.as_str(),
            url: &view.url,
            status,
            r#type: ask.kind.as_str(),
            service: &ask.service,
            connection_method: ask.connection_method.as_deref(),
            name: ask.name.as_deref(),
            connector: view.connector().map(|id| id.as_str()),
            installation,
            created_at: Time(setup.created_at),
            expires_at: Time(setup.expires_at),
        }
    }
}

/// A connector that waits to be registered.
#[derive(Serialize, ToSchema)]
pub struct OpenSetup<'a> {
    /// The id that the connector will have. It calls the setup off, and registers nothing.
    connector: &'a str,
    r#type: &'static str,
    service: &'a str,
    name: Option<&'a str>,
    /// Where the service is the team's own server.
    host: Option<&'a str>,
    /// Who asked.
    requested_by: Actor<'a>,
    created_at: Time,
    expires_at: Time,
}

impl<'a> From<&'a nouns::Setup> for OpenSetup<'a> {
    fn from(setup: &'a nouns::Setup) -> Self {
        let ask = &setup.ask;
        Self {
            connector: setup.connector.as_str(),
            r#type: ask.kind.as_str(),
            service: &ask.service,
            name: ask.name.as_deref(),
            host: ask.host.as_deref(),
            requested_by: (&setup.requested_by).into(),
            created_at: Time(setup.created_at),
            expires_at: Time(setup.expires_at),
        }
    }
}
