//! Which servers a connector presents secrets to. An admin may change that, and must not read what is
//! write-only by it: a stored client secret, or the refresh tokens of those who connected.

use std::collections::BTreeSet;

use grantry_core::nouns::{Connector, Service};
use grantry_oauth::providers::Revocation;
use grantry_oauth::server::{API_BASE_URL, Endpoint, SHOWN_TOKENS};
use serde_json::Value;
use url::Url;

use super::server::{known_server, quirks};
use super::types::{self, AppTokens};

/// Endpoints that receive the client's secret, beside those that receive tokens. Not where an administrator consents: a browser
/// is sent there with nothing of either, and what it brings back is believed only on the word of the token endpoint.
const RECEIVING: [Endpoint; 2] = [Endpoint::PushedAuthorization, Endpoint::Token];

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
        .chain(SHOWN_TOKENS)
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

/// What the catalogue says of the connector's service, and what is used, but for its token endpoint, which is elsewhere: the
/// members of `serverConfig` that would say it. Nothing where the server tells about itself.
pub fn left_behind(connector: &Connector, row: Option<&Service>) -> Vec<&'static str> {
    let kind = types::of(connector.kind);
    let config = connector
        .data
        .get("serverConfig")
        .and_then(Value::as_object);
    let (Some(row), Some(config)) = (row, config) else {
        return vec![];
    };
    let moves = config.get(Endpoint::Token.as_str());
    if moves.is_none_or(|url| url == "") || connector.data.contains_key("serverUrl") {
        return vec![];
    }
    let by_api = quirks(connector).revocation != Revocation::Rfc7009
        || types::app_tokens(connector) == Some(AppTokens::Installation)
        || kind.account.is_some_and(|told| told.query.is_some());
    let used = [Endpoint::Revocation.as_str()].into_iter();
    let used = used.chain(by_api.then_some(API_BASE_URL));
    let server = known_server(connector, Some(row));
    let known = server.and_then(|server| serde_json::to_value(server).ok());
    let known = known.unwrap_or_default();
    let lost = |name: &&str| {
        row.data.contains_key(*name) && !config.contains_key(*name) && known.get(*name).is_none()
    };
    used.filter(lost).collect()
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::ConnectorType;
    use grantry_oauth::server::Server;
    use serde_json::json;

    use super::super::health::tests::connector;
    use super::*;

    fn made(kind: ConnectorType, data: &Value) -> Connector {
        let mut made = connector(None);
        (made.kind, made.service) = (kind, kind.as_str().to_owned());
        made.data = data.as_object().unwrap().clone();
        made
    }

    fn known(connector: &Connector) -> (Server, Vec<&'static str>) {
        let row = crate::catalogue::row_for(&[], connector);
        let known = known_server(connector, row.as_ref()).unwrap();
        (known, left_behind(connector, row.as_ref()))
    }

    #[test]
    fn a_server_of_its_own_is_not_the_catalogues_to_be_shown_tokens() {
        let of = |config: Value| {
            known(&made(
                ConnectorType::Github,
                &json!({"serverConfig": config}),
            ))
        };
        let (github, left) = of(json!({}));
        let shown = |server: &Server| {
            let Value::Object(members) = serde_json::to_value(server).unwrap() else {
                panic!("{server:?}");
            };
            let of_tokens = |(name, url): (String, Value)| {
                let url = url.as_str()?.to_owned();
                SHOWN_TOKENS.contains(&name.as_str()).then_some(url)
            };
            members
                .into_iter()
                .filter_map(of_tokens)
                .collect::<Vec<_>>()
        };
        let theirs = [
            "https://api.github.com/user",
            "https://api.github.com/user/emails",
            "https://api.github.com",
        ];
        assert_eq!(
            (shown(&github), left),
            (theirs.map(str::to_owned).to_vec(), vec![])
        );
        // The same server, and another way in.
        let (same, left) = of(json!({
            "token_endpoint": "https://github.com/another/way", "authorization_endpoint": "https://x.example/a",
        }));
        assert_eq!((shown(&same), left), (shown(&github), vec![]));
        let token = "https://github.acme.example/login/oauth/access_token";
        let (moved, left) = of(json!({"token_endpoint": token}));
        assert_eq!((shown(&moved), left), (vec![], vec![API_BASE_URL]));
        assert_eq!(moved.authorization_endpoint, github.authorization_endpoint);
        // What it says itself counts, also that there is none.
        let user = "https://github.acme.example/api/v3/user";
        let (told, left) =
            of(json!({"token_endpoint": token, "userinfo_endpoint": user, "api_base_url": ""}));
        assert_eq!((shown(&told), left), (vec![user.to_owned()], vec![]));
    }

    #[test]
    fn a_github_enterprise_server_is_asked_for_everything_itself() {
        let config = crate::setups::github_config_of("https://github.acme.example");
        let (server, left) = known(&made(
            ConnectorType::Github,
            &json!({"serverConfig": config}),
        ));
        let api = server.api().unwrap();
        assert_eq!(api.as_str(), "https://github.acme.example/api/v3");
        for (endpoint, path) in [
            (Endpoint::Userinfo, "/api/v3/user"),
            (Endpoint::UserEmails, "/api/v3/user/emails"),
        ] {
            let url = server.url(endpoint).unwrap();
            assert_eq!(
                (url.host_str(), url.path()),
                (Some("github.acme.example"), path)
            );
        }
        assert_eq!(left, Vec::<&str>::new());
    }

    #[test]
    fn an_orgs_own_login_host_is_the_catalogues_server_and_ends_its_tokens() {
        for host in [
            "acme.my.salesforce.com",
            "acme--dev.sandbox.my.salesforce.com",
            "test.salesforce.com",
        ] {
            let host_of = |server: &Server| {
                let url = server.url(Endpoint::Revocation).ok()?;
                Some(url.host_str()?.to_owned())
            };
            let (server, left) = known(&made(
                ConnectorType::Salesforce,
                &json!({"loginHost": host}),
            ));
            assert_eq!((host_of(&server).as_deref(), left), (Some(host), vec![]));
            // The same endpoint, written out.
            let token = server.token_endpoint.clone();
            let said = json!({"loginHost": host, "serverConfig": {"token_endpoint": token}});
            let (same, left) = known(&made(ConnectorType::Salesforce, &said));
            assert_eq!((host_of(&same), left), (host_of(&server), vec![]));
            let proxy = json!({"loginHost": host, "serverConfig": {"token_endpoint": "https://proxy.example/token"}});
            let (moved, left) = known(&made(ConnectorType::Salesforce, &proxy));
            assert_eq!((host_of(&moved), left), (None, vec!["revocation_endpoint"]));
        }
    }
}
