//! `POST /revoke` (RFC 7009) and `POST /introspect` (RFC 7662).

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::client_auth::Credentials;
use super::token::refused;
use super::{Pairs, is_form};
use crate::answer::Answer;
use crate::faults::Endpoint;
use crate::model::{Mint, Model, Refusal};
use crate::sandbox::{Sandbox, Visit};

pub(super) async fn revoke(
    State(sandbox): State<Sandbox>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request::read(&uri, &headers, &body);
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        request.answer(model, mint, |model, client_id, token| {
            model.revoke(client_id, token);
            Answer::empty()
        })
    };
    sandbox.perform(request.visit(Endpoint::Revoke), work).await
}

pub(super) async fn introspect(
    State(sandbox): State<Sandbox>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request::read(&uri, &headers, &body);
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        request.answer(model, mint, |model, client_id, token| {
            Answer::json(facts(&sandbox, model, mint, client_id, token))
        })
    };
    sandbox
        .perform(request.visit(Endpoint::Introspect), work)
        .await
}

/// What RFC 7662 §2.2 says of a token. For a refresh token also its [`crate::Place`], so that a test
/// tool can ask whether the token in a database is the newest one.
fn facts(sandbox: &Sandbox, model: &Model, mint: &Mint<'_>, client_id: &str, token: &str) -> Value {
    let access = model.access(mint.now, token);
    let grant = access
        .map(|access| &access.grant)
        .or_else(|| model.refreshable(token))
        .filter(|grant| grant.client_id == client_id);
    let Some(grant) = grant else {
        return json!({"active": false});
    };
    let mut facts = json!({
        "active": true, "iss": sandbox.issuer(), "client_id": grant.client_id,
        "scope": grant.scope, "aud": grant.resources,
    });
    if let Some(user) = &grant.user {
        facts["sub"] = user.clone().into();
        facts["username"] = user.clone().into();
    }
    if let Some(access) = access {
        facts["token_type"] = "Bearer".into();
        facts["exp"] = access.expires_at.as_secs().into();
    }
    if let Some(place) = model.place(token) {
        facts["sandbox_place"] = json!(place);
    }
    facts
}

/// What both endpoints take: a client and a token.
struct Request {
    form: Pairs,
    query: Pairs,
    credentials: Credentials,
    echo: String,
    is_form: bool,
}

impl Request {
    fn read(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Self {
        let form = Pairs::parse(body);
        let credentials = Credentials::read(headers, &form);
        Self {
            echo: format!("{} {}", credentials.echo(), String::from_utf8_lossy(body)),
            query: Pairs::query(uri),
            is_form: is_form(headers),
            form,
            credentials,
        }
    }

    fn visit(&self, endpoint: Endpoint) -> Visit<'_> {
        Visit {
            endpoint,
            client_id: self.credentials.id.as_deref(),
            grant_type: None,
            refresh_token: self.form.get("token"),
            query: &self.query.0,
            echo: &self.echo,
        }
    }

    fn answer(
        &self,
        model: &mut Model,
        mint: &Mint<'_>,
        work: impl FnOnce(&mut Model, &str, &str) -> Answer,
    ) -> Answer {
        if !self.is_form || self.form.repeated().is_some() {
            return Answer::refusal(Refusal::new("invalid_request", "not one plain form"));
        }
        match (
            self.credentials.check(model, mint.now),
            self.form.get("token"),
        ) {
            (Err(refusal), _) => refused(refusal, &self.credentials),
            (Ok(_), None) => Answer::refusal(Refusal::new("invalid_request", "token is missing")),
            (Ok(client_id), Some(token)) => work(model, &client_id, token),
        }
    }
}
