//! What an operator chooses: flags before environment before file before defaults.
//!
//! Paths are relative to where the process was started, wherever they are written.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use grantry_core::Secret;
use grantry_engine::RefreshSettings;
use serde::Deserialize;
use url::{Host, Url};

use crate::failure::{Exit, Failure, chain};
use file::File;

mod file;

/// Where a server listens and the command line looks for one, unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8787);
/// Clients connected at once unless told otherwise. Each is an open file, and a few KiB while it is idle.
pub const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
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

/// An address from a flag.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "an IP address and a port would be right, such as 127.0.0.1:8000")
}

/// Flags of a command that is a server. Each is a variable of the environment too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Flags {
    /// Where the data is kept [default: ./grantry-data]
    #[arg(long, value_name = "DIR", env = "GRANTRY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// What a server is started with, beside its data directory.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Settings {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "GRANTRY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address and port to listen at [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS", env = "GRANTRY_LISTEN", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// PostgreSQL instead of the embedded database: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(
        long,
        value_name = "URL",
        env = "GRANTRY_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// Where browsers and workloads reach this server [default: the address it listens at]
    #[arg(long, value_name = "URL", env = "GRANTRY_PUBLIC_URL")]
    pub public_url: Option<Url>,
    /// File of the master key, made on the first start [default: master.key in the data directory]
    #[arg(long, value_name = "FILE", env = "GRANTRY_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
    /// Number of an open file descriptor to read the master key from
    #[arg(long, value_name = "FD", env = "GRANTRY_MASTER_KEY_FD")]
    pub master_key_fd: Option<u32>,
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
    /// Clients connected at once; further ones wait.
    pub connections_max: NonZeroUsize,
    /// The way out.
    pub egress: EgressConfig,
    /// Times of the refresh protocol.
    pub refresh: RefreshSettings,
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

/// The section `[egress]`.
pub struct EgressConfig {
    /// Networks and hosts that may be reached though they are private, or by plain http.
    pub allow: Vec<String>,
    /// Certificate authorities trusted beside the system's, as PEM.
    pub extra_ca_file: Option<PathBuf>,
    /// Requests in flight to one host.
    pub per_host_max: Option<NonZeroUsize>,
}

impl Config {
    /// Reads the file that `flags` name, and the environment.
    ///
    /// # Errors
    /// [`crate::failure::Exit::Usage`], naming the file and the key or the flag, and what would be right.
    pub fn load(flags: &Flags) -> Result<Self, Failure> {
        let file = match &flags.settings.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(format!(
                        "cannot read the configuration {}: {error}",
                        path.display()
                    ))
                })?;
                File::parse(&path.display().to_string(), &text)?
            }
        };
        let master_key = environment("GRANTRY_MASTER_KEY").map(Secret::new);
        Self::merge(flags, file, master_key)
    }

    fn merge(flags: &Flags, file: File, master_key: Option<Secret>) -> Result<Self, Failure> {
        let Flags { data_dir, settings } = flags;
        let master_key = master_key_source(settings, &file, master_key)?;
        let database_url = settings.database_url.clone().or(file.database_url.clone());
        if database_url.is_some() && matches!(master_key, MasterKeySource::Default) {
            return Err(Failure::new(
                Exit::MasterKey,
                "with --database-url a master key has to be given: all nodes on one database share it",
            )
            .hint(
                "Make one (openssl rand -base64 32), keep it apart from the database, and give it as\n\
                 --master-key-file, --master-key-fd or GRANTRY_MASTER_KEY to every node.",
            ));
        }
        let public_url = settings.public_url.clone().or(file.public_url);
        let listen = settings.listen.or(file.listen).unwrap_or(LISTEN);
        match &public_url {
            Some(url) => check_public_url(url)?,
            None if listen.ip().is_loopback() => {}
            None => {
                return Err(Failure::usage(format!(
                    "public_url is missing: browsers and workloads elsewhere cannot be told to come to {listen}"
                ))
                .hint("Give --public-url https://HOST, the address that they use."));
            }
        }
        Ok(Self {
            listen,
            data_dir: data_dir
                .clone()
                .or(file.data_dir)
                .unwrap_or_else(|| DATA_DIR.into()),
            database_url: database_url.map(Secret::new),
            public_url,
            master_key,
            connections_max: file.connections_max.unwrap_or(CONNECTIONS_MAX),
            egress: EgressConfig {
                allow: file.egress.allow,
                extra_ca_file: file.egress.extra_ca_file,
                per_host_max: file.egress.per_host_max,
            },
            refresh: file.refresh.settings()?,
        })
    }

    /// The public URL of a server that listens at `bound`.
    pub fn public_url(&self, bound: SocketAddr) -> Result<Url, Failure> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("http://{bound}"))
                .map_err(|error| Failure::usage(format!("no URL for {bound}: {}", chain(&error)))),
        }
    }
}

fn master_key_source(
    flags: &Settings,
    file: &File,
    value: Option<Secret>,
) -> Result<MasterKeySource, Failure> {
    // Two keys at once are a mistake that must not be settled by precedence; a flag over a line of
    // the same name in the file is none.
    let path = flags.master_key_file.clone();
    let path = path.or(file.master_key_file.clone());
    let descriptor = flags.master_key_fd.or(file.master_key_fd);
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

/// The profile that `grantry dev` writes and the other commands read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The server.
    #[serde(deserialize_with = "file::url")]
    pub url: Url,
    /// A key for it.
    pub key: Secret,
    /// The team to act in.
    pub team: Option<String>,
}

impl Profile {
    /// Reads the profile at `path`; `None` when there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::usage(format!(
                    "cannot read {}: {error}",
                    path.display()
                )));
            }
        };
        // The parser quotes the line it stumbles over, and that may be the key.
        let profile = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("{}: {}", path.display(), error.message()))
                .hint("`grantry dev` writes this file anew.")
        })?;
        Ok(Some(profile))
    }

    /// As the text of the file.
    pub fn to_toml(&self) -> Result<String, Failure> {
        let mut rows = BTreeMap::from([("url", self.url.as_str()), ("key", self.key.expose())]);
        rows.extend(self.team.as_deref().map(|team| ("team", team)));
        let text = toml::to_string(&rows);
        text.map_err(|error| Failure::usage(format!("cannot write the profile: {error}")))
    }
}

#[cfg(test)]
mod tests;
