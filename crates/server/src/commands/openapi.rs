//! `grantry openapi`.

use grantry_api::kit::openapi::document;

use crate::config::LISTEN;
use crate::failure::{Exit, Failure};
use crate::out;

/// Print the OpenAPI document.
#[derive(clap::Args)]
pub struct Args {
    /// The server that it names
    #[arg(long, value_name = "URL", default_value_t = format!("http://{LISTEN}"))]
    url: String,
}

/// Prints it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = document(args.url.trim_end_matches('/')).to_pretty_json();
    out::line(&text.map_err(|error| Failure::new(Exit::Failed, error))?);
    Ok(())
}
