//! `grantry healthcheck`: for container engines, whose images have no curl.

use std::path::PathBuf;

use crate::client::Client;
use crate::config::{DATA_DIR, environment};
use crate::failure::{Exit, Failure};

/// Whether the server on this machine can serve: exit code 0 when it can
#[derive(clap::Args)]
pub struct Args {
    /// The server's data directory [default: ./grantry-data] [env: GRANTRY_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Asks `/readyz` at the control socket.
///
/// # Errors
/// [`Exit::NoServer`] when nobody answers, [`Exit::Failed`] with why it is not ready.
pub async fn run(args: Args) -> Result<(), Failure> {
    let directory = args
        .data_dir
        .or_else(|| environment("GRANTRY_DATA_DIR").map(PathBuf::from))
        .unwrap_or_else(|| DATA_DIR.into());
    match Client::at_socket(&directory, None)? {
        Some(client) => client.ready().await,
        None => Err(Failure::new(
            Exit::NoServer,
            format!("no server runs on {}", directory.display()),
        )),
    }
}
