//! The authorization server as we know it: what it published, under what an admin overrode.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use url::Url;

/// Authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3), and equally the
/// `serverConfig` of a connector. Names on the wire are the RFC's; members not named here are kept in [`Server::extra`].
///
/// Values are as received. [`Server::url`] is the only way from here to a URL that is requested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Issuer identifier, compared character by character and never normalised (requirement 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where users are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where grants become tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// RFC 7009.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// RFC 7662.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// RFC 7591.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// OpenID Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// Where the mail addresses of a user are, of providers whose userinfo leaves out those that are not public (GitHub's
    /// `GET /user/emails`). Not of an RFC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_emails_endpoint: Option<String>,
    /// Keys that sign ID tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// RFC 9126.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// The server takes no authorization request that was not pushed (RFC 9126 §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_pushed_authorization_requests: Option<bool>,
    /// The server promises an `iss` in every authorization response (RFC 9207).
    #[serde(
        rename = "authorization_response_iss_parameter_supported",
        skip_serializing_if = "Option::is_none"
    )]
    pub iss_parameter_supported: Option<bool>,
    /// The server takes a URL as client id (client id metadata documents).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_metadata_document_supported: Option<bool>,
    /// PKCE methods.
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Client authentication methods of the token endpoint.
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Grant types.
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// Scopes the server chose to publish.
    #[serde(deserialize_with = "list", skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// Everything else, untouched.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The member that says where a provider's own API is. Not of RFC 8414: some providers give out or end tokens there.
pub const API_BASE_URL: &str = "api_base_url";

/// The member that says where an administrator consents for a whole tenant (Microsoft Entra).
pub const ADMIN_CONSENT: &str = "admin_consent_endpoint";

/// The members whose servers are shown tokens beside the token endpoint, and are believed about whose those are: the business
/// of the server that gave the tokens, and of no other ([`keep_tokens_at_home`]).
///
/// Others are asked without a token. `pushed_authorization_request_endpoint` is shown the client's secret, and goes with where
/// users are sent; what `issuer` and `jwks_uri` say of people is signed.
pub const SHOWN_TOKENS: [&str; 5] = [
    API_BASE_URL,
    Endpoint::Introspection.as_str(),
    Endpoint::Revocation.as_str(),
    Endpoint::UserEmails.as_str(),
    Endpoint::Userinfo.as_str(),
];

/// Takes [`SHOWN_TOKENS`] out of `below`, the members of a server (or of a template of one) that `above` is about to be laid
/// over, where that has a token endpoint of another origin: `below` knows nothing of the tokens that are given there.
pub fn keep_tokens_at_home(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    let token = |of: &Map<String, Value>| {
        let url = of.get(Endpoint::Token.as_str())?.as_str()?;
        (!url.is_empty()).then(|| origin(url))
    };
    if token(above).is_some_and(|moved| token(below) != Some(moved)) {
        below.retain(|name, _| !SHOWN_TOKENS.contains(&name.as_str()));
    }
}

/// The origin of a URL; of what is none, as a template may be, all that stands before the path.
fn origin(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => url.split('/').take(3).collect::<Vec<_>>().join("/"),
    }
}

/// The URLs of a [`Server`] that something is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `authorization_endpoint`
    Authorization,
    /// `introspection_endpoint`
    Introspection,
    /// `jwks_uri`
    Jwks,
    /// `pushed_authorization_request_endpoint`
    PushedAuthorization,
    /// `registration_endpoint`
    Registration,
    /// `revocation_endpoint`
    Revocation,
    /// `token_endpoint`
    Token,
    /// `user_emails_endpoint`
    UserEmails,
    /// `userinfo_endpoint`
    Userinfo,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Authorization,
        Self::Introspection,
        Self::Jwks,
        Self::PushedAuthorization,
        Self::Registration,
        Self::Revocation,
        Self::Token,
        Self::UserEmails,
        Self::Userinfo,
    ];

    /// Name of the metadata member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::Jwks => "jwks_uri",
            Self::PushedAuthorization => "pushed_authorization_request_endpoint",
            Self::Registration => "registration_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::Token => "token_endpoint",
            Self::UserEmails => "user_emails_endpoint",
            Self::Userinfo => "userinfo_endpoint",
        }
    }
}

