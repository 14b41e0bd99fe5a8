//! `grantry doctor`: what is wrong with a deployment, and how to mend it. It changes nothing.
//!
//! One file per subject. A check reads what the server would read and gives findings; none of them
//! stops at the first.

mod clock;
mod database;
mod egress;
mod finding;
mod key;
mod place;
mod process;
mod running;
mod spool;
mod tls;

use std::sync::Arc;

use grantry_core::store::Store;
use serde_json::json;

use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::out::colour::{self, Paint};
use crate::out::{self, Form, progress};
use finding::{Finding, Level};
use running::Running;

const HELP: &str = "\
Give it the flags and variables that the server is started with. It runs beside the server and
without one, and changes nothing. It ends with 1 when something fails, with 0 when all is well or
there are warnings only.

Examples:
  grantry doctor --config /etc/grantry/grantry.toml
  grantry doctor --data-dir /var/lib/grantry --offline --json | jq '.findings[] | select(.level==\"fail\")'";

/// Look for what is wrong with a deployment, and say how to mend it.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    config: config::Flags,
    /// Do not ask the connectors' providers
    #[arg(long)]
    offline: bool,
    /// Print what is as it should be too; on a terminal, and in JSON, it always is
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long, help_heading = out::HEADING)]
    json: bool,
}

/// Checks everything.
///
/// # Errors
/// [`Exit::Failed`] when something fails.
pub async fn run(args: Args) -> Result<(), Failure> {
    let findings = progress::during("Looking at the deployment", examine(&args)).await;
    report(
        &findings,
        Form::json_if(args.json),
        args.all || out::is_terminal(),
    );
    match count(&findings, Level::Fail) {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "one check failed")),
        failed => Err(Failure::new(
            Exit::Failed,
            format!("{failed} checks failed"),
        )),
    }
}

async fn examine(args: &Args) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match Config::load(&args.config) {
        Ok(config) => {
            findings.push(Finding::ok("config.file", source(&args.config)));
            config
        }
        Err(failure) => {
            let fix = failure.hint.unwrap_or_else(|| {
                "Mend it, and run this again: the other checks need the configuration.".to_owned()
            });
            findings.push(Finding::fail("config.file", failure.message, fix));
            findings.extend(process::core_dumps(None));
            findings.extend(clock::of_this_machine());
            return findings;
        }
    };
    let running = Running::at(&config.data_dir).await;
    findings.extend(place::public_url(&config));
    findings.extend(tls::look(&config));
    findings.extend(running.findings(&config).await);
    findings.extend(place::directory(&config));
    let masters = key::find(&config, &mut findings);
    let opened = database::look(&config, &mut findings).await;
    if let (Some(masters), Some(store)) = (&masters, &opened) {
        findings.push(key::fits(masters, &**store).await);
    }
    let providers = match &opened {
        Some(store) => {
            findings.extend(place::redirect_uris(store).await);
            findings.extend(clock::of_data(store).await);
            egress::providers(store).await.unwrap_or_else(|error| {
                findings.push(Finding::unread("egress.reach", &error));
                Vec::new()
            })
        }
        None => Vec::new(),
    };
    findings.extend(egress::look(&config, &providers, args.offline).await);
    findings.extend(clock::of_this_machine());
    findings.extend(spool::look(&config, running.is_up()));
    findings.extend(process::open_files(&config, running.pid()));
    findings.extend(process::core_dumps(running.pid()));
    findings
}

/// A store that is only read.
type Opened = Option<Arc<dyn Store>>;

fn source(flags: &config::Flags) -> String {
    match &flags.settings.config {
        Some(path) => format!(
            "{} is read, and every setting in it is known",
            path.display()
        ),
        None => "there is no configuration file: flags, environment and defaults hold".to_owned(),
    }
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings
        .iter()
        .filter(|finding| finding.level == level)
        .count()
}

fn report(findings: &[Finding], form: Form, all: bool) {
    let counts = [Level::Ok, Level::Warn, Level::Fail].map(|level| count(findings, level));
    if form == Form::Json {
        return out::json(&json!({
            "ok": counts[0], "warn": counts[1], "fail": counts[2], "findings": findings,
        }));
    }
    let coloured = colour::on(&std::io::stdout());
    let widest = findings.iter().map(|one| one.code.len()).max().unwrap_or(0);
    for finding in findings {
        if finding.level == Level::Ok && !all {
            continue;
        }
        let word = finding.level.as_str();
        let word = Paint::of_state(word).on(&format!("{word:4}"), coloured);
        let code = format!("{:widest$}", finding.code);
        let message = finding.message.replace('\n', " ");
        out::line(&format!(
            "{word}  {}  {}",
            Paint::Dim.on(&code, coloured),
            out::table::plain(&message)
        ));
        for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
            out::line(&format!("{:indent$}{line}", "", indent = widest + 8));
        }
    }
    let [ok, warn, fail] = counts;
    out::note(&format!("{ok} ok, {warn} to be looked at, {fail} failed."));
}
