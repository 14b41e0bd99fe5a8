//! `POST /register`: dynamic client registration (RFC 7591), open to all.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use grantry_core::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::Pairs;
use crate::answer::Answer;
use crate::config::Client;
use crate::faults::Endpoint;
use crate::model::{Mint, Model, Refusal, Registration};
use crate::sandbox::{Sandbox, Visit};

/// The fields of RFC 7591 §2 that matter here; others are ignored, as the RFC asks.
#[derive(Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    logo_uri: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
}

impl Metadata {
    /// What a body says, if all of it is served here.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let metadata = serde_json::from_slice(body)
            .map_err(|_| Refusal::new("invalid_client_metadata", "not the JSON of RFC 7591"))?;
        check(&metadata).map(|()| metadata)
    }
}

pub(super) async fn register(State(sandbox): State<Sandbox>, uri: Uri, body: Bytes) -> Response {
    let visit = Visit {
        endpoint: Endpoint::Register,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &Pairs::query(&uri).0,
        echo: &String::from_utf8_lossy(&body),
    };
    let work = |model: &mut Model, mint: &Mint<'_>, _| match Metadata::read(&body) {
        Ok(metadata) => {
            let id = mint.token("client_");
            let body = stored(&sandbox, model, mint, &id, metadata);
            let mut answer = Answer::json(body.into());
            answer.status = StatusCode::CREATED;
            answer
        }
        Err(refusal) => Answer::refusal(refusal),
    };
    sandbox.perform(visit, work).await
}

fn check(metadata: &Metadata) -> Result<(), Refusal> {
    let known = |list: &Option<Vec<String>>, known: &[&str]| {
        let mut given = list.iter().flatten();
        given.all(|value| known.contains(&value.as_str()))
    };
    let grants = ["authorization_code", "refresh_token", "client_credentials"];
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    let method = metadata.token_endpoint_auth_method.as_deref();
    if metadata.redirect_uris.is_empty() || !metadata.redirect_uris.iter().all(|uri| is_safe(uri)) {
        let why = "redirect_uris must be https, or http on loopback, without a fragment";
        return Err(Refusal::new("invalid_redirect_uri", why));
    }
    if method.is_some_and(|method| !methods.contains(&method))
        || !known(&metadata.grant_types, &grants)
        || !known(&metadata.response_types, &["code"])
    {
        return Err(Refusal::new(
            "invalid_client_metadata",
            "an authentication method, grant type or response type is not supported",
        ));
    }
    Ok(())
}

fn is_safe(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| {
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        // A star would be read as "any port".
        url.fragment().is_none()
            && !uri.contains('*')
            && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
    })
}

/// Makes `id` the client that `metadata` describes, and says what it is now (RFC 7591 §3.2.1, RFC 7592 §3). The
/// registration's access token is another one each time; the secret, where secrets end or there was none.
pub(super) fn stored(
    sandbox: &Sandbox,
    model: &mut Model,
    mint: &Mint<'_>,
    id: &str,
    metadata: Metadata,
) -> Map<String, Value> {
    let config = sandbox.config();
    let method = metadata
        .token_endpoint_auth_method
        .unwrap_or_else(|| "client_secret_basic".to_owned());
    let known = model.client(id).and_then(|client| client.secret.as_ref());
    let known = known.filter(|_| config.secret_ttl.is_none());
    let secret = (method != "none").then(|| match known {
        Some(known) => known.expose().to_owned(),
        None => mint.token("secret_"),
    });
    let secret_ends = config.secret_ttl.map(|life| mint.now.after(life));
    let token = mint.token("reg_");
    let mut said = Map::new();
    let mut say = |name: &str, value: Value| said.insert(name.to_owned(), value);
    say("client_id", id.into());
    say("client_id_issued_at", mint.now.as_secs().into());
    say("redirect_uris", json!(metadata.redirect_uris));
    say("token_endpoint_auth_method", method.into());
    let grants = metadata.grant_types;
    say(
        "grant_types",
        json!(grants.unwrap_or_else(|| vec!["authorization_code".to_owned()])),
    );
    let responses = metadata.response_types;
    say(
        "response_types",
        json!(responses.unwrap_or_else(|| vec!["code".to_owned()])),
    );
    if let Some(name) = &metadata.client_name {
        say("client_name", name.clone().into());
    }
    if let Some(logo) = metadata.logo_uri {
        say("logo_uri", logo.into());
    }
    if let Some(scope) = metadata.scope {
        say("scope", scope.into());
    }
    let client = Client {
        name: metadata.client_name.unwrap_or_else(|| id.to_owned()),
        id: id.to_owned(),
        secret: secret.clone().map(Secret::new),
        redirect_uris: metadata.redirect_uris,
        assertion_key: None,
    };
    let registration = Registration {
        token: token.clone(),
        secret_ends: secret_ends.filter(|_| secret.is_some()),
        metadata: said.clone(),
    };
    model.register(client, registration);
    let mut say = |name: &str, value: Value| said.insert(name.to_owned(), value);
    if let Some(secret) = secret {
        say("client_secret", secret.into());
        let ends = secret_ends.map_or(0, |end| end.as_secs());
        say("client_secret_expires_at", ends.into());
    }
    if config.manages_registrations {
        let url = format!("{}/register/{id}", sandbox.issuer());
        say("registration_client_uri", url.into());
        say("registration_access_token", token.into());
    }
    said
}
