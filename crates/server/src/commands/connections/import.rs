//! `grantry connections import`.

use std::path::{Path, PathBuf};

use grantry_core::http::Method;
use serde_json::{Value, json};

use super::ROWS;
use crate::client::{Client, Content};
use crate::commands::list;
use crate::commands::target::{read, secret_in};
use crate::failure::{Exit, Failure};
use crate::out::progress::Bar;
use crate::out::{self, Form};

/// Which grants.
#[derive(clap::Args)]
pub struct Args {
    /// Many at once: requests as in the API, as a JSON array or one a line. `-` is standard input
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["connector", "access_token_env"])]
    file: Option<PathBuf>,
    /// The connector, by id or uid
    #[arg(long, value_name = "CONNECTOR", required_unless_present = "file")]
    connector: Option<String>,
    /// The user whose grant it is [default: the app's own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The environment it is for [default: the key's, else production]
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// The environment variable that holds the access token
    #[arg(long, value_name = "VAR", required_unless_present = "file")]
    access_token_env: Option<String>,
    /// The environment variable that holds the refresh token
    #[arg(long, value_name = "VAR")]
    refresh_token_env: Option<String>,
    /// Seconds that the access token has left
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// What was granted, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// For people
    #[arg(long)]
    name: Option<String>,
}

/// Imports them and says what became of each.
pub async fn run(client: &Client, args: Args, form: Form) -> Result<(), Failure> {
    let Some(path) = &args.file else {
        let body = Content::Json(one(&args)?);
        let made = client
            .demand(Method::Post, "/connections", &[], body)
            .await?;
        list::print_row(&made, form);
        return Ok(());
    };
    let requests = many(path)?;
    let total = requests.len();
    let mut bar = Bar::new("Importing", total as u64);
    let mut made = Vec::new();
    let mut wrong = Vec::new();
    for (at, request) in requests.into_iter().enumerate() {
        let body = Content::Json(request);
        match client.call(Method::Post, "/connections", &[], body).await? {
            Ok(row) => made.push(row),
            Err(refusal) => wrong.push(format!("row {}: {}", at + 1, refusal.failure().message)),
        }
        bar.at(at as u64 + 1);
    }
    drop(bar);
    match form {
        Form::Json => out::json(&Value::Array(made)),
        Form::People => {
            if !made.is_empty() {
                ROWS.print(&made);
            }
            out::note(&format!(
                "{} of {total} grants are in.",
                total - wrong.len()
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, wrong.join("\n       "))
            .hint("Mend these rows and run it again: what is in stays as it is."))
    }
}

fn one(args: &Args) -> Result<Value, Failure> {
    let subject = match &args.user {
        Some(user) => json!({ "type": "user", "id": user }),
        None => json!({ "type": "app" }),
    };
    let mut body = json!({ "connector": args.connector, "subject": subject });
    let texts = [
        ("environment", &args.env),
        ("scope", &args.scope),
        ("name", &args.name),
    ];
    for (field, value) in texts {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if let Some(seconds) = args.expires_in {
        body["expires_in"] = json!(seconds);
    }
    let secrets = [
        ("access_token", &args.access_token_env),
        ("refresh_token", &args.refresh_token_env),
    ];
    for (field, variable) in secrets {
        if let Some(variable) = variable {
            body[field] = json!(secret_in(variable)?.expose());
        }
    }
    Ok(body)
}

/// The requests of a file: a JSON array, or one object after another.
fn many(path: &Path) -> Result<Vec<Value>, Failure> {
    let (name, text) = read(path)?;
    let wrong = |error: serde_json::Error| {
        Failure::usage(format!("{name}: {error}"))
            .hint("A JSON array of objects, or an object a line would be right.")
    };
    let mut requests = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        match value.map_err(wrong)? {
            Value::Array(items) => requests.extend(items),
            value => requests.push(value),
        }
    }
    match requests.iter().position(|request| !request.is_object()) {
        None if requests.is_empty() => Err(Failure::usage(format!("{name} holds no grant"))),
        None => Ok(requests),
        Some(at) => Err(Failure::usage(format!(
            "{name}: row {} is no object",
            at + 1
        ))),
    }
}
