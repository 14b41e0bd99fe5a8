//! The page on which a person registers a connector that somebody asked for (reference/vercel-connect A2). The link is
//! the whole authority: it makes this one connector, once, in its requester's name.
//!
//! Without a script and without a session: everything that the page knows is in its forms. What was typed is shown again
//! when it was wrong, but never a secret; what an address says is not, because whoever sends the link wrote that.

use std::collections::HashMap;

use askama::Template;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use grantry_core::ids::SetupId;
use grantry_core::limits::{Bound, SETUP_TIME, TOKEN_BYTES_MAX};
use grantry_core::{Error, Problem, Secret};
use grantry_engine::{
    AskedField, Filling, GithubEnd, GithubForm, GithubPlace, SetupFlow, SetupPage, SetupProgress,
};
use serde_json::Map;
use url::form_urlencoded;

use super::answer::{message, rendered_form, see_other};
use super::browser::{cookie, is_own_post, origin_of, set_cookie};
use super::consent::{Part, broken, moved, stopped};
use super::look::Look;
use super::message::{BAD_FORM, EXPIRED, Message, NOT_WAITING, OTHER_SITE, Stop};
use crate::App;
use crate::kit::call::read;

/// A key, every byte of it percent-encoded, and the other fields.
const FORM_BYTES_MAX: usize = 3 * TOKEN_BYTES_MAX + 16 * 1024;

/// What the manifest of a Slack app has to know.
const SLACK_SCOPES: &str = "botScopes";

/// Names of fields in the forms: what is data has this before it.
const DATA: &str = "data.";

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    look: &'a Look,
    page: &'a SetupPage,
    here: &'a str,
    notice: Option<String>,
    github: Option<&'a GithubForm>,
    place: &'a GithubPlace,
    slack: Option<SlackLink>,
    asked: Vec<AskedNow<'a>>,
}

#[derive(Template)]
#[template(path = "register-installing.html")]
struct Installing<'a> {
    look: &'a Look,
    page: &'a SetupPage,
    here: &'a str,
}

#[derive(Template)]
#[template(path = "register-cancel.html")]
struct Cancel<'a> {
    look: &'a Look,
    page: &'a SetupPage,
    here: &'a str,
}

/// Where Slack makes the app.
struct SlackLink {
    href: String,
    scopes: String,
}

/// A field of the form, as it stands.
struct AskedNow<'a> {
    field: &'a AskedField,
    value: String,
    problem: Option<String>,
}

impl Register<'_> {
    /// Where the page's first button leads.
    fn leads_to(&self) -> Option<&str> {
        self.github.and_then(|form| form.action.host_str())
    }

    /// The credentials form is what the page is for, rather than another way.
    fn asks_first(&self) -> bool {
        !matches!(self.page.flow, SetupFlow::Github | SetupFlow::Dynamic)
    }

    /// It was tried, and something is wrong.
    fn is_open(&self) -> bool {
        self.asks_first() || self.asked.iter().any(|asked| asked.problem.is_some())
    }

    fn is_dynamic(&self) -> bool {
        self.page.flow == SetupFlow::Dynamic
    }

    fn is_key(&self) -> bool {
        self.page.flow == SetupFlow::Key
    }
}

/// What somebody typed, and what is wrong with it.
#[derive(Default)]
struct Tried {
    typed: HashMap<String, Secret>,
    problems: Vec<Problem>,
    notice: Option<String>,
}

fn id_of(part: Part) -> SetupId {
    let id = part.map(|Path(id)| id).unwrap_or_default();
    let fits = !id.chars().any(char::is_control);
    SetupId::from(if fits { id } else { String::new() })
}

/// `GET /register/{setup}`: looking changes nothing.
pub(super) async fn show(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    if let Some(home) = moved(app.engine.settings(), &headers, &uri) {
        return see_other(&home);
    }
    let query = fields(uri.query().unwrap_or_default().as_bytes());
    let tried = Tried {
        notice: query
            .get("notice")
            .and_then(|word| notice(word.expose()))
            .map(str::to_owned),
        ..Tried::default()
    };
    shown(&app, &id_of(part), &headers, tried).await
}

