//! `grantry events`.

mod tail;

use super::list::{self, Page, Rows, given};
use super::target::{Target, time};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  grantry events list --kind 'connection.*' --since 1h
  grantry events list --actor key_1 --since 2026-11-01T00:00:00Z --all --json
  grantry events tail --kind token.read,connection.revoked";

/// Events: who did what.
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
    /// List the team's events, newest first
    List {
        #[command(flatten)]
        filters: Filters,
        /// Only events before this time, or this long ago
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<String>,
        /// Oldest first
        #[arg(long)]
        oldest_first: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Follow the events as they happen, until Ctrl-C; with --json one object a line
    Tail {
        #[command(flatten)]
        filters: Filters,
    },
}

#[derive(clap::Args)]
struct Filters {
    /// Only events of these kinds, separated by commas: token.read, connection.* …
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only acts of the key, user or project of this id, or of server, system or end_user
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only events about this connector
    #[arg(long, value_name = "CONNECTOR")]
    connector: Option<String>,
    /// Only events about this connection
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// Only events from this time on (RFC 3339), or of the last 15m, 2h …
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<String>,
}

impl Filters {
    fn given(&self) -> Result<Vec<(&'static str, &str)>, Failure> {
        given([
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("connector", &self.connector),
            ("connection", &self.connection),
            ("since", &self.since),
        ])
    }
}

const ROWS: Rows<5> = Rows {
    path: "/events",
    columns: [
        list::time("AT", &["/at"]),
        list::text("EVENT", &["/kind"]),
        list::text("ACTOR", &["/actor/id", "/actor/type"]),
        list::text("CONNECTOR", &["/connector"]),
        list::text("CONNECTION", &["/connection"]),
    ],
    none: "There are no events yet.",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List {
            filters,
            until,
            oldest_first,
            page,
        } => {
            let mut filter = filters.given()?;
            filter.extend(given([("until", &until)])?);
            if oldest_first {
                filter.push(("order", "asc"));
            }
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Tail { filters } => tail::run(client, &filters.given()?, form).await,
    }
}
