//! The start of a link flow (docs/sequin.md). There is no page to press a button on: the app that asked
//! shows one, and gets a code that only its own server can exchange.

use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use grantry_core::{Error, Secret};

use super::answer::see_other;
use super::browser::cookie;
use super::consent::{Part, broken, moved, pressed, stopped};
use super::message::EXPIRED;
use crate::App;

/// Sends a browser to the provider, once, with the cookie that its answer has to bring along.
pub(crate) async fn start_link(
    app: &App,
    part: Part,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    // Who only looks whether there is something does not use it up.
    if method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let settings = app.engine.settings();
    if let Some(home) = moved(settings, headers, uri) {
        return see_other(&home);
    }
    let token = Secret::new(part.map(|Path(token)| token).unwrap_or_default());
    let cookie = cookie(headers, &settings.public_url);
    match app.engine.open_link(&token, cookie).await {
        Ok(ready) => pressed(settings, &ready),
        Err(Error::Gone(_)) => stopped(EXPIRED),
        Err(error) => broken(error),
    }
}
