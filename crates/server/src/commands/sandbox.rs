//! `grantry sandbox`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grantry_sandbox::{Config, FAULTS, Fault, Sandbox};
use grantry_vault::SystemEntropy;
use serde_json::json;

use super::serve::asked_to_stop;
use crate::clock::SystemClock;
use crate::config::address;
use crate::failure::{Exit, Failure};
use crate::out::{self, Form};
use crate::{listen, telemetry};

/// Run the sandbox OAuth provider alone.
#[derive(clap::Args)]
#[command(
    after_help = "Its one client has the id demo and the secret demo-secret, and may use /callback on any loopback port."
)]
pub struct Args {
    /// Address and port to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8789", value_parser = address)]
    listen: SocketAddr,
    /// Answer every authorization request at once, as if the user had agreed
    #[arg(long)]
    auto_consent: bool,
    /// Life of an access token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    access_ttl: u64,
    /// How long a rotated refresh token still gets the pair that replaced it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace: u64,
    /// Print what can go wrong on demand, and end
    #[arg(long)]
    list_faults: bool,
    /// Print the list as JSON
    #[arg(long, requires = "list_faults")]
    json: bool,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> Result<(), Failure> {
    if args.list_faults {
        list_faults(Form::json_if(args.json));
        return Ok(());
    }
    telemetry::start("info", None)?;
    let listener = listen::tcp(args.listen).await?;
    let bound = listener.local_addr();
    let bound = bound.map_err(|error| Failure::new(Exit::Address, error))?;
    let sandbox = provider(bound, |config| Config {
        auto_consent: args.auto_consent,
        access_ttl: Duration::from_secs(args.access_ttl),
        grace: Duration::from_secs(args.grace),
        ..config
    });
    tracing::info!(
        issuer = sandbox.issuer(),
        client_id = "demo",
        client_secret = "demo-secret",
        "the sandbox provider listens"
    );
    let stop = asked_to_stop()?;
    tokio::select! {
        () = stop => Ok(()),
        never = sandbox.serve(listener) => match never {},
    }
}

/// A provider that is reached at `address`, with `change` to its defaults.
pub fn provider(address: SocketAddr, change: impl FnOnce(Config) -> Config) -> Sandbox {
    let url = format!("http://{address}");
    let config = Config::new(url, Arc::new(SystemClock), Arc::new(SystemEntropy));
    Sandbox::new(change(config))
}

fn list_faults(form: Form) {
    match form {
        Form::Json => {
            let rows = FAULTS.iter().map(|fault| {
                json!({
                    "name": fault.name,
                    "endpoints": paths(fault),
                    "requirements": fault.requirements,
                    "what": fault.what,
                })
            });
            out::json(&rows.collect());
        }
        Form::People => {
            let row = |fault: &Fault| {
                [
                    fault.name.to_owned(),
                    paths(fault).join(" "),
                    fault.what.to_owned(),
                ]
            };
            let rows: Vec<[String; 3]> = FAULTS.iter().map(row).collect();
            out::table(["FAULT", "WHERE", "WHAT HAPPENS"], &rows);
        }
    }
}

fn paths(fault: &Fault) -> Vec<&'static str> {
    fault
        .endpoints
        .iter()
        .map(|endpoint| endpoint.path())
        .collect()
}
