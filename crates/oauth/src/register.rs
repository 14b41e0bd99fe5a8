//! Dynamic client registration (RFC 7591) and the document of a client known by its URL (client id metadata documents).

use std::time::Duration;

use grantry_core::limits;
use grantry_core::{
    Secret, Timestamp,
    http::{Failure, Method, Purpose, Request, Response},
};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    client::{AuthMethod, Client},
    json,
    retry_after::retry_after,
    server::{Endpoint, Misconfigured, Server, web_url},
    text::{Redaction, code, is_vschar},
};

mod manage;

pub use manage::{Management, Standing};

/// A client to be. Empty texts are not sent.
pub struct Registration<'a> {
    /// Shown to users by the server.
    pub client_name: &'a str,
    /// All of them, exactly as they will be used.
    pub redirect_uris: &'a [String],
    /// `authorization_code`, `refresh_token`, …
    pub grant_types: &'a [&'a str],
    /// How the client will authenticate.
    pub auth: AuthMethod,
    /// Scopes, separated by spaces.
    pub scope: &'a str,
    /// Where our public keys are, for [`AuthMethod::PrivateKeyJwt`].
    pub jwks_uri: &'a str,
    /// Shown to users by the server.
    pub logo_uri: &'a str,
}

/// A client as the server registered it.
pub struct Registered {
    /// Id, secret and authentication method.
    pub client: Client,
    /// When the secret ends (requirement 26); `None` for never.
    pub secret_expires_at: Option<Timestamp>,
    /// Where the registration is managed (RFC 7592), if that is at the origin of the registration endpoint.
    pub management: Option<Management>,
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// No usable answer yet.
    #[error("the server did not answer")]
    Unavailable {
        /// The server's own wish, 1 s to 1 h.
        retry_after: Option<Duration>,
    },
    /// The server, or our policy, says no.
    #[error("registration refused: {code}: {detail}")]
    Refused {
        /// `[a-z0-9_.-]{1,64}`
        code: String,
        /// Tamed text of the server.
        detail: String,
    },
    /// The answer is hostile or broken; nothing of it may be kept (requirement 25).
    #[error("the answer has no valid {0}")]
    Invalid(&'static str),
    /// The registration of a client that stands cannot be changed: the server knows it or its access token no more, or
    /// does not offer that.
    #[error("the server does not let the registration be changed")]
    Unmanaged {
        /// It is the server's own word, and not perhaps that of who answers while the server is away.
        sure: bool,
    },
}

impl Registration<'_> {
    /// Client metadata (RFC 7591 §2).
    fn metadata(&self) -> Map<String, Value> {
        let mut metadata = Map::new();
        for (name, value) in [
            ("client_name", self.client_name),
            ("token_endpoint_auth_method", self.auth.as_str()),
            ("scope", self.scope),
            ("jwks_uri", self.jwks_uri),
            ("logo_uri", self.logo_uri),
        ] {
            if !value.is_empty() {
                metadata.insert(name.to_owned(), value.into());
            }
        }
        metadata.insert("redirect_uris".to_owned(), json!(self.redirect_uris));
        metadata.insert("grant_types".to_owned(), json!(self.grant_types));
        if self.grant_types.contains(&"authorization_code") {
            metadata.insert("response_types".to_owned(), json!(["code"]));
        }
        metadata
    }

    /// The document that stands at `client_id` for a client known by its URL. Static, public, without a secret (requirement 27).
    pub fn document(&self, client_id: &Url) -> Value {
        let mut document = self.metadata();
        document.insert("client_id".to_owned(), client_id.as_str().into());
        Value::Object(document)
    }

    /// The registration request; `initial_token` where the server wants one (RFC 7591 §3).
    pub fn request(
        &self,
        server: &Server,
        initial_token: Option<&Secret>,
    ) -> Result<Request, Misconfigured> {
        let plain = |text: &str| Zeroizing::new(text.to_owned());
        let mut headers = vec![
            ("accept", plain("application/json")),
            ("content-type", plain("application/json")),
        ];
        headers.extend(initial_token.map(|token| {
            let value = Zeroizing::new(format!("Bearer {}", token.expose()));
            ("authorization", value)
        }));
        Ok(Request {
            method: Method::Post,
            url: server.url(Endpoint::Registration)?,
            headers,
            body: Zeroizing::new(Value::Object(self.metadata()).to_string().into_bytes()),
            purpose: Purpose::Token,
        })
    }

