//! A provider on a clock that never waits, and a small client for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use grantry_core::testing::{ManualClock, SeededEntropy};
use grantry_core::{Clock, Timestamp};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{Config, Sandbox};

pub(super) const ISSUER: &str = "http://sandbox.test";
pub(super) const CALLBACK: &str = "http://127.0.0.1:8787/callback";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An instant whose HTTP form is the example of RFC 9110 §5.6.7.
const START: Timestamp = Timestamp(784_111_777_000_000);

/// Stands still, but for those who sleep: they push it on and never wait.
pub(super) struct TestClock(ManualClock);

impl TestClock {
    pub(super) fn restart(&self) {
        self.0.step_to(START);
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn boot(&self) -> Duration {
        self.0.boot()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }
}

/// A provider under test.
pub(super) struct Bench {
    pub sandbox: Sandbox,
    pub clock: Arc<TestClock>,
}

/// An answer, read as far as it came (at most 4 MiB).
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended in an error.
    pub cut: bool,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}"));
        value.to_str().unwrap()
    }

    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Parameters of the redirect, in order.
    pub(super) fn callback(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text());
        let location = self.header("location");
        let query = location.strip_prefix(CALLBACK).unwrap();
        url::form_urlencoded::parse(&query.as_bytes()[1..])
            .into_owned()
            .collect()
    }

    /// The only value of a redirect's parameter.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        let callback = self.callback();
        let mut values = callback.into_iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value);
        assert_eq!(values.next(), None, "{name} occurs twice");
        value
    }
}

pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub(super) fn basic(id: &str, secret: &str) -> (&'static str, String) {
    let encoded = STANDARD.encode(format!("{id}:{secret}"));
    ("authorization", format!("Basic {encoded}"))
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|config| config.auto_consent = true)
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(TestClock(ManualClock::at(START)));
        let entropy = Arc::new(SeededEntropy::new(1));
        let mut config = Config::new(format!("{ISSUER}/"), clock.clone(), entropy);
        change(&mut config);
        Self {
            sandbox: Sandbox::new(config),
            clock,
        }
    }

    /// Sends a request; `None` when no answer comes.
    pub(super) async fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: impl Into<Body>,
    ) -> Option<Reply> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.sandbox.router().oneshot(request).now_or_never()?;
        let (parts, mut incoming) = response.unwrap().into_parts();
        let mut body = Vec::new();
        let mut cut = false;
        while body.len() < 4 << 20 {
            match incoming.frame().await {
                Some(Ok(frame)) => body.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(_)) => {
                    cut = true;
                    break;
                }
                None => break,
            }
        }
        Some(Reply {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
            cut,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.try_call("GET", path, &[], "").await.unwrap()
    }

    pub(super) async fn bearer(&self, path: &str, token: &str) -> Reply {
        let headers = [("authorization", format!("Bearer {token}"))];
        self.try_call("GET", path, &headers, "").await.unwrap()
    }

    /// Posts a form with the headers given and no other credentials.
    pub(super) async fn post(
        &self,
        path: &str,
        header: Option<(&str, String)>,
        pairs: &[(&str, &str)],
    ) -> Option<Reply> {
        let media = "application/x-www-form-urlencoded".to_owned();
        let mut headers = vec![("content-type", media)];
        headers.extend(header);
        self.try_call("POST", path, &headers, form(pairs)).await
    }

    pub(super) async fn post_text(&self, path: &str, body: &str) -> Reply {
        self.try_call("POST", path, &[], body.to_owned())
            .await
            .unwrap()
    }

    /// Posts a form as the demo client.
    pub(super) async fn demo(&self, path: &str, pairs: &[(&str, &str)]) -> Option<Reply> {
        let credentials = Some(basic("demo", "demo-secret"));
        self.post(path, credentials, pairs).await
    }

    /// The authorization request of the demo client, with more parameters.
    pub(super) fn authorize_path(more: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", "demo"),
            ("redirect_uri", CALLBACK),
            ("state", "s1"),
            ("nonce", "n1"),
            ("scope", "profile email"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| more.iter().all(|(other, _)| name != other));
        pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        format!("/authorize?{}", form(&pairs))
    }

    pub(super) async fn authorize(&self, more: &[(&str, &str)]) -> Reply {
        self.get(&Self::authorize_path(more)).await
    }

    pub(super) async fn redeem(&self, code: &str) -> Reply {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.demo("/token", &pairs).await.unwrap()
    }

    /// A whole consent: the refresh token it gave.
    pub(super) async fn consented(&self) -> String {
        self.consented_to("profile email").await
    }

    /// A whole consent to `scope`. (`openid` makes a signing key, which takes a while.)
    pub(super) async fn consented_to(&self, scope: &str) -> String {
        let answer = self.authorize(&[("scope", scope)]).await;
        let code = answer.param("code").unwrap();
        let tokens = self.redeem(&code).await.json();
        tokens["refresh_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn refresh(&self, token: &str) -> Option<Reply> {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.demo("/token", &pairs).await
    }

    pub(super) fn is_current(&self, refresh_token: &str) -> bool {
        self.sandbox.place(refresh_token).unwrap().current
    }
}
