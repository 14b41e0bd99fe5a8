//! An engine on a real database, the sandbox as its provider, and a clock that the test holds.
//!
//! Time passes only while nothing else happens ([`World::run`]): a minute of silence, a back-off or
//! a day of polling costs milliseconds, and no test depends on how fast the machine is.
//! When a world ends, the sandbox's log is judged: no refresh token was presented when it must not be.

pub mod browser;
pub mod database;
pub mod log;
mod spool;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::{Either, select};
use grantry_api::App;
use grantry_core::nouns::{Connection, ConnectionState, Subject, TokenSet};
use grantry_core::store::Live;
use grantry_core::testing::{ManualClock, SeededEntropy};
use grantry_core::{Clock, Error, Result, Secret, Store};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, Caller, Declared, Engine, Keys, Ports, Requested,
    ServedToken, Settings, TrustedIssuer,
};
use grantry_sandbox::{Config, Endpoint, Entry, Order, Place, Sandbox, race};
use grantry_vault::MasterKeys;
use grantry_vault::envelope;
use url::Url;

pub use spool::MemorySpool;
pub use watch::{Broken, Watch};

/// Where the engine says it is.
pub const PUBLIC: &str = "http://127.0.0.1:8787";
/// Where a provider's answer arrives.
pub const CALLBACK: &str = "http://127.0.0.1:8787/callback";
/// The declared connector.
pub const CONNECTOR: &str = "scl_1";
/// Life of the sandbox's access tokens.
pub const ACCESS_TTL: Duration = Duration::from_secs(3600);

/// How a world differs from the plain one.
pub struct Setup {
    /// How long the sandbox answers a rotated refresh token with its successor.
    pub grace: Duration,
    /// Sockets, and the real egress, between engine and sandbox. Without, they meet in the process,
    /// and what takes time takes the clock's.
    pub sockets: bool,
    /// What the client authenticates with.
    pub client_secret: &'static str,
    /// Id of the service that the sandbox plays; those with quirks are known by it.
    pub service: &'static str,
    /// After how long idle connections are refreshed, in the background that [`Engine::start`] starts.
    pub keep_alive: Option<Duration>,
    /// Outside issuers that are trusted.
    pub issuers: Vec<TrustedIssuer>,
    /// Whether the sandbox lets clients that registered themselves manage that.
    pub manages_registrations: bool,
    /// How long the secrets of such clients live.
    pub secret_ttl: Option<Duration>,
    /// How long the sandbox's access tokens live.
    pub access_ttl: Duration,
    /// What else is at the sandbox's address, without sockets.
    pub beside: Option<Router>,
    /// Requests that a team may make in a minute; any number when 0.
    pub team_requests: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            grace: Duration::ZERO,
            sockets: false,
            client_secret: "demo-secret",
            service: "sandbox",
            keep_alive: None,
            issuers: vec![],
            manages_registrations: true,
            secret_ttl: None,
            access_ttl: ACCESS_TTL,
            beside: None,
            team_requests: 0,
        }
    }
}

/// The world of one test.
pub struct World {
    /// The engine under test.
    pub engine: Arc<Engine>,
    /// Its provider.
    pub sandbox: Sandbox,
    /// Everybody's clock.
    pub clock: ManualClock,
    /// The store, as the engine has it.
    pub store: Arc<dyn Store>,
    /// The lever on the store.
    pub watch: Watch,
    /// Where pairs go when the store takes none.
    pub spool: Arc<MemorySpool>,
    hosts: wire::Hosts,
    /// Opens what the store keeps sealed.
    keys: Keys,
    ports: Ports,
    masters: MasterKeys,
    directory: tempfile::TempDir,
}

