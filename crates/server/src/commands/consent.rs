//! Asking somebody to connect, and waiting until they have.

use std::process::{Command, Stdio};
use std::time::Duration;

use grantry_core::http::Method;
use grantry_core::{Clock as _, Secret};
use serde_json::Value;

use crate::client::{Client, Content, segment};
use crate::clock::SystemClock;
use crate::commands::lost::{Heard, Lost};
use crate::config::environment;
use crate::failure::{Exit, Failure};
use crate::out::{self, progress::Spinner};

/// Between two questions how far a consent has come.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often a server that was lost is asked again: for some five minutes. A restart is over by then.
const TRIES: usize = 24;

/// What a command does when somebody has to connect first.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Where somebody has to connect first, wait until they have
    #[arg(long)]
    wait: bool,
    /// Open the link to connect in a browser, and wait
    #[arg(long)]
    open: bool,
}

/// A consent that was asked for.
pub struct Consent {
    /// The server's answer.
    pub answer: Value,
    /// What the user opens.
    pub url: String,
    verifier: Secret,
}

impl Consent {
    /// Asks for the consent that `body` describes.
    pub async fn ask(client: &Client, body: Value) -> Result<Self, Failure> {
        let body = Content::Json(body);
        let answer = client
            .demand(Method::Post, "/authorizations", &[], body)
            .await?;
        let text = |name: &str| {
            let lacking =
                || Failure::new(Exit::Failed, format!("the server's answer holds no {name}"));
            answer[name].as_str().map(str::to_owned).ok_or_else(lacking)
        };
        Ok(Self {
            url: text("url")?,
            verifier: Secret::new(text("verifier")?),
            answer,
        })
    }

    /// Waits until the user has connected.
    ///
    /// # Errors
    /// [`Exit::ConsentNeeded`] when they said no, it failed, or the link has ended.
    pub async fn wait(&self, client: &Client) -> Result<Value, Failure> {
        let path = format!("/authorizations/{}", segment(self.verifier.expose()));
        let _spinner = Spinner::new("Waiting for somebody to connect");
        let mut lost = Lost::default();
        loop {
            let answer = client.call(Method::Get, &path, &[], Content::None);
            let answer = match lost.hear(answer.await)? {
                Heard::Answer(answer) => answer,
                Heard::Nothing(failure) if lost.times() >= TRIES => return Err(failure),
                Heard::Nothing(failure) => {
                    lost.pause(&failure).await;
                    continue;
                }
            };
            let ended = |why: &str| {
                Failure::new(Exit::ConsentNeeded, why).hint("Run it again for a new link.")
            };
            match answer {
                Ok(outcome) => match outcome["status"].as_str() {
                    Some("pending") => {}
                    Some("success") => return Ok(outcome),
                    Some("canceled") => return Err(ended("the user said no")),
                    _ => {
                        let code = outcome["code"].as_str().unwrap_or("unknown");
                        return Err(ended(&format!("connecting failed ({code})")));
                    }
                },
                Err(refusal) if refusal.http_status == 404 => {
                    return Err(ended("the link has ended and nobody has connected"));
                }
                Err(refusal) => return Err(refusal.failure()),
            }
            SystemClock.sleep(ASK_AGAIN).await;
        }
    }
}

impl Patience {
    /// Whether the command waits.
    pub const fn is_given(self) -> bool {
        self.wait || self.open
    }

    /// Shows the link, in a browser too where that is wanted, and waits until the user has connected.
    pub async fn see_through(self, client: &Client, consent: &Consent) -> Result<Value, Failure> {
        out::note(&format!("Open {}", consent.url));
        if self.open && !open(&consent.url) {
            out::note("No browser could be started here: open the link yourself.");
        }
        consent.wait(client).await
    }
}

/// Starts a browser: `BROWSER`, or the desktop's own.
fn open(url: &str) -> bool {
    let own = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let browser = environment("BROWSER").unwrap_or_else(|| own.to_owned());
    let started = Command::new(browser)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;

    /// Waits at a server that answers so, one answer after the other, the last one for ever.
    async fn wait(answers: &'static [(u16, &'static str)]) -> (Result<Value, Failure>, usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move || async move {
            let at = count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
            let (status, word) = answers[at];
            let status = StatusCode::from_u16(status).unwrap();
            (status, Json(json!({"status": word, "code": word}))).into_response()
        };
        let router = Router::new().route("/api/v1/authorizations/{verifier}", get(answer));
        let consent = Consent {
            answer: Value::Null,
            url: String::new(),
            verifier: Secret::new("v"),
        };
        let outcome = consent.wait(&Client::here(router)).await;
        (outcome, asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_of_the_server_does_not_end_the_wait() {
        let (outcome, _) = wait(&[
            (200, "pending"),
            (503, "unavailable"),
            (429, "rate_limited"),
            (200, "pending"),
            (200, "success"),
        ])
        .await;
        assert_eq!(outcome.unwrap()["status"], "success");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_away_and_a_refusal_end_it() {
        let (outcome, asked) = wait(&[(503, "unavailable")]).await;
        assert!(outcome.is_err());
        assert_eq!(asked, TRIES + 1);
        let (outcome, asked) = wait(&[(200, "pending"), (403, "forbidden")]).await;
        assert!(outcome.is_err());
        assert_eq!(asked, 2);
    }
}