    /// Reads what came of it, and believes nothing that differs from what was asked (requirement 25).
    pub fn parse(
        &self,
        server: &Server,
        result: Result<Response, Failure>,
        redaction: &Redaction,
        now: Timestamp,
    ) -> Result<Registered, RegistrationError> {
        let refused = |code: &str, detail: String| RegistrationError::Refused {
            code: code.to_owned(),
            detail,
        };
        let response = match result {
            Ok(response) => response,
            Err(failure @ Failure::Refused) => {
                return Err(refused("destination_refused", failure.to_string()));
            }
            Err(Failure::NotSent | Failure::Unknown(_)) => {
                return Err(RegistrationError::Unavailable { retry_after: None });
            }
        };
        let members = json::object(&response.body);
        let text = |name: &str| members.as_ref()?.get(name)?.as_str();
        match response.status {
            200..=299 => {
                let members = members.as_ref().ok_or(RegistrationError::Invalid("body"))?;
                self.registered(server, members, None)
            }
            408 | 425 | 429 | 500.. => Err(RegistrationError::Unavailable {
                retry_after: retry_after(&response, now),
            }),
            status => {
                let known = text("error").and_then(|error| code(&redaction.scrub(error)));
                let detail = redaction.scrub(text("error_description").unwrap_or_default());
                Err(refused(
                    known.as_deref().unwrap_or("http_error"),
                    format!("HTTP {status} {detail}"),
                ))
            }
        }
    }

    fn registered(
        &self,
        server: &Server,
        members: &Map<String, Value>,
        standing: Option<&Standing>,
    ) -> Result<Registered, RegistrationError> {
        use RegistrationError::Invalid;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let secret = |name: &'static str| match text(name) {
            None | Some("") => Ok(None),
            Some(value) if is_vschar(value, limits::CLIENT_SECRET_BYTES_MAX) => {
                Ok(Some(Secret::new(value)))
            }
            Some(_) => Err(Invalid(name)),
        };
        let id = text("client_id")
            .filter(|id| is_vschar(id, limits::CLIENT_ID_BYTES_MAX))
            .filter(|id| standing.is_none_or(|standing| standing.client.id == *id))
            .ok_or(Invalid("client_id"))?;
        if let Some(uris) = members.get("redirect_uris")
            && *uris != json!(self.redirect_uris)
        {
            return Err(Invalid("redirect_uris"));
        }
        let auth = match members.get("token_endpoint_auth_method") {
            None => self.auth,
            Some(method) => method
                .as_str()
                .and_then(AuthMethod::parse)
                .ok_or(Invalid("token_endpoint_auth_method"))?,
        };
        let client_secret = secret("client_secret")?;
        let kept = standing.filter(|_| client_secret.is_none());
        let client_secret = client_secret.or_else(|| kept?.client.secret.clone());
        let needs_secret = matches!(
            auth,
            AuthMethod::Basic | AuthMethod::BasicRaw | AuthMethod::Post
        );
        if needs_secret && client_secret.is_none() {
            return Err(Invalid("client_secret"));
        }
        // A method that we have no key for would only fail later, at every request.
        if auth == AuthMethod::PrivateKeyJwt && self.auth != auth {
            return Err(Invalid("token_endpoint_auth_method"));
        }
        let secret_expires_at = match members.get("client_secret_expires_at") {
            None | Some(Value::Null) => kept.and_then(|kept| kept.secret_expires_at),
            Some(value) => match value.as_i64().ok_or(Invalid("client_secret_expires_at"))? {
                0 => None,
                seconds => {
                    Some(Timestamp::from_millis(seconds.saturating_mul(1000)).min(Timestamp::MAX))
                }
            },
        };
        let url = text("registration_client_uri").and_then(|url| same_origin(server, url));
        let token = secret("registration_access_token")?;
        let management = match (standing, url, token) {
            (None, Some(url), Some(token)) => Some(Management { url, token }),
            (None, ..) => None,
            (Some(Standing { management, .. }), url, token) => Some(Management {
                url: url.unwrap_or_else(|| management.url.clone()),
                token: token.unwrap_or_else(|| management.token.clone()),
            }),
        };
        Ok(Registered {
            client: Client {
                id: id.to_owned(),
                secret: client_secret.filter(|_| needs_secret),
                auth,
            },
            secret_expires_at,
            management,
        })
    }
}

