//! The authorization request, in the browser or pushed (RFC 6749 §4.1.1, RFC 9126, RFC 7636, RFC 8707, RFC 9396, OpenID Connect Core §3.1.2.1).

use grantry_core::http::{Failure, Request, Response};
use grantry_core::limits;
use serde_json::Value;
use url::Url;

use crate::{
    client::{AuthMethod, Client},
    json,
    pkce::CHALLENGE_METHOD,
    server::{Endpoint, Misconfigured, Server},
    text::{Redaction, code, is_vschar},
    token::post,
};

/// One authorization request. Empty texts and lists are not sent.
pub struct Authorize<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Exactly as registered, character by character (requirement 17).
    pub redirect_uri: &'a str,
    /// Of this authorization alone.
    pub state: &'a str,
    /// `S256` of this authorization's verifier; `plain` is never sent (requirement 11).
    pub challenge: &'a str,
    /// Sent when `scope` holds `openid`.
    pub nonce: &'a str,
    /// Scopes, in the order to send.
    pub scope: &'a [String],
    /// What separates them: [`crate::providers::Quirks::scope_separator`].
    pub scope_separator: char,
    /// Resource indicators, each sent as its own parameter (requirement 24).
    pub resources: &'a [String],
    /// `audience` of services that are older than RFC 8707.
    pub audience: &'a str,
    /// RFC 9396.
    pub authorization_details: Option<&'a Value>,
    /// `consent`, `login`, …
    pub prompt: &'a str,
    /// Parameters of the service or the connector (`access_type`, `user_scope`, …). A name that is set above, or that
    /// [`is_reserved`], is left out.
    pub extra: &'a [(String, String)],
}

/// Parameters that only this crate may set: they decide who gets the answer, where and in what form.
const RESERVED: &[&str] = &[
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Why a request was not taken that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No usable answer; the request may be taken another time, or by the browser.
    #[error("the server did not answer")]
    Unavailable,
    /// The server refuses the client itself.
    #[error("the server refuses the client: {0}")]
    Client(String),
    /// The server, or our policy, says no.
    #[error("the server refuses the authorization request: {code}: {detail}")]
    Refused {
        /// `[a-z0-9_.-]{1,64}`
        code: String,
        /// Tamed text of the server.
        detail: String,
    },
}

/// Reads what came of [`Authorize::push`]: the `request_uri` (RFC 9126 §2.2).
pub fn pushed(
    result: Result<Response, Failure>,
    redaction: &Redaction,
) -> Result<String, PushError> {
    let response = match result {
        Ok(response) => response,
        Err(failure @ Failure::Refused) => {
            return Err(PushError::Refused {
                code: "destination_refused".to_owned(),
                detail: failure.to_string(),
            });
        }
        Err(Failure::NotSent | Failure::Unknown(_)) => return Err(PushError::Unavailable),
    };
    let members = json::object(&response.body);
    let text = |name: &str| members.as_ref()?.get(name)?.as_str();
    match response.status {
        200..=299 => text("request_uri")
            .filter(|uri| is_vschar(uri, limits::CLIENT_ID_BYTES_MAX))
            .map(str::to_owned)
            .ok_or(PushError::Unavailable),
        408 | 425 | 429 | 500.. => Err(PushError::Unavailable),
        status => {
            let said = text("error").and_then(|error| code(&redaction.scrub(error)));
            let said = said.unwrap_or_else(|| "http_error".to_owned());
            if matches!(said.as_str(), "invalid_client" | "unauthorized_client") {
                return Err(PushError::Client(said));
            }
            let detail = redaction.scrub(text("error_description").unwrap_or_default());
            Err(PushError::Refused {
                code: said,
                detail: format!("HTTP {status} {detail}"),
            })
        }
    }
}

/// True for a parameter that extra parameters may not name. Refuse it where an admin types it.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

