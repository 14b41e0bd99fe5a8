//! `grantry services`.

use std::path::PathBuf;

use grantry_core::http::Method;
use serde_json::json;

use super::list::{self, Page, Rows, given};
use super::target::{Target, read_object};
use crate::client::segment;
use crate::failure::Failure;
use crate::out::confirm::Sure;

const EXAMPLES: &str = "\
Examples:
  grantry services list --search mail
  grantry services show github
  grantry services set acme --file acme.json";

/// Services: the catalogue of third parties.
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
    /// List them, by id
    List {
        /// Only those with this text in id, name or category
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show what is known of one
    Show {
        /// Its id
        service: String,
    },
    /// Add one, or lay fields over a built-in one; for the server's operator
    Set {
        /// Its id
        service: String,
        /// Its fields as a JSON object, those of [[services]] in the apply file. `-` is standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove one of your own, or the fields laid over a built-in one
    Delete {
        /// Its id
        service: String,
        #[command(flatten)]
        sure: Sure,
    },
}

const ROWS: Rows<3> = Rows {
    path: "/services",
    columns: [
        list::id("ID", &["/id"]),
        list::text("NAME", &["/data/name"]),
        list::text("KIND", &["/data/kind"]),
    ],
    none: "There are no services.",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List { search, page } => {
            let filter = given([("search", &search)])?;
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Show { service } => ROWS.show(&client, &service, form).await,
        Act::Set { service, file } => {
            let path = format!("/services/{}", segment(&service));
            let body = json!({ "data": read_object(&file)? });
            list::send(&client, Method::Put, &path, body, form).await
        }
        Act::Delete { service, sure } => {
            let question = format!("Remove this server's own fields of service {service}?");
            ROWS.delete(&client, &service, (sure, question), "removed", form)
                .await
        }
    }
}
