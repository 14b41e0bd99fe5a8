//! `/register/{client}`: the management of a registration (RFC 7592), for who has its access token.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;

use super::register::{Metadata, stored};
use super::{Pairs, bearer};
use crate::answer::Answer;
use crate::crypto;
use crate::faults::Endpoint;
use crate::model::{Mint, Model, Refusal};
use crate::sandbox::{Sandbox, Visit};

/// RFC 7592 §2.1.
pub(super) async fn read(
    sandbox: State<Sandbox>,
    client: Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let work = |model: &mut Model, _: &Mint<'_>, id: &str| {
        let said = model.registration(id).map(|known| known.metadata.clone());
        Answer::json(said.unwrap_or_default().into())
    };
    managed(sandbox, client, &uri, &headers, "", work).await
}

/// RFC 7592 §2.2.
pub(super) async fn update(
    sandbox: State<Sandbox>,
    client: Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let provider = sandbox.0.clone();
    let work = |model: &mut Model, mint: &Mint<'_>, id: &str| {
        let told = says_who_it_is(model, id, &body).and_then(|()| Metadata::read(&body));
        match told {
            Ok(metadata) => Answer::json(stored(&provider, model, mint, id, metadata).into()),
            Err(refusal) => Answer::refusal(refusal),
        }
    };
    let echo = String::from_utf8_lossy(&body).into_owned();
    managed(sandbox, client, &uri, &headers, &echo, work).await
}

/// RFC 7592 §2.3.
pub(super) async fn delete(
    sandbox: State<Sandbox>,
    client: Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let work = |model: &mut Model, _: &Mint<'_>, id: &str| {
        model.forget(id);
        let mut answer = Answer::empty();
        answer.status = StatusCode::NO_CONTENT;
        answer
    };
    managed(sandbox, client, &uri, &headers, "", work).await
}

/// The body has to name its client, with the secret that this has if it names one.
fn says_who_it_is(model: &Model, id: &str, body: &[u8]) -> Result<(), Refusal> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let secret = model.client(id).and_then(|client| client.secret.as_ref());
    let same_secret = match (said.get("client_secret").and_then(Value::as_str), secret) {
        (None, _) => true,
        (Some(said), Some(secret)) => crypto::equal(secret.expose(), said),
        (Some(_), None) => false,
    };
    if said.get("client_id").is_some_and(|said| said == id) && same_secret {
        Ok(())
    } else {
        let why = "client_id or client_secret is not this client's";
        Err(Refusal::new("invalid_client_metadata", why))
    }
}

/// Lets `work` at a registration whose access token was presented. Of a client that is not known as much is said as of
/// a wrong token (RFC 7592 §2).
async fn managed(
    State(sandbox): State<Sandbox>,
    Path(client): Path<String>,
    uri: &Uri,
    headers: &HeaderMap,
    echo: &str,
    work: impl FnOnce(&mut Model, &Mint<'_>, &str) -> Answer,
) -> Response {
    let visit = Visit {
        endpoint: Endpoint::Manage,
        client_id: Some(&client),
        grant_type: None,
        refresh_token: None,
        query: &Pairs::query(uri).0,
        echo,
    };
    let opens = |model: &Model| {
        let registration = model.registration(&client);
        let token = registration.map(|registration| &registration.token);
        token.is_some_and(|token| crypto::equal(token, bearer(headers).unwrap_or_default()))
    };
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        if opens(model) {
            return work(model, mint, &client);
        }
        let mut answer = Answer::refusal(Refusal::new("invalid_token", "not of this registration"));
        answer.header(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
        answer
    };
    sandbox.perform(visit, work).await
}
