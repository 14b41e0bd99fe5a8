//! Connectors and links.

use grantry_core::nouns::{Link as LinkRow, TriggerDestination as DestinationRow};
use grantry_engine::ConnectorView;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Actor, Time};

/// A connector.
#[derive(Serialize, ToSchema)]
pub struct Connector<'a> {
    id: &'a str,
    team: &'a str,
    uid: &'a str,
    name: &'a str,
    r#type: &'static str,
    service: &'a str,
    service_name: &'a str,
    redirect_uri: &'a str,
    data: &'a Map<String, Value>,
    has_secrets: bool,
    metadata: &'a Map<String, Value>,
    subjects: &'a [&'static str],
    supports_revocation: bool,
    links: Vec<Link<'a>>,
    /// External id of the installation that is used where a request names none.
    default_installation: Option<&'a str>,
    /// Since when an installation has to be made again, because it does not cover what the connector asks for.
    reinstall_at: Option<Time>,
    /// Whether provider events are taken in.
    triggers: bool,
    events: &'a [String],
    trigger_destinations: Vec<TriggerDestination<'a>>,
    icon: Option<&'a str>,
    background_color: Option<&'a str>,
    accent_color: Option<&'a str>,
    /// Set while the provider refuses the client itself.
    fault: Option<Fault<'a>>,
    created_by: Actor<'a>,
    updated_by: Actor<'a>,
    created_at: Time,
    updated_at: Time,
}

/// Where events go.
#[derive(Serialize, ToSchema)]
struct TriggerDestination<'a> {
    project: &'a str,
    branch: Option<&'a str>,
    custom_environment: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> From<&'a DestinationRow> for TriggerDestination<'a> {
    fn from(row: &'a DestinationRow) -> Self {
        Self {
            project: row.project_id.as_str(),
            branch: row.branch.as_deref(),
            custom_environment: row.custom_environment_id.as_deref(),
            path: row.path.as_deref(),
        }
    }
}

/// What the provider said of the client, and how often.
#[derive(Serialize, ToSchema)]
struct Fault<'a> {
    code: &'a str,
    count: u32,
    at: Time,
}

impl<'a> From<&'a ConnectorView> for Connector<'a> {
    fn from(view: &'a ConnectorView) -> Self {
        let row = &view.connector;
        Self {
            id: row.id.as_str(),
            team: row.team.as_str(),
            uid: &row.uid,
            name: &row.name,
            r#type: row.kind.as_str(),
            service: &row.service,
            service_name: &view.service_name,
            redirect_uri: &row.redirect_uri,
            data: &row.data,
            has_secrets: view.has_secrets,
            metadata: &row.metadata,
            subjects: &view.capabilities.subjects,
            supports_revocation: view.capabilities.revocation,
            links: view.links.iter().map(Link::from).collect(),
            default_installation: row.default_installation.as_deref(),
            reinstall_at: row.reinstall_at.map(Time),
            triggers: row.triggers_enabled,
            events: &row.events,
            trigger_destinations: row
                .trigger_destinations
                .iter()
                .map(TriggerDestination::from)
                .collect(),
            icon: row.icon.as_deref(),
            background_color: row.background_color.as_deref(),
            accent_color: row.accent_color.as_deref(),
            fault: row.fault.as_ref().map(|fault| Fault {
                code: &fault.code,
                count: fault.count,
                at: Time(fault.at),
            }),
            created_by: Actor::from(&row.created_by),
            updated_by: Actor::from(&row.updated_by),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// A link.
#[derive(Serialize, ToSchema)]
pub struct Link<'a> {
    connector: &'a str,
    project: &'a str,
    environments: Vec<&'a str>,
    created_at: Time,
    updated_at: Time,
}

impl<'a> From<&'a LinkRow> for Link<'a> {
    fn from(link: &'a LinkRow) -> Self {
        Self {
            connector: link.connector.as_str(),
            project: link.project.as_str(),
            environments: link.environments.iter().map(|one| one.as_str()).collect(),
            created_at: Time(link.created_at),
            updated_at: Time(link.updated_at),
        }
    }
}
