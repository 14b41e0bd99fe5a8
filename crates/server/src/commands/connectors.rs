//! `grantry connectors`.

mod flags;

use grantry_core::http::Method;
use serde_json::{Value, json};

use super::list::{self, Page, Rows, given};
use super::register;
use super::target::Target;
use crate::client::{Client, Content, segment};
use crate::failure::{Exit, Failure};
use crate::out::confirm::Sure;
use crate::out::{self, Form};
use flags::{Create, Update};

const EXAMPLES: &str = "\
Examples:
  grantry connectors list --project web --service github
  GITHUB_SECRET=… grantry connectors create --name GitHub --uid oauth/github \\
    --service github --client-id Iv1.2 --client-secret-env GITHUB_SECRET --project web
  grantry connectors create --file connector.json
  grantry connectors attach oauth/github web --environment production
  grantry connectors manifest slack/helper >manifest.json
  grantry connectors search wiki 'who signed the lease'";

/// Connectors: a team's registered clients of services.
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
    /// List the team's connectors, newest first
    List(Filters),
    /// Show one connector
    Show {
        /// Its id or uid
        connector: String,
    },
    /// Register a client of a service
    Create(Box<Create>),
    /// Register a connector at its service: a person does it at the printed URL, or a program with --complete
    Register(Box<register::Register>),
    /// Change a connector; what is not given stays
    Update(Box<Update>),
    /// Delete a connector, its secrets and its connections
    Delete {
        /// Its id or uid
        connector: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Ask a connector's search endpoint (data.search); its token stays at the server
    Search(Search),
    /// Print the manifest that Slack makes an app of (type slack), as JSON
    Manifest {
        /// Its id or uid
        connector: String,
    },
    /// Make the next key of a connector that signs; it signs from a day later
    RotateKey {
        /// Its id or uid
        connector: String,
    },
    /// List the projects that may use a connector
    Links {
        /// Its id or uid
        connector: String,
    },
    /// Let a project use a connector
    Attach {
        /// The connector, by id or uid
        connector: String,
        /// The project, by id or name
        project: String,
        /// Where the project may use it [default: production, preview and development]
        #[arg(long = "environment", value_name = "ENVIRONMENT")]
        environments: Vec<String>,
    },
    /// Take a connector from a project
    Detach {
        /// The connector, by id or uid
        connector: String,
        /// The project, by id or name
        project: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(clap::Args)]
struct Filters {
    /// Only those that this project may use, by id or name
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Only those with this text in name, uid or service
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    page: Page,
}

#[derive(clap::Args)]
struct Search {
    /// The connector, by id or uid
    connector: String,
    /// What to look for
    query: String,
    /// The user whose token goes along [default: your own, or the app's]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

const ROWS: Rows<6> = Rows {
    path: "/connectors",
    columns: [
        list::id("ID", &["/id"]),
        list::id("UID", &["/uid"]),
        list::text("NAME", &["/name"]),
        list::text("TYPE", &["/type"]),
        list::text("SERVICE", &["/service"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There are no connectors yet. Register one: grantry connectors create --help",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List(filters) => {
            let filter = given([
                ("project", &filters.project),
                ("search", &filters.search),
                ("type", &filters.kind),
                ("service", &filters.service),
            ])?;
            ROWS.list(&client, &filter, &filters.page, form).await
        }
        Act::Show { connector } => ROWS.show(&client, &connector, form).await,
        Act::Create(new) => create(&client, *new, form).await,
        Act::Register(asked) => asked.run(&client, form).await,
        Act::Update(change) => {
            let connector = change.connector.clone();
            let body = change.body(&client).await?;
            ROWS.change(&client, &connector, body, form).await
        }
        Act::Delete { connector, sure } => {
            let question =
                format!("Delete connector {connector}, its secrets and all its connections?");
            ROWS.delete(&client, &connector, (sure, question), "deleted", form)
                .await
        }
        Act::Search(asked) => search(&client, &asked, form).await,
        Act::Manifest { connector } => {
            let path = format!("/connectors/{}/manifest", segment(&connector));
            let manifest = client.demand(Method::Get, &path, &[], Content::None);
            // It is pasted or sent as it is: there is no other form of it.
            out::json(&manifest.await?);
            Ok(())
        }
        Act::RotateKey { connector } => {
            let path = format!("/connectors/{}/rotate_key", segment(&connector));
            let rotated = client.demand(Method::Post, &path, &[], Content::None);
            list::print_row(&rotated.await?, form);
            Ok(())
        }
        Act::Links { connector } => links(&client, &connector, form).await,
        Act::Attach {
            connector,
            project,
            environments,
        } => attach(&client, &connector, &project, environments, form).await,
        Act::Detach {
            connector,
            project,
            sure,
        } => {
            let question = format!("Take connector {connector} from project {project}?");
            sure.or_ask(question).await?;
            let path = format!("/connectors/{}/projects", segment(&connector));
            list::remove(&client, &path, &project, "detached", form).await
        }
    }
}

async fn create(client: &Client, new: Create, form: Form) -> Result<(), Failure> {
    let body = new.body()?;
    let made = client
        .demand(Method::Post, "/connectors", &[], Content::Json(body))
        .await?;
    list::print_row(&made, form);
    Ok(())
}

async fn search(client: &Client, asked: &Search, form: Form) -> Result<(), Failure> {
    let path = format!("/connectors/{}/search", segment(&asked.connector));
    let mut body = json!({ "query": asked.query });
    if let Some(user) = &asked.user {
        body["subject"] = json!({ "type": "user", "id": user });
    }
    let mut found = client
        .demand(Method::Post, &path, &[], Content::Json(body))
        .await?;
    if form == Form::Json {
        out::json(&found);
        return Ok(());
    }
    match found["results"].take() {
        Value::Array(documents) if !documents.is_empty() => DOCUMENTS.print(&documents),
        _ => out::note("It found nothing."),
    }
    Ok(())
}

const DOCUMENTS: Rows<3> = Rows {
    path: "",
    columns: [
        list::text("TITLE", &["/title", "/id"]),
        list::text("TEXT", &["/text"]),
        list::text("URL", &["/url"]),
    ],
    none: "",
};

async fn links(client: &Client, connector: &str, form: Form) -> Result<(), Failure> {
    let path = format!("/connectors/{}", segment(connector));
    let mut row = client
        .demand(Method::Get, &path, &[], Content::None)
        .await?;
    let Value::Array(links) = row["links"].take() else {
        return Err(Failure::new(
            Exit::Failed,
            "the server's answer holds no links",
        ));
    };
    match form {
        Form::Json => out::json(&Value::Array(links)),
        Form::People if links.is_empty() => out::note(&format!(
            "No project may use {connector} yet. Let one: grantry connectors attach {connector} PROJECT"
        )),
        Form::People => LINKS.print(&links),
    }
    Ok(())
}

const LINKS: Rows<3> = Rows {
    path: "",
    columns: [
        list::id("PROJECT", &["/project"]),
        list::text("ENVIRONMENTS", &["/environments"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "",
};

async fn attach(
    client: &Client,
    connector: &str,
    project: &str,
    environments: Vec<String>,
    form: Form,
) -> Result<(), Failure> {
    let environments = match environments.as_slice() {
        [] => ["production", "preview", "development"]
            .map(str::to_owned)
            .to_vec(),
        _ => environments,
    };
    let path = format!(
        "/connectors/{}/projects/{}",
        segment(connector),
        segment(project)
    );
    let body = Content::Json(json!({ "environments": environments }));
    let link = client.demand(Method::Put, &path, &[], body).await?;
    list::print_row(&link, form);
    Ok(())
}
