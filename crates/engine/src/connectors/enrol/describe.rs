//! What a server is told of a client, and what follows from a registration for its connector. Nothing is asked here.

use grantry_core::Problem;
use grantry_core::nouns::{BoundResource, Connector, ConnectorType, Means, RegisteredClient};
use grantry_oauth::client::AuthMethod;
use grantry_oauth::register::Registration as Metadata;
use grantry_oauth::resource::ProtectedResource;
use grantry_oauth::server::Server;
use serde_json::{Map, Value};

use crate::connectors::grants::{self, app_enabled, app_scopes, user_enabled};
use crate::connectors::types;

/// What we are called at servers where nobody chose a name. The document of a client is public, so nothing of a team
/// is in it.
const NAME: &str = "Grantry";

/// The scope for which servers give refresh tokens (OpenID Connect Core §11).
const OFFLINE: &str = "offline_access";

/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Whether `new` asks at another server than `old`, or is to be another kind of client there: nothing that was registered
/// for `old` is for it.
pub fn moved(old: &Connector, new: &Connector) -> bool {
    let at = |row: &Connector| ["serverUrl", "clientId"].map(|name| row.data.get(name).cloned());
    let wished = |row: &Connector| text(row, "clientRegistration").and_then(Means::from_word);
    let other_kind = match registered(old) {
        Some(client) => wished(new).is_some_and(|means| means != client.means),
        None => wished(old) != wished(new),
    };
    old.kind != new.kind || at(old) != at(new) || other_kind
}

/// What a change says of a client that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// How it is described: its server should know, and nothing waits for that.
    Description,
    /// This field, in the Vercel dialect's spelling: without the server's knowing it the client cannot be used so.
    Needed(&'static str),
}

impl News {
    /// What is wrong with it where the registration cannot be changed.
    pub fn problem(self) -> Option<Problem> {
        match self {
            Self::Description => None,
            Self::Needed(field) => Some(Problem::new(
                field,
                "cannot be changed: the client was registered with another one, its authorization server does not let \
                 that be changed (RFC 7592), and a new client would end every connection; make another connector",
            )),
        }
    }
}

/// What the server of `client` has to hear once the connector `old` is `new`.
pub fn news(client: &RegisteredClient, old: &Connector, new: &Connector) -> Option<News> {
    let method = text(new, "tokenEndpointAuthMethod");
    let other = method != text(old, "tokenEndpointAuthMethod");
    // A server may have registered another one than was wished.
    if other && method.is_some_and(|method| method != client.auth) {
        return Some(News::Needed("data.tokenEndpointAuthMethod"));
    }
    if client.means == Means::Document {
        return None;
    }
    if client.redirect_uri.as_ref().unwrap_or(&old.redirect_uri) != &new.redirect_uri {
        return Some(News::Needed("redirectUri"));
    }
    let describes = |row: &Connector| {
        [
            "clientName",
            "userAuthorization",
            "clientCredentials",
            "refreshTokens",
            "jwtBearer",
        ]
        .map(|name| row.data.get(name).cloned())
    };
    // The image stands at one address, whichever it is: its server may have kept the one before.
    let other = describes(old) != describes(new) || old.icon != new.icon;
    other.then_some(News::Description)
}

/// Gives `new` what was registered for `old`, which it takes the place of: client and keys stay, unless it moved.
///
/// # Errors
/// What cannot be changed of the client that there is.
pub fn carry(old: &Connector, new: &mut Connector) -> Result<(), Problem> {
    if moved(old, new) {
        (new.registration, new.registration_secrets) = (None, None);
        return Ok(());
    }
    new.registration.clone_from(&old.registration);
    new.registration_secrets
        .clone_from(&old.registration_secrets);
    if old.deleted_at.is_some() {
        // The end of its client may have begun; nobody is connected through it any more.
        let registration = new.registration.as_mut();
        registration.into_iter().for_each(|one| one.client = None);
        return Ok(());
    }
    let Some(client) = registered(old) else {
        return Ok(());
    };
    let Some(news) = news(client, old, new) else {
        return Ok(());
    };
    if client.means == Means::Dynamic && client.management.is_none() {
        return news.problem().map_or(Ok(()), Err);
    }
    let registration = new.registration.as_mut();
    if let Some(client) = registration.and_then(|registration| registration.client.as_mut()) {
        client.untold = true;
        if client.means == Means::Dynamic && client.redirect_uri.is_none() {
            client.redirect_uri = Some(old.redirect_uri.clone());
        }
    }
    Ok(())
}

