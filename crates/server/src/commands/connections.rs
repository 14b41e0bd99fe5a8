//! `grantry connections`.

mod import;

use grantry_core::http::Method;
use serde_json::{Value, json};

use super::list::{self, Page, Rows, given};
use super::target::Target;
use crate::client::{Client, Content, segment};
use crate::failure::{Exit, Failure};
use crate::out::confirm::Sure;
use crate::out::progress::Bar;
use crate::out::{self, Form};

const EXAMPLES: &str = "\
Examples:
  grantry connections list --connector oauth/github --user alice
  ACCESS=… REFRESH=… grantry connections import --connector oauth/github --user alice \\
    --access-token-env ACCESS --refresh-token-env REFRESH --expires-in 3600
  grantry connections import --file grants.json
  grantry connections revoke conn_1 conn_2
  grantry connections revoke --connector oauth/github --user alice";

/// Connections: what a consent left behind.
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
    /// List the team's connections, newest first
    List {
        #[command(flatten)]
        filters: Filters,
        /// Revoked ones too
        #[arg(long)]
        include_revoked: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Show one connection
    Show {
        /// Its id
        id: String,
    },
    /// Take in grants that exist already; one that stands keeps its tokens
    Import(Box<import::Args>),
    /// End connections, here and at the provider
    Revoke {
        /// Their ids
        #[arg(value_name = "ID", required_unless_present_any = ["connector", "user", "state", "environment", "search"])]
        ids: Vec<String>,
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(clap::Args)]
struct Filters {
    /// Only those of this connector, by id or uid
    #[arg(long, value_name = "CONNECTOR")]
    connector: Option<String>,
    /// Only those of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = ["active", "needs_reauth", "revoked"])]
    state: Option<String>,
    /// Only those in this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only those with this text in name, external subject or the user's id
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl Filters {
    fn given(&self) -> Result<Vec<(&'static str, &str)>, Failure> {
        given([
            ("connector", &self.connector),
            ("user", &self.user),
            ("state", &self.state),
            ("environment", &self.environment),
            ("search", &self.search),
        ])
    }
}

const ROWS: Rows<6> = Rows {
    path: "/connections",
    columns: [
        list::id("ID", &["/id"]),
        list::text("CONNECTOR", &["/connector"]),
        list::text("SUBJECT", &["/subject/id", "/subject/type"]),
        list::text("ENVIRONMENT", &["/environment"]),
        list::state("STATE", &["/state"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There are no connections yet. `grantry token CONNECTOR --user USER` shows a link to connect one.",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List {
            filters,
            include_revoked,
            page,
        } => {
            let mut filter = filters.given()?;
            if include_revoked {
                filter.push(("include_revoked", "true"));
            }
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Show { id } => ROWS.show(&client, &id, form).await,
        Act::Import(new) => import::run(&client, *new, form).await,
        Act::Revoke { ids, filters, sure } => revoke(&client, ids, &filters, sure, form).await,
    }
}

async fn revoke(
    client: &Client,
    mut ids: Vec<String>,
    filters: &Filters,
    sure: Sure,
    form: Form,
) -> Result<(), Failure> {
    let filter = filters.given()?;
    if !filter.is_empty() {
        if !ids.is_empty() {
            return Err(Failure::usage("give either ids or filters"));
        }
        let (rows, _) = list::fetch(client, "/connections", &filter, usize::MAX).await?;
        ids.extend(
            rows.iter()
                .filter_map(|row| Some(row["id"].as_str()?.to_owned())),
        );
    }
    let what = match ids.as_slice() {
        [] => {
            if form == Form::Json {
                out::json(&json!([]));
            } else {
                out::note("There are none to revoke.");
            }
            return Ok(());
        }
        [one] => format!("connection {one}"),
        many => format!("{} connections", many.len()),
    };
    sure.or_ask(format!("Revoke {what}, here and at the provider?"))
        .await?;

    let mut bar = Bar::new("Revoking", ids.len() as u64);
    let mut done = Vec::new();
    let mut failed: Vec<Failure> = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let path = format!("/connections/{}", segment(id));
        match client
            .call(Method::Delete, &path, &[], Content::None)
            .await?
        {
            Ok(mut ended) => {
                ended["id"] = json!(id);
                done.push(ended);
            }
            Err(refusal) => {
                let failure = refusal.failure();
                failed.push(Failure {
                    message: format!("{id}: {}", failure.message),
                    ..failure
                });
            }
        }
        bar.at(at as u64 + 1);
    }
    drop(bar);
    report(&done, form);
    let lines: Vec<&str> = failed.iter().map(|one| one.message.as_str()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure {
            message: lines.join("\n       "),
            exit: Exit::Failed,
            hint: first.hint.clone(),
        }),
    }
}

/// What became of each revocation.
fn report(done: &[Value], form: Form) {
    if form == Form::Json {
        return out::json(&Value::Array(done.to_vec()));
    }
    let sum = |field: &str| {
        let counts = done.iter().filter_map(|ended| ended[field].as_u64());
        counts.sum::<u64>()
    };
    match done {
        [] => {}
        [one] => out::note(&format!(
            "{} is revoked.",
            one["id"].as_str().unwrap_or_default()
        )),
        many => out::note(&format!("{} connections are revoked.", many.len())),
    }
    let failed = sum("provider_failed");
    if failed > 0 {
        out::note(&format!(
            "{failed} could not be ended at the provider: its own pages can."
        ));
    }
}
