//! Every core error as Vercel says it (reference/vercel-connect §1): `{"error":{"code","message"}}`.

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::Error;
use grantry_core::error::Body;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;

/// What a failed request is answered with.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelError)]
pub struct Wrapped<'a> {
    error: Inner<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelErrorDetails)]
#[serde(rename_all = "camelCase")]
struct Inner<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authorization_url: Option<&'a str>,
}

/// The answer to a request that failed. Its 422s carry `authorizationUrl` where a link was minted.
pub fn answer(error: &Error) -> Response {
    let (status, code) = status_and_code(error);
    let authorization_url = match error {
        Error::AuthorizationRequired(reconnect) | Error::InstallationRequired(reconnect) => {
            reconnect.url.as_deref()
        }
        _ => None,
    };
    let error_body = Inner {
        code,
        message: error.to_string(),
        authorization_url,
    };
    answer::with_headers(answer::json(status, &Wrapped { error: error_body }), error)
}

/// The answer to what is not signed by a connector's provider: the same whatever is wrong, so that nobody learns which
/// connectors there are (reference/vercel-connect §8).
pub fn invalid_signature() -> Response {
    refusal(Status::UNAUTHORIZED, "unauthorized", "Invalid signature")
}

/// The answer to an event that somebody wants forwarded: never one of success, or it would be lost.
pub fn unforwarded() -> Response {
    let message =
        "forwarding events to trigger destinations is not served yet: this one has gone nowhere";
    refusal(Status::NOT_IMPLEMENTED, "not_implemented", message)
}

fn refusal(status: Status, code: &'static str, message: &str) -> Response {
    let error = Inner {
        code,
        message: message.to_owned(),
        authorization_url: None,
    };
    answer::json(status, &Wrapped { error })
}

/// Codes that clients match on are from the reference; where it saw none (400, 405, 413, 415, 5xx) they are ours.
const fn status_and_code(error: &Error) -> (Status, &'static str) {
    match error {
        Error::Unauthenticated => (Status::UNAUTHORIZED, "unauthorized"),
        Error::Forbidden(_) => (Status::FORBIDDEN, "forbidden"),
        Error::NotFound(_) => (Status::NOT_FOUND, "not_found"),
        Error::Gone(_) => (Status::GONE, "gone"),
        Error::Conflict { .. } => (Status::CONFLICT, "conflict"),
        Error::Invalid(_) | Error::DestinationRefused | Error::Body(Body::Malformed { .. }) => {
            (Status::BAD_REQUEST, "bad_request")
        }
        Error::Body(Body::TooLarge { .. }) => (Status::PAYLOAD_TOO_LARGE, "payload_too_large"),
        Error::Body(Body::MediaType { .. }) => {
            (Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        }
        Error::MethodNotAllowed => (Status::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Error::AuthorizationRequired(_) => {
            (Status::UNPROCESSABLE_ENTITY, "user_authorization_required")
        }
        Error::InstallationRequired(_) => {
            (Status::UNPROCESSABLE_ENTITY, "client_installation_required")
        }
        // A refused client is no 5xx: those are retried at once, and only its owner can mend it.
        Error::Unresolvable { .. } | Error::ConnectorFault => {
            (Status::UNPROCESSABLE_ENTITY, "unresolved_token")
        }
        Error::Provider { timeout: true, .. } => (Status::GATEWAY_TIMEOUT, "provider_timeout"),
        Error::Provider { timeout: false, .. } => (Status::BAD_GATEWAY, "provider_error"),
        Error::RateLimited { .. } | Error::Busy { .. } => {
            (Status::TOO_MANY_REQUESTS, "rate_limited")
        }
        Error::Unavailable => (Status::SERVICE_UNAVAILABLE, "service_unavailable"),
        Error::Full => (Status::INSUFFICIENT_STORAGE, "insufficient_storage"),
        Error::Internal => (Status::INTERNAL_SERVER_ERROR, "internal_server_error"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use std::time::Duration;

    use axum::body::to_bytes;
    use axum::http::header;
    use grantry_core::Timestamp;
    use grantry_core::error::{Forbidden, Reconnect, ReconnectReason};
    use serde_json::Value;

    use super::*;

    async fn told(error: Error) -> (u16, Option<String>, Value) {
        let answer = answer(&error);
        let retry = answer.headers().get(header::RETRY_AFTER);
        let retry = retry.map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 4096).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status, retry, body["error"].clone())
    }

    #[tokio::test]
    async fn who_has_to_connect_is_given_the_link_where_there_is_one() {
        let reconnect = Reconnect {
            reason: ReconnectReason::Revoked,
            url: Some("https://connect.example/authorize/sca_1".to_owned()),
            expires_at: Some(Timestamp(0)),
        };
        let (status, _, error) = told(Error::AuthorizationRequired(Box::new(reconnect))).await;
        assert_eq!(
            (status, &error["code"]),
            (422, &json!("user_authorization_required"))
        );
        assert_eq!(
            error["authorizationUrl"],
            "https://connect.example/authorize/sca_1"
        );
    }

    #[tokio::test]
    async fn who_may_try_again_is_told_when_in_whole_seconds_rounded_up() {
        let provider = |timeout, retry_after| Error::Provider {
            code: "backing_off",
            timeout,
            retry_after,
        };
        let limited = Error::RateLimited {
            limit: 200,
            window: Duration::from_secs(60),
            retry_after: Duration::from_secs(12),
        };
        for (error, status, retry) in [
            (
                provider(false, Some(Duration::from_millis(2_001))),
                502,
                Some("3"),
            ),
            (provider(true, Some(Duration::ZERO)), 504, Some("1")),
            (provider(false, None), 502, None),
            (limited, 429, Some("12")),
            (Error::Unavailable, 503, Some("1")),
            (Error::Full, 507, Some("30")),
            (Error::Internal, 500, None),
            (Error::Forbidden(Forbidden::NotLinked), 403, None),
        ] {
            let words = format!("{error:?}");
            let (told_status, told_retry, _) = told(error).await;
            assert_eq!(
                (told_status, told_retry.as_deref()),
                (status, retry),
                "{words}"
            );
        }
    }

    #[tokio::test]
    async fn the_words_that_clients_match_on_are_on_the_wire() {
        let (_, _, error) = told(Error::Forbidden(Forbidden::NotLinked)).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message
                .to_lowercase()
                .contains("connector is not linked to this project")
        );
        let (status, _, error) = told(Error::ConnectorFault).await;
        assert_eq!(
            (status, &error["code"]),
            (422, &json!("unresolved_token")),
            "{error}"
        );
    }
}
