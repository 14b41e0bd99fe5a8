//! `grantry keys`.

use grantry_core::http::Method;
use serde_json::json;

use super::list::{self, Page};
use crate::client::{self, Client, Content};
use crate::failure::Failure;
use crate::out::{self, Form};

/// Keys of a team.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    server: client::Flags,
}

#[derive(clap::Subcommand)]
enum Act {
    /// List the team's keys, newest first
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Make a key; its text is shown once
    Create(Create),
    /// Revoke a key
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(clap::Args)]
struct Create {
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it may do, `member` when absent; a workload's key has none
    #[arg(long, conflicts_with = "project", value_parser = ["admin", "member", "token-only"])]
    role: Option<String>,
    /// Make it a workload's key: of this project, by id or name
    #[arg(long, requires = "environment")]
    project: Option<String>,
    /// Where that workload runs
    #[arg(long, requires = "project")]
    environment: Option<String>,
}

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let form = Form::json_if(args.json);
    match args.act {
        Act::List { page } => {
            let columns: [list::Column; 6] = [
                ("ID", &["/id"]),
                ("NAME", &["/name"]),
                ("BEGINS", &["/hint"]),
                ("OF", &["/project", "/user"]),
                ("ROLE", &["/role"]),
                ("REVOKED", &["/revoked_at"]),
            ];
            list::list(&client, "/keys", &[], &page, columns, form).await
        }
        Act::Create(new) => create(&client, new, form).await,
        Act::Revoke { id } => list::remove(&client, "/keys", &id, "revoked", form).await,
    }
}

async fn create(client: &Client, new: Create, form: Form) -> Result<(), Failure> {
    let mut body = json!({ "name": new.name });
    if let (Some(project), Some(environment)) = (new.project, new.environment) {
        body["project"] = json!(project);
        body["environment"] = json!(environment);
    } else {
        body["role"] = json!(new.role.as_deref().unwrap_or("member"));
    }
    let made = client
        .demand(Method::Post, "/keys", &[], Content::Json(body))
        .await?;
    match (form, made["key"].as_str()) {
        (Form::People, Some(key)) => {
            out::note(&format!(
                "Key {}, shown only now:",
                made["id"].as_str().unwrap_or_default()
            ));
            out::line(key);
        }
        _ => out::json(&made),
    }
    Ok(())
}
