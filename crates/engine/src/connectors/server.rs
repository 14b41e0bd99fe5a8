//! From a connector to the authorization server and client it stands for.

use std::borrow::Cow;
use std::collections::HashMap;

use grantry_core::limits::CONNECTOR_URL_BYTES_MAX;
use grantry_core::nouns::{Connector, ConnectorType, Sealed, Service, Subject};
use grantry_core::{Entropy, Error, Problem, Result, Secret, Timestamp};
use grantry_oauth::authorize::is_reserved;
use grantry_oauth::client::{AuthMethod, Client};
use grantry_oauth::discovery::DiscoveryError;
use grantry_oauth::providers::{Quirks, snowflake};
use grantry_oauth::server::{ADMIN_CONSENT, API_BASE_URL, Endpoint, Server};
use grantry_vault::envelope::Place;
use serde::Deserialize as _;
use serde_json::{Map, Value};
use url::Url;

use super::discovered::At;
use super::enrol::{Said, Signer, client_id, elsewhere, may_be_registered};
use super::types::{self, UserTokens};
use super::{data, servers_of, within};
use crate::{Engine, catalogue};

/// What an `oauth` connector's requests are made with.
pub struct OauthClient {
    /// Endpoints: catalogue, under discovery, under the connector's own `serverConfig`.
    pub server: Server,
    /// Client id, secret and method.
    pub client: Client,
    /// How the service departs from the RFCs.
    pub quirks: Quirks,
    /// What the client signs with, where it needs to.
    signer: Option<Signer>,
    /// `clientAssertion` of the connector.
    said: Map<String, Value>,
    /// The resource that the connector is bound to.
    resource: Option<String>,
    /// Where the connector asks now.
    servers: String,
}

impl OauthClient {
    /// The same for tokens of `subject`: users' may depart from the RFCs in their own way.
    pub(crate) fn for_subject(self, connector: &Connector, subject: &Subject) -> Self {
        let own = types::of(connector.kind).user_quirks;
        match own.filter(|_| *subject != Subject::App) {
            Some(row) => Self {
                quirks: Quirks::of(row),
                ..self
            },
            None => self,
        }
    }

    /// The resource indicators of a request for `asked` (RFC 8707). A connector may have been bound to its resource
    /// after the request was checked: it has tokens for no other all the same (requirement 24).
    pub(crate) fn resources(&self, asked: &[String]) -> Result<Vec<String>> {
        let Some(bound) = &self.resource else {
            return Ok(asked.to_vec());
        };
        match elsewhere(bound, asked) {
            Some(problem) => Err(Error::Invalid(vec![problem])),
            None => Ok(vec![bound.clone()]),
        }
    }

    /// The client as one request presents it: what it signs is used once (requirement 28).
    pub(crate) fn presented(
        &self,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Cow<'_, Client>> {
        if self.client.auth != AuthMethod::PrivateKeyJwt {
            return Ok(Cow::Borrowed(&self.client));
        }
        let claims = self.said.get("claims").and_then(Value::as_object);
        let aud = claims.and_then(|claims| claims.get("aud")?.as_str());
        let assertion = self.signed(
            &Said {
                issuer: &self.client.id,
                subject: &self.client.id,
                audience: aud.unwrap_or(self.audience()),
                ttl: self.said.get("ttl"),
                claims,
            },
            entropy,
            now,
        )?;
        Ok(Cow::Owned(Client {
            secret: Some(assertion),
            ..self.client.clone()
        }))
    }

    /// An assertion under the connector's key.
    pub(crate) fn signed(
        &self,
        said: &Said<'_>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Secret> {
        let signer = self.signer.as_ref().ok_or(Error::Unresolvable {
            reason: "the connector has no key to sign with".to_owned(),
        })?;
        signer.sign(said, entropy, now)
    }

    /// What the server calls itself in assertions, unless somebody says otherwise.
    pub(crate) fn audience(&self) -> &str {
        self.server.token_endpoint.as_deref().unwrap_or_default()
    }

