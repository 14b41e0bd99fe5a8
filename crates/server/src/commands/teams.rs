//! `grantry teams`.

use grantry_core::http::Method;
use serde_json::json;

use super::list::{self, Page, Rows, body, given};
use super::target::Target;
use crate::client::{Client, Content, segment};
use crate::failure::Failure;
use crate::out::Form;
use crate::out::confirm::Sure;

const EXAMPLES: &str = "\
Examples:
  grantry teams create --slug acme --name \"Acme Inc\" --account acc_1
  grantry teams update acme --return-origin https://app.example
  grantry teams members set acme alice@acme.example --role admin";

/// Teams: the boundary of everything in them.
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
    /// List those that you may act in
    List {
        /// Only those with this text in id, slug or name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those of this account; for the server's operator
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one team
    Show {
        /// Its id or slug
        team: String,
    },
    /// Make a team
    Create {
        /// Unique in the server: lower-case letters, digits, - and _
        #[arg(long)]
        slug: String,
        /// For people [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// The account that owns it; for the server's operator
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Where browsers may be sent back to, such as https://app.example
        #[arg(long = "return-origin", value_name = "ORIGIN")]
        return_origins: Vec<String>,
    },
    /// Change a team
    Update {
        /// Its id or slug
        team: String,
        /// Another slug
        #[arg(long)]
        slug: Option<String>,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Where browsers may be sent back to: the whole list
        #[arg(long = "return-origin", value_name = "ORIGIN")]
        return_origins: Vec<String>,
    },
    /// Delete a team
    Delete {
        /// Its id or slug
        team: String,
        /// With its connectors and all their connections
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// People of a team
    Members {
        #[command(subcommand)]
        act: Members,
    },
}

#[derive(clap::Subcommand)]
enum Members {
    /// List them
    List {
        /// The team, by id or slug
        team: String,
        #[command(flatten)]
        page: Page,
    },
    /// Take somebody in, or give them another role
    Set {
        /// The team, by id or slug
        team: String,
        /// The person, by id or mail address
        user: String,
        /// What they may do
        #[arg(long, value_parser = ["owner", "admin", "member"])]
        role: String,
    },
    /// Take somebody out; their keys of the team end
    Remove {
        /// The team, by id or slug
        team: String,
        /// The person, by id or mail address
        user: String,
        #[command(flatten)]
        sure: Sure,
    },
}

const ROWS: Rows<5> = Rows {
    path: "/teams",
    columns: [
        list::id("ID", &["/id"]),
        list::id("SLUG", &["/slug"]),
        list::text("NAME", &["/name"]),
        list::text("ACCOUNT", &["/account"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There are no teams yet. Make one: grantry teams create --help",
};

const MEMBERS: Rows<4> = Rows {
    path: "",
    columns: [
        list::id("USER", &["/user/id"]),
        list::text("EMAIL", &["/user/email"]),
        list::text("NAME", &["/user/first_name"]),
        list::text("ROLE", &["/role"]),
    ],
    none: "Nobody is in the team yet. Take somebody in: grantry teams members set TEAM USER --role member",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List {
            search,
            account,
            page,
        } => {
            let filter = given([("search", &search), ("account", &account)])?;
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Show { team } => ROWS.show(&client, &team, form).await,
        Act::Create {
            slug,
            name,
            account,
            return_origins,
        } => {
            let mut body = body([("slug", Some(slug)), ("name", name)]);
            if !return_origins.is_empty() {
                body["return_origins"] = json!(return_origins);
            }
            let query = given([("account", &account)])?;
            let made = client
                .demand(Method::Post, "/teams", &query, Content::Json(body))
                .await?;
            list::print_row(&made, form);
            Ok(())
        }
        Act::Update {
            team,
            slug,
            name,
            return_origins,
        } => {
            let mut body = body([("slug", slug), ("name", name)]);
            if !return_origins.is_empty() {
                body["return_origins"] = json!(return_origins);
            }
            ROWS.change(&client, &team, body, form).await
        }
        Act::Delete { team, force, sure } => {
            let with = if force {
                ", its connectors and all their connections"
            } else {
                ""
            };
            sure.or_ask(format!("Delete team {team}{with}?")).await?;
            let query: &[_] = if force { &[("force", "true")] } else { &[] };
            list::remove_with(&client, ("/teams", &team), query, "deleted", form).await
        }
        Act::Members { act } => members(&client, act, form).await,
    }
}

async fn members(client: &Client, act: Members, form: Form) -> Result<(), Failure> {
    let at = |team: &str| format!("/teams/{}/memberships", segment(team));
    match act {
        Members::List { team, page } => MEMBERS.list_at(client, &at(&team), &[], &page, form).await,
        Members::Set { team, user, role } => {
            let path = format!("{}/{}", at(&team), segment(&user));
            list::send(client, Method::Put, &path, json!({ "role": role }), form).await
        }
        Members::Remove { team, user, sure } => {
            let question = format!("Take {user} out of team {team}?");
            sure.or_ask(question).await?;
            list::remove(client, &at(&team), &user, "out of the team", form).await
        }
    }
}
