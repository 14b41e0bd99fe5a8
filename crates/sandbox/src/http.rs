//! The endpoints: each handler reads its request, hands the honest work to
//! [`Sandbox::perform`] and renders nothing itself.

use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::routing::{any, get, post};

use crate::Sandbox;

mod authorize;
mod client_auth;
mod control;
mod entra;
mod github;
mod linear;
mod manage;
mod metadata;
mod register;
mod resource;
mod salesforce;
mod slack;
mod snowflake;
mod token;
mod token_admin;
mod token_request;
mod workload;

pub(crate) fn router(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/", get(control::home))
        .route(
            "/.well-known/oauth-authorization-server",
            get(metadata::server),
        )
        .route("/.well-known/openid-configuration", get(metadata::server))
        .route(
            "/.well-known/oauth-protected-resource/api/me",
            get(metadata::resource),
        )
        .route("/meta/{fault}", get(metadata::faulty))
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::ask).post(authorize::decide))
        .route("/token", post(token::token))
        .route("/revoke", post(token_admin::revoke))
        .route("/introspect", post(token_admin::introspect))
        .route("/register", post(register::register))
        .route(
            "/register/{client}",
            get(manage::read).put(manage::update).delete(manage::delete),
        )
        .route(
            "/userinfo",
            get(resource::userinfo).post(resource::userinfo),
        )
        .route("/api/me", get(resource::me))
        .route(
            "/_control",
            get(control::show)
                .post(control::order)
                .delete(control::reset),
        )
        .route("/actions/id-token", get(workload::actions))
        .route(
            "/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
            post(workload::service_account),
        )
        .route("/slack/oauth/v2/authorize", get(slack::authorize))
        .route("/slack/api/oauth.v2.access", post(slack::access))
        .route("/slack/api/auth.revoke", post(slack::revoke))
        .route("/slack/api/auth.test", post(slack::test))
        .route(
            "/entra/{tenant}/v2.0/adminconsent",
            get(entra::admin_consent),
        )
        .route(
            "/entra/{tenant}/oauth2/v2.0/authorize",
            get(entra::authorize),
        )
        .route("/entra/{tenant}/oauth2/v2.0/token", post(entra::token))
        .route("/apps/{slug}/installations/new", get(github::install))
        .route("/github/login/oauth/authorize", get(github::authorize))
        .route("/github/login/oauth/access_token", post(github::token))
        .route("/github/api/user/installations", get(github::of_user))
        .route(
            "/github/api/app/installations/{id}",
            get(github::installation),
        )
        .route(
            "/github/api/app/installations/{id}/access_tokens",
            post(github::of_installation),
        )
        .route(
            "/github/api/applications/{client}/token",
            axum::routing::delete(github::revoke),
        )
        .route("/linear/oauth/authorize", get(linear::authorize))
        .route("/linear/oauth/token", post(linear::token))
        .route("/linear/oauth/revoke", post(token_admin::revoke))
        .route("/linear/graphql", post(linear::graphql))
        .route("/salesforce/services/oauth2/token", post(salesforce::token))
        .route("/snowflake/oauth/token-request", post(snowflake::token))
        .route("/_mint", post(workload::mint))
        .route("/_rotate", post(workload::rotate))
        .route("/_log", get(control::log))
        .route("/_stats", get(control::stats))
        .route("/_trap", any(control::trap))
        .with_state(sandbox)
}

/// Name-value pairs of a query or a form body, in order, decoded.
pub(crate) struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(crate) fn query(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value of `name`; an empty one counts as absent (RFC 6749 §3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    /// A name that occurs twice, which RFC 6749 §3.1 and §3.2 forbid; `resource` may (RFC 8707 §2).
    pub(crate) fn repeated(&self) -> Option<&str> {
        let names = || self.0.iter().map(|(key, _)| key.as_str());
        names()
            .enumerate()
            .find(|(index, name)| *name != "resource" && names().take(*index).any(|n| n == *name))
            .map(|(_, name)| name)
    }
}

/// True when the body is said to be a form.
fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| {
            media
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// The bearer token of the request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