    /// Where the connector asks now, for what comes from there.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// Whether tokens that came while the connector asked at `servers` may be presented where it asks now.
    pub(crate) fn is_for(&self, servers: Option<&str>) -> bool {
        servers.is_none_or(|servers| within(&self.servers, servers))
    }
}

/// Where an authorization server's endpoints come from; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerSource {
    /// Discovered from `serverUrl`.
    Discovery,
    /// The catalogue's row of the service.
    Catalogue,
    /// The connector's own `serverConfig` alone.
    Config,
}

/// Why a connector's server is not known.
pub(super) enum Unresolved {
    Discovery(DiscoveryError),
    Other(Error),
}

impl From<DiscoveryError> for Unresolved {
    fn from(error: DiscoveryError) -> Self {
        Self::Discovery(error)
    }
}

impl From<Error> for Unresolved {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Unresolved {
    /// For who makes or changes the connector.
    pub(super) fn of_caller(self) -> Error {
        match self {
            Self::Discovery(error) => {
                Error::invalid("data.serverUrl", format!("discovery failed: {error}"))
            }
            Self::Other(error) => error,
        }
    }
}

/// For requests on a connector that exists: its provider does not answer as it should.
impl From<Unresolved> for Error {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Discovery(_) => Self::Provider {
                code: "discovery_failed",
                timeout: false,
                retry_after: None,
            },
            Unresolved::Other(error) => error,
        }
    }
}

/// What is wrong with `serverConfig` and `authorizationUrlParams`.
pub fn config_problems(data: &Map<String, Value>) -> Option<Vec<Problem>> {
    let mut problems = Vec::new();
    if let Some(Value::Object(config)) = data.get("serverConfig") {
        let wrong = |(name, value): (&String, &Value)| {
            let message = member_complaint(name, value)?;
            Some(Problem::new(format!("data.serverConfig.{name}"), message))
        };
        problems.extend(config.iter().filter_map(wrong));
    }
    if let Some(Value::Object(params)) = data.get("authorizationUrlParams") {
        problems.extend(params.keys().filter(|name| is_reserved(name)).map(|name| {
            Problem::new(
                format!("data.authorizationUrlParams.{name}"),
                "is set by the protocol and cannot be chosen",
            )
        }));
    }
    if problems.is_empty() {
        None
    } else {
        Some(problems)
    }
}

/// What is wrong with a member of `serverConfig`; an empty one takes away what stands below it.
fn member_complaint(name: &str, value: &Value) -> Option<String> {
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    if let Err(error) = serde_json::from_value::<Server>(alone.into()) {
        // "invalid type: integer `7`, expected a string"
        let error = error.to_string();
        let (_, expected) = error.rsplit_once("expected ").unwrap_or(("", "what it is"));
        return Some(format!("must be {expected}"));
    }
    let is_url = [API_BASE_URL, ADMIN_CONSENT].contains(&name)
        || Endpoint::ALL.iter().any(|known| known.as_str() == name);
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if name == "issuer" => {
            data::text_complaint(text, CONNECTOR_URL_BYTES_MAX, false)
        }
        value if is_url && !value.as_str().is_some_and(data::is_web_url) => {
            Some(format!("must be {}", data::url_words()))
        }
        _ => None,
    }
}

