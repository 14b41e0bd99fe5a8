//! What a deployment can choose about the engine's behaviour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::limits::Limits;
use url::Url;

use crate::workload::TrustedIssuer;

/// Settings of the engine. `server` fills them from its configuration file.
#[derive(Clone)]
pub struct Settings {
    /// Where browsers and workloads reach this server; every URL we build starts with it, and it is
    /// the issuer of our tokens. No trailing slash in use.
    pub public_url: Url,
    /// Names this process in leases and attempts; no two that share a store may share it at a time.
    /// Where a lock proves that there is only one (the embedded database), every start may use the
    /// same: leases of a killed predecessor are then its own, and not waited for.
    pub node: String,
    /// The refresh protocol's times.
    pub refresh: RefreshSettings,
    /// What requests and answers are held to.
    pub limits: Limits,
    /// Identity of workloads.
    pub workload: WorkloadSettings,
    /// Admins may read client secrets, and tokens at the end of a link flow, in the Sequin dialect
    /// (docs/sequin.md). Nothing else ever gives a stored secret back.
    pub reveal_secrets: bool,
    /// A connector's search endpoint is asked before the connector is stored.
    pub search_probe: bool,
    /// The Datagrid API.
    pub datagrid: DatagridSettings,
}

/// What a deployment can choose about the Datagrid API.
#[derive(Clone, Default)]
pub struct DatagridSettings {
    /// Requests in any 60 seconds to endpoints that have a limit of their own, by operation id.
    pub route_limits: Arc<BTreeMap<String, usize>>,
    /// What the credits report says; nothing uses credits up.
    pub credits: usize,
}

/// How workloads prove who they are.
#[derive(Clone)]
pub struct WorkloadSettings {
    /// Issuers elsewhere whose tokens are accepted; no two of one `iss`, and none that is ours.
    pub issuers: Arc<[TrustedIssuer]>,
    /// How long a signing key is published before it signs: longer than any verifier keeps our key set.
    pub signing_key_lead: Duration,
    /// A new signing key is made when the newest has signed for this long; never when absent.
    pub signing_key_age: Option<Duration>,
}

impl Default for WorkloadSettings {
    fn default() -> Self {
        Self {
            issuers: Arc::default(),
            signing_key_lead: Duration::from_secs(3600),
            signing_key_age: Some(Duration::from_secs(90 * 24 * 3600)),
        }
    }
}

/// Times of design §6.
#[derive(Clone, Debug)]
pub struct RefreshSettings {
    /// Life of the refresh lease. Longer than `deadline` by more than the slowest commit.
    pub lease: Duration,
    /// Time one token request may take (`limits.provider_time_max`); the egress keeps it.
    pub deadline: Duration,
    /// How long a caller waits for a flight before it is told to come back.
    pub wait: Duration,
    /// While the stored token is valid, flights are at least this far apart.
    pub spacing: Duration,
    /// Retries after an unknown outcome happen within this time of the first presentation.
    pub retry_window: Duration,
    /// Back-off after an unknown outcome: first and longest.
    pub backoff: (Duration, Duration),
    /// An idle connection is refreshed after this long; never when absent.
    pub keep_alive: Option<Duration>,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            deadline: Duration::from_secs(15),
            wait: Duration::from_secs(20),
            spacing: Duration::from_secs(30),
            retry_window: Duration::from_secs(5),
            backoff: (Duration::from_secs(30), Duration::from_secs(15 * 60)),
            keep_alive: Some(Duration::from_secs(24 * 3600)),
        }
    }
}

impl Settings {
    /// Settings with every default but the public URL and the node's name.
    pub fn new(public_url: Url, node: String) -> Self {
        Self {
            public_url,
            node,
            refresh: RefreshSettings::default(),
            limits: Limits::default(),
            workload: WorkloadSettings::default(),
            reveal_secrets: false,
            search_probe: true,
            datagrid: DatagridSettings::default(),
        }
    }

    /// Requests in any 60 seconds to an endpoint of the Datagrid API; 0 is no limit.
    pub fn limit_of_endpoint(&self, operation: &str) -> usize {
        let own = self.datagrid.route_limits.get(operation).copied();
        own.unwrap_or(self.limits.datagrid_requests_per_minute)
    }

    /// The `iss` of our tokens: the public URL without a trailing slash.
    pub fn issuer(&self) -> String {
        self.url("")
    }

    /// The `iss` of what sign-ins bring. Another one than that of workloads' tokens: what a sign-in says is what its
    /// connector's provider says, and no cloud that trusts our workloads may take it for a workload's.
    pub fn sign_in_issuer(&self) -> String {
        self.url("/oauth")
    }

    /// The `aud` of a team's workload tokens.
    pub fn audience(&self, team_slug: &str) -> String {
        self.url(&format!("/{team_slug}"))
    }

    /// Whether `audience` names this server: an issuer of its, a team's workloads, or anything else at its public URL.
    pub fn is_own(&self, audience: &str) -> bool {
        let own = self.issuer();
        let below = |text: &str| {
            let rest = text.strip_prefix(&own);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        };
        // Its host may be written in capitals, with the port that goes without saying, …
        below(audience) || Url::parse(audience).is_ok_and(|url| below(url.as_str()))
    }

    /// `path` (with its leading slash) at the public URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}
