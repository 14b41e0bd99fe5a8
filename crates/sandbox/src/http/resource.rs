//! What an access token opens: `/userinfo` (OpenID Connect Core §5.3) and a small API, `/api/me`.

use axum::extract::State;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Pairs, bearer};
use crate::answer::Answer;
use crate::config::User;
use crate::faults::Endpoint;
use crate::model::{Grant, Mint, Model, Refusal};
use crate::sandbox::{Sandbox, Visit};

/// The claims of the user.
pub(super) async fn userinfo(
    State(sandbox): State<Sandbox>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    open(&sandbox, &uri, &headers, |_, user| {
        let user = user?;
        Some(json!({
            "sub": user.id, "name": user.name, "preferred_username": user.id,
            "email": user.email(), "email_verified": true,
        }))
    })
    .await
}

/// Who the token speaks for; for the client's own tokens `user` is null.
pub(super) async fn me(State(sandbox): State<Sandbox>, uri: Uri, headers: HeaderMap) -> Response {
    open(&sandbox, &uri, &headers, |grant, user| {
        let user =
            user.map(|user| json!({"id": user.id, "name": user.name, "email": user.email()}));
        Some(json!({"user": user, "client_id": grant.client_id, "scope": grant.scope}))
    })
    .await
}

async fn open(
    sandbox: &Sandbox,
    uri: &Uri,
    headers: &HeaderMap,
    show: impl FnOnce(&Grant, Option<&User>) -> Option<Value>,
) -> Response {
    let token = bearer(headers);
    let visit = Visit {
        endpoint: Endpoint::Resource,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &Pairs::query(uri).0,
        echo: token.unwrap_or_default(),
    };
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let access = token.and_then(|token| model.access(mint.now, token));
        let body = access.and_then(|access| {
            let grant = &access.grant;
            let users = &sandbox.config().users;
            let user = users.iter().find(|u| Some(&u.id) == grant.user.as_ref());
            show(grant, user)
        });
        body.map_or_else(|| unauthorized(sandbox, token.is_some()), Answer::json)
    };
    sandbox.perform(visit, work).await
}

/// RFC 6750 §3 and RFC 9728 §5.1.
fn unauthorized(sandbox: &Sandbox, presented: bool) -> Answer {
    let why = "the access token is unknown, expired, revoked or of the wrong kind";
    let mut answer = Answer::refusal(Refusal::new("invalid_token", why));
    let error = if presented {
        "error=\"invalid_token\", "
    } else {
        ""
    };
    let issuer = sandbox.issuer();
    let document = format!("{issuer}/.well-known/oauth-protected-resource/api/me");
    let challenge = format!("Bearer {error}resource_metadata=\"{document}\"");
    answer.header(WWW_AUTHENTICATE, &challenge);
    answer
}
