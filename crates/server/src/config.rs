//! What an operator chooses: flags before environment before file before defaults.
//!
//! Paths are relative to where the process was started, wherever they are written.

mod file;
mod found;
mod issuers;
mod profile;
mod settings;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grantry_api::dialects::datagrid;
use grantry_api::kit::dialect::PREFIXES;
use grantry_core::Secret;
use grantry_core::limits::Limits;
use grantry_engine::{DatagridSettings, RefreshSettings, WorkloadSettings};
use url::{Host, Url};

use crate::failure::{Exit, Failure, chain};
use crate::front::Front;
use crate::tls;
#[cfg(test)]
pub use file::parse;
pub use found::{Found, Origin};
pub use profile::Profile;
use settings::Values;
pub use settings::{Row, rows};
use value::{Hosts, LoggedRequests};

/// Where a server listens and the command line looks for one, unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8787);
/// Where a server keeps its data unless told otherwise.
pub const DATA_DIR: &str = "./grantry-data";

/// A variable of the environment; what is empty or not Unicode counts as absent.
pub fn environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// [`environment`] where absence would choose something else: a script's variable that is not set must not
/// lead to another server, or to new and empty data.
///
/// # Errors
/// [`Exit::Usage`] when it is empty or not Unicode.
pub fn stated(name: &str) -> Result<Option<String>, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "beside `environment` the one place that reads the environment"
    )]
    let value = std::env::var_os(name);
    let wrong = match value.map(std::ffi::OsString::into_string) {
        None => return Ok(None),
        Some(Ok(text)) if !text.is_empty() => return Ok(Some(text)),
        Some(Ok(_)) => "empty",
        Some(Err(_)) => "not Unicode",
    };
    Err(Failure::usage(format!("{name} is set and {wrong}"))
        .hint("Unset it where nothing is meant, or give it its value."))
}

/// An address from a flag.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "an IP address and a port would be right, such as 127.0.0.1:8000")
}

/// Flags of a command that is a server. Each is a setting, so it is a variable of the environment too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Flags {
    /// Where the data is kept [default: ./grantry-data] [env: GRANTRY_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// What a server is started with, beside its data directory.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Settings {
    /// Configuration file (TOML); `grantry config defaults` prints one [env: GRANTRY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen at [default: 127.0.0.1:8787] [env: GRANTRY_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// PostgreSQL instead of the embedded database: postgres://USER:PASSWORD@HOST/DATABASE [env: GRANTRY_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where browsers and workloads reach this server [default: the address it listens at] [env: GRANTRY_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// File of the master key, made on the first start [default: master.key in the data directory] [env: GRANTRY_MASTER_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub master_key_file: Option<String>,
    /// Address and port of the Prometheus metrics, such as 127.0.0.1:8788 [default: none] [env: GRANTRY_METRICS_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,
    /// Number of an open file descriptor to read the master key from [env: GRANTRY_MASTER_KEY_FD]
    #[arg(long, value_name = "FD")]
    pub master_key_fd: Option<String>,
}

impl Settings {
    /// The flag that says which data is meant, or how to open it, if one does.
    pub fn names_data(&self) -> Option<&'static str> {
        let flags = [
            (&self.database_url, "--database-url"),
            (&self.master_key_file, "--master-key-file"),
            (&self.master_key_fd, "--master-key-fd"),
            (&self.public_url, "--public-url"),
        ];
        flags
            .into_iter()
            .find_map(|(given, flag)| given.as_ref().map(|_| flag))
    }
}

impl Flags {
    /// What was given, where.
    ///
    /// # Errors
    /// As [`Found::gather`].
    pub fn find(&self) -> Result<Found, Failure> {
        let Self { data_dir, settings } = self;
        let data_dir = data_dir.as_deref().map(|path| {
            path.to_str().ok_or_else(|| {
                Failure::usage(format!("--data-dir {} is not UTF-8", path.display()))
            })
        });
        for row in rows() {
            stated(&row.variable())?;
        }
        let file = match &settings.config {
            Some(file) => Some(file.clone()),
            None => stated("GRANTRY_CONFIG")?.map(PathBuf::from),
        };
        Found::gather(
            &self.given(data_dir.transpose()?),
            &environment,
            file.as_deref(),
        )
    }