impl Authorize<'_> {
    /// The URL to send the user to.
    ///
    /// The endpoint keeps its own query (RFC 6749 §3.1) except for parameters that the request sets or that are reserved.
    pub fn url(&self, server: &Server) -> Result<Url, Misconfigured> {
        let mut url = server.url(Endpoint::Authorization)?;
        let parameters = self.parameters();
        let free = |name: &str| !is_reserved(name) && !parameters.iter().any(|(n, _)| *n == name);
        let own: Vec<_> = url
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| free(name))
            .collect();
        let extra = self
            .extra
            .iter()
            .filter(|(name, _)| free(name) && !own.iter().any(|(own, _)| own == name));
        let all = own
            .iter()
            .chain(extra)
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = all
            .chain(
                parameters
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            .collect();
        url.query_pairs_mut().clear().extend_pairs(all);
        Ok(url)
    }

    /// The same request, pushed to the server by ourselves (RFC 9126 §2.1); its answer is read by [`pushed`].
    pub fn push(&self, server: &Server, client: &Client) -> Result<Request, Misconfigured> {
        let own = self.parameters();
        let free = |name: &str| !is_reserved(name) && !own.iter().any(|(n, _)| *n == name);
        let extra = self.extra.iter().filter(|(name, _)| free(name));
        let all = extra.map(|(name, value)| (name.as_str(), value.as_str()));
        // Where the authentication puts it into the body, it is there already.
        let in_header = matches!(client.auth, AuthMethod::Basic | AuthMethod::BasicRaw);
        let own = own
            .iter()
            .filter(|(name, _)| in_header || *name != "client_id");
        let all = all.chain(own.map(|(name, value)| (*name, value.as_str())));
        post(
            server,
            Endpoint::PushedAuthorization,
            client,
            all.collect(),
            false,
        )
    }

    /// Where the user goes with a request that was pushed (RFC 9126 §4).
    pub fn pushed_url(&self, server: &Server, request_uri: &str) -> Result<Url, Misconfigured> {
        let mut url = server.url(Endpoint::Authorization)?;
        let own: Vec<_> = url
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| !is_reserved(name))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(own)
            .append_pair("client_id", self.client_id)
            .append_pair("request_uri", request_uri);
        Ok(url)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let scope = self
            .scope
            .join(self.scope_separator.encode_utf8(&mut [0; 4]));
        let openid = self.scope.iter().any(|scope| scope == "openid");
        let nonce = if openid { self.nonce } else { "" };
        let details = self.authorization_details.map(Value::to_string);
        let mut parameters = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.to_owned()),
            ("redirect_uri", self.redirect_uri.to_owned()),
            ("scope", scope),
            ("state", self.state.to_owned()),
            ("nonce", nonce.to_owned()),
            ("code_challenge", self.challenge.to_owned()),
            ("code_challenge_method", CHALLENGE_METHOD.to_owned()),
            ("audience", self.audience.to_owned()),
            ("authorization_details", details.unwrap_or_default()),
            ("prompt", self.prompt.to_owned()),
        ];
        parameters.retain(|(_, value)| !value.is_empty());
        parameters.extend(self.resources.iter().map(|r| ("resource", r.clone())));
        parameters
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::answer;

    fn server(endpoint: &str) -> Server {
        Server {
            authorization_endpoint: Some(endpoint.into()),
            ..Server::default()
        }
    }

    #[test]
    fn a_pushed_request_says_the_same_and_only_its_handle_goes_through_the_browser() {
        let server = Server {
            pushed_authorization_request_endpoint: Some("https://as.example/par".into()),
            ..server("https://as.example/authorize?tenant=1&state=evil")
        };
        let extra = [
            ("access_type".to_owned(), "offline".to_owned()),
            ("state".to_owned(), "evil".to_owned()),
        ];
        let request = Authorize {
            extra: &extra,
            ..minimal()
        };
        let client = |auth| Client {
            id: "cid".to_owned(),
            secret: Some(grantry_core::Secret::new("s")),
            auth,
        };
        let basic = request.push(&server, &client(AuthMethod::Basic)).unwrap();
        assert_eq!(basic.url.as_str(), "https://as.example/par");
        let body = String::from_utf8(basic.body.to_vec()).unwrap();
        assert!(body.contains("access_type=offline"), "{body}");
        assert!(
            body.contains("code_challenge=ch&code_challenge_method=S256"),
            "{body}"
        );
        assert!(
            body.contains("state=st") && !body.contains("evil"),
            "{body}"
        );
        assert_eq!(body.matches("client_id=cid").count(), 1, "{body}");
        let public = request.push(&server, &client(AuthMethod::None)).unwrap();
        let body = String::from_utf8(public.body.to_vec()).unwrap();
        assert_eq!(body.matches("client_id=cid").count(), 1, "{body}");
        let url = request.pushed_url(&server, "urn:x:1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://as.example/authorize?tenant=1&client_id=cid&request_uri=urn%3Ax%3A1"
        );
    }

    #[test]
    fn every_answer_to_a_pushed_request_has_a_meaning() {
        let read = |status, body: serde_json::Value| {
            pushed(
                Ok(answer(status, "application/json", body.to_string())),
                &Redaction::new(&[]),
            )
        };
        let good = read(201, json!({"request_uri": "urn:x:1", "expires_in": 60}));
        assert_eq!(good, Ok("urn:x:1".to_owned()));
        for (status, body) in [
            (201, json!({})),
            (201, json!({"request_uri": "a\nb"})),
            (503, json!({})),
            (429, json!({"error": "slow_down"})),
        ] {
            assert_eq!(read(status, body), Err(PushError::Unavailable), "{status}");
        }
        let client = read(401, json!({"error": "invalid_client"}));
        assert_eq!(client, Err(PushError::Client("invalid_client".to_owned())));
        let refused = read(
            400,
            json!({"error": "invalid_scope", "error_description": "no"}),
        );
        assert_eq!(
            refused,
            Err(PushError::Refused {
                code: "invalid_scope".to_owned(),
                detail: "HTTP 400 no".to_owned()
            })
        );
        let silent = pushed(Err(Failure::NotSent), &Redaction::new(&[]));
        assert_eq!(silent, Err(PushError::Unavailable));
    }

    fn minimal() -> Authorize<'static> {
        Authorize {
            client_id: "cid",
            redirect_uri: "https://grantry.example/callback",
            state: "st",
            challenge: "ch",
            nonce: "no",
            scope: &[],
            scope_separator: ' ',
            resources: &[],
            audience: "",
            authorization_details: None,
            prompt: "",
            extra: &[],
        }
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn query(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    const MINIMAL: &[(&str, &str)] = &[
        ("response_type", "code"),
        ("client_id", "cid"),
        ("redirect_uri", "https://grantry.example/callback"),
        ("state", "st"),
        ("code_challenge", "ch"),
        ("code_challenge_method", "S256"),
    ];

    #[test]
    fn requirement_10_every_request_carries_an_s256_challenge_and_only_what_is_set() {
        let url = minimal().url(&server("https://as.example/auth")).unwrap();
        assert_eq!(query(&url), pairs(MINIMAL));
    }

    #[test]
    fn everything_that_is_set_is_sent() {
        let details = json!([{"type": "payment"}]);
        let request = Authorize {
            scope: &strings(&["openid", "a:b"]),
            scope_separator: ',',
            resources: &strings(&["https://r.example/1", "https://r.example/2"]),
            audience: "aud",
            authorization_details: Some(&details),
            prompt: "consent",
            extra: &pairs(&[("access_type", "offline")]),
            ..minimal()
        };
        let query = query(&request.url(&server("https://as.example/auth")).unwrap());
        for expected in pairs(&[
            ("scope", "openid,a:b"),
            ("nonce", "no"),
            ("audience", "aud"),
            ("authorization_details", r#"[{"type":"payment"}]"#),
            ("prompt", "consent"),
            ("resource", "https://r.example/1"),
            ("resource", "https://r.example/2"),
            ("access_type", "offline"),
        ]) {
            assert!(query.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn a_nonce_goes_only_with_openid() {
        let request = Authorize {
            scope: &strings(&["email"]),
            ..minimal()
        };
        let url = request.url(&server("https://as.example/auth")).unwrap();
        assert!(!query(&url).iter().any(|(name, _)| name == "nonce"));
    }

    #[test]
    fn neither_the_endpoint_nor_extra_parameters_override_the_protocol() {
        let hostile: Vec<_> = RESERVED.iter().map(|name| (*name, "evil")).collect();
        let mut endpoint = Url::parse("https://as.example/auth?tenant=a%20b#frag").unwrap();
        endpoint.query_pairs_mut().extend_pairs(&hostile);
        let mut extra = hostile.clone();
        extra.extend([("prompt", "none"), ("tenant", "evil"), ("x", "1")]);
        let request = Authorize {
            prompt: "consent",
            extra: &pairs(&extra),
            ..minimal()
        };
        let url = request.url(&server(endpoint.as_str())).unwrap();
        let mut expected = pairs(&[("tenant", "a b"), ("x", "1")]);
        expected.extend(pairs(MINIMAL));
        expected.extend(pairs(&[("prompt", "consent")]));
        assert_eq!(query(&url), expected);
        assert_eq!(url.fragment(), None);
    }
}
