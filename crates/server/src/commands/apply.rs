//! `grantry apply`.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grantry_api::App;
use grantry_core::http::Method;
use grantry_core::meter::Unmetered;
use grantry_engine::{ApplyProblem, resolve_env};
use serde_json::Value;
use tokio::sync::Notify;

use crate::client::{self, Client, Content, Place};
use crate::config::{self, Config, environment, stated};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::house;
use crate::master_key::OnNew;
use crate::out::confirm::Sure;
use crate::out::progress::{self, Bar};
use crate::out::{self, Form};
use crate::{harden, telemetry};

/// Make the rows that a file declares exist.
#[derive(clap::Args)]
pub struct Args {
    /// The file (TOML); `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what the file does not declare: in the tables it has, of the teams in its [[teams]]
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    sure: Sure,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Flags,
    /// How the server is configured, where none runs and the data is changed by this command.
    #[command(flatten, next_help_heading = "The data, where no server runs")]
    settings: config::Settings,
}

/// A file on its way to a server.
struct Job {
    name: String,
    /// With its environment variables filled in.
    text: String,
    dry_run: bool,
    prune: bool,
    sure: Sure,
    form: Form,
}

/// Applies the file through the server that holds the data, or to the data itself.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (name, text) = read(&args.file)?;
    let text = resolve_env(&name, &text, &environment).map_err(|problems| refused(&problems))?;
    let job = Job {
        name,
        text,
        dry_run: args.dry_run,
        prune: args.prune,
        sure: args.sure,
        form: Form::json_if(args.json),
    };
    let place = match args.settings.names_data() {
        // Both may say where the data is, and were given; what lies in this folder was not.
        None if args.settings.config.is_some() || stated("GRANTRY_DATABASE_URL")?.is_some() => {
            args.server.named()?
        }
        None => Some(args.server.find()?),
        // The data that is named is meant, whatever server the environment or this folder has.
        Some(flag) => {
            if let Some(other) = args.server.names_server() {
                let message = format!("give either {other} or {flag}: they name different places");
                return Err(Failure::usage(message));
            }
            args.server.data_dir.clone().map(Place::DataDir)
        }
    };
    let data_dir = match place {
        Some(Place::Url(url, key)) => return job.run(&args.server.at_url(&url, key, None)?).await,
        Some(Place::DataDir(directory)) => Some(directory),
        None => None,
    };
    let flags = config::Flags {
        data_dir,
        settings: args.settings,
    };
    let config = Config::load(&flags)?;
    match Client::at_socket(&config.data_dir, None)? {
        Some(client) => job.run(&client).await,
        None => job.run_here(&config).await,
    }
}

impl Job {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        let mut shown = false;
        if self.prune && !self.dry_run && self.sure.asks() {
            let report = self.send(client, true).await?;
            if let Some(question) = report::question(&report) {
                report::preview(&report);
                self.sure.or_ask(question).await?;
                shown = true;
            }
        }
        let report = self.send(client, self.dry_run).await?;
        if shown && self.form == Form::People && out::is_terminal() {
            // Every row was read a moment ago, on the same screen.
            report::conclude(&report);
        } else {
            report::print(&report, self.form);
        }
        Ok(())
    }

    /// Applies to a data directory that no server holds, or to a database.
    async fn run_here(self, config: &Config) -> Result<(), Failure> {
        telemetry::start("warn", None)?;
        harden::this_process()?;
        if config.database_url.is_none() && !config.data_dir.exists() {
            let message = format!("there is no data in {}", config.data_dir.display());
            return Err(Failure::new(Exit::NoServer, message).hint(
                "`grantry serve` makes a data directory; --data-dir, or GRANTRY_URL and GRANTRY_KEY name another place.",
            ));
        }
        let directory = DataDir::open(&config.data_dir)?;
        let url = config.public_url(config.listen)?;
        let house = house::open(config, directory, url, OnNew::Refuse, Arc::new(Unmetered)).await?;
        let router = grantry_api::router(App {
            engine: house.engine.clone(),
            local: true,
        });
        let done = self.run(&Client::here(router)).await;
        house.engine.drain().await;
        done
    }

    async fn send(&self, client: &Client, dry_run: bool) -> Result<Value, Failure> {
        apply(client, &self.name, self.text.clone(), dry_run, self.prune).await
    }
}

/// Applies `text` of the file `name` through `client`; the server's report. Says how far it is, where
/// that takes longer than a moment.
///
/// # Errors
/// [`Exit::Usage`] when the file is wrong, and those of [`Client::call`].
pub async fn apply(
    client: &Client,
    name: &str,
    text: String,
    dry_run: bool,
    prune: bool,
) -> Result<Value, Failure> {
    let word = |flag| if flag { "true" } else { "false" };
    let query = [
        ("file", name),
        ("dry_run", word(dry_run)),
        ("prune", word(prune)),
    ];
    let begun = Notify::new();
    let mut rows = Vec::new();
    let answer = {
        let mut bar = None;
        let see = |mut line: Value| {
            if let (Some(done), Some(total)) = (line["done"].as_u64(), line["total"].as_u64()) {
                let bar = bar.get_or_insert_with(|| {
                    begun.notify_one();
                    Bar::new("Writing", total)
                });
                bar.at(done);
            }
            if let Some(Value::Array(more)) = line.get_mut("rows").map(Value::take) {
                rows.extend(more);
            }
        };
        let content = Content::Toml(text);
        let mut work =
            std::pin::pin!(client.call_in_lines(Method::Post, "/apply", &query, content, see));
        tokio::select! {
            biased;
            answer = &mut work => answer,
            () = progress::during("Comparing the file with what is there", begun.notified()) => work.await,
        }
    };
    let answer = answer?.and_then(|answer| result(answer, rows));
    answer.map_err(|refusal| {
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

/// The report of an answer in lines, with its `rows`, or of one that came whole.
fn result(mut answer: Value, rows: Vec<Value>) -> client::Answer {
    match (answer["report"].take(), answer["problem"].take()) {
        (Value::Null, Value::Null) => Ok(answer),
        (Value::Null, problem) => Err(Box::new(
            serde_json::from_value(problem).unwrap_or_default(),
        )),
        (mut report, _) => {
            if report["rows"].is_null() {
                report["rows"] = Value::Array(rows);
            }
            Ok(report)
        }
    }
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
