//! A connector as callers may see it.

use grantry_core::nouns::{Connector, ConnectorType, Link, Service};
use grantry_oauth::providers::github;
use grantry_oauth::revoke::is_offered;
use grantry_oauth::server::Endpoint;
use serde_json::Value;
use url::Url;

use super::server::{known_server, quirks};
use super::types::{self, AppTokens, UserTokens};
use super::{Entry, app_scopes, by_consent, enrol, installing, user_scopes};
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
    /// What its app may do there changes by installing it again, for all environments at once.
    pub reinstallation: bool,
    /// A token can be asked for that may do less.
    pub refinement: bool,
    /// What `authorizationDetails` can narrow an app token by.
    pub details: &'static [&'static str],
    /// The scopes that it asks for as itself, and for users.
    pub scopes: [Vec<String>; 2],
    /// Tokens of one resource (RFC 8707) can be asked for, as itself and for users.
    pub resources: [bool; 2],
    /// The provider's own page of the client.
    pub client_url: Option<String>,
    /// The provider's page where what it may do as itself is declared.
    pub permissions_url: Option<String>,
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
        // Where it cannot be installed, nobody has to.
        if installing(&connector).is_none() {
            connector.reinstall_at = None;
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
    let kept = matches!(
        app,
        Some(AppTokens::Stored | AppTokens::Kept { .. } | AppTokens::Proof(_))
    );
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
        reinstallation: by_consent(connector),
        refinement: !kept && user != Some(UserTokens::Pasted),
        details: row.details,
        scopes: [own_scopes(connector, app), user_scopes(connector)],
        // Types of one service are known not to speak RFC 8707.
        resources: [
            app == Some(AppTokens::ClientCredentials),
            user == Some(UserTokens::Consent),
        ]
        .map(|by_oauth| {
            by_oauth && matches!(connector.kind, ConnectorType::Oauth | ConnectorType::Custom)
        }),
        client_url: page_of(connector, service, |login, slug, _| {
            github::app_page(login, slug)
        }),
        permissions_url: page_of(connector, service, |login, slug, owner| {
            github::permissions_page(login, slug, owner?)
        }),
    }
}

/// What the application asks for as itself: where it is installed by a consent, in that.
fn own_scopes(connector: &Connector, app: Option<AppTokens>) -> Vec<String> {
    match (app, installing(connector)) {
        (None, Some(way_in)) => way_in.scopes.unwrap_or_else(|| user_scopes(connector)),
        _ => app_scopes(connector),
    }
}

/// A page of the client at its provider, where its type has one; `page` is given the login's address, the client's name in
/// addresses and the organisation that owns it, an empty one where a person does.
fn page_of(
    connector: &Connector,
    service: Option<&Service>,
    page: impl Fn(&Url, &str, Option<&str>) -> Option<Url>,
) -> Option<String> {
    if connector.kind != ConnectorType::Github {
        return None;
    }
    let slug = connector.data.get("appSlug")?.as_str()?;
    let login = known_server(connector, service)?
        .url(Endpoint::Authorization)
        .ok()?;
    let owner = connector.data.get("owner").and_then(|owner| {
        let kind = owner.get("type")?.as_str()?;
        match kind.eq_ignore_ascii_case("organization") {
            true => owner.get("slug")?.as_str(),
            false => Some(""),
        }
    });
    page(&login, slug, owner).map(String::from)
}

/// Whether ending a connection reaches the provider.
fn revokes(connector: &Connector, service: Option<&Service>) -> bool {
    let data = &connector.data;
    let configured = data
        .get("serverConfig")
        .and_then(|config| config.get("revocation_endpoint"));
    // Discovered endpoints are looked up when they are needed; a server that publishes metadata is taken to revoke.
    let published = data.contains_key("serverUrl") && configured.is_none_or(|url| url != "");
    let server = known_server(connector, service).unwrap_or_default();
    published || is_offered(&server, quirks(connector).revocation)
}
