//! Links, and what a change of a connector comes to (reference/vercel-connect §4, §6).

use std::collections::HashMap;

use grantry_core::ids::ProjectId;
use grantry_core::nouns::{Link as LinkRow, Project as ProjectRow};
use grantry_engine::Changed;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Connector, Pagination, Reader};

/// A link, in the words of the CLI and of the SDK at once.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelLink)]
#[serde(rename_all = "camelCase")]
pub struct Link<'a> {
    client_id: &'a str,
    connector_id: &'a str,
    project_id: &'a str,
    environments: Vec<&'a str>,
    enabled_environments: Vec<&'a str>,
    project: Project<'a>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelProject)]
#[serde(rename_all = "camelCase")]
struct Project<'a> {
    id: &'a str,
    name: &'a str,
    #[schema(value_type = Vec<Object>)]
    custom_environments: &'a [grantry_core::nouns::CustomEnvironment],
}

impl<'a> Link<'a> {
    /// The link of `project`.
    pub fn of(link: &'a LinkRow, project: &'a ProjectRow) -> Self {
        let environments: Vec<&str> = link.environments.iter().map(|one| one.as_str()).collect();
        Self {
            client_id: link.connector.as_str(),
            connector_id: link.connector.as_str(),
            project_id: link.project.as_str(),
            enabled_environments: environments.clone(),
            environments,
            project: Project {
                id: project.id.as_str(),
                name: &project.name,
                custom_environments: &project.custom_environments,
            },
            created_at: link.created_at.as_millis(),
            updated_at: link.updated_at.as_millis(),
        }
    }

    /// Those of `links` whose projects are known.
    pub fn all(links: impl IntoIterator<Item = &'a LinkRow>, projects: &'a Projects) -> Vec<Self> {
        let links = links.into_iter();
        let with = links.filter_map(|link| Some(Self::of(link, projects.get(&link.project)?)));
        with.collect()
    }
}

/// Projects of links, by id.
pub type Projects = HashMap<ProjectId, ProjectRow>;

/// B1's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelLinks)]
pub struct Links<'a> {
    /// One page.
    pub projects: Vec<Link<'a>>,
    /// Where the next one starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cursor: Option<String>,
}

/// B2's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelProjectConnections)]
pub struct ProjectConnections<'a> {
    /// One page.
    pub projects: Vec<Link<'a>>,
    /// The SDK requires it.
    pub pagination: Pagination,
}

/// B6's answer: links, not connectors.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelConnectorConnections)]
pub struct ConnectorConnections<'a> {
    /// One page.
    pub connectors: Vec<Link<'a>>,
    /// The SDK requires it.
    pub pagination: Pagination,
}

/// A8's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelUpdated)]
#[serde(rename_all = "camelCase")]
pub struct Updated<'a> {
    connector: Connector<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    service_sync: Option<ServiceSync<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reconsent_needed: Option<Reconsent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reinstall_needed: Option<bool>,
}

/// What has to follow in the provider's own settings.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelServiceSync)]
struct ServiceSync<'a> {
    /// `required`: this server changes nothing at a provider by itself.
    status: &'static str,
    errors: [SyncError<'a>; 1],
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelServiceSyncError)]
struct SyncError<'a> {
    message: String,
    fields: &'a [&'static str],
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelReconsent)]
struct Reconsent {
    scope: &'static str,
}

impl<'a> Updated<'a> {
    /// What a change came to.
    pub fn of(changed: &'a Changed, reader: Reader) -> Self {
        let Changed { view, consequences } = changed;
        let fields = &consequences.unsynced[..];
        Self {
            connector: Connector::of(view, reader),
            service_sync: (!fields.is_empty()).then(|| ServiceSync {
                status: "required",
                errors: [SyncError {
                    message: format!(
                        "Carry {} over to the settings of the application at {}.",
                        fields.join(", "),
                        view.service_name
                    ),
                    fields,
                }],
            }),
            reconsent_needed: consequences
                .reconsent
                .then_some(Reconsent { scope: "user" }),
            reinstall_needed: consequences.reinstall.then_some(true),
        }
    }
}