/// Where the provider sends browsers back to: as its server knows the client, which may be told of a new place later.
pub fn redirect_uri(connector: &Connector) -> &str {
    let known = registered(connector).and_then(|client| client.redirect_uri.as_deref());
    known.unwrap_or(&connector.redirect_uri)
}

fn text<'a>(connector: &'a Connector, name: &str) -> Option<&'a str> {
    connector.data.get(name).and_then(Value::as_str)
}

/// Whether a client can be registered for the connector: it names a server that may do so.
pub fn may_be_registered(connector: &Connector) -> bool {
    connector.kind == ConnectorType::Oauth && connector.data.contains_key("serverUrl")
}

/// The client id of a connector, given or registered.
pub fn client_id(connector: &Connector) -> Option<&str> {
    let given = types::client_id(connector);
    given.or_else(|| Some(registered(connector)?.id.as_str()))
}

/// The client that came about by itself. One whose id is typed has none.
pub fn registered(connector: &Connector) -> Option<&RegisteredClient> {
    let registration = connector.registration.as_ref()?;
    let typed = connector.data.contains_key("clientId");
    registration.client.as_ref().filter(|_| !typed)
}

/// Where what a server may read of a client stands.
pub struct Places {
    /// Its keys, where it has any.
    pub jwks: String,
    /// Its connector's icon, where that has one.
    pub logo: String,
}

/// What a registration request, or the document of a client, says (RFC 7591 §2).
pub struct Description {
    name: String,
    redirect_uris: Vec<String>,
    grant_types: Vec<&'static str>,
    scope: String,
    /// How the client authenticates.
    pub auth: AuthMethod,
    /// Where its keys are, for those that need any.
    pub jwks_uri: String,
    logo_uri: String,
}

impl Description {
    /// Of a client that `connector` shall have at `server`.
    pub fn of(connector: &Connector, server: &Server, places: Places) -> Self {
        let configured = text(connector, "tokenEndpointAuthMethod").and_then(AuthMethod::parse);
        let standing = registered(connector).and_then(|client| AuthMethod::parse(&client.auth));
        let needs_secret = app_enabled(&connector.data);
        let auth = configured
            .or(standing)
            .unwrap_or_else(|| auth_method(server, needs_secret));
        let grants = server.grant_types_supported.as_ref();
        let offered =
            |grant: &str| grants.is_none_or(|grants| grants.iter().any(|one| one == grant));
        Self::with(connector, auth, places, &offered)
    }

    /// Of a client whose method is settled.
    pub fn with(
        connector: &Connector,
        auth: AuthMethod,
        places: Places,
        offered: &dyn Fn(&str) -> bool,
    ) -> Self {
        let data = &connector.data;
        let users = user_enabled(data);
        let grant_types = [
            ("authorization_code", users),
            (
                "refresh_token",
                users && keeps_refresh_tokens(data) && offered("refresh_token"),
            ),
            ("client_credentials", app_enabled(data)),
            (JWT_BEARER, jwt_bearer_enabled(data)),
        ];
        let mut scopes = match users {
            true => user_scopes(connector),
            false => vec![],
        };
        if app_enabled(data) {
            scopes.extend(app_scopes(connector));
        }
        scopes.sort_unstable();
        scopes.dedup();
        let signs = auth == AuthMethod::PrivateKeyJwt || jwt_bearer_enabled(data);
        Self {
            name: text(connector, "clientName").unwrap_or(NAME).to_owned(),
            redirect_uris: vec![connector.redirect_uri.clone()],
            grant_types: grant_types
                .into_iter()
                .filter_map(|(grant, wanted)| wanted.then_some(grant))
                .collect(),
            scope: scopes.join(" "),
            auth,
            jwks_uri: match signs {
                true => places.jwks,
                false => String::new(),
            },
            logo_uri: match connector.icon {
                Some(_) => places.logo,
                None => String::new(),
            },
        }
    }

