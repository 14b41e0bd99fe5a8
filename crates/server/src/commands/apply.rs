//! `grantry apply`.

use std::path::{Path, PathBuf};

use grantry_api::App;
use grantry_core::http::Method;
use grantry_engine::{ApplyProblem, resolve_env};
use serde_json::Value;

use crate::client::{self, Client, Content, Place};
use crate::config::{self, Config, environment};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::house;
use crate::master_key::OnNew;
use crate::out::{self, Form};
use crate::{harden, telemetry};

/// Make the rows that a file declares exist.
#[derive(clap::Args)]
pub struct Args {
    /// The file (TOML); `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Flags,
    /// How the server is configured, where none runs and the data is changed by this command.
    #[command(flatten, next_help_heading = "The data, where no server runs")]
    settings: config::Settings,
}

/// Applies the file through the server that holds the data, or to the data itself.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (name, text) = read(&args.file)?;
    let text = resolve_env(&name, &text, &environment).map_err(|problems| refused(&problems))?;
    // A configuration file may say where the data is.
    let place = match &args.settings.config {
        Some(_) => args.server.named()?,
        None => Some(args.server.find()?),
    };
    let data_dir = match place {
        Some(Place::Url(url, key)) => {
            let client = Client::at_url(&url, key, None)?;
            let report = apply(&client, &name, text, args.dry_run).await?;
            print(&report, args.dry_run, Form::json_if(args.json));
            return Ok(());
        }
        Some(Place::DataDir(directory)) => Some(directory),
        None => None,
    };
    let flags = config::Flags {
        data_dir,
        settings: args.settings,
    };
    let config = Config::load(&flags)?;
    let report = match Client::at_socket(&config.data_dir, None)? {
        Some(client) => apply(&client, &name, text, args.dry_run).await?,
        None => apply_here(&config, &name, text, args.dry_run).await?,
    };
    print(&report, args.dry_run, Form::json_if(args.json));
    Ok(())
}

/// Applies `text` of the file `name` through `client`; the server's report.
///
/// # Errors
/// [`Exit::Usage`] when the file is wrong, and those of [`Client::demand`].
pub async fn apply(
    client: &Client,
    name: &str,
    text: String,
    dry_run: bool,
) -> Result<Value, Failure> {
    let dry_run = if dry_run { "true" } else { "false" };
    let query = [("file", name), ("dry_run", dry_run)];
    let answer = client.call(Method::Post, "/apply", &query, Content::Toml(text));
    answer.await?.map_err(|refusal| {
        let wrong_file = !refusal.errors.is_empty();
        let failure = refusal.failure();
        if wrong_file {
            Failure {
                exit: Exit::Usage,
                ..failure
            }
        } else {
            failure
        }
    })
}

/// Applies to a data directory that no server holds.
async fn apply_here(
    config: &Config,
    name: &str,
    text: String,
    dry_run: bool,
) -> Result<Value, Failure> {
    telemetry::start("warn")?;
    harden::this_process()?;
    if config.database_url.is_none() && !config.data_dir.exists() {
        let message = format!("there is no data in {}", config.data_dir.display());
        return Err(Failure::new(Exit::NoServer, message).hint(
            "`grantry serve` makes a data directory; --data-dir, or GRANTRY_URL and GRANTRY_KEY name another place.",
        ));
    }
    let directory = DataDir::open(&config.data_dir)?;
    let url = config.public_url(config.listen)?;
    let house = house::open(config, directory, url, OnNew::Refuse).await?;
    let router = grantry_api::router(App {
        engine: house.engine.clone(),
        local: true,
    });
    let report = apply(&Client::here(router), name, text, dry_run).await;
    house.engine.drain().await;
    report
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let (name, read) = if path == Path::new("-") {
        (
            "standard input".to_owned(),
            std::io::read_to_string(std::io::stdin()),
        )
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = read.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    Ok((name, text))
}

fn refused(problems: &[ApplyProblem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::usage(lines.join("\n       "))
}

fn print(report: &Value, dry_run: bool, form: Form) {
    if form == Form::Json {
        return out::json(report);
    }
    let rows = report["rows"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let changed: Vec<[String; 3]> = rows
        .iter()
        .filter(|row| row["change"] != "unchanged")
        .map(|row| [text(row, "change"), text(row, "table"), text(row, "id")])
        .collect();
    if !changed.is_empty() {
        out::table(["CHANGE", "TABLE", "ID"], &changed);
    }
    let done = if dry_run { "would change" } else { "changed" };
    out::note(&format!(
        "{} of {} declared rows {done}.",
        changed.len(),
        rows.len()
    ));
    for row in rows.iter().filter(|row| row["key"].is_string()) {
        let (id, key) = (text(row, "id"), text(row, "key"));
        out::note(&format!("Key {id}, shown only now:"));
        out::line(&key);
    }
}
