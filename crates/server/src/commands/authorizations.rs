//! `grantry authorizations`.

use grantry_core::http::Method;
use serde_json::json;

use super::consent::Consent;
use super::list::{self, Page, Rows, given};
use super::target::{Target, length};
use super::token::{Ask, body};
use crate::client::{Client, Content, segment};
use crate::failure::Failure;
use crate::out::confirm::Sure;
use crate::out::{self, Form};

const EXAMPLES: &str = "\
Examples:
  grantry authorizations create oauth/github --user alice
  grantry authorizations create oauth/github --user alice --return-url https://app.example/done --expires-in 15m
  grantry authorizations create oauth/github --user alice --open";

/// Authorizations: links that users open to connect.
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
    /// List requests for consent, newest first
    List {
        /// Only those of this connector, by id or uid
        #[arg(long, value_name = "CONNECTOR")]
        connector: Option<String>,
        /// Only those for this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Only those that can still be completed
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Make a link that a user opens to connect, and print it
    Create(Box<Create>),
    /// Show how far a consent has come
    Show {
        /// Its verifier, from `create --json`
        verifier: String,
    },
    /// Take a request for consent back; what a consent to it brought is revoked
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

const ROWS: Rows<6> = Rows {
    path: "/authorizations",
    columns: [
        list::id("ID", &["/id"]),
        list::text("CONNECTOR", &["/connector/uid", "/connector"]),
        list::text("SUBJECT", &["/subject/id", "/subject/type"]),
        list::state("STATUS", &["/status"]),
        list::time("CREATED", &["/created_at"]),
        list::time("EXPIRES", &["/expires_at"]),
    ],
    none: "Nobody has been asked yet. Make a link: grantry authorizations create CONNECTOR --user USER",
};

#[derive(clap::Args)]
struct Create {
    #[command(flatten)]
    ask: Ask,
    /// Where the browser goes at the end
    #[arg(long, value_name = "URL")]
    return_url: Option<String>,
    /// Scopes to ask for, separated by spaces or commas [default: the connector's own]
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,
    /// Show a code here and on the page, so that the user knows that the link is meant for them
    #[arg(long)]
    device_code: bool,
    /// Life of the link: 15m, 2h, at most 24h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = length)]
    expires_in: Option<u64>,
}

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List {
            connector,
            user,
            open,
            page,
        } => {
            let mut filter = given([("connector", &connector), ("user", &user)])?;
            if open {
                filter.push(("open", "true"));
            }
            ROWS.list(&client, &filter, &page, form).await
        }
        Act::Cancel { id, sure } => {
            let question = format!("Take authorization {id} back?");
            ROWS.delete(&client, &id, (sure, question), "taken back", form)
                .await
        }
        Act::Create(new) => create(&client, *new, form).await,
        Act::Show { verifier } => {
            let path = format!("/authorizations/{}", segment(&verifier));
            let row = client
                .demand(Method::Get, &path, &[], Content::None)
                .await?;
            list::print_row(&row, form);
            Ok(())
        }
    }
}

async fn create(client: &Client, new: Create, form: Form) -> Result<(), Failure> {
    let mut body = body(&new.ask);
    if let Some(url) = new.return_url {
        body["return_url"] = json!(url);
    }
    if let Some(scopes) = new.scopes {
        let words = scopes.split([' ', ',']).filter(|word| !word.is_empty());
        body["scopes"] = words.collect();
    }
    if let Some(millis) = new.expires_in {
        body["expires_in_ms"] = json!(millis);
    }
    if new.device_code {
        body["device_code"] = json!(true);
    }
    let consent = Consent::ask(client, body).await?;
    if new.ask.patience.is_given() {
        let outcome = new.ask.patience.see_through(client, &consent).await?;
        match form {
            Form::Json => out::json(&outcome),
            Form::People => out::note("Connected."),
        }
        return Ok(());
    }
    match form {
        Form::Json => out::json(&consent.answer),
        Form::People => {
            if let Some(code) = consent.answer["device_code"].as_str() {
                out::note(&format!("The page shows the code {code}."));
            }
            out::line(&consent.url);
        }
    }
    Ok(())
}
