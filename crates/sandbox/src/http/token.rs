//! `POST /token` (RFC 6749 §3.2).

use axum::extract::State;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::Response;
use serde_json::json;

use super::Pairs;
use super::client_auth::Credentials;
use super::token_request::TokenRequest;
use crate::answer::Answer;
use crate::crypto::Signing;
use crate::faults::Effect;
use crate::model::{Grant, Issued, Mint, Model, Refusal};
use crate::sandbox::Sandbox;

pub(super) async fn token(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, effect| {
        let granted = if asked.is_form {
            grant(model, mint, effect, &asked.credentials, &asked.form)
        } else {
            Err(Refusal::new("invalid_request", "the body must be a form"))
        };
        match granted {
            Ok(issued) => success(&sandbox, mint, &issued),
            Err(refusal) => refused(refusal, &asked.credentials),
        }
    };
    sandbox.perform(asked.visit(), work).await
}

/// An OAuth error, with the challenge that RFC 6749 §5.2 asks for.
pub(super) fn refused(refusal: Refusal, credentials: &Credentials) -> Answer {
    let mut answer = Answer::refusal(refusal);
    if refusal.code == "invalid_client" && credentials.basic {
        answer.header(WWW_AUTHENTICATE, "Basic realm=\"sandbox\"");
    }
    answer
}

/// What a request of the token endpoint brings.
pub(super) fn grant(
    model: &mut Model,
    mint: &Mint<'_>,
    effect: Effect,
    credentials: &Credentials,
    form: &Pairs,
) -> Result<Issued, Refusal> {
    if form.repeated().is_some() {
        return Err(Refusal::new("invalid_request", "a parameter occurs twice"));
    }
    let client_id = credentials.check(model, mint.now)?;
    let need = |name| {
        form.get(name)
            .ok_or(Refusal::new("invalid_request", "a parameter is missing"))
    };
    match need("grant_type")? {
        "authorization_code" => model.redeem(
            mint,
            &client_id,
            need("code")?,
            need("redirect_uri")?,
            need("code_verifier")?,
        ),
        "refresh_token" => model.refresh(
            mint,
            &client_id,
            need("refresh_token")?,
            form.get("scope"),
            effect,
        ),
        "client_credentials" => {
            let public = model.client(&client_id).is_none_or(|c| c.secret.is_none());
            if public {
                let why = "a public client has no tokens of its own";
                return Err(Refusal::new("unauthorized_client", why));
            }
            let grant = Grant {
                client_id,
                user: None,
                scope: form.get("scope").unwrap_or_default().to_owned(),
                resources: form.all("resource"),
                nonce: None,
                workspace: None,
            };
            Ok(model.client_credentials(mint, grant))
        }
        _ => Err(Refusal::new("unsupported_grant_type", "not served here")),
    }
}

/// The success answer of RFC 6749 §5.1, with an ID token for `openid` (OpenID Connect Core §3.1.3.3).
fn success(sandbox: &Sandbox, mint: &Mint<'_>, issued: &Issued) -> Answer {
    let expires_in = issued.expires_at.since(mint.now).as_secs();
    let mut body = json!({
        "access_token": issued.access_token, "token_type": "Bearer", "expires_in": expires_in,
    });
    let grant = &issued.grant;
    if let Some(refresh_token) = &issued.refresh_token {
        body["refresh_token"] = refresh_token.clone().into();
    }
    if !grant.scope.is_empty() {
        body["scope"] = grant.scope.clone().into();
    }
    // As Slack answers who installed an app.
    if let Some(id) = &grant.workspace {
        body["team"] = json!({"id": id, "name": format!("Workspace {id}")});
    }
    if let Some(user) = &grant.user
        && grant
            .scope
            .split_whitespace()
            .any(|scope| scope == "openid")
    {
        let mut claims = json!({
            "iss": sandbox.issuer(), "sub": user, "aud": grant.client_id,
            "iat": mint.now.as_secs(), "exp": issued.expires_at.as_secs(),
        });
        if let Some(nonce) = &grant.nonce {
            claims["nonce"] = nonce.clone().into();
        }
        let key = sandbox.key();
        body["id_token"] = key.sign(Signing::Rs256, &key.kid, &claims).into();
    }
    Answer::json(body)
}
