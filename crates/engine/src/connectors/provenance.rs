//! Which servers a connector presents secrets to. An admin may change that, and must not read what is
//! write-only by it: a stored client secret, or the refresh tokens of those who connected.

use std::collections::BTreeSet;

use grantry_core::nouns::Connector;
use grantry_oauth::server::{API_BASE_URL, Endpoint, Server};
use serde_json::Value;
use url::Url;

use super::types;

/// Endpoints that receive tokens or the client's secret.
const RECEIVING: [Endpoint; 6] = [
    Endpoint::Introspection,
    Endpoint::PushedAuthorization,
    Endpoint::Revocation,
    Endpoint::Token,
    Endpoint::UserEmails,
    Endpoint::Userinfo,
];

/// What begins the lines of a connector that was enrolled: which issuer it is bound to, and which client it has there.
const ISSUER: &str = "issuer ";
const CLIENT: &str = "client ";

/// Where the connector presents secrets, as far as its own row decides that, one word a line: its service,
/// the origins that it names, and the variables that are parts of hosts. What a server's metadata or the
/// catalogue say is for them to change: they, and not the row, are trusted with that.
pub fn servers_of(connector: &Connector) -> String {
    let data = &connector.data;
    let config = data.get("serverConfig").and_then(Value::as_object);
    let endpoints = RECEIVING
        .into_iter()
        .map(Endpoint::as_str)
        .chain([API_BASE_URL])
        .filter_map(|name| config?.get(name));
    let urls = data.get("serverUrl").into_iter().chain(endpoints);
    let origins = urls
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(|text| match Url::parse(text) {
            Ok(url) => url.origin().ascii_serialization(),
            Err(_) => text.to_owned(),
        });
    let variables = data.get("variables").and_then(Value::as_object);
    let variables = variables
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"));
    let fields = types::of(connector.kind).variables.iter();
    let fields = fields.filter_map(|(field, _)| Some(format!("{field}={}", data.get(*field)?)));
    let service = [format!("service {}", connector.service)];
    let bound = connector.registration.as_ref();
    let issuer = bound.and_then(|registration| registration.issuer.as_ref());
    let client = super::enrol::registered(connector);
    let bonds = [
        issuer.map(|issuer| format!("{ISSUER}{issuer}")),
        client.map(|client| format!("{CLIENT}{}", client.id)),
    ];
    let all: BTreeSet<String> = service
        .into_iter()
        .chain(bonds.into_iter().flatten())
        .chain(origins)
        .chain(variables)
        .chain(fields)
        .collect();
    all.into_iter().collect::<Vec<_>>().join("\n")
}

/// Whether `connector` only says what `stored`, which lacks something, leaves open: a variable that has no value, an
/// endpoint where users are sent to already, or any while nothing says whose its secret is: neither the row nor, as
/// `known`, the catalogue.
pub fn fills_in(connector: &Connector, stored: &Connector, known: bool) -> bool {
    let config = stored.data.get("serverConfig").and_then(Value::as_object);
    let config = config.into_iter().flat_map(|config| config.values());
    let urls = stored.data.get("serverUrl").into_iter().chain(config);
    let named: BTreeSet<String> = urls
        .filter_map(|url| Url::parse(url.as_str()?).ok())
        .map(|url| url.origin().ascii_serialization())
        .collect();
    let variables = stored.data.get("variables").and_then(Value::as_object);
    let open = |name: &str| variables.is_none_or(|variables| !variables.contains_key(name));
    let (before, after) = (servers_of(stored), servers_of(connector));
    let before: BTreeSet<&str> = before.lines().collect();
    let mut new = after.lines().filter(|server| !before.contains(server));
    new.all(
        |server| match (Url::parse(server), server.split_once('=')) {
            (Err(_), Some((name, _))) => open(name),
            _ => named.contains(server) || (named.is_empty() && !known),
        },
    )
}

/// Whether a connector that asks at `servers` asks nowhere else than one that asked at `before`. Which issuer and
/// client it had counts where it was noted: a connector that was not bound may be bound since.
pub fn within(servers: &str, before: &str) -> bool {
    let before: BTreeSet<&str> = before.lines().collect();
    let unknown = |server: &str| {
        let mut bonds = [ISSUER, CLIENT]
            .into_iter()
            .filter(|bond| server.starts_with(bond));
        bonds.any(|bond| !before.iter().any(|line| line.starts_with(bond)))
    };
    servers
        .lines()
        .all(|server| before.contains(server) || unknown(server))
}

/// `base` under `overrides`. Who has a token endpoint of its own has people of its own, too: their tokens are not shown
/// where the base's are, unless the overrides say so.
pub fn over(mut base: Server, overrides: &Server) -> Server {
    let moves = |base: &Server| {
        let token = overrides.token_endpoint.as_ref();
        token.is_some_and(|token| !token.is_empty() && base.token_endpoint.as_ref() != Some(token))
    };
    if moves(&base) {
        (base.userinfo_endpoint, base.user_emails_endpoint) = (None, None);
    }
    base.overridden_by(overrides)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::health::tests::connector;
    use super::super::server::known_server;
    use super::*;

    #[test]
    fn a_server_of_its_own_is_not_the_catalogues_to_say_who_people_are() {
        let mut github = connector(None);
        github.service = "github".to_owned();
        let row = crate::catalogue::row_for(&[], &github);
        let of = |github: &Connector| known_server(github, row.as_ref()).unwrap();
        let known = of(&github);
        let userinfo = known.userinfo_endpoint.as_deref();
        assert_eq!(userinfo, Some("https://api.github.com/user"));
        let emails = known.user_emails_endpoint.as_deref();
        assert_eq!(emails, Some("https://api.github.com/user/emails"));
        let with = |config: Value| {
            let mut github = github.clone();
            github.data.insert("serverConfig".to_owned(), config);
            of(&github)
        };
        // The same server, and another way in.
        let same = with(json!({
            "token_endpoint": known.token_endpoint, "authorization_endpoint": "https://x.example/a",
        }));
        assert_eq!(same.userinfo_endpoint, known.userinfo_endpoint);
        let token = "https://github.acme.example/login/oauth/access_token";
        let moved = with(json!({"token_endpoint": token}));
        let theirs = (moved.userinfo_endpoint, moved.user_emails_endpoint);
        assert_eq!(theirs, (None, None));
        let user = "https://github.acme.example/api/v3/user";
        let told = with(json!({"token_endpoint": token, "userinfo_endpoint": user}));
        assert_eq!(told.userinfo_endpoint.as_deref(), Some(user));
        assert_eq!(told.user_emails_endpoint, None);
    }
}
