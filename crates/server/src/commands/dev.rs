//! `grantry dev`: everything on one machine, and a token on the screen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use grantry_core::Secret;
use tokio::sync::oneshot;
use url::Url;

use super::consent::Consent;
use super::serve::{Server, asked_to_stop};
use super::token::{Ask, body, text_of, token};
use super::{apply, sandbox};
use crate::client::{Client, DEV_DIR, Key, PROFILE_PATH};
use crate::config::{Config, LISTEN, Profile};
use crate::data_dir::{DataDir, write_private};
use crate::failure::{Exit, Failure};
use crate::visitor::Visitor;
use crate::{harden, listen, out, telemetry};

/// Where the sandbox provider listens, if nobody else does.
const SANDBOX: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8789);

const TEAM: &str = "demo";
const CONNECTOR: &str = "sandbox/demo";
const USER: &str = "alice";

/// Try it: a server, a sandbox provider and a demo team on this machine.
#[derive(clap::Args)]
pub struct Args {
    /// End once the token is shown
    #[arg(long)]
    once: bool,
}

/// Serves until SIGTERM or SIGINT, or until the token is shown.
pub async fn run(args: Args) -> Result<(), Failure> {
    telemetry::start("warn", None)?;
    harden::this_process()?;
    let stop = asked_to_stop()?;
    let directory = DataDir::open(Path::new(DEV_DIR))?;
    keep_out_of_git(directory.path())?;

    let sandbox_tcp = listen_near(SANDBOX, "the sandbox provider").await?;
    let sandbox_address = sandbox_tcp.local_addr();
    let sandbox_address = sandbox_address.map_err(|error| Failure::new(Exit::Address, error))?;
    let provider = sandbox::provider(sandbox_address, |config| config);
    let issuer = provider.issuer().to_owned();
    let provider = tokio::spawn(async move { provider.serve(sandbox_tcp).await });

    let tcp = listen_near(LISTEN, "the server").await?;
    let server = Server::open(&config(&tcp)?, directory, tcp).await?;
    let url = server.url().clone();
    let key = profile_key(&server).await?;
    let (end, ended) = oneshot::channel::<()>();
    let served = tokio::spawn(server.run(async {
        // A sender that is dropped means the same as one that sends.
        let _either_way = ended.await;
    }));

    let shown = async {
        declare(&issuer).await?;
        let key = Key::new(key, PROFILE_PATH);
        let client = Client::at_url(&url, key, Some(TEAM.to_owned()), None)?;
        let token = first_token(&client, &issuer).await?;
        out::line(&welcome(&url, &issuer, &token, args.once));
        Ok(())
    };
    let shown: Result<(), Failure> = shown.await;
    if shown.is_ok() && !args.once {
        stop.await;
    }
    drop(end);
    let served = served.await;
    provider.abort();
    served.map_err(|error| Failure::new(Exit::Failed, format!("the server ended: {error}")))??;
    shown
}

/// Listens at `address` or near it; says who is in the way.
async fn listen_near(address: SocketAddr, who: &str) -> Result<tokio::net::TcpListener, Failure> {
    let (listener, busy) = listen::tcp_near(address).await?;
    if let (Some(busy), Ok(taken)) = (busy, listener.local_addr()) {
        out::note(&format!(
            "{}, so {who} takes {}.",
            busy.message,
            taken.port()
        ));
    }
    Ok(listener)
}

fn config(tcp: &tokio::net::TcpListener) -> Result<Config, Failure> {
    let listen = tcp.local_addr();
    let mut config = Config::defaults()?;
    config.listen = listen.map_err(|error| Failure::new(Exit::Address, error))?;
    config.data_dir = DEV_DIR.into();
    config.egress.allow = vec!["127.0.0.0/8".to_owned()];
    Ok(config)
}

/// The folder holds keys: it must not be committed, whatever repository it is made in.
fn keep_out_of_git(directory: &Path) -> Result<(), Failure> {
    let file = directory.join(".gitignore");
    let written = if file.exists() {
        Ok(())
    } else {
        std::fs::write(&file, "*\n")
    };
    written.map_err(|error| {
        Failure::new(
            Exit::Store,
            format!("cannot write {}: {error}", file.display()),
        )
    })
}