impl World {
    /// A strict provider, without sockets.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// A world with one team, a user's key, a project's key, and an OAuth connector of the sandbox.
    pub async fn with(setup: Setup) -> Self {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let entropy = Arc::new(SeededEntropy::new(1));
        let watch = Watch::default();
        let directory = tempfile::tempdir().unwrap();
        let store = database::open(directory.path(), &watch, &clock).await;

        let listener = match setup.sockets {
            true => Some(wire::listen().await),
            false => None,
        };
        let issuer = match &listener {
            Some(listener) => format!("http://{}", listener.local_addr().unwrap()),
            None => "http://sandbox.test".to_owned(),
        };
        let mut config = Config::new(issuer.clone(), Arc::clone(&shared), entropy.clone());
        config.auto_consent = true;
        config.grace = setup.grace;
        config.manages_registrations = setup.manages_registrations;
        config.secret_ttl = setup.secret_ttl;
        config.access_ttl = setup.access_ttl;
        config.clients[0].secret = Some(Secret::new(setup.client_secret));
        let key = grantry_vault::jws::SigningKey::from_pem(&Secret::new(crate::types::PEM));
        config.clients[0].assertion_key =
            key.ok().map(|key| serde_json::to_value(key.jwk()).unwrap());
        let of_the_team = format!("{CALLBACK}/team_1");
        config.clients[0].redirect_uris.push(of_the_team);
        config.clients.push(grantry_sandbox::Client {
            id: "other".to_owned(),
            ..grantry_sandbox::Client::demo()
        });
        let sandbox = Sandbox::new(config);
        let hosts = wire::Hosts::default();
        let http: Arc<dyn grantry_core::http::Http> = match listener {
            Some(listener) => {
                let serving = sandbox.clone();
                tokio::spawn(async move { serving.serve(listener).await });
                Arc::new(wire::Counted::new(watch.clone()))
            }
            None => {
                let beside = setup.beside.unwrap_or_default();
                let router = sandbox.router().merge(beside);
                let hosts = Arc::clone(&hosts);
                Arc::new(wire::InProcess::new(router, clock.clone(), hosts))
            }
        };

        let spool = Arc::new(MemorySpool::default());
        let ports = Ports {
            store: Arc::clone(&store),
            http,
            spool: spool.clone(),
            clock: shared,
            entropy,
            meter: Arc::new(grantry_core::meter::Unmetered),
        };
        let masters = MasterKeys::generate(&*ports.entropy);
        let mut settings = settings("node-1");
        settings.refresh.keep_alive = setup.keep_alive;
        settings.workload.issuers = setup.issuers.into();
        settings.limits.team_requests_per_minute = setup.team_requests;
        let engine = node(&ports, &masters, settings).await;
        let world = Self {
            keys: keys(&ports, &masters).await,
            engine,
            sandbox,
            clock,
            store,
            watch,
            spool,
            hosts,
            ports,
            masters,
            directory,
        };
        let house = HOUSE
            .replace("ISSUER", &issuer)
            .replace("SERVICE", setup.service)
            .replace("CLIENT_SECRET", setup.client_secret);
        world.apply(&house).await;
        world
    }

    /// Another process on the same store.
    pub async fn another_node(&self, name: &str) -> Arc<Engine> {
        node(&self.ports, &self.masters, settings(name)).await
    }

    /// Declares rows, which must be right.
    pub async fn apply(&self, text: &str) -> grantry_engine::ApplyReport {
        let declared = Declared::parse("world.toml", text);
        let declared = declared.unwrap_or_else(|problems| panic!("{problems:#?}"));
        let plan = self.engine.plan_apply(declared, false).await.unwrap();
        self.engine.carry_out(plan, |_| ()).await.unwrap()
    }

    /// Files of the database, and all else that the engine wrote.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The router of the public listener.
    pub fn router(&self) -> Router {
        grantry_api::router(App {
            engine: Arc::clone(&self.engine),
            local: false,
        })
    }

    /// An API's answer to `"POST /path"` with a key and a JSON body.
    pub async fn call(&self, key: &str, route: &str, body: &serde_json::Value) -> browser::Page {
        let (method, path) = route.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        browser::send(&self.router(), request.unwrap()).await
    }

    /// The operator, in the declared team.
    pub async fn server(&self) -> Arc<Caller> {
        self.engine.server_caller(Some("team_1")).await.unwrap()
    }

    /// Whose key this is.
    pub async fn caller(&self, key: &str) -> Arc<Caller> {
        self.engine.caller(key, None).await.unwrap()
    }

    // ---- Time ----

    /// Runs `work` to its end. Whenever nothing else can happen, time goes on to the next sleeper.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let (work, time) = (std::pin::pin!(work), std::pin::pin!(self.let_time_pass()));
        match select(work, time).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Lets `duration` go by for everybody.
    pub async fn pass(&self, duration: Duration) {
        self.run(self.clock.sleep(duration)).await;
    }

