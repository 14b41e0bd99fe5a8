//! `grantry signing-keys`.

use std::time::Duration;

use grantry_core::http::Method;
use grantry_core::store::SigningPurpose;
use serde_json::json;

use super::list::{self, Page, Rows};
use super::target::Target;
use crate::client::Content;
use crate::failure::Failure;
use crate::out::confirm::Sure;

const EXAMPLES: &str = "\
Examples:
  grantry signing-keys rotate
  grantry signing-keys rotate --purpose sign_in
  grantry signing-keys rotate --now && grantry signing-keys retire KID   # the old one is known to others";

/// Keys that sign the server's own tokens.
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
    /// List the published keys, oldest first
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Publish a new key, which signs once verifiers have had time to fetch it
    Rotate {
        /// What the key signs: proofs of workloads, or tokens of sign-ins
        #[arg(long, default_value = "workload", value_parser = SigningPurpose::WORDS)]
        purpose: String,
        /// Time for verifiers [default: the server's setting, 1h unless changed]
        #[arg(long, value_name = "TIME", value_parser = time)]
        lead: Option<Duration>,
        /// Sign with it at once: the key before it is not trusted any more
        #[arg(long, conflicts_with = "lead")]
        now: bool,
    },
    /// End a key and every token that it signed
    Retire {
        /// Its kid
        // A thumbprint (RFC 7638) in base64url: one in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        #[command(flatten)]
        sure: Sure,
    },
}

fn time(text: &str) -> Result<Duration, &'static str> {
    let time = text.parse::<jiff::SignedDuration>().ok();
    time.and_then(|time| Duration::try_from(time).ok())
        .ok_or("a time such as 30m, 1h or 24h would be right")
}

const ROWS: Rows<5> = Rows {
    path: "/signing-keys",
    columns: [
        list::id("KID", &["/kid"]),
        list::text("FOR", &["/purpose"]),
        list::state("STATE", &["/state"]),
        list::time("SIGNS FROM", &["/signs_from"]),
        list::time("VERIFIES UNTIL", &["/verifies_until"]),
    ],
    none: "There are none yet: the first token makes one.",
};

/// Does what was asked.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        Act::List { page } => ROWS.list(&client, &[], &page, form).await,
        Act::Rotate { purpose, lead, now } => {
            let lead = if now { Some(Duration::ZERO) } else { lead };
            let millis = |lead: Duration| u64::try_from(lead.as_millis()).unwrap_or(u64::MAX);
            let mut body = json!({ "purpose": purpose });
            if let Some(lead_ms) = lead.map(millis) {
                body["lead_ms"] = lead_ms.into();
            }
            let made = client
                .demand(Method::Post, "/signing-keys", &[], Content::Json(body))
                .await?;
            list::print_row(&made, form);
            Ok(())
        }
        Act::Retire { kid, sure } => {
            let question = format!(
                "Retire signing key {kid}? Every token it signed is refused within seconds."
            );
            ROWS.delete(&client, &kid, (sure, question), "retired", form)
                .await
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Act, Args};

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_kid_that_begins_with_a_hyphen_is_no_option() {
        for kid in ["--D2mi9H5nw", "-D2mi9H5nw", "-hD2mi9H5nw", "D2mi9H5nw"] {
            for words in [["retire", kid, "--yes"], ["retire", "--yes", kid]] {
                let asked = Command::try_parse_from(["signing-keys"].into_iter().chain(words));
                let Act::Retire { kid: read, sure } = asked.unwrap().args.act else {
                    panic!("{words:?} is another command");
                };
                assert!(read == kid && sure.yes, "{words:?}");
            }
        }
    }
}
