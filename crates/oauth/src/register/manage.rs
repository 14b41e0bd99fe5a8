//! The management of a registration (RFC 7592): it is changed and ended with the access token that came with it.

use grantry_core::{
    Secret, Timestamp,
    http::{Failure, Method, Purpose, Request, Response},
};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::{Registered, Registration, RegistrationError};
use crate::{
    client::Client,
    json,
    retry_after::retry_after,
    server::Server,
    text::{Redaction, code},
};

/// Access to one registration.
#[derive(Clone)]
pub struct Management {
    /// `registration_client_uri`
    pub url: Url,
    /// `registration_access_token`
    pub token: Secret,
}

/// A registered client as it stands.
pub struct Standing {
    /// Id, secret and authentication method.
    pub client: Client,
    /// What changes it.
    pub management: Management,
    /// When its secret ends; `None` for never.
    pub secret_expires_at: Option<Timestamp>,
}

impl Management {
    /// Ends the registration (RFC 7592 §2.3).
    pub fn delete(&self) -> Request {
        self.request(Method::Delete, Vec::new())
    }

    /// Whether an answer to [`Management::delete`] settles it; what did not answer may be asked again. A server that
    /// does not offer this, or knows neither client nor token, has nothing to end.
    pub fn is_settled(result: &Result<Response, Failure>) -> bool {
        match result {
            Ok(response) => !matches!(response.status, 408 | 425 | 429 | 500..),
            Err(Failure::Refused) => true,
            Err(Failure::NotSent | Failure::Unknown(_)) => false,
        }
    }

    fn request(&self, method: Method, body: Vec<u8>) -> Request {
        let plain = |text: &str| Zeroizing::new(text.to_owned());
        let bearer = format!("Bearer {}", self.token.expose());
        let mut headers = vec![
            ("accept", plain("application/json")),
            ("authorization", Zeroizing::new(bearer)),
        ];
        if !body.is_empty() {
            headers.push(("content-type", plain("application/json")));
        }
        Request {
            method,
            url: self.url.clone(),
            headers,
            body: Zeroizing::new(body),
            purpose: Purpose::Token,
        }
    }
}

impl Registration<'_> {
    /// Makes the registration of a client what this says (RFC 7592 §2.2).
    pub fn update(&self, standing: &Standing) -> Request {
        let mut metadata = self.metadata();
        let Client { id, secret, .. } = &standing.client;
        metadata.insert("client_id".to_owned(), id.as_str().into());
        if let Some(secret) = secret {
            metadata.insert("client_secret".to_owned(), secret.expose().into());
        }
        let body = Value::Object(metadata).to_string().into_bytes();
        standing.management.request(Method::Put, body)
    }

    /// Reads what came of [`Self::update`]: the same client, or why it is as it was. What the answer leaves out stays
    /// (RFC 7591 §3.2.1): a server that keeps a hash cannot repeat the secret.
    pub fn parse_update(
        &self,
        standing: &Standing,
        server: &Server,
        result: Result<Response, Failure>,
        redaction: &Redaction,
        now: Timestamp,
    ) -> Result<Registered, RegistrationError> {
        let response = match result {
            Ok(response) => response,
            Err(failure @ Failure::Refused) => {
                return Err(RegistrationError::Refused {
                    code: "destination_refused".to_owned(),
                    detail: failure.to_string(),
                });
            }
            Err(Failure::NotSent | Failure::Unknown(_)) => {
                return Err(RegistrationError::Unavailable { retry_after: None });
            }
        };
        let members = json::object(&response.body);
        let text = |name: &str| members.as_ref()?.get(name)?.as_str();
        let said = text("error").and_then(|error| code(&redaction.scrub(error)));
        match (response.status, said) {
            (200..=299, _) => {
                let members = members.as_ref().ok_or(RegistrationError::Invalid("body"))?;
                self.registered(server, members, Some(standing))
            }
            // The server's word about client or token (RFC 7592 §2, RFC 6750 §3), and not a gateway's before it.
            (401 | 403, said) if said.is_some() || challenges(&response) => {
                Err(RegistrationError::Unmanaged { sure: true })
            }
            (404 | 405 | 410 | 501, said) => Err(RegistrationError::Unmanaged {
                sure: said.is_some(),
            }),
            (400..=407 | 409..=424 | 426..=428 | 430..=499, Some(code))
                if !matches!(code.as_str(), "temporarily_unavailable" | "server_error") =>
            {
                let detail = redaction.scrub(text("error_description").unwrap_or_default());
                Err(RegistrationError::Refused {
                    code,
                    detail: format!("HTTP {} {detail}", response.status),
                })
            }
            _ => Err(RegistrationError::Unavailable {
                retry_after: retry_after(&response, now),
            }),
        }
    }
}

