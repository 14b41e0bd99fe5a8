//! A whole server (router, engine, database), a provider of two lines, and a browser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use grantry_core::http::{self, Failure, Http, Silence};
use grantry_core::ids::{EventId, TokenSetId};
use grantry_core::nouns::{Account, Actor, Event, EventKind, Subject, Team};
use grantry_core::store::{Spool, Spooled, Stored, TenancyStore as _};
use grantry_core::testing::{ManualClock, SeededEntropy};
use grantry_core::{Clock, Timestamp};
use grantry_engine::{
    AskConsent, AskToken, Engine, Keys, NewConnector, Ports, Requested, Settings,
};
use grantry_store::{Db, Sqlite};
use grantry_vault::MasterKeys;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use crate::{App, router};

pub(super) const BACK: &str = "https://desk.acme.example/done?tab=1";

/// A provider that gives tokens, or is silent when told so.
#[derive(Default)]
struct Provider {
    asked: Mutex<u32>,
    silent: Mutex<bool>,
}

#[async_trait]
impl Http for Provider {
    async fn send(&self, request: http::Request) -> Result<http::Response, Failure> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        if *self.silent.lock().unwrap() {
            return Err(Failure::Unknown(Silence::Timeout));
        }
        let body = json!({
            "access_token": format!("at-{asked}"), "token_type": "Bearer", "expires_in": 3600,
        });
        Ok(http::Response {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into(),
            url: request.url,
        })
    }
}

struct NoSpool;

#[async_trait]
impl Spool for NoSpool {
    async fn keep(&self, _: &Spooled) -> Stored<()> {
        Ok(())
    }
    async fn entries(&self) -> Stored<Vec<Spooled>> {
        Ok(Vec::new())
    }
    async fn remove(&self, _: &TokenSetId) -> Stored<()> {
        Ok(())
    }
}

pub(super) struct Server {
    engine: Arc<Engine>,
    router: Router,
    pub(super) clock: ManualClock,
    provider: Arc<Provider>,
}

/// One browser: the public host, and its cookies.
#[derive(Default)]
pub(super) struct Browser {
    pub(super) cookie: Option<String>,
}