    fn given<'a>(
        &'a self,
        data_dir: Option<&'a str>,
    ) -> [(&'static str, &'static str, Option<&'a str>); 7] {
        let flags = &self.settings;
        [
            ("data_dir", "--data-dir", data_dir),
            ("listen", "--listen", flags.listen.as_deref()),
            (
                "database_url",
                "--database-url",
                flags.database_url.as_deref(),
            ),
            ("public_url", "--public-url", flags.public_url.as_deref()),
            (
                "metrics_listen",
                "--metrics-listen",
                flags.metrics_listen.as_deref(),
            ),
            (
                "master_key_file",
                "--master-key-file",
                flags.master_key_file.as_deref(),
            ),
            (
                "master_key_fd",
                "--master-key-fd",
                flags.master_key_fd.as_deref(),
            ),
        ]
    }
}

/// A whole, checked configuration.
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the data is kept.
    pub data_dir: PathBuf,
    /// PostgreSQL in place of the embedded database. Holds a password.
    pub database_url: Option<Secret>,
    /// As given; see [`Config::public_url`].
    pub public_url: Option<Url>,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// Makes the server speak TLS.
    pub tls: Option<tls::Files>,
    /// Who is believed and what is logged of requests.
    pub front: Front,
    /// Whether nodes on one PostgreSQL wake each other.
    pub database_notify: bool,
    /// Where metrics are served; nowhere when absent.
    pub metrics_listen: Option<SocketAddr>,
    /// Where spans are sent; nowhere when absent.
    pub spans: Option<SpansConfig>,
    /// The way out.
    pub egress: EgressConfig,
    /// Times of the refresh protocol.
    pub refresh: RefreshSettings,
    /// How workloads prove who they are.
    pub workload: WorkloadSettings,
    /// Whether the Sequin dialect shows admins what is sealed.
    pub reveal_secrets: bool,
    /// Search endpoints are asked before their connector is stored.
    pub search_probe: bool,
    /// The Datagrid API.
    pub datagrid: DatagridSettings,
    /// The limits.
    pub limits: Limits,
}

/// Where the master key comes from.
pub enum MasterKeySource {
    /// The file in the data directory.
    Default,
    /// This file.
    File(PathBuf),
    /// This open file descriptor.
    Descriptor(u32),
    /// `GRANTRY_MASTER_KEY`.
    Environment(Secret),
}

/// The section `[telemetry]`.
pub struct SpansConfig {
    /// The collector, which takes OTLP over HTTP.
    pub endpoint: Url,
    /// Part of the traces that begin here and are sent, 0 to 1.
    pub ratio: f64,
}

/// The section `[egress]`.
pub struct EgressConfig {
    /// Networks and hosts that may be reached though they are private, or by plain http.
    pub allow: Vec<String>,
    /// Certificate authorities trusted beside the system's, as PEM.
    pub extra_ca_file: Option<PathBuf>,
}

impl Config {
    /// Reads the file that `flags` name, and the environment.
    ///
    /// # Errors
    /// [`Exit::Usage`], with every wrong value at once, where it was given and what would be right;
    /// [`Exit::MasterKey`].
    pub fn load(flags: &Flags) -> Result<Self, Failure> {
        Self::of(&flags.find()?)
    }

    /// With every default.
    ///
    /// # Errors
    /// None but a defect of ours: the defaults are a configuration.
    pub fn defaults() -> Result<Self, Failure> {
        Self::of(&Found::merge(&[], &|_| None, BTreeMap::new()))
    }