/// Whether an answer asks for another bearer token.
fn challenges(response: &Response) -> bool {
    let challenge = response.header("www-authenticate").unwrap_or_default();
    let scheme = challenge.split_whitespace().next();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::AuthMethod;
    use crate::tests::{NOW, answer};

    const URL: &str = "https://as.example/register/c1";

    fn standing() -> Standing {
        Standing {
            client: Client {
                id: "c1".to_owned(),
                secret: Some(Secret::new("s1")),
                auth: AuthMethod::Basic,
            },
            management: Management {
                url: Url::parse(URL).unwrap(),
                token: Secret::new("rat"),
            },
            secret_expires_at: Some(NOW),
        }
    }

    fn said<T>(work: impl FnOnce(&Registration<'_>) -> T) -> T {
        let uris = vec!["https://g.example/callback".to_owned()];
        work(&Registration {
            client_name: "Grantry",
            redirect_uris: &uris,
            grant_types: &["authorization_code", "refresh_token"],
            auth: AuthMethod::Basic,
            scope: "",
            jwks_uri: "",
            logo_uri: "",
        })
    }

    fn parse(result: Result<Response, Failure>) -> Result<Registered, RegistrationError> {
        let server = Server {
            registration_endpoint: Some("https://as.example/register".into()),
            ..Server::default()
        };
        said(|one| one.parse_update(&standing(), &server, result, &Redaction::new(&[]), NOW))
    }

    fn told(body: Value) -> Registered {
        let answered = parse(Ok(answer(200, "application/json", body.to_string())));
        answered.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn a_registration_is_managed_with_its_own_token() {
        let standing = standing();
        let update = said(|one| one.update(&standing));
        assert_eq!(update.method, Method::Put);
        let body: Value = serde_json::from_slice(&update.body).unwrap();
        assert_eq!(
            (&body["client_id"], &body["client_secret"]),
            (&json!("c1"), &json!("s1"))
        );
        assert_eq!(body["redirect_uris"], json!(["https://g.example/callback"]));
        let delete = standing.management.delete();
        assert_eq!(delete.method, Method::Delete);
        assert!(delete.body.is_empty());
        for request in [&update, &delete] {
            assert_eq!(request.url.as_str(), URL);
            let bearer = request
                .headers
                .iter()
                .find(|(name, _)| *name == "authorization");
            assert_eq!(bearer.map(|(_, value)| value.as_str()), Some("Bearer rat"));
        }
        for (result, settled) in [
            (Ok(answer(204, "", "")), true),
            (Ok(answer(401, "", "")), true),
            (Ok(answer(405, "", "")), true),
            (Ok(answer(503, "", "")), false),
            (Ok(answer(429, "", "")), false),
            (Err(Failure::NotSent), false),
            (Err(Failure::Refused), true),
        ] {
            assert_eq!(Management::is_settled(&result), settled);
        }
    }

    #[test]
    fn what_an_answer_leaves_out_stays_as_it_was() {
        let same = told(json!({"client_id": "c1"}));
        assert_eq!(same.client.secret.unwrap().expose(), "s1");
        assert_eq!(same.secret_expires_at, Some(NOW));
        let management = same.management.unwrap();
        assert_eq!(management.url.as_str(), URL);
        assert_eq!(management.token.expose(), "rat");

        let other = told(json!({
            "client_id": "c1", "client_secret": "s2", "client_secret_expires_at": 0,
            "registration_client_uri": "https://as.example/other", "registration_access_token": "next",
        }));
        assert_eq!(other.client.secret.unwrap().expose(), "s2");
        assert_eq!(other.secret_expires_at, None);
        let management = other.management.unwrap();
        assert_eq!(management.url.as_str(), "https://as.example/other");
        assert_eq!(management.token.expose(), "next");

        // The token is used where the registration was, not where the answer wishes it.
        let elsewhere = told(json!({
            "client_id": "c1", "registration_client_uri": "https://evil.example/",
            "registration_access_token": "next",
        }));
        let management = elsewhere.management.unwrap();
        assert_eq!(management.url.as_str(), URL);
        assert_eq!(management.token.expose(), "next");
    }

    #[test]
    fn requirement_26_only_the_servers_own_word_says_that_a_client_is_not_known() {
        use RegistrationError::{Invalid, Refused, Unavailable, Unmanaged};
        let later = Unavailable { retry_after: None };
        let json = |status, body: &'static str| Ok(answer(status, "application/json", body));
        let html = |status| Ok(answer(status, "text/html", "<html>"));
        let mut challenge = answer(401, "", "");
        challenge.headers.push((
            "www-authenticate".to_owned(),
            "Bearer error=\"invalid_token\"".to_owned(),
        ));
        let refused = Refused {
            code: "invalid_client_metadata".to_owned(),
            detail: "HTTP 400 ".to_owned(),
        };
        for (result, error) in [
            (Ok(challenge), Unmanaged { sure: true }),
            (
                json(401, r#"{"error":"invalid_token"}"#),
                Unmanaged { sure: true },
            ),
            (
                json(403, r#"{"error":"access_denied"}"#),
                Unmanaged { sure: true },
            ),
            (html(404), Unmanaged { sure: false }),
            (html(405), Unmanaged { sure: false }),
            (html(401), later.clone()),
            (html(403), later.clone()),
            (html(400), later.clone()),
            (html(500), later.clone()),
            (html(302), later.clone()),
            (
                json(503, r#"{"error":"invalid_client_metadata"}"#),
                later.clone(),
            ),
            (json(429, r#"{"error":"slow_down"}"#), later.clone()),
            (
                json(400, r#"{"error":"temporarily_unavailable"}"#),
                later.clone(),
            ),
            (Err(Failure::NotSent), later.clone()),
            (json(400, r#"{"error":"invalid_client_metadata"}"#), refused),
            (html(200), Invalid("body")),
            (json(200, r#"{"client_id":"c2"}"#), Invalid("client_id")),
        ] {
            assert_eq!(parse(result).err(), Some(error));
        }
    }
}
