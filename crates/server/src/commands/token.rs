//! `grantry token`.

use grantry_core::Secret;
use grantry_core::http::Method;
use serde_json::{Value, json};

use super::consent::{Consent, Patience};
use super::target::Target;
use crate::client::{Client, Content};
use crate::failure::{Exit, Failure};
use crate::out::{self, Form};

const EXAMPLES: &str = "\
Examples:
  grantry token oauth/github --user alice
  grantry token oauth/github --user alice --open
  curl -H \"Authorization: Bearer $(grantry token oauth/github --app)\" https://api.github.com/rate_limit";

/// Print a fresh token, or the URL to connect.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    target: Target,
}

/// Which token is wanted.
#[derive(clap::Args, Clone)]
pub struct Ask {
    /// The connector, by id or uid
    connector: String,
    /// The user whose token it is [default: the app's own]
    #[arg(long, value_name = "USER", conflicts_with = "app")]
    user: Option<String>,
    /// The app's own token
    #[arg(long)]
    app: bool,
    /// The environment to act in [default: the key's, else production]
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// What to do when somebody has to connect first.
    #[command(flatten)]
    pub patience: Patience,
}

impl Ask {
    /// The token of `user`.
    pub fn of_user(connector: &str, user: &str) -> Self {
        Self {
            connector: connector.to_owned(),
            user: Some(user.to_owned()),
            app: false,
            env: None,
            patience: Patience::default(),
        }
    }
}

/// Prints the token on standard output.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    let answer = token(&client, &args.ask).await?;
    match form {
        Form::Json => out::json(&answer),
        Form::People => out::line(text_of(&answer)?.expose()),
    }
    Ok(())
}

/// The server's answer with the token in it.
///
/// # Errors
/// [`Exit::ConsentNeeded`] with the URL to connect.
pub async fn token(client: &Client, ask: &Ask) -> Result<Value, Failure> {
    let body = Content::Json(body(ask));
    let answer = client.call(Method::Post, "/tokens", &[], body).await?;
    match answer {
        Ok(answer) => Ok(answer),
        Err(refusal) if refusal.code == "authorization_required" => {
            let who = ask.user.as_deref().unwrap_or("the app");
            let why = match refusal.reason.as_deref() {
                None | Some("never_connected") => String::new(),
                Some(reason) => format!(" again ({reason})"),
            };
            let message = format!("there is no token: {who} has to connect{why} first");
            if ask.patience.is_given() {
                out::note(&format!("{who} has to connect{why} first."));
                let consent = Consent::ask(client, self::body(ask)).await?;
                ask.patience.see_through(client, &consent).await?;
                let body = Content::Json(self::body(ask));
                return client.demand(Method::Post, "/tokens", &[], body).await;
            }
            let url = match &refusal.authorization_url {
                Some(url) => url.clone(),
                None => Consent::ask(client, self::body(ask)).await?.url,
            };
            Err(Failure::new(Exit::ConsentNeeded, message).hint(format!("Open {url}")))
        }
        Err(refusal) => Err(refusal.failure()),
    }
}

/// The token itself.
pub fn text_of(answer: &Value) -> Result<Secret, Failure> {
    let token = answer["token"].as_str().map(Secret::new);
    token.ok_or_else(|| Failure::new(Exit::Failed, "the server's answer holds no token"))
}

/// The request for what `ask` asks.
pub fn body(ask: &Ask) -> Value {
    let subject = match &ask.user {
        Some(user) => json!({ "type": "user", "id": user }),
        None => json!({ "type": "app" }),
    };
    let mut body = json!({ "connector": ask.connector, "subject": subject });
    if let Some(environment) = &ask.env {
        body["environment"] = json!(environment);
    }
    body
}
