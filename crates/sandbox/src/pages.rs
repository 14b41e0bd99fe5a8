//! What people see. Plain HTML, no script; every value is escaped by the templates.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};

use crate::config::User;
use crate::faults::{FAULTS, Fault};
use crate::sandbox::Sandbox;

/// No `form-action`: browsers apply it to the redirects after the form, and those end at places
/// that only the client knows.
const HEADERS: [(HeaderName, &str); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    client: &'a str,
    scopes: Vec<&'a str>,
    users: &'a [User],
    chosen: &'a str,
    query: &'a str,
}

/// Asks whether `client` may have `scope`, and as whom.
pub(crate) fn consent(
    client: &str,
    scope: &str,
    users: &[User],
    chosen: Option<&User>,
    query: &str,
) -> Response {
    let page = Consent {
        client,
        scopes: scope.split_whitespace().collect(),
        users,
        chosen: chosen.map_or("", |user| &user.id),
        query,
    };
    render(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "error.html")]
struct Failure<'a> {
    why: &'a str,
}

/// A request that cannot be answered to the client.
pub(crate) fn error(why: &str) -> Response {
    render(StatusCode::BAD_REQUEST, &Failure { why })
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    action: &'a str,
    params: &'a [(String, String)],
}

/// An authorization response that travels in a form.
pub(crate) fn form_post(action: &str, params: &[(String, String)]) -> Response {
    render(StatusCode::OK, &FormPost { action, params })
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    issuer: &'a str,
    faults: &'static [Fault],
}

/// What this server is and what it can play.
pub(crate) fn home(sandbox: &Sandbox) -> Response {
    let page = Home {
        issuer: sandbox.issuer(),
        faults: FAULTS,
    };
    render(StatusCode::OK, &page)
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, HEADERS, Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
