//! `grantry workload-token`.

use grantry_core::http::Method;
use serde_json::json;

use super::token::text_of;
use crate::client::{self, Content};
use crate::failure::Failure;
use crate::out;

/// Mint a token that proves which project runs where.
#[derive(clap::Args)]
pub struct Args {
    /// The project, by id or name
    #[arg(long, value_name = "PROJECT")]
    project: String,
    /// Where it runs: production, preview, development, or an environment of its own
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Flags,
}

/// Prints the token on standard output.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let body = json!({ "project": args.project, "environment": args.environment });
    // At the control socket the project tells the team.
    let query = [("project", args.project.as_str())];
    let answer = client
        .demand(
            Method::Post,
            "/workload-tokens",
            &query,
            Content::Json(body),
        )
        .await?;
    if args.json {
        out::json(&answer);
    } else {
        out::line(text_of(&answer)?.expose());
    }
    Ok(())
}