    /// Leaves the icon away, if there is one: who refuses a client may do it for that, and it is the least of what is said.
    pub fn forgoes_logo(&mut self) -> bool {
        !std::mem::take(&mut self.logo_uri).is_empty()
    }

    /// The same as the protocol has it.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata {
            client_name: &self.name,
            redirect_uris: &self.redirect_uris,
            grant_types: &self.grant_types,
            auth: self.auth,
            scope: &self.scope,
            jwks_uri: &self.jwks_uri,
            logo_uri: &self.logo_uri,
        }
    }
}

/// The method to register with: the first of the server's that has a secret, else a key, else none. A server that lists nothing
/// takes Basic (RFC 8414 §2).
fn auth_method(server: &Server, needs_secret: bool) -> AuthMethod {
    let Some(offered) = &server.token_endpoint_auth_methods_supported else {
        return AuthMethod::Basic;
    };
    let mut known = offered.iter().filter_map(|name| AuthMethod::parse(name));
    let secret = known.find(|method| matches!(method, AuthMethod::Basic | AuthMethod::Post));
    let keyed = offered.iter().any(|name| name == "private_key_jwt");
    secret.unwrap_or(match (needs_secret, keyed) {
        (_, true) => AuthMethod::PrivateKeyJwt,
        (true, false) => AuthMethod::Basic,
        (false, false) => AuthMethod::None,
    })
}

/// The scopes that `*` means for a user: the connector's own, else those of the resource that it is bound to.
pub fn user_scopes(connector: &Connector) -> Vec<String> {
    let configured = grants::user_scopes(connector);
    let bound = connector.registration.as_ref();
    match bound.and_then(|registration| registration.resource.as_ref()) {
        Some(resource) if configured.is_empty() => {
            let mut scopes = resource.scopes.clone();
            scopes.retain(|scope| scope != OFFLINE || keeps_refresh_tokens(&connector.data));
            scopes
        }
        _ => configured,
    }
}

/// What a user is asked for at a resource: all that it publishes, and `offline_access` where the server knows that, for
/// without it there may be no refresh token.
pub fn bound_to(resource: &ProtectedResource, server: &Server) -> BoundResource {
    let mut scopes = resource.scopes_supported.clone();
    let mut known = server.scopes_supported.iter().flatten();
    if known.any(|scope| scope == OFFLINE) && !scopes.iter().any(|scope| scope == OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    BoundResource {
        id: resource.resource.clone(),
        scopes,
    }
}

/// Whether the connector presents assertions about others (RFC 7523 §2.1).
pub fn jwt_bearer_enabled(data: &Map<String, Value>) -> bool {
    let grant = data.get("jwtBearer");
    grant.is_some_and(|grant| grant.get("enabled") != Some(&Value::Bool(false)))
}

/// Whether the connector keeps refresh tokens: unless switched off.
pub fn keeps_refresh_tokens(data: &Map<String, Value>) -> bool {
    let wanted = data.get("refreshTokens");
    let wanted = wanted.and_then(|wanted| wanted.get("enabled"));
    wanted != Some(&Value::Bool(false))
}

/// What is wrong with the resources that a token is asked for: a connector of a resource has tokens for no other.
pub fn resource_problem(connector: &Connector, asked: &[String]) -> Option<Problem> {
    let bound = connector.registration.as_ref()?.resource.as_ref()?;
    elsewhere(&bound.id, asked)
}

/// The same where it is known to which it is `bound`.
pub fn elsewhere(bound: &str, asked: &[String]) -> Option<Problem> {
    let other = asked.iter().any(|one| one != bound);
    other.then(|| {
        let message = format!("must be absent or {bound}: the connector is bound to it");
        Problem::new("resources", message)
    })
}