/// The page as it is now.
async fn shown(app: &App, id: &SetupId, headers: &HeaderMap, tried: Tried) -> Response {
    let page = match app.engine.setup_page(id).await {
        Ok(page) => page,
        Err(error) => return broken(error),
    };
    let here = app.engine.setup_url(id);
    let service = &page.service;
    match &page.view.progress {
        SetupProgress::Pending => pending(app, &page, &here, headers, tried).await,
        SetupProgress::Installing => {
            let look = Look::branded(page.view.setup.ask.accent_color.as_deref(), None);
            let ask = Installing {
                look: &look,
                page: &page,
                here: &here,
            };
            rendered_form(StatusCode::OK, &look, "'self'", &ask)
        }
        SetupProgress::Done { .. } => message(
            StatusCode::OK,
            &Message::said(
                true,
                format!("{service} is set up"),
                match &page.host {
                    Some(host) => format!(
                        "{} has its connector “{}” to {host}.",
                        page.view.setup.requester, page.name
                    ),
                    None => format!(
                        "{} has its connector “{}”.",
                        page.view.setup.requester, page.name
                    ),
                },
                match page.install_url {
                    Some(_) => "One thing is left: install the app where it shall work.",
                    None => "You can close this window.",
                },
            )
            .leading_to(page.install_url.as_deref(), "Install the app"),
        ),
        SetupProgress::Canceled => message(
            StatusCode::OK,
            &Message::said(
                false,
                "Nothing was set up".to_owned(),
                format!(
                    "{} was told that {service} is not to be connected.",
                    page.view.setup.requester
                ),
                "If that was not meant, ask for it again where you started.",
            ),
        ),
        SetupProgress::Expired => stopped(EXPIRED),
    }
}

async fn pending(
    app: &App,
    page: &SetupPage,
    here: &str,
    headers: &HeaderMap,
    tried: Tried,
) -> Response {
    let settings = app.engine.settings();
    let typed = |name: &str| {
        tried
            .typed
            .get(name)
            .map(|text| text.expose().trim().to_owned())
    };
    let mut notice = tried.notice.clone();
    let mut problems = tried.problems.clone();
    let mut place = GithubPlace {
        organization: typed("organization").unwrap_or_default(),
        permissions: typed("permissions").unwrap_or_default(),
    };
    let mut github = None;
    if page.flow == SetupFlow::Github {
        let cookie = cookie(headers, &settings.public_url);
        let form = app.engine.github_form(page, &place, cookie.clone()).await;
        github = match form {
            Ok(form) => Some(form),
            Err(Error::Invalid(found)) => {
                problems.extend(found);
                place = GithubPlace::default();
                match app.engine.github_form(page, &place, cookie).await {
                    Ok(form) => Some(form),
                    // It cannot be made at all any more.
                    Err(Error::Invalid(_)) => None,
                    Err(error) => return broken(error),
                }
            }
            Err(Error::Gone(_)) => return stopped(EXPIRED),
            Err(error) => return broken(error),
        };
    }
    let mut slack = None;
    if page.flow == SetupFlow::Slack {
        let field = page.fields.iter().find(|field| field.name == SLACK_SCOPES);
        let usual = || field.and_then(|field| field.default.clone());
        let scopes = typed(&format!("{DATA}{SLACK_SCOPES}"))
            .or_else(usual)
            .unwrap_or_default();
        let words = scopes.split([' ', ',']).filter(|word| !word.is_empty());
        match app.engine.slack_link(page, &words.collect::<Vec<_>>()) {
            Ok(href) => {
                slack = Some(SlackLink {
                    href: href.into(),
                    scopes,
                })
            }
            Err(Error::Invalid(found)) => problems.extend(found),
            Err(error) => return broken(error),
        }
    }
    let asked: Vec<AskedNow<'_>> = page
        .fields
        .iter()
        .map(|field| AskedNow {
            value: match field.secret {
                true => String::new(),
                false => typed(&format!("{DATA}{}", field.name))
                    .or_else(|| field.default.clone())
                    .unwrap_or_default(),
            },
            problem: problems
                .iter()
                .find(|problem| problem.field.starts_with(DATA) && field.is_at(&problem.field))
                .map(|problem| problem.message.clone()),
            field,
        })
        .collect();
    // What is wrong with no field of the form is told above it.
    let elsewhere = problems.iter().filter(|problem| {
        !(problem.field.starts_with(DATA)
            && page.fields.iter().any(|field| field.is_at(&problem.field)))
    });
    for problem in elsewhere {
        let said = format!("{} {}", problem.field, problem.message);
        notice = Some(match notice {
            Some(before) => format!("{before} {said}."),
            None => format!("{said}."),
        });
    }
    let look = Look::branded(page.view.setup.ask.accent_color.as_deref(), None);
    let mut targets = "'self'".to_owned();
    if let Some(form) = &github {
        targets = format!("{targets} {}", origin_of(&form.action));
        if form.action.scheme() == "https" {
            // GitHub signs people in elsewhere where their company wants that.
            targets.push_str(" https:");
        }
    }
    let register = Register {
        look: &look,
        page,
        here,
        notice,
        github: github.as_ref(),
        place: &place,
        slack,
        asked,
    };
    let status = match problems.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut response = rendered_form(status, &look, &targets, &register);
    let life = SETUP_TIME;
    if let Some(form) = &github
        && let Some(line) = set_cookie(&form.cookie, &settings.public_url, life)
    {
        response.headers_mut().insert(SET_COOKIE, line);
    }
    response
}

