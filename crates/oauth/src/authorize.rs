//! The authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 8707, RFC 9396, OpenID Connect Core §3.1.2.1).

use serde_json::Value;
use url::Url;

use crate::{
    pkce::CHALLENGE_METHOD,
    server::{Endpoint, Misconfigured, Server},
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

    fn server(endpoint: &str) -> Server {
        Server {
            authorization_endpoint: Some(endpoint.into()),
            ..Server::default()
        }
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
