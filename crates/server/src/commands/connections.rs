//! `grantry connections`.

use super::list::{self, Page};
use crate::client;
use crate::failure::Failure;
use crate::out::Form;

/// Connections: what a consent left behind.
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
    /// List the team's connections, newest first
    List {
        /// Only those of this connector
        #[arg(long, value_name = "CONNECTOR")]
        connector: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one connection
    Show {
        /// Its id
        id: String,
    },
    /// End one connection, here and at the provider
    Revoke {
        /// Its id
        id: String,
    },
}

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let form = Form::json_if(args.json);
    match args.act {
        Act::List { connector, page } => {
            let filter: Vec<_> = connector
                .iter()
                .map(|id| ("connector", id.as_str()))
                .collect();
            let columns: [list::Column; 6] = [
                ("ID", &["/id"]),
                ("CONNECTOR", &["/connector"]),
                ("SUBJECT", &["/subject/id", "/subject/type"]),
                ("ENVIRONMENT", &["/environment"]),
                ("STATE", &["/state", "/status"]),
                ("CREATED", &["/created_at"]),
            ];
            list::list(&client, "/connections", &filter, &page, columns, form).await
        }
        Act::Show { id } => list::show(&client, "/connections", &id, form).await,
        Act::Revoke { id } => list::remove(&client, "/connections", &id, "revoked", form).await,
    }
}
