//! Where a browser begins to sign in through a connector (docs/sign-in.md). There is no page: it goes on to the provider,
//! or back to the application. Only a request that says of neither where is answered here, in words for its developer.

use axum::Extension;
use axum::extract::{OriginalUri, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use grantry_core::{Error, Result};
use grantry_engine::{AskSignIn, Denied, SignInStart};

use super::answer::{message, see_other};
use super::browser::cookie;
use super::consent::moved;
use super::message::Message;
use crate::App;
use crate::dialects::vercel::gateway::{TWICE, parameters, refused};
use crate::kit::answer::with_headers;
use crate::kit::edge::Visit;

/// `GET /oauth/authorize`
pub(super) async fn authorize(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    OriginalUri(uri): OriginalUri,
    visit: Option<Extension<Visit>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    // Who only looks whether there is something begins nothing.
    if method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let settings = app.engine.settings();
    // The cookie, and with it the way back, is of the public host.
    if let Some(home) = moved(settings, &headers, &uri) {
        return see_other(&home);
    }
    // Nobody has proved anything yet, and each sign-in that begins is stored.
    if let Err(error) = admit(&app, visit) {
        return too_many(&error);
    }
    let query = query.unwrap_or_default();
    let Some(mut given) = parameters(query.as_bytes()) else {
        return refused(Denied::Oauth("invalid_request", TWICE.to_owned()), false);
    };
    let ask = AskSignIn {
        client_id: given.remove("client_id"),
        team: given.remove("teamId"),
        redirect_uri: given.remove("redirect_uri"),
        response_type: given.remove("response_type"),
        response_mode: given.remove("response_mode"),
        state: given.remove("state"),
        nonce: given.remove("nonce"),
        scope: given.remove("scope"),
        code_challenge: given.remove("code_challenge"),
        code_challenge_method: given.remove("code_challenge_method"),
        prompt: given.remove("prompt"),
        max_age: given.remove("max_age"),
        has_request_object: given.contains_key("request") || given.contains_key("request_uri"),
    };
    match app
        .engine
        .start_sign_in(ask, cookie(&headers, &settings.public_url))
        .await
    {
        Ok(SignInStart::Provider(pressed)) => super::consent::pressed(settings, &pressed),
        Ok(SignInStart::Back(url)) => see_other(&url),
        Err(denied) => refused(denied, false),
    }
}

/// Counts who comes without a credential, by the address (`limits.sign_ins_per_minute`).
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) fn admit(app: &App, visit: Option<Extension<Visit>>) -> Result<()> {
    let client = visit.and_then(|Extension(visit)| visit.client);
    client.map_or(Ok(()), |client| app.engine.admit_sign_in(client))
}

/// A page for whom too many came before from the same address.
pub(super) fn too_many(error: &Error) -> Response {
    let what = match error {
        Error::RateLimited { limit, .. } => format!(
            "{limit} sign-ins a minute may begin at one internet address, and more than that began at yours."
        ),
        error => error.to_string(),
    };
    let page = Message::said(
        false,
        "Too many sign-ins from your network".to_owned(),
        what,
        "Wait a minute, then try again.",
    );
    with_headers(message(StatusCode::TOO_MANY_REQUESTS, &page), error)
}