impl Engine {
    /// Checks that a new `oauth` connector leads to an authorization server: what `serverUrl` claims
    /// is fetched and must hold (requirement 4), and the endpoints that its grants need are known, unless it
    /// may be `incomplete`.
    pub(crate) async fn check_server(&self, connector: &Connector, incomplete: bool) -> Result<()> {
        if !types::speaks_oauth(connector) {
            return Ok(());
        }
        let resolved = self.resolve_server(connector).await;
        let resolved = resolved.map_err(Unresolved::of_caller);
        let Flaws {
            wrong: mut problems,
            missing,
        } = flaws(connector, resolved?);
        if !incomplete {
            problems.extend(missing);
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(problems))
        }
    }

    /// What a connector that was made incomplete still lacks; empty for one that can be used.
    pub async fn missing_of(&self, connector: &Connector) -> Result<Vec<Problem>> {
        missing(connector, &*self.catalogue().await?)
    }

    /// Refuses what a connector is asked for before it has all that it needs.
    pub(crate) async fn require_complete(&self, connector: &Connector) -> Result<()> {
        let missing = self.missing_of(connector).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let missing = Error::Invalid(missing);
        Err(Error::Unresolvable {
            reason: format!("the connector is not complete: {missing}"),
        })
    }

    /// The server, client and quirks of an `oauth` connector, its secret opened.
    pub(crate) async fn oauth_client(&self, connector: &Connector) -> Result<OauthClient> {
        let resolved = self.resolve_server(connector).await?;
        self.oauth_client_of(connector, resolved.server).await
    }

    /// The same with a server that was frozen earlier.
    pub(crate) async fn oauth_client_of(
        &self,
        connector: &Connector,
        server: Server,
    ) -> Result<OauthClient> {
        let text = |name: &str| connector.data.get(name).and_then(Value::as_str);
        let quirks = self.quirks_of(connector).await?;
        let client = match self.registered_client(connector).await? {
            Some(client) => client,
            None => {
                let secret = types::client_secret(connector).unwrap_or_default();
                let secret = self.connector_secret(connector, secret).await?;
                let auth = match text("tokenEndpointAuthMethod").and_then(AuthMethod::parse) {
                    Some(method) => method,
                    None => AuthMethod::pick(&server, secret.is_some()),
                };
                let id = types::client_id(connector).unwrap_or_default().to_owned();
                Client { id, secret, auth }
            }
        };
        let bound = connector.registration.as_ref();
        let resource = bound.and_then(|registration| registration.resource.as_ref());
        if resource.is_some() {
            server
                .check_pkce(true)
                .map_err(|error| Error::Unresolvable {
                    reason: error.to_string(),
                })?;
        }
        let said = connector.data.get("clientAssertion");
        let said = said.and_then(Value::as_object).cloned();
        Ok(OauthClient {
            signer: self.signer(connector).await?,
            said: said.unwrap_or_default(),
            resource: resource.map(|resource| resource.id.clone()),
            server,
            client,
            quirks,
            servers: servers_of(connector),
        })
    }

    /// The deviations of the connector's service that are known, under what its row says.
    async fn quirks_of(&self, connector: &Connector) -> Result<Quirks> {
        let known = quirks(connector);
        let rows = self.catalogue().await?;
        let separator = rows.of(connector).and_then(catalogue::scope_separator);
        Ok(Quirks {
            scope_separator: separator.unwrap_or(known.scope_separator),
            ..known
        })
    }

    /// One of the connector's secrets, by its field's name (or its id, for API-key values).
    pub(crate) async fn connector_secret(
        &self,
        connector: &Connector,
        name: &str,
    ) -> Result<Option<Secret>> {
        Ok(self.connector_secrets(connector).await?.remove(name))
    }

    /// All of the connector's secrets, by the same names.
    pub(crate) async fn connector_secrets(
        &self,
        connector: &Connector,
    ) -> Result<HashMap<String, Secret>> {
        self.open_from(secrets_of(connector), connector.secrets.as_ref())
            .await
    }

    /// Secrets by name, as they were sealed into `place`.
    pub(super) async fn open_from(
        &self,
        place: Place<'_>,
        sealed: Option<&Sealed>,
    ) -> Result<HashMap<String, Secret>> {
        let Some(sealed) = sealed else {
            return Ok(HashMap::new());
        };
        let json = self.keys.open_text(place, sealed).await?;
        serde_json::from_str(json.expose()).map_err(|_| Error::Internal)
    }

    pub(super) async fn resolve_server(
        &self,
        connector: &Connector,
    ) -> Result<Layered, Unresolved> {
        let catalogue = self.catalogue().await?;
        let row = catalogue.of(connector);
        let bound = connector.registration.as_ref();
        let issuer = bound.and_then(|registration| registration.issuer.as_deref());
        let url = connector.data.get("serverUrl").and_then(Value::as_str);
        let located = match (issuer, url) {
            (_, None) => None,
            (issuer, Some(url)) => {
                let (http, clock) = (&*self.ports.http, &*self.ports.clock);
                let at = issuer.map_or(At::Url(url), At::Issuer);
                Some(self.discovered.get(http, clock, at).await?)
            }
        };
        let discovered = located.as_ref().map(|located| &located.server);
        layered(connector, row, discovered).map_err(Unresolved::Other)
    }
}