    async fn let_time_pass(&self) -> std::convert::Infallible {
        /// Rounds in which every task that can run has run, before the world counts as still.
        const ROUNDS: u32 = 50;
        loop {
            let mut still = 0;
            while still < ROUNDS {
                still = if self.watch.busy() { 0 } else { still + 1 };
                tokio::task::yield_now().await;
            }
            if let Some(duration) = self.clock.until_next() {
                self.clock.advance(duration);
            }
        }
    }

    // ---- Consents and tokens ----

    /// A whole consent of `user`, from the request to the stored connection.
    pub async fn connect(&self, user: &str) -> Connection {
        let requested = self.ask(user).await;
        let ended = self.consent(&requested).await;
        assert!(matches!(ended, CallbackEnd::Ended(_)), "the consent failed");
        self.live(user).await.unwrap().connection
    }

    /// Asks for a consent of `user`.
    pub async fn ask(&self, user: &str) -> Requested {
        let ask = AskConsent {
            token: token_of(user),
            ..AskConsent::default()
        };
        let caller = self.server().await;
        self.engine
            .authorize(&caller, CONNECTOR, ask)
            .await
            .unwrap()
    }

    /// The user presses the button, signs in, and comes back.
    pub async fn consent(&self, requested: &Requested) -> CallbackEnd {
        let pressed = self.engine.press(&requested.id, None, false).await.unwrap();
        let query = self.provider_answers(&pressed.url).await;
        let work = self
            .engine
            .callback(&query, Some(&pressed.cookie), CALLBACK);
        self.run(work).await.unwrap()
    }

    /// The query with which the sandbox sends the browser back.
    pub async fn provider_answers(&self, url: &Url) -> String {
        let location = self.provider_redirects(url).await;
        let query = location.strip_prefix(CALLBACK).unwrap();
        query.trim_start_matches('?').to_owned()
    }

    /// Where the sandbox sends the browser back to.
    pub async fn provider_redirects(&self, url: &Url) -> String {
        let path = &url[url::Position::BeforePath..];
        let request = Request::get(path).body(Body::empty()).unwrap();
        let page = browser::send(&self.sandbox.router(), request).await;
        page.location().to_owned()
    }

    /// A token of `user`, as the server reads it.
    pub async fn token(&self, user: &str) -> Result<ServedToken> {
        self.token_from(&self.engine, user).await
    }

    /// The same through another node.
    pub async fn token_from(&self, engine: &Arc<Engine>, user: &str) -> Result<ServedToken> {
        let caller = self.server().await;
        self.run(engine.token(&caller, CONNECTOR, token_of(user)))
            .await
    }

    /// The text of a token of `user`, or why there is none.
    pub async fn token_text(&self, user: &str) -> std::result::Result<String, Error> {
        let served = self.token(user).await?;
        Ok(served.token.expose().to_owned())
    }

    /// Ends the life of the access tokens that are out.
    pub async fn expire(&self) {
        self.clock.advance(ACCESS_TTL);
    }

    // ---- Looking ----

    /// What is stored of `user`'s live connection.
    pub async fn live(&self, user: &str) -> Option<Live> {
        let filter = grantry_core::store::ConnectionFilter {
            subject: Some(subject(user)),
            connector: None,
            ..grantry_core::store::ConnectionFilter::default()
        };
        let team = "team_1".into();
        let page = grantry_core::store::Page::first(2);
        let found = self.store.connections(&team, &filter, &page).await.unwrap();
        assert!(found.len() < 2, "{user} has two live connections");
        let id = &found.first()?.id;
        self.store.connection(&team, id).await.unwrap()
    }

    /// The state of `user`'s live connection.
    pub async fn state(&self, user: &str) -> ConnectionState {
        self.live(user).await.unwrap().connection.state
    }

    /// The refresh token that the store keeps for `user`, opened.
    pub async fn stored_refresh_token(&self, user: &str) -> Secret {
        let live = self.live(user).await.unwrap();
        let set: &TokenSet = &live.sets[0];
        let place = envelope::Place {
            team: "team_1",
            table: "token_sets",
            row: set.id.as_str(),
            field: "refresh",
        };
        let sealed = set.refresh.as_ref().unwrap();
        self.keys.open_text(place, sealed).await.unwrap()
    }

