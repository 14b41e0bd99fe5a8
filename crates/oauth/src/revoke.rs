//! Token revocation (RFC 7009, requirement 51). Revoke the refresh token first, then the access token.

use std::time::Duration;

use grantry_core::{
    Secret, Timestamp,
    http::{Failure, Request, Response, Silence},
};

use crate::{
    client::Client,
    json,
    providers::{Revocation, github, slack},
    retry_after::retry_after,
    server::{Endpoint, Misconfigured, Server},
    token::post,
};

/// Which kind of token is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `access_token`
    Access,
    /// `refresh_token`
    Refresh,
}

/// What came of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The server says that the token is dead, or that it never knew it (RFC 7009 §2.2).
    Done,
    /// No usable answer yet: try again, after the server's own wish where it has one (1 s to 1 h).
    Retry {
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The server does not revoke this kind of token (`unsupported_token_type`): nothing more can be done.
    Unsupported,
    /// The server, or our policy, refused. Another try cannot help.
    Failed,
}

/// Whether tokens can be ended at `server` at all.
pub fn is_offered(server: &Server, revocation: Revocation) -> bool {
    match revocation {
        Revocation::Rfc7009 => server.url(Endpoint::Revocation).is_ok(),
        Revocation::Github | Revocation::Slack => server.api().is_some(),
    }
}

/// A request that revokes `token`; `None` where tokens of this kind cannot be ended.
pub fn request(
    server: &Server,
    client: &Client,
    revocation: Revocation,
    token: &Secret,
    kind: TokenKind,
) -> Result<Option<Request>, Misconfigured> {
    match (revocation, server.api(), kind) {
        (Revocation::Rfc7009, _, kind) => rfc7009(server, client, token, kind).map(Some),
        (Revocation::Github, Some(api), TokenKind::Access) => {
            Ok(github::revoke(&api, client, token))
        }
        (Revocation::Slack, Some(api), TokenKind::Access) => Ok(slack::revoke(&api, token)),
        // Neither ends a refresh token by itself.
        (Revocation::Github | Revocation::Slack, _, _) => Ok(None),
    }
}

fn rfc7009(
    server: &Server,
    client: &Client,
    token: &Secret,
    kind: TokenKind,
) -> Result<Request, Misconfigured> {
    let hint = match kind {
        TokenKind::Access => "access_token",
        TokenKind::Refresh => "refresh_token",
    };
    let parameters = vec![("token", token.expose()), ("token_type_hint", hint)];
    post(server, Endpoint::Revocation, client, parameters, false)
}

/// Reads what came of it. `now` is the wall clock, for a `Retry-After` date.
pub fn parse(result: Result<Response, Failure>, revocation: Revocation, now: Timestamp) -> Revoked {
    let response = match result {
        Ok(response) => response,
        // A redirect is never followed (requirement 47).
        Err(Failure::Refused | Failure::Unknown(Silence::Redirect)) => return Revoked::Failed,
        Err(Failure::NotSent | Failure::Unknown(_)) => {
            return Revoked::Retry { retry_after: None };
        }
    };
    let error = || {
        let members = json::object(&response.body)?;
        Some(members.get("error")?.as_str()?.to_owned())
    };
    match response.status {
        200..=299 if revocation == Revocation::Slack => slack::revoked(&response),
        200..=299 => Revoked::Done,
        // The token opens nothing any more, not even its own end.
        401 if revocation == Revocation::Github => Revoked::Done,
        408 | 425 | 429 | 500.. => Revoked::Retry {
            retry_after: retry_after(&response, now),
        },
        _ => match error().as_deref() {
            Some("unsupported_token_type") => Revoked::Unsupported,
            // Not RFC 7009, but what it means is plain: there is nothing left to revoke.
            Some("invalid_grant" | "invalid_token") => Revoked::Done,
            _ => Revoked::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::AuthMethod,
        tests::{NOW, answer},
    };

    #[test]
    fn the_request_names_the_token_and_its_kind() {
        let server = Server {
            revocation_endpoint: Some("https://as.example/revoke".into()),
            ..Server::default()
        };
        let client = Client {
            id: "cid".into(),
            secret: Some(Secret::new("s")),
            auth: AuthMethod::Post,
        };
        let token = Secret::new("rt+1");
        let request = rfc7009(&server, &client, &token, TokenKind::Refresh)
            .ok()
            .unwrap();
        assert_eq!(request.url.as_str(), "https://as.example/revoke");
        let body = std::str::from_utf8(&request.body).unwrap();
        let expected = "token=rt%2B1&token_type_hint=refresh_token&client_id=cid&client_secret=s";
        assert_eq!(body, expected);
    }

    #[test]
    fn requirement_51_every_answer_has_one_meaning() {
        let later = Revoked::Retry { retry_after: None };
        let cases = [
            (200, "", Revoked::Done),
            (204, "", Revoked::Done),
            (200, "<html>ok</html>", Revoked::Done),
            (
                400,
                r#"{"error":"unsupported_token_type"}"#,
                Revoked::Unsupported,
            ),
            (400, r#"{"error":"invalid_token"}"#, Revoked::Done),
            (400, r#"{"error":"invalid_request"}"#, Revoked::Failed),
            (401, r#"{"error":"invalid_client"}"#, Revoked::Failed),
            (404, "", Revoked::Failed),
            (302, "", Revoked::Failed),
            (408, "", later),
            (429, "", later),
            (500, "", later),
            (503, "", later),
        ];
        for (status, body, expected) in cases {
            let response = answer(status, "application/json", body);
            assert_eq!(
                parse(Ok(response), Revocation::Rfc7009, NOW),
                expected,
                "{status} {body}"
            );
        }
        for (failure, expected) in [
            (Failure::Refused, Revoked::Failed),
            (Failure::NotSent, later),
            (Failure::Unknown(Silence::Timeout), later),
            (Failure::Unknown(Silence::Cut), later),
            (Failure::Unknown(Silence::Redirect), Revoked::Failed),
        ] {
            assert_eq!(
                parse(Err(failure), Revocation::Rfc7009, NOW),
                expected,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_wishes() {
        let mut response = answer(503, "text/plain", "");
        response.headers.push(("retry-after".into(), "30".into()));
        let expected = Revoked::Retry {
            retry_after: Some(Duration::from_secs(30)),
        };
        assert_eq!(parse(Ok(response), Revocation::Rfc7009, NOW), expected);
    }
}
