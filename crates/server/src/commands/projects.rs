//! `grantry projects`.

use grantry_core::http::Method;
use serde_json::{Map, Value, json};

use super::list::{self, Page, Rows, body, given};
use super::target::{Target, pair};
use crate::client::{Client, Content, segment};
use crate::failure::{Exit, Failure};
use crate::out::confirm::Sure;
use crate::out::{self, Form};

const EXAMPLES: &str = "\
Examples:
  grantry projects create --name web --environment staging --base-url production=https://app.example
  grantry projects update web --base-url staging=https://staging.app.example
  grantry projects environments add web qa";

/// Projects: workloads that consume tokens, and where they run.
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
    /// List the team's projects, by name
    List {
        /// Only those with this text in id or name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one project
    Show {
        /// Its id or name
        project: String,
    },
    /// Make a project
    Create {
        /// Unique in the team
        #[arg(long)]
        name: String,
        /// An environment beside production, preview and development
        #[arg(long = "environment", value_name = "SLUG")]
        environments: Vec<String>,
        /// Where it is served: browsers may be sent back there
        #[arg(long = "base-url", value_name = "ENVIRONMENT=URL", value_parser = pair)]
        base_urls: Vec<(String, String)>,
        /// Whether its workloads may make connectors from a server's URL by themselves
        #[arg(long, value_name = "true|false")]
        provisions: Option<bool>,
        /// Where the answers to its sign-ins may go: all such addresses; an empty one is none
        #[arg(long = "sign-in-uri", value_name = "URL")]
        sign_in_uris: Vec<String>,
    },
    /// Change a project
    Update {
        /// Its id or name
        project: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Where it is served; nothing after the = takes it away
        #[arg(long = "base-url", value_name = "ENVIRONMENT=URL", value_parser = pair)]
        base_urls: Vec<(String, String)>,
        /// Whether its workloads may make connectors from a server's URL by themselves
        #[arg(long, value_name = "true|false")]
        provisions: Option<bool>,
        /// Where the answers to its sign-ins may go: all such addresses; an empty one is none
        #[arg(long = "sign-in-uri", value_name = "URL")]
        sign_in_uris: Vec<String>,
    },
    /// Delete a project, its keys and its links
    Delete {
        /// Its id or name
        project: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Environments of a project beside the built-in ones
    Environments {
        #[command(subcommand)]
        act: Environments,
    },
}

#[derive(clap::Subcommand)]
enum Environments {
    /// List them
    List {
        /// The project, by id or name
        project: String,
    },
    /// Add one
    Add {
        /// The project, by id or name
        project: String,
        /// Lower-case letters, digits, - and _
        slug: String,
    },
    /// Give one another slug
    Rename {
        /// The project, by id or name
        project: String,
        /// Its id or slug
        environment: String,
        /// The new slug
        slug: String,
    },
    /// Remove one
    Remove {
        /// The project, by id or name
        project: String,
        /// Its id or slug
        environment: String,
        #[command(flatten)]
        sure: Sure,
    },
}

const ROWS: Rows<4> = Rows {
    path: "/projects",
    columns: [
        list::id("ID", &["/id"]),
        list::text("NAME", &["/name"]),
        list::text(
            "SERVED AT",
            &["/base_urls/production", "/base_urls/preview"],
        ),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There are no projects yet. Make one: grantry projects create --name NAME",
};

const ENVIRONMENTS: Rows<2> = Rows {
    path: "",
    columns: [list::id("SLUG", &["/slug"]), list::id("ID", &["/id"])],
    none: "",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List { search, page } => {
            let filter = given([("search", &search)])?;
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Show { project } => ROWS.show(&client, &project, form).await,
        Act::Create {
            name,
            environments,
            base_urls,
            provisions,
            sign_in_uris,
        } => {
            let mut body = json!({ "name": name, "base_urls": urls(base_urls) });
            if !environments.is_empty() {
                body["custom_environments"] = json!(environments);
            }
            if let Some(provisions) = provisions {
                body["provisions"] = json!(provisions);
            }
            if !sign_in_uris.is_empty() {
                let uris = sign_in_uris.iter().filter(|uri| !uri.is_empty());
                body["sign_in_uris"] = uris.map(String::as_str).collect();
            }
            ROWS.create(&client, body, form).await
        }
        Act::Update {
            project,
            name,
            base_urls,
            provisions,
            sign_in_uris,
        } => {
            let mut body = body([("name", name)]);
            if !base_urls.is_empty() {
                body["base_urls"] = urls(base_urls);
            }
            if let Some(provisions) = provisions {
                body["provisions"] = json!(provisions);
            }
            if !sign_in_uris.is_empty() {
                let uris = sign_in_uris.iter().filter(|uri| !uri.is_empty());
                body["sign_in_uris"] = uris.map(String::as_str).collect();
            }
            ROWS.change(&client, &project, body, form).await
        }
        Act::Delete { project, sure } => {
            let question = format!("Delete project {project}, its keys and its links?");
            ROWS.delete(&client, &project, (sure, question), "deleted", form)
                .await
        }
        Act::Environments { act } => environments(&client, act, form).await,
    }
}

async fn environments(client: &Client, act: Environments, form: Form) -> Result<(), Failure> {
    let at = |project: &str| format!("/projects/{}/environments", segment(project));
    match act {
        Environments::List { project } => {
            let path = format!("/projects/{}", segment(&project));
            let mut row = client
                .demand(Method::Get, &path, &[], Content::None)
                .await?;
            let Value::Array(rows) = row["custom_environments"].take() else {
                return Err(Failure::new(
                    Exit::Failed,
                    "the server's answer holds no environments",
                ));
            };
            match form {
                Form::Json => out::json(&Value::Array(rows)),
                Form::People if rows.is_empty() => out::note(
                    "There are only production, preview and development. Add one: grantry projects environments add PROJECT SLUG",
                ),
                Form::People => ENVIRONMENTS.print(&rows),
            }
            Ok(())
        }
        Environments::Add { project, slug } => {
            let body = json!({ "slug": slug });
            list::send(client, Method::Post, &at(&project), body, form).await
        }
        Environments::Rename {
            project,
            environment,
            slug,
        } => {
            list::change(
                client,
                &at(&project),
                &environment,
                json!({ "slug": slug }),
                form,
            )
            .await
        }
        Environments::Remove {
            project,
            environment,
            sure,
        } => {
            let question = format!("Remove environment {environment} of project {project}?");
            sure.or_ask(question).await?;
            list::remove(client, &at(&project), &environment, "removed", form).await
        }
    }
}

/// Base URLs by environment; an empty one is none.
fn urls(pairs: Vec<(String, String)>) -> Value {
    let url = |url: String| match url.is_empty() {
        true => Value::Null,
        false => url.into(),
    };
    let fields: Map<String, Value> = pairs
        .into_iter()
        .map(|(name, value)| (name, url(value)))
        .collect();
    Value::Object(fields)
}