fn event(number: u32) -> Event {
    Event {
        id: EventId::from(format!("evt_{number}")),
        team: None,
        at: Timestamp(0),
        kind: EventKind::Applied,
        actor: Actor::Server,
        connector: None,
        connection: None,
        data: Map::new(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

impl Server {
    /// Team Acme with an OAuth connector `oauth/acme` and one that takes pasted keys, `keys/acme`.
    pub(super) async fn start() -> Self {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let entropy = Arc::new(SeededEntropy::new(7));
        let store = Arc::new(Db::<Sqlite>::temporary(shared.clone()).await.unwrap());
        let account = Account {
            id: "acc_1".into(),
            name: "Acme Inc".to_owned(),
            created_at: clock.now(),
        };
        let team = Team {
            id: "team_1".into(),
            account: account.id.clone(),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            return_origins: vec!["https://desk.acme.example".to_owned()],
            words: grantry_core::nouns::Words::new(),
            created_at: clock.now(),
        };
        store.put_account(&account, &event(1)).await.unwrap();
        store.put_team(&team, &event(2)).await.unwrap();
        let masters = MasterKeys::generate(&*entropy);
        let keys = Keys::open(&masters, store.clone(), shared.clone(), entropy.clone());
        let provider = Arc::new(Provider::default());
        let ports = Ports {
            store: store.clone(),
            http: provider.clone(),
            spool: Arc::new(NoSpool),
            clock: shared,
            entropy: entropy.clone(),
            meter: Arc::new(grantry_core::meter::Unmetered),
        };
        let public = Url::parse("https://connect.example").unwrap();
        let settings = Settings::new(public, "n1".to_owned());
        let engine = Engine::new(ports, settings, keys.await.unwrap());
        let server = Self {
            router: router(App {
                engine: engine.clone(),
                local: false,
            }),
            engine,
            clock,
            provider,
        };
        server
            .connector(
                "oauth",
                "oauth/acme",
                json!({
                    "clientId": "c1", "clientSecret": "s1", "serverConfig": {
                        "issuer": "https://provider.example",
                        "authorization_endpoint": "https://provider.example/auth",
                        "token_endpoint": "https://provider.example/token",
                    },
                }),
            )
            .await;
        server
            .connector(
                "api-key",
                "keys/acme",
                json!({"subjectType": "user", "instructions": "Look under Settings."}),
            )
            .await;
        server
    }

    pub(super) async fn connector(&self, kind: &str, uid: &str, data: Value) {
        let caller = self.engine.server_caller(Some("team_1")).await.unwrap();
        let new = NewConnector {
            kind: kind.to_owned(),
            uid: Some(uid.to_owned()),
            name: Some(format!("Acme {kind}")),
            service: Some("provider.example".to_owned()),
            data: object(data),
            ..NewConnector::default()
        };
        self.engine.create_connector(&caller, new).await.unwrap();
    }

    /// A consent link for a new user.
    pub(super) async fn link(&self, connector: &str, return_url: Option<&str>) -> Requested {
        let caller = self.engine.server_caller(Some("team_1")).await.unwrap();
        let subject = Subject::User {
            id: "dana".to_owned(),
            issuer: None,
        };
        let ask = AskConsent {
            token: AskToken {
                subject: Some(subject),
                ..AskToken::default()
            },
            return_url: return_url.map(str::to_owned),
            ..AskConsent::default()
        };
        self.engine
            .authorize(&caller, connector, ask)
            .await
            .unwrap()
    }

    /// Makes the provider answer, or not.
    pub(super) fn silence(&self, silent: bool) {
        *self.provider.silent.lock().unwrap() = silent;
    }

    pub(super) async fn state(&self, link: &Requested) -> String {
        let (_, result) = self
            .engine
            .consent_result(link.verifier.expose())
            .await
            .unwrap();
        serde_json::to_value(&result.state).unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Token requests that the provider saw.
    pub(super) fn asked(&self) -> u32 {
        *self.provider.asked.lock().unwrap()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }
}

impl Browser {
    pub(super) async fn get(&self, server: &Server, url: &str) -> Response {
        server
            .send(self.request("GET", url).body(Body::empty()).unwrap())
            .await
    }

    /// Posts a form as our own page does.
    pub(super) async fn post(
        &mut self,
        server: &Server,
        url: &str,
        form: &[(&str, &str)],
    ) -> Response {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .request("POST", url)
            .header("sec-fetch-site", "same-origin");
        let response = server.send(request.body(Body::from(body)).unwrap()).await;
        if let Some(line) = response.headers().get("set-cookie") {
            let line = line.to_str().unwrap();
            self.cookie = line.split(';').next().map(str::to_owned);
        }
        response
    }

    /// Presses the button: the parameters that the provider gets.
    pub(super) async fn press(
        &mut self,
        server: &Server,
        link: &Requested,
    ) -> HashMap<String, String> {
        let response = self.post(server, &link.url, &[("action", "connect")]).await;
        let to = location(&response);
        assert!(to.starts_with("https://provider.example/auth?"), "{to}");
        Url::parse(to).unwrap().query_pairs().into_owned().collect()
    }

    pub(super) fn request(&self, method: &str, url: &str) -> axum::http::request::Builder {
        let url = Url::parse(url).unwrap();
        let path = &url[url::Position::BeforePath..];
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", url.host_str().unwrap());
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request
    }
}

pub(super) fn location(response: &Response) -> &str {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let location = response.headers()["location"].to_str().unwrap();
    for leak in ["code-of-theirs", "state="] {
        assert!(
            location.contains("provider.example") || !location.contains(leak),
            "{location}"
        );
    }
    location
}

pub(super) fn callback(sent: &HashMap<String, String>) -> String {
    format!(
        "https://connect.example/callback?code=code-of-theirs&state={}",
        sent["state"]
    )
}
