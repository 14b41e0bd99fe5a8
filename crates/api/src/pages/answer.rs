//! Answers to browsers: pages, and 303 to clean URLs. Never 307 or 308 (requirement 19), never an
//! address with a code or a state in it (requirement 18).

use askama::Template;
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use grantry_core::Error;

use super::embedded::{self, Embedded};
use super::look::Look;
use super::message::Message;
use crate::kit::edge::Failed;

/// On every page, beside what `kit::edge` gives every answer. No opener policy: an app that opens our
/// page in a window of its own has to learn when that window closes.
const HEADERS: [(HeaderName, HeaderValue); 1] = [(
    HeaderName::from_static("permissions-policy"),
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)];

/// A page with a form. Its own origin learns where a POST comes from, nobody else does:
/// `no-referrer` would make `Origin` `null` and leave older browsers nothing to be known by.
pub(super) fn form(
    look: &Look,
    targets: &str,
    embedded: Option<&Embedded>,
    page: &impl Template,
) -> Response {
    as_form(rendered(StatusCode::OK, look, targets, embedded, page))
}

/// The same with another status, never in an app's window.
pub(super) fn rendered_form(
    status: StatusCode,
    look: &Look,
    targets: &str,
    page: &impl Template,
) -> Response {
    as_form(rendered(status, look, targets, None, page))
}

fn as_form(mut response: Response) -> Response {
    let policy = HeaderValue::from_static("same-origin");
    response.headers_mut().insert(REFERRER_POLICY, policy);
    response
}

/// A page that says something.
pub(super) fn message(status: StatusCode, message: &Message<'_>) -> Response {
    let embedded = message.embedded.as_ref();
    rendered(status, &message.look, "'none'", embedded, message)
}

/// Sends the browser on with GET.
pub(super) fn see_other(url: &str) -> Response {
    match HeaderValue::from_str(url) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => failed(),
    }
}

/// A page, whose policy allows its look, and forms to `form_targets`.
pub(super) fn rendered(
    status: StatusCode,
    look: &Look,
    form_targets: &str,
    embedded: Option<&Embedded>,
    page: &impl Template,
) -> Response {
    let policy = format!(
        "default-src 'none'; {}; form-action {form_targets}; {}; base-uri 'none'",
        look.policy(),
        embedded::policy(embedded)
    );
    let (Ok(html), Ok(policy)) = (page.render(), HeaderValue::from_str(&policy)) else {
        return failed();
    };
    let mut response = (status, HEADERS, Html(html)).into_response();
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Texts and URLs of ours always can stand where they stand; the edge logs it if one cannot.
fn failed() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Failed(Error::Internal));
    response
}
