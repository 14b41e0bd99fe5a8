//! Who we are to an authorization server, and how a request says so (RFC 6749 §2.3, RFC 7523 §2.2).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantry_core::Secret;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::server::{Misconfigured, Server};

/// A client registered with an authorization server.
#[derive(Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// The client secret; for [`AuthMethod::PrivateKeyJwt`] the assertion signed for this request.
    pub secret: Option<Secret>,
    /// How requests are authenticated.
    pub auth: AuthMethod,
}

/// Client authentication methods, by their registered names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: id and secret are form-encoded before base64, as RFC 6749 §2.3.1 wants.
    Basic,
    /// `client_secret_basic` for servers that do not decode them (requirement 23), under a name of ours.
    BasicRaw,
    /// `client_secret_post`
    Post,
    /// `private_key_jwt`
    PrivateKeyJwt,
    /// `none`: a public client.
    None,
}

impl AuthMethod {
    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic | Self::BasicRaw => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }

    /// From the registered name, or `client_secret_basic_raw`.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "client_secret_basic_raw" {
            return Some(Self::BasicRaw);
        }
        [Self::Basic, Self::Post, Self::PrivateKeyJwt, Self::None]
            .into_iter()
            .find(|method| method.as_str() == name)
    }

    /// The method for a client that names none: the first of the server's list that it can use, else `client_secret_post`,
    /// which more servers take than any other; `none` without a secret.
    pub fn pick(server: &Server, has_secret: bool) -> Self {
        if !has_secret {
            return Self::None;
        }
        let offered = server
            .token_endpoint_auth_methods_supported
            .iter()
            .flatten();
        offered
            .filter_map(|name| Self::parse(name))
            .find(|method| matches!(method, Self::Basic | Self::Post))
            .unwrap_or(Self::Post)
    }
}

/// RFC 7523 §2.2.
const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What authentication adds to a request.
pub(crate) struct Credentials<'a> {
    pub(crate) header: Option<Zeroizing<String>>,
    pub(crate) parameters: Vec<(&'static str, &'a str)>,
}

impl Client {
    pub(crate) fn credentials(&self) -> Result<Credentials<'_>, Misconfigured> {
        let secret = || match &self.secret {
            Some(secret) if !secret.is_empty() => Ok(secret.expose()),
            _ => Err(Misconfigured::NoSecret),
        };
        let mut header = None;
        let mut parameters = vec![("client_id", self.id.as_str())];
        match self.auth {
            AuthMethod::Basic => {
                header = Some(basic(&encoded(&self.id), &encoded(secret()?)));
                parameters.clear();
            }
            AuthMethod::BasicRaw => {
                header = Some(basic(&self.id, secret()?));
                parameters.clear();
            }
            AuthMethod::Post => parameters.push(("client_secret", secret()?)),
            AuthMethod::PrivateKeyJwt => {
                parameters.push(("client_assertion_type", JWT_BEARER_ASSERTION));
                parameters.push(("client_assertion", secret()?));
            }
            AuthMethod::None => {}
        }
        Ok(Credentials { header, parameters })
    }
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

pub(crate) fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    let credentials = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Zeroizing::new(format!("Basic {}", credentials.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(auth: AuthMethod, id: &str, secret: Option<&str>) -> Client {
        Client {
            id: id.into(),
            secret: secret.map(Secret::new),
            auth,
        }
    }

    #[test]
    fn requirement_23_basic_form_encodes_id_and_secret_before_base64() {
        let cases = [
            (AuthMethod::Basic, "cid", "s3cret", "cid:s3cret"),
            (
                AuthMethod::Basic,
                "we:ird id",
                "p%+ é",
                "we%3Aird+id:p%25%2B+%C3%A9",
            ),
            (AuthMethod::BasicRaw, "we:ird id", "p%+", "we:ird id:p%+"),
        ];
        let raw = AuthMethod::parse("client_secret_basic_raw");
        assert_eq!(raw, Some(AuthMethod::BasicRaw));
        assert_eq!(AuthMethod::BasicRaw.as_str(), "client_secret_basic");
        for (auth, id, secret, pair) in cases {
            let client = client(auth, id, Some(secret));
            let credentials = client.credentials().ok().unwrap();
            let header = credentials.header.unwrap();
            let encoded = header.strip_prefix("Basic ").unwrap();
            assert_eq!(STANDARD.decode(encoded).unwrap(), pair.as_bytes());
            assert_eq!(credentials.parameters, []);
        }
    }

    #[test]
    fn other_methods_put_the_client_into_the_body() {
        let cases: [(AuthMethod, &[(&str, &str)]); 3] = [
            (
                AuthMethod::Post,
                &[("client_id", "c"), ("client_secret", "s")],
            ),
            (
                AuthMethod::PrivateKeyJwt,
                &[
                    ("client_id", "c"),
                    ("client_assertion_type", JWT_BEARER_ASSERTION),
                    ("client_assertion", "s"),
                ],
            ),
            (AuthMethod::None, &[("client_id", "c")]),
        ];
        for (auth, parameters) in cases {
            let client = client(auth, "c", Some("s"));
            let credentials = client.credentials().ok().unwrap();
            assert!(credentials.header.is_none());
            assert_eq!(credentials.parameters, parameters);
        }
    }

    #[test]
    fn a_method_that_needs_a_secret_refuses_to_go_without() {
        for auth in [
            AuthMethod::Basic,
            AuthMethod::BasicRaw,
            AuthMethod::Post,
            AuthMethod::PrivateKeyJwt,
        ] {
            for secret in [None, Some("")] {
                assert_eq!(
                    client(auth, "c", secret).credentials().err(),
                    Some(Misconfigured::NoSecret)
                );
            }
        }
    }

    #[test]
    fn the_method_follows_the_servers_list() {
        let server = |methods: &[&str]| Server {
            token_endpoint_auth_methods_supported: Some(
                methods.iter().map(|m| (*m).into()).collect(),
            ),
            ..Server::default()
        };
        let cases: [(&[&str], bool, AuthMethod); 5] = [
            (&[], true, AuthMethod::Post),
            (
                &["client_secret_basic", "client_secret_post"],
                true,
                AuthMethod::Basic,
            ),
            (&["none", "client_secret_post"], true, AuthMethod::Post),
            (&["tls_client_auth"], true, AuthMethod::Post),
            (&["client_secret_basic"], false, AuthMethod::None),
        ];
        for (methods, has_secret, expected) in cases {
            assert_eq!(
                AuthMethod::pick(&server(methods), has_secret),
                expected,
                "{methods:?}"
            );
        }
    }
}