/// Why a request cannot be built: what is known of the server or the client does not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misconfigured {
    /// The server has no such endpoint.
    #[error("the authorization server has no {}", .0.as_str())]
    NoEndpoint(Endpoint),
    /// The endpoint is not an absolute http(s) URL without user name.
    #[error("the {} is not an absolute http(s) URL without user name", .0.as_str())]
    BadEndpoint(Endpoint),
    /// The client's authentication method needs a secret and there is none.
    #[error("the client has no secret")]
    NoSecret,
    /// PKCE with S256 is required here and the server does not offer it.
    #[error("the authorization server does not offer PKCE with S256")]
    NoPkce,
}

impl Server {
    /// The URL of `endpoint`, checked: absolute, http or https, no user name or password. A fragment is dropped.
    pub fn url(&self, endpoint: Endpoint) -> Result<Url, Misconfigured> {
        let text = match endpoint {
            Endpoint::Authorization => &self.authorization_endpoint,
            Endpoint::Introspection => &self.introspection_endpoint,
            Endpoint::Jwks => &self.jwks_uri,
            Endpoint::PushedAuthorization => &self.pushed_authorization_request_endpoint,
            Endpoint::Registration => &self.registration_endpoint,
            Endpoint::Revocation => &self.revocation_endpoint,
            Endpoint::Token => &self.token_endpoint,
            Endpoint::UserEmails => &self.user_emails_endpoint,
            Endpoint::Userinfo => &self.userinfo_endpoint,
        };
        let text = text.as_deref().ok_or(Misconfigured::NoEndpoint(endpoint))?;
        let mut url = web_url(text).ok_or(Misconfigured::BadEndpoint(endpoint))?;
        url.set_fragment(None);
        Ok(url)
    }

    /// Where the provider's own API is, checked as [`Server::url`] checks endpoints.
    pub fn api(&self) -> Option<Url> {
        web_url(self.extra.get(API_BASE_URL)?.as_str()?)
    }

    /// The keys that sign ID tokens, where they are here themselves (`jwks`, RFC 7517 §5) rather than at a URL.
    pub fn keys(&self) -> Option<&[Value]> {
        let keys = self.extra.get("jwks")?.get("keys")?.as_array()?;
        Some(keys)
    }

    /// The page on which an administrator consents for a whole tenant.
    pub fn admin_consent(&self) -> Option<Url> {
        web_url(self.extra.get(ADMIN_CONSENT)?.as_str()?)
    }