    /// Where the stored refresh token of `user` stands at the provider.
    pub async fn place(&self, user: &str) -> Place {
        let token = self.stored_refresh_token(user).await;
        self.sandbox.place(token.expose()).unwrap()
    }

    /// Refresh requests that the provider saw.
    pub fn presentations(&self) -> Vec<Entry> {
        let mut log = self.sandbox.log();
        log.retain(|entry| entry.grant_type.as_deref() == Some("refresh_token"));
        log
    }

    /// Requests to the revocation endpoint that the provider saw.
    pub fn revocations(&self) -> usize {
        let log = self.sandbox.log();
        log.iter()
            .filter(|entry| entry.endpoint == Endpoint::Revoke)
            .count()
    }

    /// The hosts that were sent something, without sockets.
    pub fn hosts_asked(&self) -> Vec<String> {
        self.hosts.lock().unwrap().iter().cloned().collect()
    }

    // ---- Steering ----

    /// The next `times` refreshes meet `fault`; all of them when absent.
    pub fn strike(&self, fault: &str, times: Option<u64>) {
        let order = Order {
            fault: fault.to_owned(),
            endpoint: Some(Endpoint::Token),
            grant_type: Some("refresh_token".to_owned()),
            times,
            ..Order::default()
        };
        self.sandbox.order(order).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(race::check(&self.sandbox.log()), []);
        }
    }
}

/// The subject that stands for `user`.
pub fn subject(user: &str) -> Subject {
    Subject::User {
        id: user.to_owned(),
        issuer: None,
    }
}

/// The plain question for a token of `user`.
pub fn token_of(user: &str) -> AskToken {
    AskToken {
        subject: Some(subject(user)),
        ..AskToken::default()
    }
}

/// The plain question for the application's token, of one installation or of none in particular.
pub fn app_token(installation: Option<&str>) -> AskToken {
    AskToken {
        subject: Some(Subject::App),
        installation: installation.map(str::to_owned),
        ..AskToken::default()
    }
}

fn settings(node: &str) -> Settings {
    Settings::new(Url::parse(PUBLIC).unwrap(), node.to_owned())
}

async fn node(ports: &Ports, masters: &MasterKeys, settings: Settings) -> Arc<Engine> {
    Engine::new(ports.clone(), settings, keys(ports, masters).await)
}

async fn keys(ports: &Ports, masters: &MasterKeys) -> Keys {
    let (store, clock) = (Arc::clone(&ports.store), Arc::clone(&ports.clock));
    Keys::open(masters, store, clock, Arc::clone(&ports.entropy))
        .await
        .unwrap()
}

const HOUSE: &str = r#"
    [[accounts]]
    id = "acc_1"
    name = "Acme Inc"
    [[teams]]
    id = "team_1"
    account = "acc_1"
    slug = "acme"
    name = "Acme"
    [[users]]
    id = "usr_alice"
    team = "team_1"
    email = "alice@example.com"
    role = "owner"
    [[users]]
    id = "usr_bob"
    team = "team_1"
    email = "bob@example.com"
    role = "member"
    [[projects]]
    id = "prj_1"
    team = "team_1"
    name = "web"
    [[keys]]
    id = "key_bob"
    team = "team_1"
    user = "usr_bob"
    role = "member"
    token = "tok_member"
    [[keys]]
    id = "key_alice"
    team = "team_1"
    user = "usr_alice"
    role = "admin"
    token = "tok_alice"
    [[keys]]
    id = "key_web"
    team = "team_1"
    project = "prj_1"
    token = "tok_web"
    [[services]]
    id = "SERVICE"
    name = "Sandbox"
    issuer = "ISSUER"
    authorization_endpoint = "ISSUER/authorize"
    token_endpoint = "ISSUER/token"
    revocation_endpoint = "ISSUER/revoke"
    common_scopes = ["profile", "email"]
    [[connectors]]
    id = "scl_1"
    uid = "sandbox/acme"
    team = "team_1"
    name = "Acme"
    type = "oauth"
    service = "SERVICE"
    data = { clientId = "demo", clientSecret = "CLIENT_SECRET" }
    links = [{ project = "prj_1" }]
"#;
