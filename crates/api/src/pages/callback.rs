//! Where providers send browsers back to. Every answer is a 303 to a clean URL, so the code never
//! stays in the address bar, the history or a `Referer` (requirement 18).

use axum::extract::{OriginalUri, Path, State};
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use grantry_core::Result;
use grantry_engine::{CallbackEnd, Settings};

use super::answer::see_other;
use super::browser::cookie;
use super::consent::{Notice, Part, address, onward, stopped};
use super::message::{Stop, UNKNOWN, WRONG_METHOD};
use crate::App;
use crate::kit::route::Access;

/// Who may send a browser back.
pub(crate) const BY_STATE: Access =
    Access::Public("the provider's answer; it counts by its state and the browser's cookie");

/// `GET /callback` and `GET /callback/{team}`, and dialects' own.
pub(crate) async fn arrive(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let settings = app.engine.settings();
    let cookie = cookie(&headers, &settings.public_url);
    let end = app
        .engine
        .callback(
            uri.query().unwrap_or_default(),
            cookie.as_ref(),
            &settings.url(uri.path()),
        )
        .await;
    see_other(&destination(settings, end))
}

/// `POST /callback`: an answer in a form was not asked for (requirement 15).
pub(super) async fn wrong_method() -> Response {
    let mut refusal = stopped(WRONG_METHOD);
    let allowed = HeaderValue::from_static("GET,HEAD");
    refusal.headers_mut().insert(ALLOW, allowed);
    refusal
}

/// `GET /problem/{word}`: why a callback was not accepted.
pub(super) async fn problem(word: Part) -> Response {
    let stop = word.ok().and_then(|Path(word)| Stop::from_word(&word));
    stopped(stop.unwrap_or(UNKNOWN))
}

pub(super) fn destination(settings: &Settings, end: Result<CallbackEnd>) -> String {
    let stop: &Stop = match end {
        Ok(CallbackEnd::Ended(result)) => return onward(settings, &result),
        Ok(CallbackEnd::Onward(url)) => return url,
        Ok(CallbackEnd::TryAgain { id, .. }) => {
            return address(settings, &id, Some(Notice::TryAgain));
        }
        Ok(CallbackEnd::Approval(id)) => {
            return address(settings, &id, Some(Notice::Approval));
        }
        Ok(CallbackEnd::OtherAccount { id, .. }) => {
            return address(settings, &id, Some(Notice::OtherAccount));
        }
        Ok(CallbackEnd::Refused(refusal)) => refusal.into(),
        Err(error) => (&error).into(),
    };
    settings.url(&format!("/problem/{}", stop.word))
}