    /// These values under `overrides`: a member that is set there wins, and `""` or `[]` there removes it.
    #[must_use]
    pub fn overridden_by(&self, overrides: &Self) -> Self {
        let mut members = members(self);
        for (name, value) in self::members(overrides) {
            if value == "" || value == Value::Array(Vec::new()) {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        serde_json::from_value(Value::Object(members)).unwrap_or_default()
    }

    /// [`Server::overridden_by`] for `overrides` that may be of another server: see [`keep_tokens_at_home`]. Whoever says where
    /// its keys are, or which, means no others.
    #[must_use]
    pub fn under(&self, overrides: &Self) -> Self {
        let (mut below, above) = (members(self), members(overrides));
        keep_tokens_at_home(&mut below, &above);
        for (said, other) in [
            (Endpoint::Jwks.as_str(), "jwks"),
            ("jwks", Endpoint::Jwks.as_str()),
        ] {
            if above
                .get(said)
                .is_some_and(|said| !said.is_null() && said != "")
            {
                below.remove(other);
            }
        }
        let below: Self = serde_json::from_value(Value::Object(below)).unwrap_or_default();
        below.overridden_by(overrides)
    }

    /// The issuer promises `iss` in every answer, so one without it is refused (RFC 9207 §2.4, requirement 2).
    pub fn promises_iss(&self) -> bool {
        self.iss_parameter_supported == Some(true)
    }

    /// Whether the server says that it takes PKCE with S256.
    ///
    /// S256 is sent in any case and `plain` never. Where the protocol demands it (MCP), a server that does not say so
    /// is refused: `required` (requirement 11).
    pub fn check_pkce(&self, required: bool) -> Result<(), Misconfigured> {
        let offered = self
            .code_challenge_methods_supported
            .as_ref()
            .is_some_and(|methods| methods.iter().any(|m| m == crate::pkce::CHALLENGE_METHOD));
        if required && !offered {
            return Err(Misconfigured::NoPkce);
        }
        Ok(())
    }
}

/// `text` as an absolute http(s) URL with a host and without user name or password (requirement 57).
pub(crate) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    fits.then_some(url)
}

fn members(server: &Server) -> Map<String, Value> {
    match serde_json::to_value(server) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A list of strings. `""`, the spelling of "remove this" for any member, is the empty list.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(Some(Vec::new())),
        value => Vec::deserialize(value)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(value: Value) -> Server {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn wire_names_are_those_of_rfc_8414_and_unknown_members_survive() {
        let value = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["S256"],
            "mtls_endpoint_aliases": {"token_endpoint": "https://m.as.example/token"},
        });
        let server = server(value.clone());
        assert!(server.promises_iss());
        assert_eq!(serde_json::to_value(&server).unwrap(), value);
    }

