//! The page behind a link that the `vercel` CLI makes up and prints (reference/vercel-connect E4). Nobody has asked this
//! server for anything when it is opened, and nobody is logged in here: whoever opens it says with a key who they are,
//! and gets the consent or installation that E1 or E2 would have given them.
//!
//! Looking tells nothing: all of the page comes from its own address. What a key is good for is looked up when it is
//! entered; it goes into no address, log or page.

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use grantry_core::error::Forbidden;
use grantry_core::limits::{Bound, EXTERNAL_ID_BYTES_MAX};
use grantry_core::nouns::{Actor, Digest, Install, Scopes, Subject};
use grantry_core::{Error, Problem, Result, Secret};
use grantry_engine::AskToken;
use grantry_engine::permissions::Act;

use super::answer::{message, rendered_form, see_other};
use super::browser::is_own_post;
use super::consent::{FORM_BYTES_MAX, Part, broken, moved, stopped};
use super::look::Look;
use super::message::{BAD_FORM, Message, OTHER_SITE};
use super::register::fields;
use super::sign_in::{admit, too_many};
use crate::App;
use crate::dialects::vercel::code;
use crate::kit::answer::{status, with_headers};
use crate::kit::call::read;
use crate::kit::dialect::Dialect;
use crate::kit::edge::Visit;
use crate::kit::fields::{Field, Fields, Shape, check_query, optional, present, required};

/// What such a link may say. The CLI may add others of its own.
pub(super) const QUERY: &[Field] = &[
    optional(
        "teamId",
        Shape::Text(256),
        "The team; the key's own when absent.",
    ),
    optional(
        "slug",
        Shape::Text(256),
        "The same, by its slug; not together with teamId.",
    ),
    required(
        "request_code",
        Shape::Filled(64),
        "SHA-256 of a verifier, in base64url: the result is polled with the verifier.",
    ),
    optional(
        "installationId",
        Shape::Text(EXTERNAL_ID_BYTES_MAX),
        "Provider tenant.",
    ),
    optional(
        "scopes",
        Shape::Text(8192),
        "Separated by commas; `*`: the connector's own.",
    ),
];

/// What a link says.
struct Link {
    connector: String,
    /// It is to install the connector's application, in place of connecting a person.
    installs: bool,
    team: Option<String>,
    installation: Option<String>,
    /// None where the connector's own are meant.
    scopes: Vec<String>,
    code: Digest,
}

impl Link {
    fn read(part: Part, uri: &Uri) -> Result<Self> {
        let connector = part.map(|Path(name)| name).unwrap_or_default();
        if connector.is_empty() || connector.chars().any(char::is_control) {
            return Err(Error::invalid("connector", "cannot be a connector's name"));
        }
        let query = uri.query().map(Fields::of_query).unwrap_or_default();
        let mut query = check_query(QUERY, query)?;
        let scopes = query.take_text("scopes").unwrap_or_default();
        let scopes = scopes.split([',', ' ']).filter(|scope| !scope.is_empty());
        let scopes = Scopes::from_list(scopes.map(str::to_owned));
        Ok(Self {
            connector,
            installs: uri.path().starts_with("/api/v1/connect/install/"),
            team: Dialect::Vercel.team(&query)?.map(str::to_owned),
            installation: present(query.take_text("installationId")),
            scopes: match scopes {
                Scopes::Default => Vec::new(),
                Scopes::Exactly(scopes) => scopes,
            },
            code: code::digest(query.text("request_code").unwrap_or_default())?,
        })
    }

    /// The link of the consent that E1 or E2 would make for whoever has this key.
    async fn begin(&self, app: &App, key: &Secret) -> Result<String> {
        let caller = app.engine.caller(key.expose().trim(), self.team.as_deref());
        let caller = caller.await?;
        app.engine.admit(&caller.team)?;
        caller.require(Act::Authorize)?;
        if !self.installs && !matches!(caller.actor, Actor::User { .. }) {
            return Err(Error::Forbidden(Forbidden::SubjectNotAccessible));
        }
        let token = AskToken {
            // Who names none has the person's own, as their token request had.
            subject: self.installs.then_some(Subject::App),
            installation: self.installation.clone().filter(|_| !self.installs),
            scopes: Scopes::from_list(self.scopes.iter().cloned()),
            ..AskToken::default()
        };
        let install = self.installs.then(|| Install {
            external_id: self.installation.clone(),
            tenant: None,
        });
        app.engine
            .authorize_with_code(&caller, &self.connector, token, install, self.code)
            .await
    }
}

#[derive(Template)]
#[template(path = "by-key.html")]
struct ByKey<'a> {
    look: &'a Look,
    link: &'a Link,
    here: String,
    host: &'a str,
    problem: Option<&'static str>,
}

impl ByKey<'_> {
    const fn title(&self) -> &'static str {
        match self.link.installs {
            true => "Install an application",
            false => "Connect an account",
        }
    }
}