/// Where a connector fetches its tokens, or what its server says of itself where that tells: as far as
/// it is known without asking anybody. `overlays` are the deployment's own rows of the catalogue.
pub fn asks_at(connector: &Connector, overlays: &[Service]) -> Option<Url> {
    if let Some(url) = connector.data.get("serverUrl").and_then(Value::as_str) {
        return Url::parse(url).ok();
    }
    let row = catalogue::row_for(overlays, connector);
    let server = layered(connector, row.as_ref(), None).ok()?.server;
    server.url(Endpoint::Token).ok()
}

/// How the service of a connector departs from the RFCs, or that of its type.
pub fn quirks(connector: &Connector) -> Quirks {
    let service = types::of(connector.kind).service;
    Quirks::of(service.unwrap_or(&connector.service))
}

/// A connector's server as far as it is known without asking anybody.
pub fn known_server(connector: &Connector, row: Option<&Service>) -> Option<Server> {
    layered(connector, row, None)
        .ok()
        .map(|layered| layered.server)
}

/// What is known of a connector's server.
pub(super) struct Layered {
    pub(super) server: Server,
    source: ServerSource,
    /// What is wrong with `data.variables`.
    problems: Vec<Problem>,
}

/// The server as the catalogue's row, discovery and the connector's own `serverConfig` describe it,
/// each over the one before.
pub(super) fn layered(
    connector: &Connector,
    row: Option<&Service>,
    discovered: Option<&Server>,
) -> Result<Layered> {
    let given = variables(connector);
    let given = given.as_ref();
    let (mut server, mut source, mut problems) = match row {
        Some(row) => {
            let (server, mut problems) = catalogue::server(row, given);
            for problem in &mut problems {
                problem.field = field_of_variable(connector, &problem.field);
            }
            (server, ServerSource::Catalogue, problems)
        }
        None => (Server::default(), ServerSource::Config, Vec::new()),
    };
    if let Some(discovered) = discovered {
        source = ServerSource::Discovery;
        server = server.under(discovered);
    }
    if let Some(config) = connector.data.get("serverConfig") {
        let config = Server::deserialize(config).map_err(|_| Error::Internal)?;
        server = server.under(&config);
    }
    if row.is_none() && given.is_some() {
        problems.push(Problem::new(
            "data.variables",
            "is not asked for: the service is not in the catalogue",
        ));
    }
    Ok(Layered {
        server,
        source,
        problems,
    })
}

/// What a connector gives for the variables of the catalogue's endpoints: its `variables`, or the fields that
/// its type has in their place.
fn variables(connector: &Connector) -> Option<Map<String, Value>> {
    let fields = types::of(connector.kind).variables;
    if fields.is_empty() {
        return connector.data.get("variables")?.as_object().cloned();
    }
    let given = fields.iter().filter_map(|(field, variable)| {
        let value = connector.data.get(*field)?;
        let value = match (connector.kind, value.as_str()) {
            (ConnectorType::Snowflake | ConnectorType::SnowflakeWif, Some(account)) => {
                snowflake::host_label(account).into()
            }
            _ => value.clone(),
        };
        Some(((*variable).to_owned(), value))
    });
    Some(given.collect())
}

