//! `grantry keys`.

use grantry_core::http::Method;
use serde_json::json;

use super::list::{self, Page, Rows};
use super::target::Target;
use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::out::confirm::Sure;
use crate::out::{self, Form};

const EXAMPLES: &str = "\
Examples:
  grantry keys create --name ci --role token-only --expires-at 2027-01-01T00:00:00Z
  grantry keys create --name web --project web --environment production
  grantry keys revoke key_1";

/// Keys of a team.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    target: Target,
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
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(clap::Args)]
struct Create {
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it may do, `member` when absent; a workload's key has none
    #[arg(long, conflicts_with = "project", value_parser = ["owner", "admin", "member", "token-only"])]
    role: Option<String>,
    /// Make it a workload's key: of this project, by id or name
    #[arg(long, requires = "environment")]
    project: Option<String>,
    /// Where that workload runs
    #[arg(long, requires = "project")]
    environment: Option<String>,
    /// When it ends, such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

const ROWS: Rows<8> = Rows {
    path: "/keys",
    columns: [
        list::id("ID", &["/id"]),
        list::text("NAME", &["/name"]),
        list::text("BEGINS", &["/hint"]),
        list::text("OF", &["/project", "/user", "/level"]),
        list::text("ROLE", &["/role"]),
        list::time("CREATED", &["/created_at"]),
        list::time("EXPIRES", &["/expires_at"]),
        list::time("REVOKED", &["/revoked_at"]),
    ],
    none: "There are no keys yet. Make one: grantry keys create --help",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List { page } => ROWS.list(&client, &[], &page, form).await,
        Act::Create(new) => create(&client, new, form).await,
        Act::Revoke { id, sure } => {
            let question = format!("Revoke key {id}? What uses it is refused within seconds.");
            sure.or_ask(question).await?;
            list::remove(&client, "/keys", &id, "revoked", form).await
        }
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
    if let Some(time) = new.expires_at {
        body["expires_at"] = json!(time);
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
