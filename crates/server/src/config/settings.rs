//! Every setting, one row each: its name, its type, its default, what it is. From the rows come the
//! reading, the errors, `grantry config show` and `docs/configuration.md`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use grantry_core::Secret;
use grantry_core::limits::{self, Amount, Limits};
use ipnet::IpNet;
use toml::Value;
use url::Url;

use super::found::Found;
use super::value::{Hosts, LoggedRequests, OrOff, Ratio, Read};

/// A setting, for those who list them.
pub struct Row {
    /// With its section: `egress.allow`.
    pub name: &'static str,
    /// What its value may be.
    pub wanted: String,
    /// Whether it is masked where it is shown.
    pub secret: bool,
    /// Its value when nobody gives one.
    pub default: Option<Value>,
    /// For people.
    pub about: &'static str,
}

impl Row {
    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("GRANTRY_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Section and name within it.
    pub fn path(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }
}

macro_rules! settings {
    ($($(#[doc = $about:literal])+ $field:ident: $type:ty = $name:literal, $default:literal;)*) => {
        /// The settings, read.
        pub struct Values {
            $($(#[doc = $about])+ pub $field: $type,)*
            /// The section `[limits]`.
            pub limits: Limits,
        }

        impl Values {
            /// Reads what was found. `None` when something is no value of its kind; `problems` says where.
            pub fn read(found: &Found, problems: &mut Vec<String>) -> Option<Self> {
                $(let $field = found.read::<$type>($name, problems);)*
                let limits = chosen(found, problems);
                Some(Self { $($field: $field?,)* limits: limits? })
            }
        }

        static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
            let mut rows = vec![$(Row {
                name: $name,
                wanted: <$type as Read>::WANTED.to_owned(),
                secret: <$type as Read>::SECRET,
                default: literal($default),
                about: concat!($($about),+),
            },)*];
            rows.extend(limits::CHOSEN.iter().map(of_limit));
            rows
        });
    };
}

settings! {
    /// Address and port to listen at.
    listen: SocketAddr = "listen", "'127.0.0.1:8787'";
    /// Where the data is kept, relative to where the server is started.
    data_dir: PathBuf = "data_dir", "'./grantry-data'";
    /// Where browsers and workloads reach this server; by default the address it listens at, on loopback only.
    public_url: Option<Url> = "public_url", "";
    /// PostgreSQL instead of the embedded database: postgres://USER:PASSWORD@HOST/DATABASE.
    database_url: Option<Secret> = "database_url", "";
    /// File of the master key (mode 0600); by default master.key in the data directory, made on the first start.
    master_key_file: Option<PathBuf> = "master_key_file", "";
    /// Number of an open file descriptor to read the master key from.
    master_key_fd: Option<u32> = "master_key_fd", "";
    /// The master key itself. Only as a variable of the environment, never in this file.
    master_key: Option<Secret> = "master_key", "";
    /// Address and port of the Prometheus metrics, such as 127.0.0.1:8788; none by default. Whoever reaches it reads them.
    metrics_listen: Option<SocketAddr> = "metrics_listen", "";
    /// Hosts that clients insist on, and the dialect that each is answered in (vercel, datagrid, cohere, sequin,
    /// native), as [hosts]: docs/configuration.md.
    hosts: Option<Hosts> = "hosts", "";
    /// Certificate chain in PEM form, the server's own certificate first. Makes the server speak https; read again when it changes.
    tls_cert_file: Option<PathBuf> = "tls.cert_file", "";
    /// Private key of the certificate in PEM form, readable by its owner alone (or its group).
    tls_key_file: Option<PathBuf> = "tls.key_file", "";
    /// Networks and addresses of proxies that are believed when they say whom they speak for (X-Forwarded-For, Forwarded), and about X-Request-Id and traceparent.
    proxy_trusted: Vec<IpNet> = "proxy.trusted", "[]";
    /// Requests with a line in the log: "errors" (5xx) or "all".
    log_requests: LoggedRequests = "log.requests", "'errors'";
    /// Nodes on one PostgreSQL wake each other by NOTIFY when something changed, in place of a look every half second.
    database_notify: bool = "database.notify", "true";
    /// Where spans are sent as OTLP over HTTP, such as http://127.0.0.1:4318; nowhere by default.
    otlp_endpoint: Option<Url> = "telemetry.otlp_endpoint", "";
    /// Of the traces that begin here, the part that is sent; a trusted proxy that sends a traceparent decides for its own.
    otlp_sample: Ratio = "telemetry.sample", "1.0";
    /// Networks, hosts and ports that may be reached though they are private, or by plain http.
    egress_allow: Vec<String> = "egress.allow", "[]";
    /// Certificate authorities trusted beside the system's, in PEM form.
    egress_extra_ca_file: Option<PathBuf> = "egress.extra_ca_file", "";
    /// Life of the lease under which one node refreshes a token; longer than limits.provider_time_max by 5 s at least.
    refresh_lease: Duration = "refresh.lease", "'30s'";
    /// How long a caller waits for a refresh before it is told to come back.
    refresh_wait: Duration = "refresh.wait", "'20s'";
    /// Refreshes of a token that is still valid are at least this far apart.
    refresh_spacing: Duration = "refresh.spacing", "'30s'";
    /// An idle connection is refreshed after this long, so that its refresh token does not lapse; "off" for never.
    refresh_keep_alive: OrOff = "refresh.keep_alive", "'1d'";
    /// A connector's search endpoint is asked before the connector is stored, and has to answer.
    search_probe: bool = "search.probe", "true";
    /// How long a key that signs our tokens is published before it does: longer than verifiers keep the key set.
    workload_signing_key_lead: Duration = "workload.signing_key_lead", "'1h'";
    /// A new signing key takes over when the newest has signed for this long; "off" for never.
    workload_signing_key_age: OrOff = "workload.signing_key_age", "'90d'";
    /// Outside issuers whose tokens prove workloads, as [[workload.issuers]]: docs/workload-identity.md.
    workload_issuers: Option<Vec<toml::Table>> = "workload.issuers", "";
    /// Endpoints of the Datagrid API with a limit of their own in place of limits.datagrid_requests_per_minute, such as
    /// "POST /connections = 20"; 0 is no limit. Paths are spelled as in docs/datagrid.md.
    datagrid_route_limits: Vec<String> = "datagrid.route_limits", "[]";
    /// What the Datagrid API's credits report gives as total and remaining; nothing here uses credits up.
    datagrid_credits: u32 = "datagrid.credits", "1000000";
    /// Admins may read client secrets and linked tokens in Sequin's words (truncate_secrets=false): docs/sequin.md.
    sequin_reveal_secrets: bool = "sequin.reveal_secrets", "false";
}

/// All rows, in the order of the documentation.
pub fn rows() -> &'static [Row] {
    &ROWS
}

/// A value as a file would spell it; `None` for nothing.
fn literal(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("it = {text}")).ok()?;
    table.get("it").cloned()
}

/// A setting's spelling of a limit's number.
fn spelling(amount: Amount) -> Value {
    match (amount.to_string(), amount) {
        (text, Amount(limits::Unit::Count, _)) => {
            text.parse().map_or(Value::String(text), Value::Integer)
        }
        (text, _) => Value::String(text),
    }
}

fn of_limit(limit: &limits::Limit) -> Row {
    let range = limit.range.clone().unwrap_or(limit.default..=limit.default);
    let (least, most) = (limit.amount(*range.start()), limit.amount(*range.end()));
    let amount = match limit.unit {
        limits::Unit::Bytes => "bytes",
        limits::Unit::Count => "a whole number",
        limits::Unit::Time => "a time",
    };
    Row {
        name: limit.name,
        wanted: format!("{amount} from {least} to {most}"),
        secret: false,
        default: Some(spelling(limit.amount(limit.default))),
        about: limit.why,
    }
}

/// The limits that were chosen.
fn chosen(found: &Found, problems: &mut Vec<String>) -> Option<Limits> {
    let mut limits = Limits::default();
    let before = problems.len();
    for row in limits::CHOSEN {
        let Some(given) = found.get(row.name) else {
            continue;
        };
        let text = match &given.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let number = Amount::parse(row.unit, &text).map(|Amount(_, number)| number);
        let in_range = |number: &u64| row.range.as_ref().is_some_and(|all| all.contains(number));
        match number.filter(in_range) {
            Some(number) => {
                limits.set(row.name, number);
            }
            None => problems.push(given.complaint(&of_limit(row))),
        }
    }
    (problems.len() == before).then_some(limits)
}