    /// Checks what was found.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of(found: &Found) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let values = Values::read(found, &mut problems);
        let Some(values) = values else {
            return Err(Failure::usage(problems.join("\n")));
        };
        let tls = tls_files(values.tls_cert_file, values.tls_key_file)?;
        let master_key = master_key_source(
            values.master_key_file,
            values.master_key_fd,
            values.master_key,
        )?;
        if values.database_url.is_some() && matches!(master_key, MasterKeySource::Default) {
            return Err(Failure::new(
                Exit::MasterKey,
                "with --database-url a master key has to be given: all nodes on one database share it",
            )
            .hint(
                "Make one (openssl rand -base64 32), keep it apart from the database, and give it as\n\
                 --master-key-file, --master-key-fd or GRANTRY_MASTER_KEY to every node.",
            ));
        }
        match &values.public_url {
            Some(url) => check_public_url(url)?,
            None if values.listen.ip().is_loopback() => {}
            None => {
                return Err(Failure::usage(format!(
                    "public_url is missing: browsers and workloads elsewhere cannot be told to come to {}",
                    values.listen
                ))
                .hint("Give --public-url https://HOST, the address that they use."));
            }
        }
        if values.limits.stop_delay >= values.limits.stop_time_max {
            return Err(Failure::usage(
                "limits.stop_delay is not shorter than limits.stop_time_max",
            ));
        }
        if values.limits.authorization_time > values.limits.authorization_time_max {
            return Err(Failure::usage(
                "limits.authorization_time is longer than limits.authorization_time_max",
            ));
        }
        if values.workload_signing_key_lead < KEY_SET_KEPT {
            return Err(Failure::usage(format!(
                "workload.signing_key_lead is {} s, shorter than verifiers may keep our key set ({} s)",
                values.workload_signing_key_lead.as_secs(),
                KEY_SET_KEPT.as_secs()
            )));
        }
        let origin = found.get("workload.issuers").map(|given| &given.origin);
        let origin = origin.map(Origin::to_string).unwrap_or_default();
        let issuers = issuers::read(
            &values.workload_issuers.unwrap_or_default(),
            &origin,
            &mut problems,
        );
        let own = values.public_url.as_ref().map(Url::as_str);
        let own = own.map(|own| own.trim_end_matches('/'));
        if issuers.iter().any(|trusted| Some(&*trusted.issuer) == own) {
            problems.push(format!(
                "{origin}: workload.issuers declares {}, which is this server: its own tokens need no rule",
                own.unwrap_or_default()
            ));
        }
        if let Some(url) = &values.otlp_endpoint
            && (!url.username().is_empty() || url.password().is_some())
        {
            // It is no secret: `config show` and the log show it.
            problems.push(
                "telemetry.otlp_endpoint holds a name or a password, which everybody would see: \
                 let a collector on this machine send them"
                    .to_owned(),
            );
        }
        if !problems.is_empty() {
            return Err(Failure::usage(problems.join("\n")));
        }
        let hosts = host_map(values.hosts.unwrap_or_default(), values.public_url.as_ref())?;
        Ok(Self {
            listen: values.listen,
            data_dir: values.data_dir,
            database_url: values.database_url,
            public_url: values.public_url,
            master_key,
            tls,
            front: Front {
                hosts,
                trusted: values.proxy_trusted,
                logged: values.log_requests == LoggedRequests::All,
            },
            database_notify: values.database_notify,
            metrics_listen: values.metrics_listen,
            spans: values.otlp_endpoint.map(|endpoint| SpansConfig {
                endpoint,
                ratio: values.otlp_sample.0,
            }),
            egress: EgressConfig {
                allow: values.egress_allow,
                extra_ca_file: values.egress_extra_ca_file,
            },
            refresh: refresh_settings(&RefreshSettings {
                lease: values.refresh_lease,
                wait: values.refresh_wait,
                spacing: values.refresh_spacing,
                keep_alive: values.refresh_keep_alive.0,
                deadline: values.limits.provider_time_max,
                ..RefreshSettings::default()
            })?,
            workload: WorkloadSettings {
                issuers: issuers.into(),
                signing_key_lead: values.workload_signing_key_lead,
                signing_key_age: values.workload_signing_key_age.0,
            },
            reveal_secrets: values.sequin_reveal_secrets,
            search_probe: values.search_probe,
            datagrid: DatagridSettings {
                route_limits: Arc::new(route_limits(&values.datagrid_route_limits)?),
                credits: values.datagrid_credits as usize,
            },
            limits: values.limits,
        })
    }

    /// The public URL of a server that listens at `bound`.
    pub fn public_url(&self, bound: SocketAddr) -> Result<Url, Failure> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("{scheme}://{bound}"))
                .map_err(|error| Failure::usage(format!("no URL for {bound}: {}", chain(&error)))),
        }
    }
}

/// How long our key set may be kept by those who fetched it: what its `Cache-Control` says.
const KEY_SET_KEPT: Duration = Duration::from_secs(300);

/// Time for the commit before a token request is sent.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Below this a node could not be sure that it may still send (design §6c).
fn refresh_settings(settings: &RefreshSettings) -> Result<RefreshSettings, Failure> {
    let shortest = settings.deadline + LEASE_MARGIN;
    if settings.lease >= shortest {
        return Ok(settings.clone());
    }
    Err(Failure::usage(format!(
        "refresh.lease is {} s, shorter than one token request (limits.provider_time_max, {} s) and the slowest commit ({} s)",
        settings.lease.as_secs(),
        settings.deadline.as_secs(),
        LEASE_MARGIN.as_secs()
    ))
    .hint(format!("\"{}s\" or more would be right.", shortest.as_secs())))
}

