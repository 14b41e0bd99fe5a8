//! The use cases of Grantry: connecting accounts, serving fresh tokens, ending grants.
//!
//! The engine decides; it does not speak. It has no socket, no SQL and no HTTP server: those are
//! behind the [`Ports`]. Each public method of [`Engine`] is one act of one [`Caller`], and returns
//! `grantry_core::Error` that every dialect knows how to answer.
//!
//! - `authenticate`, `principal`, `permissions`: who asks, and what they may do.
//! - `connectors`: a team's registered clients and who is linked to them.
//! - `connect`: a consent from the request for it to the stored connection.
//! - `tokens`: reading, refreshing, minting and revoking. `tokens/refresh.rs` is the promise.
//! - `workload`: who a workload is: our own issuer and its keys, outside issuers that are trusted.
//! - `intake`: what providers deliver on their own.
//! - `search`: asking what a connector reaches, with a token that stays here.
//! - `lists`: what there is; keys and imports.
//! - `apply`: declared rows made to exist.
//! - `setups`: connectors that a person registers at their service.
//! - `background`, `feed`: what runs without being asked.

mod apply;
mod authenticate;
mod background;
mod cache;
mod catalogue;
mod connect;
mod connectors;
mod credentials;
mod events;
mod feed;
mod gauges;
mod imports;
mod installations;
mod intake;
mod keys;
mod lists;
mod mcp_servers;
pub mod permissions;
mod principal;
mod rate;
mod repeats;
mod search;
mod secrets;
mod settings;
mod setups;
mod tenancy;
mod tokens;
mod workload;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use grantry_core::ids::{self, ConnectionId, ConnectorId, TeamId};
use grantry_core::nouns::{Actor, Digest, EventKind};
use grantry_core::store::{Live, Spool};
use grantry_core::{Clock, Entropy, Meter, Result, Store, Timestamp, entropy, http};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use apply::{
    AppliedRow, ApplyProblem, ApplyReport, Change, Declared, Difference, FieldChange, Place, Plan,
    resolve_env,
};
pub use connect::{
    AskConnection, AskConsent, AskLink, AskSignIn, AskTokens, CallbackEnd, CallbackRefusal,
    Consent, ConsentPage, ConsentResult, Denied, LinkProof, Linked, LinkedTokens, Pressed,
    Requested, SIGN_IN_SCOPES, SignInStart, SignInTokens, TokenProof, Told, is_handle,
};
pub use connectors::{
    AskedField, Capabilities, Changed, ConnectorChange, ConnectorView, Consequences, Health,
    HealthBasis, HealthStatus, NewConnector, NewLink, OAUTH_CALLBACK_OF_COHERE, ServiceWays,
    SlackApp, Way, asks_at, input_schema, types,
};
pub use credentials::{CredentialView, NewCredential, NewTokens};
pub use gauges::{CacheGauge, Gauges};
pub use imports::{Imported, NewGrant};
pub use installations::{InstallationChange, InstallationView, NewInstallation};
pub use intake::{Delivery, Taken};
pub use keys::{Keys, OpenKeysError};
pub use lists::{CursorPage, NewConnection};
pub use mcp_servers::{McpServerChange, NewMcpServer};
pub use principal::{Caller, Principal, PrincipalKind, Steward};
pub use rate::{Bucket, Verdict};
pub use repeats::{Repeat, Repeater, Reserved, fingerprint};
pub use search::{AskSearch, SearchFailure, Searched};
pub use secrets::KeptSecret;
pub use settings::{DatagridSettings, RefreshSettings, Settings, WorkloadSettings};
pub use setups::{
    AskSetup, Asked, Filling, GithubEnd, GithubForm, GithubPlace, SetupFlow, SetupPage,
    SetupProgress, SetupView,
};
pub use tenancy::{
    Identity, KeyPatch, KeyPlace, Me, NewInvite, NewKey, NewProject, NewTeam, NewUser,
    ProjectPatch, Seat, ServiceView, TeamPatch, UserPatch,
};
pub use tokens::{AskToken, AuthStatus, NewPair, Revoked, ServedToken, Which};
pub use workload::{
    Condition, KeySource, PublishedKey, Rule, SigningKeyState, Template, TrustedIssuer,
    WorkloadToken,
};

