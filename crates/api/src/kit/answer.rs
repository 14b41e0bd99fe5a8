//! Making answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use grantry_core::error::Body::{Malformed, MediaType, TooLarge};
use grantry_core::nouns::Icon;
use grantry_core::{Error, Result};
use serde::Serialize;

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    typed(status, "application/json", body)
}

/// A JSON answer of another media type.
pub fn typed(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    // Most answers fit, and do not grow while they are written.
    let mut bytes = Vec::with_capacity(1024);
    // Only maps with keys that are no strings fail to serialise, and no wire type has one.
    if serde_json::to_writer(&mut bytes, body).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut answer = Response::new(Body::from(bytes));
    *answer.status_mut() = status;
    // Room for what every answer gets on its way out, too.
    answer.headers_mut().reserve(8);
    let media_type = HeaderValue::from_static(media_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

/// The status of an error where a dialect has no other for it; `wrong` for what cannot be done as it was asked for.
pub const fn status(error: &Error, wrong: StatusCode) -> StatusCode {
    match error {
        Error::Unauthenticated => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::NotFound(_) | Error::Gone(_) => StatusCode::NOT_FOUND,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Body(Malformed { .. }) | Error::DestinationRefused => StatusCode::BAD_REQUEST,
        Error::Body(TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Body(MediaType { .. }) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Error::Invalid(_)
        | Error::AuthorizationRequired(_)
        | Error::InstallationRequired(_)
        | Error::Unresolvable { .. }
        | Error::ConnectorFault => wrong,
        Error::RateLimited { .. } | Error::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Provider { timeout: true, .. } => StatusCode::GATEWAY_TIMEOUT,
        Error::Provider { timeout: false, .. } => StatusCode::BAD_GATEWAY,
        Error::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Error::Full => StatusCode::INSUFFICIENT_STORAGE,
        Error::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// 200 with JSON.
pub fn ok(body: &impl Serialize) -> Result<Response> {
    Ok(json(StatusCode::OK, body))
}

/// 200 with JSON that anybody may keep for five minutes: what verifiers of our tokens read. A signing
/// key is published for longer than that before it signs.
pub fn public(body: &impl Serialize) -> Result<Response> {
    let mut answer = json(StatusCode::OK, body);
    let keep = HeaderValue::from_static("public, max-age=300");
    answer.headers_mut().insert(header::CACHE_CONTROL, keep);
    Ok(answer)
}

/// 200 with an image as what it was checked to be, and nothing that a browser could run; 304 where whoever asks has it, by
/// its `ETag` (RFC 9110 §13.1.2), which is its digest.
pub fn image(icon: Icon, keep: &'static str, known: Option<&str>) -> Result<Response> {
    let tag = format!("\"{}\"", icon.digest);
    let has = known.is_some_and(|known| {
        let mut tags = known.split(',').map(str::trim);
        tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    });
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Error::Internal);
    let mut answer = match has {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Response::new(Body::from(icon.content)),
    };
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, value(&tag)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if !has {
        headers.insert(header::CONTENT_TYPE, value(&icon.media_type)?);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

/// 201 with JSON.
pub fn created(body: &impl Serialize) -> Result<Response> {
    Ok(json(StatusCode::CREATED, body))
}

/// 204.
pub fn nothing() -> Result<Response> {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `answer` with what HTTP says beside it: `WWW-Authenticate` with every 401 (RFC 9110 §15.5.2), and
/// `Retry-After` (whole seconds, rounded up) where `error` knows when another try makes sense.
pub fn with_headers(mut answer: Response, error: &Error) -> Response {
    if *error == Error::Unauthenticated {
        let scheme = HeaderValue::from_static("Bearer");
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    let wait = match error {
        Error::Provider { retry_after, .. } => retry_after.map(|wait| wait.as_millis()),
        Error::RateLimited { retry_after, .. } => Some(retry_after.as_millis()),
        Error::Unavailable | Error::Busy { .. } | Error::Conflict { passing: true, .. } => {
            Some(1_000)
        }
        // Somebody has to make room first.
        Error::Full => Some(30_000),
        _ => None,
    };
    if let Some(millis) = wait {
        let seconds = u64::try_from(millis.div_ceil(1_000)).unwrap_or(u64::MAX);
        let seconds = HeaderValue::from(seconds.max(1));
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    answer
}