    #[test]
    fn overrides_win_and_an_empty_value_removes() {
        let base = server(json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "scopes_supported": ["a"],
            "logo_uri": "https://as.example/logo",
        }));
        let overrides = server(json!({
            "token_endpoint": "https://other.example/token",
            "scopes_supported": "",
            "logo_uri": "",
            "x": 1,
        }));
        let expected = server(json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://other.example/token",
            "x": 1,
        }));
        assert_eq!(base.overridden_by(&overrides), expected);
        assert_eq!(base.overridden_by(&Server::default()), base);
    }

    #[test]
    fn what_is_shown_tokens_is_not_taken_from_a_server_that_did_not_give_them() {
        let shown = |host: &str| {
            let members =
                SHOWN_TOKENS.map(|name| (name.to_owned(), json!(format!("{host}/{name}"))));
            Map::from_iter(members)
        };
        let home = "https://as.example";
        let mut base = shown(home);
        base.extend(shown_to_nobody(home));
        let base = server(base.into());
        let inherits = |overrides: Value| {
            let laid = members(&base.under(&server(overrides)));
            let mine: Vec<_> = SHOWN_TOKENS
                .iter()
                .filter(|name| laid.contains_key(**name))
                .collect();
            // The rest is as it was.
            for name in [
                "issuer",
                "authorization_endpoint",
                "jwks_uri",
                "registration_endpoint",
            ] {
                assert!(laid.contains_key(name), "{name}");
            }
            mine.len()
        };
        let all = SHOWN_TOKENS.len();
        for (token, kept) in [
            ("https://as.example/token", all),
            ("https://AS.example:443/another/token", all),
            ("", all),
            ("https://as.example:8443/token", 0),
            ("http://as.example/token", 0),
            ("https://as.example.evil/token", 0),
            ("https://other.example/token", 0),
        ] {
            assert_eq!(inherits(json!({"token_endpoint": token})), kept, "{token}");
        }
        assert_eq!(inherits(json!({"issuer": "https://other.example"})), all);
        // What whoever moves it says is theirs to say.
        let mut whole = shown("https://other.example");
        whole.insert(
            "token_endpoint".to_owned(),
            json!("https://other.example/token"),
        );
        let laid = members(&base.under(&server(whole.clone().into())));
        assert!(whole.iter().all(|(name, value)| laid[name] == *value));
        // A server without a token endpoint gave no tokens.
        let mut tokenless = shown(home);
        keep_tokens_at_home(&mut tokenless, &whole);
        assert_eq!(tokenless, Map::new());
    }

    fn shown_to_nobody(host: &str) -> Map<String, Value> {
        let names = [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "registration_endpoint",
        ];
        Map::from_iter(names.map(|name| (name.to_owned(), json!(format!("{host}/{name}")))))
    }

    #[test]
    fn keys_that_are_said_take_the_place_of_those_below_wherever_either_are() {
        let keys = |kid: &str| json!({"keys": [{"kty": "RSA", "kid": kid}]});
        let inline = server(json!({"jwks": keys("below")}));
        let linked = server(json!({"jwks_uri": "https://below.example/k"}));
        let kid = |server: &Server| {
            let first = server.keys()?.first()?;
            Some(first["kid"].as_str()?.to_owned())
        };
        for below in [&inline, &linked] {
            let uri = below.under(&server(json!({"jwks_uri": "https://above.example/k"})));
            assert_eq!(
                (kid(&uri), uri.jwks_uri.as_deref()),
                (None, Some("https://above.example/k"))
            );
            let own = below.under(&server(json!({"jwks": keys("above")})));
            assert_eq!(
                (kid(&own).as_deref(), &own.jwks_uri),
                (Some("above"), &None)
            );
            for nothing in [json!({}), json!({"scopes_supported": ["a"]})] {
                let same = below.under(&server(nothing));
                assert_eq!((kid(&same), &same.jwks_uri), (kid(below), &below.jwks_uri));
            }
        }
        assert_eq!(
            inline.under(&server(json!({"jwks_uri": ""}))).keys(),
            inline.keys()
        );
        assert_eq!(inline.under(&server(json!({"jwks": ""}))).keys(), None);
    }

    #[test]
    fn a_template_stays_at_its_origin_when_its_path_changes_and_no_longer() {
        let row = |token: &str| {
            let row =
                json!({"token_endpoint": token, "revocation_endpoint": "https://{domain}/revoke"});
            row.as_object().unwrap().clone()
        };
        for (token, kept) in [
            ("https://{domain}/v2/token", true),
            ("https://{domain}.evil.example/token", false),
            ("https://{domain}:{port}/token", false),
            ("https://evil.example/{domain}/token", false),
        ] {
            let mut below = row("https://{domain}/token");
            keep_tokens_at_home(&mut below, &row(token));
            assert_eq!(below.contains_key("revocation_endpoint"), kept, "{token}");
        }
    }

    #[test]
    fn only_plain_web_urls_are_endpoints() {
        let url = |text: &str| {
            Server {
                token_endpoint: Some(text.into()),
                ..Server::default()
            }
            .url(Endpoint::Token)
        };
        assert_eq!(
            url("https://as.example/t?x=1#f").unwrap().as_str(),
            "https://as.example/t?x=1"
        );
        for bad in [
            "",
            "/token",
            "as.example/token",
            "ftp://as.example/",
            "https://user@as.example/",
            "https://:pw@as.example/",
            "javascript:alert(1)",
            "https://",
        ] {
            assert_eq!(
                url(bad),
                Err(Misconfigured::BadEndpoint(Endpoint::Token)),
                "{bad}"
            );
        }
        assert_eq!(
            Server::default().url(Endpoint::Revocation),
            Err(Misconfigured::NoEndpoint(Endpoint::Revocation))
        );
    }

    #[test]
    fn requirement_11_s256_must_be_offered_where_it_is_required() {
        for (methods, offered) in [
            (None, false),
            (Some(vec!["plain"]), false),
            (Some(vec!["plain", "S256"]), true),
        ] {
            let server = server(json!({ "code_challenge_methods_supported": methods }));
            assert_eq!(server.check_pkce(true).is_ok(), offered, "{methods:?}");
            assert_eq!(server.check_pkce(false), Ok(()));
        }
    }
}
