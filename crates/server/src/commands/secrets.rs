//! `grantry secrets`.

use grantry_core::Secret;
use serde_json::json;

use super::list::{self, Page, Rows};
use super::target::{Target, secret_in, secret_on_stdin};
use crate::failure::Failure;
use crate::out::confirm::Sure;

const EXAMPLES: &str = "\
A value is never an argument, which every user of the machine can read: it comes on standard input,
or from a variable of the environment. It is never shown again.

Examples:
  printf %s \"$KEY\" | grantry secrets create openai
  grantry secrets rotate openai --value-env NEW_KEY
  pass show openai | grantry secrets rotate openai";

/// Secrets: named values that are sealed and never given back.
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
    /// List the team's secrets, newest first, without their values
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show one secret without its value
    Show {
        /// Its id or name
        secret: String,
    },
    /// Store a value under a name
    Create {
        /// Unique in the team
        name: String,
        #[command(flatten)]
        value: Given,
    },
    /// Replace the value
    Rotate {
        /// Its id or name
        secret: String,
        #[command(flatten)]
        value: Given,
    },
    /// Give a secret another name
    Rename {
        /// Its id or name
        secret: String,
        /// The new name
        name: String,
    },
    /// Delete a secret; its value is destroyed
    Delete {
        /// Its id or name
        secret: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(clap::Args)]
struct Given {
    /// The environment variable that holds the value [default: standard input]
    #[arg(long, value_name = "VAR")]
    value_env: Option<String>,
}

impl Given {
    fn value(&self) -> Result<Secret, Failure> {
        match &self.value_env {
            Some(name) => secret_in(name),
            None => secret_on_stdin(),
        }
    }
}

const ROWS: Rows<4> = Rows {
    path: "/secrets",
    columns: [
        list::id("ID", &["/id"]),
        list::id("NAME", &["/name"]),
        list::time("CREATED", &["/created_at"]),
        list::time("CHANGED", &["/updated_at"]),
    ],
    none: "There are no secrets yet. Store one: printf %s VALUE | grantry secrets create NAME",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List { page } => ROWS.list(&client, &[], &page, form).await,
        Act::Show { secret } => ROWS.show(&client, &secret, form).await,
        Act::Create { name, value } => {
            let body = json!({ "name": name, "value": value.value()?.expose() });
            ROWS.create(&client, body, form).await
        }
        Act::Rotate { secret, value } => {
            let body = json!({ "value": value.value()?.expose() });
            ROWS.change(&client, &secret, body, form).await
        }
        Act::Rename { secret, name } => {
            ROWS.change(&client, &secret, json!({ "name": name }), form)
                .await
        }
        Act::Delete { secret, sure } => {
            let question = format!("Delete secret {secret}? Its value is destroyed.");
            ROWS.delete(&client, &secret, (sure, question), "deleted", form)
                .await
        }
    }
}
