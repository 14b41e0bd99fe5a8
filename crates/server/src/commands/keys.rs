//! `grantry keys`.

use grantry_core::http::Method;
use serde_json::{Value, json};

use super::list::{self, Page, Rows, body, given};
use super::target::{Target, time_to_come};
use crate::client::{Client, Content, segment};
use crate::failure::{Exit, Failure};
use crate::out::confirm::Sure;
use crate::out::{self, Form};

const EXAMPLES: &str = "\
A key is of a team unless --account or --server says otherwise; those are for an account's and for
the server's operator.

Examples:
  grantry keys create --name ci --role token-only --expires 90d
  grantry keys create --name web --project web --environment production
  grantry keys create --name billing --account acc_1 --role admin
  grantry keys list --user alice@acme.example --include-revoked
  grantry keys revoke key_1";

/// Keys of a team, of an account, of the server.
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
    /// List keys, newest first, without their texts
    List {
        #[command(flatten)]
        level: Level,
        /// Only those of this person
        #[arg(long, value_name = "USER", conflicts_with = "server")]
        user: Option<String>,
        /// Only those of this project, by id or name
        #[arg(long, value_name = "PROJECT", conflicts_with_all = ["server", "account"])]
        project: Option<String>,
        /// Revoked ones too
        #[arg(long)]
        include_revoked: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Show one key without its text
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        level: Level,
    },
    /// Make a key; its text is shown once
    Create(Box<Create>),
    /// Revoke a key; it is refused everywhere within seconds
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        level: Level,
        #[command(flatten)]
        sure: Sure,
    },
}

/// What a key is of, where that is no team.
#[derive(clap::Args)]
#[group(multiple = false)]
struct Level {
    /// Of this account, by id
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Of the server
    #[arg(long)]
    server: bool,
}

impl Level {
    fn path(&self) -> String {
        match &self.account {
            Some(account) => format!("/accounts/{}/keys", segment(account)),
            None if self.server => "/server-keys".to_owned(),
            None => "/keys".to_owned(),
        }
    }
}

#[derive(clap::Args)]
struct Create {
    /// What it is for
    #[arg(long)]
    name: String,
    #[command(flatten)]
    level: Level,
    /// What it may do [default: member]; a workload's and a server's key have none
    #[arg(long, conflicts_with_all = ["project", "server"], value_parser = ["owner", "admin", "member", "token-only"])]
    role: Option<String>,
    /// The person it acts for, by id or mail address [default: yourself]
    #[arg(long, value_name = "USER", conflicts_with_all = ["project", "server"])]
    user: Option<String>,
    /// Make it a workload's key: of this project, by id or name
    #[arg(long, requires = "environment", conflicts_with_all = ["server", "account"])]
    project: Option<String>,
    /// Where that workload runs
    #[arg(long, requires = "project")]
    environment: Option<String>,
    /// When it ends: after 90d, 12h …, or at 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME", value_parser = time_to_come)]
    expires: Option<String>,
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
        Act::List {
            level,
            user,
            project,
            include_revoked,
            page,
        } => {
            let mut filter = given([("user", &user), ("project", &project)])?;
            if include_revoked {
                filter.push(("include_revoked", "true"));
            }
            ROWS.list_at(&client, &level.path(), &filter, &page, form)
                .await
        }
        Act::Show { id, level } => list::show(&client, &level.path(), &id, form).await,
        Act::Create(new) => create(&client, *new, form).await,
        Act::Revoke { id, level, sure } => {
            let question = format!("Revoke key {id}? What uses it is refused within seconds.");
            sure.or_ask(question).await?;
            list::remove(&client, &level.path(), &id, "revoked", form).await
        }
    }
}

async fn create(client: &Client, new: Create, form: Form) -> Result<(), Failure> {
    let path = new.level.path();
    let role = match (&new.project, new.level.server) {
        (None, false) => Some(new.role.unwrap_or_else(|| "member".to_owned())),
        _ => None,
    };
    let body = body([
        ("name", Some(new.name)),
        ("role", role),
        ("user", new.user),
        ("project", new.project),
        ("environment", new.environment),
        ("expires_at", new.expires),
    ]);
    let made = client
        .demand(Method::Post, &path, &[], Content::Json(body))
        .await?;
    show_once(&made, form)
}

/// The text of a new key alone on standard output, so that a script can take it.
fn show_once(made: &Value, form: Form) -> Result<(), Failure> {
    if form == Form::Json {
        out::json(made);
        return Ok(());
    }
    let text = |name: &str| made[name].as_str();
    let key = text("key").ok_or_else(|| {
        let message = format!(
            "the server's answer holds no key: {}",
            json!({ "id": made["id"] })
        );
        Failure::new(Exit::Failed, message)
    })?;
    out::note(&format!(
        "Key {}, shown only now:",
        text("id").unwrap_or_default()
    ));
    out::line(key);
    Ok(())
}