use cache::Guarded;
use connectors::Entry;
use events::{Counts, Draft, ReadLog};

/// What the engine plugs into.
#[derive(Clone)]
pub struct Ports {
    /// Storage.
    pub store: Arc<dyn Store>,
    /// The way out.
    pub http: Arc<dyn http::Http>,
    /// Where a refreshed pair goes when the store cannot take it.
    pub spool: Arc<dyn Spool>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What operators count.
    pub meter: Arc<dyn Meter>,
}

/// The engine. One per process, shared behind an [`Arc`].
pub struct Engine {
    ports: Ports,
    settings: Settings,
    instance: String,
    keys: Keys,
    caches: Caches,
    reads: ReadLog,
    flights: tokens::Flights,
    resting: tokens::Resting,
    offers: tokens::Offers,
    discovered: connectors::Discovered,
    enrolling: connectors::Enrolling,
    outside: workload::Outside,
    rates: rate::Rates<TeamId>,
    sign_ins: rate::Rates<IpAddr>,
    turns: intake::Turns,
    renewals: intake::Renewals,
    searches: Arc<rate::AtWork>,
    endpoints: rate::Endpoints,
    stopping: AtomicBool,
    /// Work that no caller's disconnect may cancel: refreshes, code exchanges, revocations.
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Nobody is made to wait for news any more.
    dismissed: AtomicBool,
}

/// What is kept in memory. Rows as the store has them, secrets sealed.
struct Caches {
    callers: Guarded<(Digest, String), authenticate::Known>,
    connector_refs: Guarded<String, ConnectorId>,
    connectors: Guarded<ConnectorId, Entry>,
    grant_refs: Guarded<String, ConnectionId>,
    lives: Guarded<ConnectionId, Live>,
    tenants: Guarded<ConnectionId, tokens::KnownTenant>,
    catalogue: Guarded<(), catalogue::Catalogue>,
    /// Boot time, in microseconds, of the last successful poll of the change feed: a node that has
    /// not heard of changes for 2 s does not trust its caches (design §8).
    polled_at: AtomicI64,
}

impl Caches {
    /// Forgets all rows.
    fn clear(&self) {
        self.callers.clear();
        self.connector_refs.clear();
        self.connectors.clear();
        self.grant_refs.clear();
        self.lives.clear();
        self.tenants.clear();
        self.catalogue.clear();
    }
}