/// Requests per minute of single Datagrid endpoints, by operation.
fn route_limits(lines: &[String]) -> Result<BTreeMap<String, usize>, Failure> {
    let mut limits = BTreeMap::new();
    for line in lines {
        let (endpoint, limit) = line.rsplit_once('=').unwrap_or((line, ""));
        let operation = datagrid::operation(endpoint.trim());
        let limit = limit.trim().parse::<u32>().ok();
        let (Some(operation), Some(limit)) = (operation, limit) else {
            let what = match operation {
                None => "an endpoint of it",
                Some(_) => "a number behind =",
            };
            return Err(Failure::usage(format!(
                "datagrid.route_limits: {line:?} has not {what}: \"POST /connections = 20\" would be right"
            )));
        };
        limits.insert(operation.to_owned(), limit as usize);
    }
    Ok(limits)
}

/// Where each host's paths are mounted. The public host keeps its own paths: browsers come back there.
fn host_map(hosts: Hosts, public: Option<&Url>) -> Result<BTreeMap<String, &'static str>, Failure> {
    let mut map = BTreeMap::new();
    for (host, dialect) in hosts.0 {
        let known = PREFIXES.iter().find(|(name, _)| *name == dialect);
        let Some((_, prefix)) = known else {
            let names: Vec<&str> = PREFIXES.iter().map(|(name, _)| *name).collect();
            return Err(Failure::usage(format!(
                "hosts: {host} is given {dialect:?}; there are {}",
                names.join(", ")
            )));
        };
        if !prefix.is_empty() && public.is_some_and(|url| url.host_str() == Some(&host)) {
            return Err(Failure::usage(format!(
                "hosts: {host} is the public URL's host, whose paths are the consent pages and every API"
            ))
            .hint("Give the clients that insist on a host another name for this server."));
        }
        map.insert(host, *prefix);
    }
    Ok(map)
}

fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<tls::Files>, Failure> {
    let (given, missing) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => return Ok(Some(tls::Files { cert, key })),
        (Some(_), None) => ("tls.cert_file", "tls.key_file"),
        (None, Some(_)) => ("tls.key_file", "tls.cert_file"),
    };
    Err(
        Failure::usage(format!("{given} is given without {missing}"))
            .hint("TLS needs both; without either the server speaks plain http."),
    )
}

fn master_key_source(
    path: Option<PathBuf>,
    descriptor: Option<u32>,
    value: Option<Secret>,
) -> Result<MasterKeySource, Failure> {
    // Two keys at once are a mistake that must not be settled by precedence; a flag over a line of
    // the same name in the file is none.
    match (path, descriptor, value) {
        (None, None, None) => Ok(MasterKeySource::Default),
        (Some(path), None, None) => Ok(MasterKeySource::File(path)),
        (None, Some(descriptor), None) => Ok(MasterKeySource::Descriptor(descriptor)),
        (None, None, Some(value)) => Ok(MasterKeySource::Environment(value)),
        (path, descriptor, value) => {
            let given = [
                ("master_key_file", path.is_some()),
                ("master_key_fd", descriptor.is_some()),
                ("GRANTRY_MASTER_KEY", value.is_some()),
            ];
            let names: Vec<&str> = given
                .into_iter()
                .filter_map(|(name, given)| given.then_some(name))
                .collect();
            Err(
                Failure::usage(format!("{} are both given", names.join(" and ")))
                    .hint("Name one place that the master key comes from."),
            )
        }
    }
}

fn check_public_url(url: &Url) -> Result<(), Failure> {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let problem = match url.scheme() {
        "https" => None,
        "http" if loopback => None,
        "http" => Some("plain http would show every token to the network"),
        _ => Some("it is no https URL"),
    };
    let extra = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    match problem.or(extra.then_some("it has a user name, a query or a fragment")) {
        None => Ok(()),
        Some(problem) => Err(Failure::usage(format!("public_url {url}: {problem}")).hint(
            "https://HOST would be right, with a path if the server is mounted below one; http on loopback only.",
        )),
    }
}

#[cfg(test)]
mod tests;
