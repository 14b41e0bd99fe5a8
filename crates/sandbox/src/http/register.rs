//! `POST /register`: dynamic client registration (RFC 7591), open to all.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use grantry_core::Secret;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::Pairs;
use crate::answer::Answer;
use crate::config::Client;
use crate::faults::Endpoint;
use crate::model::{Mint, Model, Refusal};
use crate::sandbox::{Sandbox, Visit};

/// The fields of RFC 7591 §2 that matter here; others are ignored, as the RFC asks.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
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
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let checked = serde_json::from_slice(&body)
            .map_err(|_| Refusal::new("invalid_client_metadata", "not the JSON of RFC 7591"))
            .and_then(|metadata| check(&metadata).map(|()| metadata));
        match checked {
            Ok(metadata) => created(model, mint, metadata),
            Err(refusal) => Answer::refusal(refusal),
        }
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

fn created(model: &mut Model, mint: &Mint<'_>, metadata: Metadata) -> Answer {
    let method = metadata
        .token_endpoint_auth_method
        .unwrap_or_else(|| "client_secret_basic".to_owned());
    let client_id = mint.token("client_");
    let secret = (method != "none").then(|| mint.token("secret_"));
    let mut body = json!({
        "client_id": client_id,
        "client_id_issued_at": mint.now.as_secs(),
        "redirect_uris": metadata.redirect_uris,
        "token_endpoint_auth_method": method,
        "grant_types": metadata.grant_types.unwrap_or_else(|| vec!["authorization_code".to_owned()]),
        "response_types": metadata.response_types.unwrap_or_else(|| vec!["code".to_owned()]),
    });
    if let Some(secret) = &secret {
        body["client_secret"] = secret.clone().into();
        body["client_secret_expires_at"] = 0.into();
    }
    if let Some(name) = &metadata.client_name {
        body["client_name"] = name.clone().into();
    }
    if let Some(scope) = metadata.scope {
        body["scope"] = scope.into();
    }
    model.register(Client {
        name: metadata.client_name.unwrap_or_else(|| client_id.clone()),
        id: client_id,
        secret: secret.map(Secret::new),
        redirect_uris: metadata.redirect_uris,
        assertion_key: None,
    });
    let mut answer = Answer::json(body);
    answer.status = StatusCode::CREATED;
    answer
}