/// The key of the profile, which is written (anew) with the address of `server`. A key that this
/// data knows is kept, so that starts leave no trail of keys.
async fn profile_key(server: &Server) -> Result<Secret, Failure> {
    let path = Path::new(PROFILE_PATH);
    let engine = &server.house().engine;
    let known = match Profile::read(path) {
        Ok(Some(profile)) if engine.principal(profile.key.expose()).await.is_ok() => {
            Some(profile.key)
        }
        // A broken profile is as good as none: this command is what mends it.
        _ => None,
    };
    let key = match known {
        Some(key) => key,
        None => {
            let made = engine.server_key("grantry dev").await;
            made.map_err(|error| Failure::new(Exit::Store, format!("cannot make a key: {error}")))?
        }
    };
    let profile = Profile {
        url: server.url().clone(),
        key: key.clone(),
        team: Some(TEAM.to_owned()),
    };
    let written = write_private(path, &profile.to_toml()?);
    written.map_err(|error| {
        Failure::new(
            Exit::Store,
            format!("cannot write {}: {error}", path.display()),
        )
    })?;
    Ok(key)
}

/// Makes the demo team exist, as an operator would: through the control socket.
async fn declare(issuer: &str) -> Result<(), Failure> {
    let operator = Client::at_socket(Path::new(DEV_DIR), None)?;
    let operator =
        operator.ok_or_else(|| Failure::new(Exit::NoServer, "the control socket is gone"))?;
    let text = include_str!("dev/demo.toml").replace("ISSUER", issuer);
    apply::apply(&operator, "demo.toml", text, false, false).await?;
    Ok(())
}

/// Connects the demo user as a person with a browser would, and asks for the token as an app would.
/// The sandbox forgets everything when it stops, so each start connects anew.
async fn first_token(client: &Client, issuer: &str) -> Result<Secret, Failure> {
    let ask = Ask::of_user(CONNECTOR, USER);
    let link = Consent::ask(client, body(&ask)).await?.url;
    let broken = |error| Failure::new(Exit::Failed, format!("the connect link {link}: {error}"));
    let link = Url::parse(&link).map_err(broken)?;
    let mut visitor = Visitor::new()?;
    let mut page = visitor.open(link).await?;
    // The consent page, the provider's own, and where the visitor had connected as somebody else,
    // the question whether to replace that account.
    const PAGES_MAX: usize = 3;
    for _ in 0..PAGES_MAX {
        if !page.has_form() {
            break;
        }
        let at_provider = page.url.as_str().starts_with(issuer);
        let allow = at_provider.then_some(("decision", "allow"));
        page = visitor.press(&page, allow).await?;
    }
    if page.status >= 400 {
        let message = format!(
            "the first consent ended at {} with status {}",
            page.url, page.status
        );
        return Err(Failure::new(Exit::Failed, message)
            .hint("GRANTRY_LOG=debug shows what happened on the way."));
    }
    text_of(&token(client, &ask).await?)
}

fn welcome(url: &Url, issuer: &str, token: &Secret, once: bool) -> String {
    let program = program();
    let server = url.as_str().trim_end_matches('/');
    let heading = out::bold(if once {
        "Grantry ran."
    } else {
        "Grantry runs."
    });
    let token = out::bold(token.expose());
    let next = if once {
        format!("It worked. `{program} dev` keeps it running and prints commands to try.")
    } else {
        format!(
            "Try next, in another terminal, in this folder:

  {program} token {CONNECTOR} --user {USER}
  {program} run {CONNECTOR} --user {USER} --as TOKEN -- sh -c 'curl -s -H \"Authorization: Bearer $TOKEN\" {issuer}/api/me'
  {program} connections list
  {program} events list

Ask for somebody else's token (--user bob), and the answer is the link that bob opens to connect.
"
        )
    };
    format!(
        "{heading} Server {server}, sandbox provider {issuer}, data in {DEV_DIR}.

{USER} has just connected her sandbox account through the OAuth code flow. Her access token:

  {token}

{next}"
    )
}

/// How this program was called, so that a pasted command calls it too.
fn program() -> String {
    let called = std::env::args().next();
    let called = called.filter(|name| name.contains('/'));
    quoted(called.as_deref().unwrap_or("grantry"))
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("target/release/grantry"), "target/release/grantry");
        assert_eq!(
            quoted("/my tools/it's/grantry"),
            r"'/my tools/it'\''s/grantry'"
        );
    }
}