/// `GET /register/{setup}/cancel`: asks before the link is ended.
pub(super) async fn cancel(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    if let Some(home) = moved(app.engine.settings(), &headers, &uri) {
        return see_other(&home);
    }
    let id = id_of(part);
    let here = app.engine.setup_url(&id);
    match app.engine.setup_page(&id).await {
        Ok(page) if page.view.progress == SetupProgress::Pending => {
            let look = Look::plain();
            let cancel = Cancel {
                look: &look,
                page: &page,
                here: &here,
            };
            rendered_form(StatusCode::OK, &look, "'self'", &cancel)
        }
        Ok(_) => see_other(&here),
        Err(error) => broken(error),
    }
}

/// `POST /register/{setup}`: a button.
pub(super) async fn decide(
    State(app): State<App>,
    part: Part,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let settings = app.engine.settings();
    if !is_own_post(&headers, &settings.public_url) {
        return stopped(OTHER_SITE);
    }
    let body = read(&app.engine, &headers, body, Bound::fixed(FORM_BYTES_MAX)).await;
    let Ok(body) = body else {
        return stopped(BAD_FORM);
    };
    let typed = fields(&body);
    let id = id_of(part);
    let here = app.engine.setup_url(&id);
    let done = match typed.get("action").map(Secret::expose) {
        Some("register") => {
            let data = match app.engine.setup_page(&id).await {
                Ok(page) => data_of(&page.fields, &typed),
                Err(error) => return broken(error),
            };
            let made = app.engine.complete_by_link(&id, Filling { data }).await;
            made.map(|_| here.clone())
        }
        // Where and as what the app is to be made: said again, above the button that makes it.
        Some("choose") => {
            let tried = Tried {
                typed,
                ..Tried::default()
            };
            return shown(&app, &id, &headers, tried).await;
        }
        Some("cancel") => app.engine.cancel_by_link(&id).await.map(|()| here.clone()),
        Some("finish") => app.engine.finish_by_link(&id).await.map(|()| here.clone()),
        Some("install") => app.engine.install_by_link(&id).await,
        _ => return stopped(BAD_FORM),
    };
    match done {
        Ok(onward) => see_other(&onward),
        // The page itself knows how it ended.
        Err(Error::Gone(_)) => match app.engine.setup_page(&id).await {
            Ok(page) if page.view.progress == SetupProgress::Pending => stopped(EXPIRED),
            Ok(_) => see_other(&here),
            Err(error) => broken(error),
        },
        Err(error) => {
            let Some(tried) = tried(&error, typed) else {
                return broken(error);
            };
            shown(&app, &id, &headers, tried).await
        }
    }
}

