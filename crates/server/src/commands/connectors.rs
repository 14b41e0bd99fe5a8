//! `grantry connectors`.

use grantry_core::http::Method;
use serde_json::{Map, Value, json};

use super::list::{self, Page};
use crate::client::{self, Client, Content};
use crate::config::environment;
use crate::failure::Failure;
use crate::out::Form;

/// Connectors: a team's registered clients of services.
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
    /// List the team's connectors, newest first
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show one connector
    Show {
        /// Its id or uid
        connector: String,
    },
    /// Register a client of a service
    Create(Create),
    /// Delete a connector, its secrets and its connections
    Delete {
        /// Its id or uid
        connector: String,
    },
}

#[derive(clap::Args)]
struct Create {
    /// For people
    #[arg(long)]
    name: String,
    /// A name of your own, unique in the team, such as oauth/acme
    #[arg(long)]
    uid: Option<String>,
    /// oauth, api-key …
    #[arg(long = "type", value_name = "TYPE", default_value = "oauth")]
    kind: String,
    /// The service of the catalogue
    #[arg(long)]
    service: Option<String>,
    /// The client id that the service gave you
    #[arg(long)]
    client_id: Option<String>,
    /// The environment variable that holds the client secret
    #[arg(long, value_name = "VAR")]
    client_secret_env: Option<String>,
    /// Further data of the type, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<Map<String, Value>>,
}

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let form = Form::json_if(args.json);
    match args.act {
        Act::List { page } => {
            let columns: [list::Column; 5] = [
                ("ID", &["/id"]),
                ("UID", &["/uid"]),
                ("NAME", &["/name"]),
                ("TYPE", &["/type"]),
                ("SERVICE", &["/service"]),
            ];
            list::list(&client, "/connectors", &[], &page, columns, form).await
        }
        Act::Show { connector } => list::show(&client, "/connectors", &connector, form).await,
        Act::Create(new) => create(&client, new, form).await,
        Act::Delete { connector } => {
            list::remove(&client, "/connectors", &connector, "deleted", form).await
        }
    }
}

async fn create(client: &Client, new: Create, form: Form) -> Result<(), Failure> {
    let mut data = new.data.unwrap_or_default();
    if let Some(id) = new.client_id {
        data.insert("clientId".to_owned(), id.into());
    }
    if let Some(name) = new.client_secret_env {
        let secret = environment(&name)
            .ok_or_else(|| Failure::usage(format!("the environment variable {name} is not set")))?;
        data.insert("clientSecret".to_owned(), secret.into());
    }
    let mut body = json!({ "name": new.name, "type": new.kind, "data": data });
    for (field, value) in [("uid", new.uid), ("service", new.service)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let made = client
        .demand(Method::Post, "/connectors", &[], Content::Json(body))
        .await?;
    list::print_row(&made, form);
    Ok(())
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}
