//! The server that the tests ask.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use grantry_core::Clock;
use grantry_core::http::{self, Failure, Http};
use grantry_core::ids::TokenSetId;
use grantry_core::store::{Spool, Spooled, Stored};
use grantry_core::testing::{ManualClock, SeededEntropy};
use grantry_engine::{Declared, Engine, Keys, Ports, Settings};
use grantry_store::{Db, Sqlite};
use grantry_vault::MasterKeys;
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;

use crate::{App, router};

/// No provider answers here.
struct Silent;

#[async_trait]
impl Http for Silent {
    async fn send(&self, _: http::Request) -> Result<http::Response, Failure> {
        Err(Failure::NotSent)
    }
}

struct NoSpool;

#[async_trait]
impl Spool for NoSpool {
    async fn keep(&self, _: &Spooled) -> Stored<()> {
        Ok(())
    }
    async fn entries(&self) -> Stored<Vec<Spooled>> {
        Ok(vec![])
    }
    async fn remove(&self, _: &TokenSetId) -> Stored<()> {
        Ok(())
    }
}

pub(super) struct Server {
    pub(super) engine: Arc<Engine>,
    pub(super) clock: ManualClock,
    public: Router,
    local: Router,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The JSON, once the status is as expected.
    #[track_caller]
    pub(super) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

impl Server {
    /// A server in which `world.toml` has been applied.
    pub(super) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same with other settings.
    pub(super) async fn start_with(choose: impl FnOnce(&mut Settings)) -> Self {
        Self::before(Arc::new(Silent), choose).await
    }

    /// The same before somebody who answers.
    pub(super) async fn before(http: Arc<dyn Http>, choose: impl FnOnce(&mut Settings)) -> Self {
        Self::start_in(("world.toml", include_str!("world.toml")), http, choose).await
    }

    /// A server in which a world has been applied (its file's name and text), before this provider.
    pub(super) async fn start_in(
        (file, world): (&str, &str),
        http: Arc<dyn Http>,
        choose: impl FnOnce(&mut Settings),
    ) -> Self {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let entropy = Arc::new(SeededEntropy::new(11));
        let store = Arc::new(Db::<Sqlite>::temporary(shared.clone()).await.unwrap());
        let masters = MasterKeys::generate(&*entropy);
        let keys = Keys::open(&masters, store.clone(), shared.clone(), entropy.clone()).await;
        let ports = Ports {
            store,
            http,
            spool: Arc::new(NoSpool),
            clock: shared,
            entropy,
            meter: Arc::new(grantry_core::meter::Unmetered),
        };
        let public = Url::parse("https://connect.example").unwrap();
        let mut settings = Settings::new(public, "n1".to_owned());
        settings.search_probe = false;
        choose(&mut settings);
        let engine = Engine::new(ports, settings, keys.unwrap());
        let world = Declared::parse(file, world);
        let world = world.unwrap_or_else(|problems| panic!("{problems:?}"));
        let plan = engine.plan_apply(world, false).await.unwrap();
        engine.carry_out(plan, |_| ()).await.unwrap();
        let routed = |local| {
            let engine = Arc::clone(&engine);
            router(App { engine, local })
        };
        Self {
            public: routed(false),
            local: routed(true),
            engine,
            clock,
        }
    }

    /// Sends `request` to the control socket.
    pub(super) async fn send_local(&self, request: Request<Body>) -> Answer {
        read(self.local.clone(), request).await
    }

    /// Sends `request` to the public listener.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        read(self.public.clone(), request).await
    }

    /// `"POST /v1/…"` with a key and a JSON body.
    pub(super) async fn call(&self, key: &str, route: &str, body: Option<&Value>) -> Answer {
        self.send(request(Some(key), route, body)).await
    }

    /// An apply file over the control socket.
    pub(super) async fn apply(&self, route: &str, text: &str) -> Answer {
        let mut asked = request(None, route, None);
        let toml = HeaderValue::from_static("application/toml");
        asked.headers_mut().insert(CONTENT_TYPE, toml);
        *asked.body_mut() = Body::from(text.to_owned());
        self.send_local(asked).await
    }

    /// [`Self::call`] over the control socket.
    pub(super) async fn local(&self, route: &str, body: Option<&Value>) -> Answer {
        self.send_local(request(None, route, body)).await
    }
}

pub(super) fn request(key: Option<&str>, route: &str, body: Option<&Value>) -> Request<Body> {
    let (method, path) = route.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).unwrap()
}

async fn read(router: Router, request: Request<Body>) -> Answer {
    let answer = router.oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}
