//! `grantry events`.

use super::list::{self, Page};
use crate::client;
use crate::failure::Failure;
use crate::out::Form;

/// Events: who did what.
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
    /// List the team's events, newest first
    List {
        /// Only events of this kind, such as token.read
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only events about this connector
        #[arg(long, value_name = "CONNECTOR")]
        connector: Option<String>,
        /// Only events about this connection
        #[arg(long, value_name = "CONNECTION")]
        connection: Option<String>,
        #[command(flatten)]
        page: Page,
    },
}

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let client = args.server.client()?;
    let form = Form::json_if(args.json);
    let Act::List {
        kind,
        connector,
        connection,
        page,
    } = args.act;
    let filters = [
        ("kind", &kind),
        ("connector", &connector),
        ("connection", &connection),
    ];
    let filter: Vec<(&str, &str)> = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let columns: [list::Column; 5] = [
        ("AT", &["/at"]),
        ("EVENT", &["/kind"]),
        ("ACTOR", &["/actor/id", "/actor/type"]),
        ("CONNECTOR", &["/connector"]),
        ("CONNECTION", &["/connection"]),
    ];
    list::list(&client, "/events", &filter, &page, columns, form).await
}