impl Engine {
    /// An engine over these ports. Nothing runs in the background before [`Engine::start`].
    pub fn new(ports: Ports, settings: Settings, keys: Keys) -> Arc<Self> {
        let entries = settings.limits.cache_entries_max;
        let instance = entropy::alphanumeric(&*ports.entropy, 8);
        Arc::new(Self {
            keys,
            caches: Caches {
                callers: Guarded::new(entries),
                connector_refs: Guarded::new(entries),
                connectors: Guarded::new(entries),
                grant_refs: Guarded::new(entries),
                lives: Guarded::new(entries),
                tenants: Guarded::new(entries),
                catalogue: Guarded::new(1),
                polled_at: AtomicI64::new(i64::MIN),
            },
            reads: ReadLog::default(),
            flights: tokens::Flights::default(),
            resting: tokens::Resting::default(),
            offers: tokens::Offers::new(entries),
            discovered: connectors::Discovered::default(),
            enrolling: connectors::Enrolling::default(),
            outside: workload::Outside::of(&settings.workload.issuers),
            rates: rate::Rates::default(),
            sign_ins: rate::Rates::default(),
            turns: intake::Turns::default(),
            renewals: intake::Renewals::default(),
            searches: Arc::default(),
            endpoints: rate::Endpoints::default(),
            stopping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            dismissed: AtomicBool::new(false),
            ports,
            settings,
            instance,
        })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A word that no other start of any server shares; request ids begin with it.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Why requests should go elsewhere for now; `None` while they can be served here (readiness).
    pub async fn unready(&self) -> Option<&'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return Some("the server is stopping");
        }
        if self.ports.store.ping().await.is_err() {
            return Some("the database does not answer, or its schema is not this binary's");
        }
        self.feed_is_silent()
            .then_some("changes of other nodes have not been heard of for 10 s")
    }

    /// From now on the server is not ready; what is asked is still answered.
    pub fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Answers those who wait for news, with none: no new request comes in any more, and what has begun is
    /// to end.
    pub fn dismiss_listeners(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
    }

    /// Counts a request of `team` (`limits.team_requests_per_minute`).
    ///
    /// # Errors
    /// [`grantry_core::Error::RateLimited`].
    pub fn admit(&self, team: &TeamId) -> Result<()> {
        let limit = self.settings.limits.team_requests_per_minute;
        self.rates.admit(team, limit, self.ports.clock.boot())
    }

    /// Counts a sign-in that `client` begins, or a key that it enters on a page (`limits.sign_ins_per_minute`).
    ///
    /// # Errors
    /// [`grantry_core::Error::RateLimited`].
    pub fn admit_sign_in(&self, client: IpAddr) -> Result<()> {
        let limit = self.settings.limits.sign_ins_per_minute;
        let now = self.ports.clock.boot();
        self.sign_ins.admit(&rate::host_of(client), limit, now)
    }

    /// Counts a request of `bucket` to an endpoint of the Datagrid API, by its operation id. `None` where nothing is
    /// limited.
    pub fn admit_endpoint(&self, bucket: &Bucket, route: &'static str) -> Option<Verdict> {
        let limit = self.settings.limit_of_endpoint(route);
        let clock = &self.ports.clock;
        self.endpoints
            .admit(bucket, route, limit, clock.boot(), clock.now())
    }

    /// What an endpoint says of its limit to who is not known.
    pub fn untouched_endpoint(&self, route: &str) -> Option<Verdict> {
        let limit = self.settings.limit_of_endpoint(route);
        (limit > 0).then(|| Verdict::untouched(limit, self.now()))
    }

    /// A new id in the form of a UUID.
    pub fn uuid(&self) -> String {
        ids::hyphenated(self.now(), self.entropy())
    }

    /// Time, for those who wait on behalf of a caller.
    pub fn clock(&self) -> &dyn Clock {
        &*self.ports.clock
    }

    /// What operators count.
    pub fn meter(&self) -> &Arc<dyn Meter> {
        &self.ports.meter
    }

    /// The same, to keep.
    pub fn shared_clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.ports.entropy
    }

    fn draft(&self, kind: EventKind, caller: &Caller) -> Draft {
        Draft::new(
            kind,
            Some(&caller.team),
            caller.actor.clone(),
            self.now(),
            self.entropy(),
        )
    }

    /// An event of Grantry's own doing.
    fn system_draft(&self, kind: EventKind, team: &TeamId) -> Draft {
        Draft::new(kind, Some(team), Actor::System, self.now(), self.entropy())
    }

    /// Runs `work` to its end whatever happens to the caller that waits for it (design §6b).
    pub async fn uncancellable<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.tasks.spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(panicked) => {
                tracing::error!(error = %panicked, "a task panicked");
                Err(grantry_core::Error::Internal)
            }
        }
    }

    /// Stops background work and waits until every flight has ended. Counted token reads are written, at
    /// once and again at the end: whoever stops waiting for a flight loses none that were counted before.
    pub async fn drain(&self) {
        self.dismiss_listeners();
        self.stop.cancel();
        self.tasks.close();
        self.write_all_counts().await;
        self.tasks.wait().await;
        self.write_all_counts().await;
    }

    async fn write_all_counts(&self) {
        let counts = self.reads.take(self.now(), true);
        if let Err(error) = self.write_counts(counts).await {
            tracing::warn!(%error, "counted token reads were lost");
        }
    }

    /// Writes counted token reads; those that the store does not take are counted on.
    async fn write_counts(&self, counts: Counts) -> Result<()> {
        let events = counts.events(self.now(), self.entropy());
        if events.is_empty() {
            return Ok(());
        }
        let written = self.ports.store.append_events(&events).await;
        if written.is_err() {
            self.reads.put_back(counts);
        }
        Ok(written?)
    }
}
