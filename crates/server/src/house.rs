//! Puts the house together: store, keys, the way out, engine.

use std::path::PathBuf;
use std::sync::Arc;

use grantry_core::store::Store;
use grantry_core::{Clock, Entropy, Meter, entropy};
use grantry_egress::{Egress, Options, Policy, SystemLookup};
use grantry_engine::{Engine, Keys, OpenKeysError, Ports, Settings};
use grantry_store::{DirSpool, OpenError, Postgres, Sqlite, postgres};
use grantry_vault::SystemEntropy;
use url::Url;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure, chain};
use crate::master_key::{self, OnNew};
use crate::measured::Measured;

/// A running engine and the directory that it owns.
pub struct House {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Locked while the house stands.
    pub directory: DataDir,
}

/// Opens the data of `config` and makes an engine that calls itself `public_url`. Pairs that the
/// last process could not store are brought home before this returns (design §6f).
///
/// # Errors
/// [`Exit::MasterKey`], [`Exit::Store`], [`Exit::Usage`].
pub async fn open(
    config: &Config,
    directory: DataDir,
    public_url: Url,
    on_new: OnNew,
    meter: Arc<dyn Meter>,
) -> Result<House, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let http = Arc::new(Measured {
        egress: way_out(config)?,
        meter: Arc::clone(&meter),
        clock: Arc::clone(&clock),
    });
    // Nodes on one database must not each make a key of their own.
    let on_new = if config.database_url.is_some() {
        OnNew::Refuse
    } else {
        on_new
    };
    let masters = master_key::find(&config.master_key, &directory, on_new, &*entropy)?;
    let store = open_store(config, &directory, &clock, &meter).await?;
    let keys = Keys::open(
        &masters,
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&entropy),
    )
    .await
    .map_err(|error| keys_failure(config, &error))?;
    let spool = DirSpool::open(&directory.spool()).map_err(|error| {
        Failure::new(
            Exit::Store,
            format!(
                "cannot use the spool {}: {error}",
                directory.spool().display()
            ),
        )
    })?;
    let settings = Settings {
        refresh: config.refresh.clone(),
        limits: config.limits.clone(),
        workload: config.workload.clone(),
        reveal_secrets: config.reveal_secrets,
        search_probe: config.search_probe,
        datagrid: config.datagrid.clone(),
        ..Settings::new(public_url, node(config, &*entropy))
    };
    let own = [settings.issuer(), settings.sign_in_issuer()];
    let declared = settings.workload.issuers.iter();
    let mut declared = declared.map(|trusted| &trusted.issuer);
    if let Some(issuer) = declared.find(|issuer| own.contains(issuer)) {
        return Err(Failure::usage(format!(
            "workload.issuers declares {issuer}, which is this server: its own tokens need no rule"
        )));
    }
    let ports = Ports {
        store,
        http,
        spool: Arc::new(spool),
        clock,
        entropy,
        meter,
    };
    let engine = Engine::new(ports, settings, keys);
    engine.replay_spool().await.map_err(|error| {
        Failure::new(
            Exit::Store,
            format!("cannot bring spooled pairs home: {error}"),
        )
    })?;
    Ok(House { engine, directory })
}

async fn open_store(
    config: &Config,
    directory: &DataDir,
    clock: &Arc<dyn Clock>,
    meter: &Arc<dyn Meter>,
) -> Result<Arc<dyn Store>, Failure> {
    let (clock, meter) = (Arc::clone(clock), Arc::clone(meter));
    let opened: Result<Arc<dyn Store>, OpenError> = match &config.database_url {
        Some(url) => {
            let options = postgres_options(config, &meter);
            let db = Postgres::open(url.expose(), Arc::clone(&clock), options).await;
            db.map(|db| Arc::new(db.metered(meter, clock)) as Arc<dyn Store>)
        }
        None => {
            let options = grantry_store::Options {
                meter: Arc::clone(&meter),
                ..grantry_store::Options::default()
            };
            let db = Sqlite::open(&directory.database(), Arc::clone(&clock), options).await;
            db.map(|db| Arc::new(db.metered(meter, clock)) as Arc<dyn Store>)
        }
    };
    opened.map_err(|error| store_failure(&error))
}

/// How a node of `config` connects to PostgreSQL.
pub fn postgres_options(config: &Config, meter: &Arc<dyn Meter>) -> postgres::Options {
    postgres::Options {
        connections: config.limits.database_connections_max,
        wait: config.limits.database_wait_max,
        connect: config.limits.database_connect_max,
        notify: config.database_notify,
        meter: Arc::clone(meter),
        ..postgres::Options::default()
    }
}

/// How this process signs leases. Of an embedded database there is one node, which the directory's
/// lock proves, so a process that was killed leaves no lease that its successor would have to wait
/// for. On PostgreSQL every start is a node of its own.
fn node(config: &Config, entropy: &dyn Entropy) -> String {
    match config.database_url {
        Some(_) => entropy::alphanumeric(entropy, NODE_CHARS),
        None => "embedded".to_owned(),
    }
}

/// Enough that no two starts of any deployment share a name.
const NODE_CHARS: usize = 12;

/// The way out that `config` describes.
///
/// # Errors
/// [`Exit::Usage`]: a rule that is none, or authorities that cannot be read.
pub fn way_out(config: &Config) -> Result<Egress, Failure> {
    let policy = Policy::from_strings(&config.egress.allow).map_err(|error| {
        Failure::usage(error).hint("In [egress] allow, \"10.0.0.0/8\", \"idp.internal\" or \"localhost:4401\" would be right.")
    })?;
    let options = Options {
        extra_ca_pem: extra_ca(config)?,
        ..Options::from(&config.limits)
    };
    Egress::new(policy, Arc::new(SystemLookup), &options)
        .map_err(|error| Failure::usage(chain(&error)))
}

/// The authorities of `egress.extra_ca_file`.
pub fn extra_ca(config: &Config) -> Result<Option<Vec<u8>>, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            Failure::usage(format!(
                "cannot read egress.extra_ca_file {}: {error}",
                path.display()
            ))
        })
    };
    config.egress.extra_ca_file.as_ref().map(read).transpose()
}

fn store_failure(error: &OpenError) -> Failure {
    Failure::new(Exit::Store, chain(error))
}

fn keys_failure(config: &Config, error: &OpenKeysError) -> Failure {
    match error {
        OpenKeysError::Key(wrong) => Failure::new(Exit::MasterKey, chain(wrong)).hint(format!(
            "{} Nothing has been changed.",
            master_key::put_back(&config.master_key, &config.data_dir)
        )),
        OpenKeysError::Store(error) => Failure::new(Exit::Store, chain(error)),
    }
}
