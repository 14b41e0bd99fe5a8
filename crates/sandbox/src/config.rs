//! What a sandbox is started with.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::{Clock, Entropy, Secret};

/// Settings of a [`crate::Sandbox`]. Start from [`Config::new`] and change what matters.
#[derive(Clone)]
pub struct Config {
    /// The issuer, and the base of every URL in the metadata; no slash at the end.
    pub public_url: String,
    /// Source of time.
    pub clock: Arc<dyn Clock>,
    /// Source of codes, tokens and client credentials.
    pub entropy: Arc<dyn Entropy>,
    /// Life of an access token. Default: one hour.
    pub access_ttl: Duration,
    /// How long a rotated refresh token still answers with the pair that replaced it. Default: zero,
    /// so any second use ends the whole family (RFC 9700 §4.14.2).
    pub grace: Duration,
    /// Answers authorization requests at once, as if the first user (or the one named by
    /// `login_hint`) had pressed "Allow". Default: false.
    pub auto_consent: bool,
    /// Lets clients that registered themselves manage that (RFC 7592). Default: true.
    pub manages_registrations: bool,
    /// Life of the secrets of clients that registered themselves; a change of the registration makes a new one.
    /// Default: for ever.
    pub secret_ttl: Option<Duration>,
    /// Registered clients. Default: [`Client::demo`].
    pub clients: Vec<Client>,
    /// People who can sign in; at least one. Default: alice and bob.
    pub users: Vec<User>,
}

impl Config {
    /// The defaults, at `public_url`.
    pub fn new(
        public_url: impl Into<String>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            public_url: public_url.into(),
            clock,
            entropy,
            access_ttl: Duration::from_secs(3600),
            grace: Duration::ZERO,
            auto_consent: false,
            manages_registrations: true,
            secret_ttl: None,
            clients: vec![Client::demo()],
            users: vec![
                User::new("alice", "Alice Archer"),
                User::new("bob", "Bob Baker"),
            ],
        }
    }
}

/// A registered client.
#[derive(Clone)]
pub struct Client {
    /// `client_id`; any text, such as `we:ird id` (requirement 23).
    pub id: String,
    /// Name on the consent page.
    pub name: String,
    /// Absent for a public client, which authenticates with its id alone.
    pub secret: Option<Secret>,
    /// Accepted redirect URIs, compared as strings; `:*` in place of a port accepts any port
    /// (RFC 8252 §7.3).
    pub redirect_uris: Vec<String>,
    /// The public key, as a JWK, that its assertions are signed by (RFC 7523); none where it makes none.
    pub assertion_key: Option<serde_json::Value>,
}

impl Client {
    /// `demo` / `demo-secret`, with `/callback` on any loopback port.
    pub fn demo() -> Self {
        let hosts = ["127.0.0.1", "localhost", "[::1]"];
        Self {
            id: "demo".to_owned(),
            name: "Demo".to_owned(),
            secret: Some(Secret::new("demo-secret")),
            redirect_uris: hosts
                .map(|host| format!("http://{host}:*/callback"))
                .to_vec(),
            assertion_key: None,
        }
    }

    /// True when `uri` is registered.
    pub(crate) fn accepts_redirect(&self, uri: &str) -> bool {
        self.redirect_uris
            .iter()
            .any(|rule| match rule.split_once(":*/") {
                None => rule == uri,
                Some((origin, path)) => any_port(uri, origin) == Some(path),
            })
    }
}

/// The path of `uri`, without its slash, when it is `origin` with any port.
fn any_port<'a>(uri: &'a str, origin: &str) -> Option<&'a str> {
    let (port, path) = uri
        .strip_prefix(origin)?
        .strip_prefix(':')?
        .split_once('/')?;
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    port.parse::<u16>().is_ok().then_some(path)
}

/// Someone who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `sub`, and the sign-in name.
    pub id: String,
    /// Full name.
    pub name: String,
}

impl User {
    /// A user `id` called `name`.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
        }
    }

    /// An address that can never receive mail (RFC 2606).
    pub(crate) fn email(&self) -> String {
        format!("{}@sandbox.test", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_match_exactly_but_for_a_starred_port() {
        let mut client = Client::demo();
        client
            .redirect_uris
            .push("https://app.test/done?x=1".to_owned());
        for (uri, accepted) in [
            ("http://127.0.0.1:8787/callback", true),
            ("http://localhost:1/callback", true),
            ("http://[::1]:65535/callback", true),
            ("https://app.test/done?x=1", true),
            ("http://127.0.0.1:8787/callback/", false),
            ("http://127.0.0.1:8787/callback?a=b", false),
            ("http://127.0.0.1:8787/other", false),
            ("http://127.0.0.1:65536/callback", false),
            ("http://127.0.0.1:+1/callback", false),
            ("http://127.0.0.1:/callback", false),
            ("http://127.0.0.1:1@evil.test/callback", false),
            ("http://127.0.0.1.evil.test:1/callback", false),
            ("https://127.0.0.1:1/callback", false),
            ("https://app.test/done", false),
            ("https://app.test/done?x=1#", false),
        ] {
            assert_eq!(client.accepts_redirect(uri), accepted, "{uri}");
        }
    }
}