/// `url`, if it is at the origin of the registration endpoint: it will be sent a token.
fn same_origin(server: &Server, url: &str) -> Option<Url> {
    let endpoint = server.url(Endpoint::Registration).ok()?;
    web_url(url).filter(|url| url.origin() == endpoint.origin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NOW, answer};

    fn server() -> Server {
        Server {
            registration_endpoint: Some("https://as.example/register".into()),
            ..Server::default()
        }
    }

    fn redirect_uris() -> Vec<String> {
        vec!["https://g.example/callback".into()]
    }

    fn registration(redirect_uris: &[String]) -> Registration<'_> {
        Registration {
            client_name: "Grantry",
            redirect_uris,
            grant_types: &["authorization_code", "refresh_token"],
            auth: AuthMethod::Basic,
            scope: "",
            jwks_uri: "",
            logo_uri: "",
        }
    }

    fn parse(result: Result<Response, Failure>) -> Result<Registered, RegistrationError> {
        let uris = redirect_uris();
        registration(&uris).parse(&server(), result, &Redaction::new(&[]), NOW)
    }

    fn answered(changes: Value) -> Result<Registered, RegistrationError> {
        let mut body = json!({
            "client_id": "c1", "client_secret": "s1", "client_secret_expires_at": 0,
            "redirect_uris": redirect_uris(), "token_endpoint_auth_method": "client_secret_basic",
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        parse(Ok(answer(201, "application/json", body.to_string())))
    }

    #[test]
    fn the_request_describes_the_client() {
        let uris = redirect_uris();
        let token = Secret::new("initial");
        let request = registration(&uris)
            .request(&server(), Some(&token))
            .ok()
            .unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let metadata = json!({
            "client_name": "Grantry",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": ["https://g.example/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        assert_eq!(body, metadata);
        assert!(
            request
                .headers
                .iter()
                .any(|(_, value)| value.as_str() == "Bearer initial")
        );
    }

    #[test]
    fn requirement_27_the_document_names_its_own_url_and_no_secret() {
        let uris = redirect_uris();
        let url = Url::parse("https://g.example/oauth/clients/scl_1").unwrap();
        let public = Registration {
            auth: AuthMethod::None,
            ..registration(&uris)
        };
        let document = public.document(&url);
        assert_eq!(document["client_id"], url.as_str());
        assert_eq!(document["token_endpoint_auth_method"], "none");
        assert_eq!(document.get("client_secret"), None);
    }

    #[test]
    fn a_good_answer_becomes_a_client() {
        let registered = answered(json!({
            "client_secret_expires_at": NOW.as_secs() + 60,
            "registration_client_uri": "https://as.example/register/c1",
            "registration_access_token": "rat",
        }))
        .ok()
        .unwrap();
        assert_eq!(registered.client.id, "c1");
        assert_eq!(registered.client.auth, AuthMethod::Basic);
        assert!(
            registered
                .client
                .secret
                .is_some_and(|secret| secret.expose() == "s1")
        );
        assert_eq!(
            registered.secret_expires_at,
            Some(NOW.after(Duration::from_secs(60)))
        );
        assert!(
            registered
                .management
                .is_some_and(|m| m.token.expose() == "rat")
        );

        let public = answered(json!({"token_endpoint_auth_method": "none"}))
            .ok()
            .unwrap();
        assert!(public.client.secret.is_none());
        assert_eq!(public.secret_expires_at, None);
    }

    #[test]
    fn requirement_25_a_hostile_answer_is_refused_whole() {
        for (changes, member) in [
            (json!({"client_id": "c\r\nX: y"}), "client_id"),
            (json!({"client_id": ""}), "client_id"),
            (json!({"client_id": 7}), "client_id"),
            (
                json!({"client_id": "x".repeat(limits::CLIENT_ID_BYTES_MAX + 1)}),
                "client_id",
            ),
            (json!({"client_secret": "s\n"}), "client_secret"),
            (json!({"client_secret": null}), "client_secret"),
            (
                json!({"redirect_uris": ["https://evil.example/"]}),
                "redirect_uris",
            ),
            (json!({"redirect_uris": []}), "redirect_uris"),
            (
                json!({"token_endpoint_auth_method": "magic"}),
                "token_endpoint_auth_method",
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt"}),
                "token_endpoint_auth_method",
            ),
            (
                json!({"client_secret_expires_at": "soon"}),
                "client_secret_expires_at",
            ),
            (
                json!({"registration_access_token": "a\u{0}"}),
                "registration_access_token",
            ),
        ] {
            let error = answered(changes.clone()).err();
            assert_eq!(
                error,
                Some(RegistrationError::Invalid(member)),
                "{changes:.80}"
            );
        }
        let doubled = answer(
            201,
            "application/json",
            r#"{"client_id":"a","client_id":"b"}"#,
        );
        assert_eq!(
            parse(Ok(doubled)).err(),
            Some(RegistrationError::Invalid("body"))
        );
    }

    #[test]
    fn requirement_25_management_elsewhere_is_never_used() {
        for url in [
            "http://127.0.0.1/c1",
            "https://evil.example/c1",
            "https://as.example:8443/c1",
            "x",
        ] {
            let changes =
                json!({"registration_client_uri": url, "registration_access_token": "rat"});
            assert!(
                answered(changes).ok().unwrap().management.is_none(),
                "{url}"
            );
        }
    }

    #[test]
    fn refusals_and_silence_have_names() {
        let body = r#"{"error":"invalid_redirect_uri","error_description":"no\r\nway"}"#;
        let refused = RegistrationError::Refused {
            code: "invalid_redirect_uri".into(),
            detail: "HTTP 400 no  way".into(),
        };
        assert_eq!(
            parse(Ok(answer(400, "application/json", body))).err(),
            Some(refused)
        );
        let redirect = parse(Ok(answer(307, "text/html", ""))).err();
        assert!(
            matches!(redirect, Some(RegistrationError::Refused { code, .. }) if code == "http_error")
        );
        let later = Some(RegistrationError::Unavailable { retry_after: None });
        assert_eq!(parse(Ok(answer(503, "text/html", ""))).err(), later);
        assert_eq!(parse(Err(Failure::NotSent)).err(), later);
    }
}
