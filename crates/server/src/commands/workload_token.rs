//! `grantry workload-token`.

use grantry_core::http::Method;
use serde_json::json;

use super::target::{Target, length};
use super::token::text_of;
use crate::client::Content;
use crate::failure::Failure;
use crate::out::{self, Form};

/// Mint a token that proves which project runs where.
#[derive(clap::Args)]
pub struct Args {
    /// The project, by id or name
    #[arg(long, value_name = "PROJECT")]
    project: String,
    /// Where it runs: production, preview, development, or an environment of its own
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// Its life: 15m, 2h, at most 12h [default: 12h]
    #[arg(long, value_name = "TIME", value_parser = length)]
    ttl: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// Prints the token on standard output.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    let mut body = json!({ "project": args.project, "environment": args.environment });
    if let Some(millis) = args.ttl {
        body["ttl_ms"] = json!(millis);
    }
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
    match form {
        Form::Json => out::json(&answer),
        Form::People => out::line(text_of(&answer)?.expose()),
    }
    Ok(())
}