/// What the person can mend, as the page tells it.
fn tried(error: &Error, typed: HashMap<String, Secret>) -> Option<Tried> {
    let said = |notice: String| Tried {
        notice: Some(notice),
        ..Tried::default()
    };
    let tried = match error {
        Error::Invalid(problems) => Tried {
            problems: problems.clone(),
            ..Tried::default()
        },
        Error::Conflict { message, .. } => said(format!("{message}.")),
        Error::Unresolvable { reason } => said(format!("{reason}.")),
        Error::Provider { .. } | Error::DestinationRefused => said(
            "The service did not answer as it should. Nothing was stored; please try again."
                .to_owned(),
        ),
        _ => return None,
    };
    Some(Tried { typed, ..tried })
}

/// `GET /register/{setup}/github`: GitHub sends the browser back with a code.
pub(super) async fn made_by_github(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let settings = app.engine.settings();
    let id = id_of(part);
    let here = app.engine.setup_url(&id);
    let query = fields(uri.query().unwrap_or_default().as_bytes());
    let text = |name: &str| query.get(name).map(Secret::expose).unwrap_or_default();
    let code = Secret::new(text("code"));
    let cookie = cookie(&headers, &settings.public_url);
    let stop: &Stop = match app
        .engine
        .github_made(&id, cookie, text("state"), &code)
        .await
    {
        // The page itself knows how it ended.
        Ok(GithubEnd::Stored) | Err(Error::Gone(_) | Error::Invalid(_)) => return see_other(&here),
        Ok(GithubEnd::Unreached) => return see_other(&format!("{here}?notice=unreached")),
        Ok(GithubEnd::Untold) => return see_other(&format!("{here}?notice=untold")),
        Ok(GithubEnd::Unstored) => return see_other(&format!("{here}?notice=unstored")),
        Err(Error::Unauthenticated) => NOT_WAITING,
        Err(error) => (&error).into(),
    };
    see_other(&settings.url(&format!("/problem/{}", stop.word)))
}

/// What the page says above the form. Fixed words in its address.
fn notice(word: &str) -> Option<&'static str> {
    match word {
        "unreached" => Some(
            "GitHub could not be reached, and keeps the new app's keys for an hour. Go back and reload that page to try \
             again; or generate keys at GitHub and enter them below.",
        ),
        "untold" => Some(
            "GitHub did not tell of the app that it made. Reload this page in a minute: if it still asks then, nothing was \
             stored here. Delete the new app at GitHub and try again.",
        ),
        "unstored" => Some(
            "The app was made at GitHub and is not stored here. GitHub does not tell its keys again: delete the new app \
             there and try again, or generate keys there and enter them below.",
        ),
        _ => None,
    }
}

/// Names and values of a form or a query; the first of a name counts.
pub(super) fn fields(form: &[u8]) -> HashMap<String, Secret> {
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        let value = Secret::new(value);
        fields.entry(name.into_owned()).or_insert(value);
    }
    fields
}

fn data_of(
    fields: &[AskedField],
    typed: &HashMap<String, Secret>,
) -> Map<String, serde_json::Value> {
    let mut data = Map::new();
    for field in fields {
        if let Some(text) = typed.get(&format!("{DATA}{}", field.name)) {
            field.fill(&mut data, text.expose());
        }
    }
    data
}