/// `GET /api/v1/connect/authorize/{connector}`, `GET /api/v1/connect/install/{connector}`
pub(super) async fn show(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    if let Some(home) = moved(app.engine.settings(), &headers, &uri) {
        return see_other(&home);
    }
    match Link::read(part, &uri) {
        Ok(link) => page(&app, &link, &uri, StatusCode::OK, None),
        Err(error) => broken_link(error),
    }
}

/// `POST` of the same: the key.
pub(super) async fn begin(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    visit: Option<Extension<Visit>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !is_own_post(&headers, &app.engine.settings().public_url) {
        return stopped(OTHER_SITE);
    }
    if let Err(error) = admit(&app, visit) {
        return too_many(&error);
    }
    let link = match Link::read(part, &uri) {
        Ok(link) => link,
        Err(error) => return broken_link(error),
    };
    let body = read(&app.engine, &headers, body, Bound::fixed(FORM_BYTES_MAX)).await;
    let Ok(body) = body else {
        return stopped(BAD_FORM);
    };
    let key = fields(&body).remove("key");
    let Some(key) = key.filter(|key| !key.expose().trim().is_empty()) else {
        let problem = Some("Enter the key that the command uses.");
        return page(&app, &link, &uri, StatusCode::BAD_REQUEST, problem);
    };
    match link.begin(&app, &key).await {
        Ok(consent) => see_other(&consent),
        Err(error) => refused(&app, &link, &uri, error),
    }
}

fn page(
    app: &App,
    link: &Link,
    uri: &Uri,
    status: StatusCode,
    problem: Option<&'static str>,
) -> Response {
    let settings = app.engine.settings();
    let look = Look::plain();
    let here = uri
        .path_and_query()
        .map_or(uri.path(), |whole| whole.as_str());
    let page = ByKey {
        look: &look,
        link,
        here: settings.url(here),
        host: settings.public_url.host_str().unwrap_or_default(),
        problem,
    };
    rendered_form(status, &look, "'self'", &page)
}

/// Another key may help, or another link, or neither.
fn refused(app: &App, link: &Link, uri: &Uri, error: Error) -> Response {
    let problem = match &error {
        // One answer, so that nobody learns of which team a key is.
        Error::Unauthenticated | Error::NotFound("team") => {
            let problem = "This key is not known here, or is not one of the team that the link names. \
                           Enter the key that the command uses.";
            let shown = page(app, link, uri, StatusCode::UNAUTHORIZED, Some(problem));
            return with_headers(shown, &Error::Unauthenticated);
        }
        Error::Forbidden(Forbidden::Role) => {
            "This key may only read tokens. Enter one that may connect accounts, too."
        }
        Error::Forbidden(Forbidden::NotLinked) => {
            "This is a project's key, and the connector is not linked to that project."
        }
        Error::Forbidden(Forbidden::SubjectNotAccessible) => {
            "This key acts for no person, so there is nobody to connect. Enter a key of yours."
        }
        Error::Forbidden(_) => "This key may not ask for this.",
        _ => return not_begun(link, error),
    };
    page(app, link, uri, StatusCode::FORBIDDEN, Some(problem))
}

const AGAIN: &str = "Run the command again: it prints a new link.";

/// Why the key's person gets no consent by this link.
fn not_begun(link: &Link, error: Error) -> Response {
    let connector = &link.connector;
    let (title, what, next) = match &error {
        Error::NotFound(_) | Error::Gone(_) => (
            "There is no such connector",
            format!("This team has no connector with the name or id “{connector}”."),
            "Check its name, then run the command again.",
        ),
        Error::Conflict { .. } => ("This link was used before", format!("{error}."), AGAIN),
        Error::Invalid(_) | Error::Unresolvable { .. } => (
            "This cannot be asked for",
            format!("{error}."),
            "Change what the command asks for, or how the connector is set up, then run the command again.",
        ),
        Error::RateLimited { .. } | Error::Busy { .. } => (
            "Too many requests",
            format!("{error}."),
            "Wait a minute, then try again.",
        ),
        _ => return broken(error),
    };
    let page = Message::said(false, title.to_owned(), what, next);
    let status = status(&error, StatusCode::UNPROCESSABLE_ENTITY);
    with_headers(message(status, &page), &error)
}

/// The link itself is not in order: said before anything is looked up.
fn broken_link(error: Error) -> Response {
    let lacks_code =
        |problem: &Problem| problem.field == "request_code" && problem.message == "is required";
    let (what, next) = match &error {
        Error::Invalid(problems) if problems.iter().any(lacks_code) => (
            "It has no request_code, with which the command that printed it waits for the result."
                .to_owned(),
            "Open the link whole, as it was printed. Where no command waits, ask for a link with grantry authorizations \
             create, or with POST /v1/connect/authorize/{connector}.",
        ),
        Error::Invalid(_) => (
            format!("{error}."),
            "Open the link whole, as it was printed, or run the command again: it prints a new link.",
        ),
        _ => return broken(error),
    };
    let page = Message::said(false, "This link is not in order".to_owned(), what, next);
    message(StatusCode::BAD_REQUEST, &page)
}
