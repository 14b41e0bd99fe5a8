//! A connector as callers may see it.

use grantry_core::nouns::{Connector, ConnectorType, Link, Service};
use grantry_oauth::providers::{Revocation, github};
use grantry_oauth::server::Endpoint;
use serde_json::Value;

use super::server::{known_server, quirks};
use super::types::{self, AppTokens, UserTokens};
use super::{Entry, enrol, installing};
use crate::catalogue::Catalogue;

/// What a connector can do; read from its configuration, never probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `user`, `app`.
    pub subjects: Vec<&'static str>,
    /// Ending a connection reaches the provider.
    pub revocation: bool,
    /// The user pastes a key on the consent page.
    pub manual_input: bool,
    /// How its type is called.
    pub type_name: &'static str,
    /// It is installed in tenants of the provider, each with tokens of its own.
    pub installation: bool,
    /// A token can be asked for that may do less.
    pub refinement: bool,
    /// What `authorizationDetails` can narrow an app token by.
    pub details: &'static [&'static str],
    /// The provider's own page of the client.
    pub client_url: Option<String>,
}

/// A connector without its secrets, with what follows from its type and service.
#[derive(Clone)]
pub struct ConnectorView {
    /// The row. Its `secrets` are `None`; `has_secrets` says whether there are any.
    pub connector: Connector,
    /// Its links.
    pub links: Vec<Link>,
    /// How its service is called.
    pub service_name: String,
    /// Where its service documents its API, and lets people register applications.
    pub pages: [Option<String>; 2],
    /// What it can do.
    pub capabilities: Capabilities,
    /// Whether secrets are stored.
    pub has_secrets: bool,
}

impl ConnectorView {
    pub(crate) fn of(entry: &Entry, catalogue: &Catalogue) -> Self {
        Self::with(entry.connector.clone(), entry.links.clone(), catalogue)
    }

    pub(crate) fn with(mut connector: Connector, links: Vec<Link>, catalogue: &Catalogue) -> Self {
        let has_secrets = connector.secrets.take().is_some();
        connector.registration_secrets = None;
        // Callers see the client that there is, however it came about.
        if let Some(client) = enrol::registered(&connector) {
            let id = client.id.clone();
            connector.data.insert("clientId".to_owned(), id.into());
        }
        let row = catalogue.of(&connector);
        let capabilities = capabilities(&connector, row);
        let service_name = service_name(&connector.service, row);
        let pages = ["docs_url", "app_settings_url"].map(|name| {
            let url = row.and_then(|row| row.data.get(name)?.as_str());
            url.map(str::to_owned)
        });
        Self {
            connector,
            links,
            service_name,
            pages,
            capabilities,
            has_secrets,
        }
    }
}

/// The service's name in the catalogue, else its id.
pub fn service_name(id: &str, row: Option<&Service>) -> String {
    let named = row
        .and_then(|service| service.data.get("name"))
        .and_then(Value::as_str);
    named.unwrap_or(id).to_owned()
}

/// What `connector` can do.
pub fn capabilities(connector: &Connector, service: Option<&Service>) -> Capabilities {
    let row = types::of(connector.kind);
    let (user, app) = (types::user_tokens(connector), types::app_tokens(connector));
    let installs = installing(connector).is_some();
    let subjects = [
        ("user", user.is_some() && types::can_redeem(connector)),
        ("app", app.is_some() || installs),
        ("jwt-bearer", enrol::jwt_bearer_enabled(&connector.data)),
    ];
    let kept = matches!(app, Some(AppTokens::Stored | AppTokens::Kept { .. }));
    Capabilities {
        subjects: subjects
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(word, _)| word)
            .collect(),
        revocation: types::speaks_oauth(connector) && revokes(connector, service),
        manual_input: user == Some(UserTokens::Pasted),
        type_name: row.name,
        installation: row.installs(&connector.data).is_some() || installs,
        refinement: !kept && user != Some(UserTokens::Pasted),
        details: row.details,
        client_url: client_url(connector, service),
    }
}

/// The provider's own page of the client, where its type has one.
fn client_url(connector: &Connector, service: Option<&Service>) -> Option<String> {
    if connector.kind != ConnectorType::Github {
        return None;
    }
    let slug = connector.data.get("appSlug")?.as_str()?;
    let login = known_server(connector, service)?
        .url(Endpoint::Authorization)
        .ok()?;
    github::app_page(&login, slug).map(String::from)
}

/// Whether ending a connection reaches the provider.
fn revokes(connector: &Connector, service: Option<&Service>) -> bool {
    let data = &connector.data;
    if quirks(connector).revocation != Revocation::Rfc7009 {
        return true;
    }
    let configured = data
        .get("serverConfig")
        .and_then(|config| config.get("revocation_endpoint"));
    match configured.and_then(Value::as_str) {
        Some(url) => !url.is_empty(),
        // Discovered endpoints are looked up when they are needed; a server that publishes metadata is taken to revoke.
        None => {
            data.contains_key("serverUrl")
                || service.is_some_and(|service| service.data.contains_key("revocation_endpoint"))
        }
    }
}
