//! What a setup's link shows. Looking changes nothing: link scanners do it too.

use grantry_core::Result;
use grantry_core::ids::SetupId;
use grantry_core::nouns::{ConnectorType, Service};
use serde_json::Value;

use super::ask::registers_itself;
use super::slack::usual_scopes;
use super::{SetupProgress, SetupView};
use crate::Engine;
use crate::connectors::{AskedField, as_url, asked_fields, service_name, types, ways};

/// How the application comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupFlow {
    /// GitHub makes it of a manifest.
    Github,
    /// Slack makes it of a manifest, and shows its credentials.
    Slack,
    /// The server registers it by itself.
    Dynamic,
    /// Somebody registers it in the service's settings.
    Settings,
    /// There is none: a key is pasted.
    Key,
}

/// A setup's page.
pub struct SetupPage {
    /// How far it has come.
    pub view: SetupView,
    /// How it is registered.
    pub flow: SetupFlow,
    /// The service's name.
    pub service: String,
    /// Where the team's own server of the service is, where it has one.
    pub host: Option<String>,
    /// The connector's name, or its project's.
    pub name: String,
    /// What the credentials form asks for.
    pub fields: Vec<AskedField>,
    /// To be registered at the service, letter for letter; none where nobody is sent back.
    pub redirect_uri: Option<String>,
    /// Where the service's own applications are registered.
    pub settings_url: Option<String>,
    /// Where that is documented.
    pub docs_url: Option<String>,
    /// Where the application is installed, once the connector is there and its type has a page for that.
    pub install_url: Option<String>,
}

impl Engine {
    /// What the link of `id` shows.
    ///
    /// # Errors
    /// `NotFound` for an id that never was.
    pub async fn setup_page(&self, id: &SetupId) -> Result<SetupPage> {
        let view = self.setup_by_link(id).await?;
        let ask = &view.setup.ask;
        let catalogue = self.catalogue().await?;
        let row = catalogue.service(&ask.service);
        let way = row.and_then(|row| {
            let mut ways = ways(row).into_iter();
            ways.find(|way| Some(way.word) == ask.connection_method.as_deref())
        });
        let flow = match ask.kind {
            ConnectorType::Github => SetupFlow::Github,
            ConnectorType::Slack => SetupFlow::Slack,
            kind if types::of(kind).client.is_none() => SetupFlow::Key,
            _ if registers_itself(&view.setup) => SetupFlow::Dynamic,
            _ => SetupFlow::Settings,
        };
        let mut fields = asked_fields(ask.kind);
        if let Some(way) = &way {
            fields.extend(way.variables.iter().map(|variable| {
                AskedField::variable(&variable.key, variable.default.as_deref(), variable.help())
            }));
        }
        if flow == SetupFlow::Slack {
            let events = if ask.triggers { &ask.events[..] } else { &[] };
            let scopes = fields.iter_mut().find(|field| field.name == "botScopes");
            if let Some(field) = scopes {
                field.default = Some(usual_scopes(events));
            }
        }
        let url = |name: &str| text(row, name);
        let sent_back = types::of(ask.kind).client.is_some();
        Ok(SetupPage {
            flow,
            service: match (row, as_url(&ask.service)) {
                (None, Some((host, _))) => host,
                // The catalogue's row is that of OAuth apps.
                _ if flow == SetupFlow::Github => types::of(ask.kind).name.to_owned(),
                (row, _) => service_name(&ask.service, row),
            },
            host: ask.host.clone(),
            name: self.name_of_setup(&view).await?,
            fields,
            redirect_uri: sent_back.then(|| self.settings.url("/callback")),
            settings_url: way
                .as_ref()
                .map_or_else(|| url("app_settings_url"), |way| way.settings_url.clone()),
            docs_url: way
                .as_ref()
                .map_or_else(|| url("docs_url"), |way| way.docs_url.clone()),
            install_url: self.app_install_page(&view).await?,
            view,
        })
    }

    pub(super) async fn name_of_setup(&self, view: &SetupView) -> Result<String> {
        let ask = &view.setup.ask;
        if let Some(name) = ask
            .name
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            return Ok(name.to_owned());
        }
        let project = match &ask.project {
            Some(id) => self.ports.store.project(&view.setup.team, id).await?,
            None => None,
        };
        Ok(project.map_or_else(|| ask.service.clone(), |project| project.name))
    }

    /// GitHub's page that installs a created app, for who finished without installing it by a link.
    async fn app_install_page(&self, view: &SetupView) -> Result<Option<String>> {
        let done = matches!(view.progress, SetupProgress::Done { .. });
        if view.setup.ask.kind != ConnectorType::Github || !done {
            return Ok(None);
        }
        let id = view.setup.connector.as_str();
        let row = self.ports.store.connector(&view.setup.team, id).await?;
        let Some(row) = row.filter(|row| row.deleted_at.is_none()) else {
            return Ok(None);
        };
        let client = self.oauth_client(&row).await?;
        let login = client
            .server
            .url(grantry_oauth::server::Endpoint::Authorization);
        let slug = row.data.get("appSlug").and_then(Value::as_str);
        let page = slug
            .zip(login.ok())
            .and_then(|(slug, login)| grantry_oauth::providers::github::install_page(&login, slug));
        Ok(page.map(String::from))
    }
}

fn text(row: Option<&Service>, name: &str) -> Option<String> {
    row?.data.get(name)?.as_str().map(str::to_owned)
}
