//! `POST /snowflake/oauth/token-request`: the client of a security integration, `OAUTH_CLIENT = CUSTOM` (docs.snowflake.com,
//! "Configure Snowflake OAuth for custom clients"). It says who it is in the `Authorization` header and nowhere else; a
//! refresh token is for who asked for the scope of that name, and stays the same; no answer says what was granted.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::token::{grant, refused};
use super::token_request::TokenRequest;
use crate::answer::Answer;
use crate::faults::Effect;
use crate::model::{Mint, Model, Refusal};
use crate::sandbox::Sandbox;

pub(super) async fn token(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let issued = match asked.credentials.basic {
            true => grant(model, mint, Effect::Keep, &asked.credentials, &asked.form),
            false => Err(Refusal::new("invalid_client", "no Authorization header")),
        };
        let issued = match issued {
            Ok(issued) => issued,
            Err(refusal) => return refused(refusal, &asked.credentials),
        };
        let mut answer = json!({
            "access_token": issued.access_token, "token_type": "Bearer",
            "expires_in": issued.expires_at.since(mint.now).as_secs(),
            "username": issued.grant.user.unwrap_or_default().to_uppercase(),
        });
        let mut scopes = issued.grant.scope.split_whitespace();
        if let Some(refresh_token) = issued.refresh_token
            && scopes.any(|scope| scope == "refresh_token")
        {
            answer["refresh_token"] = refresh_token.into();
        }
        Answer::json(answer)
    };
    sandbox.perform(asked.visit(), work).await
}