/// Where a problem with a variable is told of: at the field that the caller gave it in.
fn field_of_variable(connector: &Connector, reported: &str) -> String {
    let fields = types::of(connector.kind).variables;
    let named = reported.strip_prefix("data.variables.");
    let field = fields.iter().find(|(_, variable)| named == Some(variable));
    field.map_or_else(|| reported.to_owned(), |(field, _)| format!("data.{field}"))
}

/// What keeps a connector from being used.
#[derive(Default)]
struct Flaws {
    /// Given, and wrong.
    wrong: Vec<Problem>,
    /// Not given, and needed.
    missing: Vec<Problem>,
}

/// The variables that are wrong, and the endpoints that the connector's grants need and its server lacks, with
/// the variables that would bring them. A variable that nothing needs is not missed.
fn flaws(connector: &Connector, layered: Layered) -> Flaws {
    let Layered {
        server,
        source,
        problems,
    } = layered;
    let given = connector.data.get("variables").and_then(Value::as_object);
    let is_given = |problem: &Problem| match problem.field.strip_prefix("data.variables.") {
        Some(name) => given.is_some_and(|given| given.contains_key(name)),
        None => connector
            .data
            .contains_key(problem.field.trim_start_matches("data.")),
    };
    let (wrong, mut missing): (Vec<_>, Vec<_>) = problems.into_iter().partition(is_given);
    let consents = types::user_tokens(connector) == Some(UserTokens::Consent);
    let user = consents.then_some(Endpoint::Authorization);
    let lacking: Vec<Endpoint> = [Endpoint::Token]
        .into_iter()
        .chain(user)
        .filter(|endpoint| server.url(*endpoint).is_err())
        .collect();
    if lacking.is_empty() {
        missing.clear();
    } else if missing.is_empty() && wrong.is_empty() {
        let known = match source {
            ServerSource::Discovery => "the server's metadata has none",
            ServerSource::Catalogue => "the catalogue has none for this service",
            ServerSource::Config => {
                "there is no serverUrl to discover it from, and the service is not in the catalogue"
            }
        };
        missing.extend(lacking.into_iter().map(|endpoint| {
            Problem::new(
                format!("data.serverConfig.{}", endpoint.as_str()),
                format!("is required: {known}"),
            )
        }));
    }
    // Behind a URL there may be a server that registers clients.
    if client_id(connector).is_none() && !may_be_registered(connector) {
        let field = types::of(connector.kind)
            .client
            .map_or("clientId", |client| client.id);
        missing.push(Problem::new(format!("data.{field}"), "is required"));
    }
    Flaws { wrong, missing }
}

/// What of [`Engine::check_server`] can be checked without asking anybody: nothing when the
/// endpoints are left to discovery.
pub fn offline_problems(connector: &Connector, row: Option<&Service>) -> Result<Vec<Problem>> {
    let Flaws { mut wrong, missing } = offline_flaws(connector, row)?;
    wrong.extend(missing);
    Ok(wrong)
}

fn offline_flaws(connector: &Connector, row: Option<&Service>) -> Result<Flaws> {
    if !types::speaks_oauth(connector) || connector.data.contains_key("serverUrl") {
        return Ok(Flaws::default());
    }
    Ok(flaws(connector, layered(connector, row, None)?))
}

/// [`Engine::missing_of`] with the catalogue at hand.
pub fn missing(connector: &Connector, catalogue: &catalogue::Catalogue) -> Result<Vec<Problem>> {
    Ok(offline_flaws(connector, catalogue.of(connector))?.missing)
}

/// Where a connector's secrets are sealed into.
pub fn secrets_of(connector: &Connector) -> Place<'_> {
    Place {
        team: connector.team.as_str(),
        table: "connectors",
        row: connector.id.as_str(),
        field: "secrets",
    }
}
