//! The team's event log.

use std::time::Duration;

use axum::response::Response;
use grantry_core::nouns::{Actor, EventKind};
use grantry_core::store::{Author, EventFilter};
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route};
use crate::kit::{answer, cursor};

/// Its rows of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Get,
    "/api/v1/events",
    Access::Act(Act::ReadEvents),
    "list_events",
    |route| call(route, list),
)
.about("The team's event log, newest first; with `wait_ms`, as it grows.")
.query(fields::EVENTS)
.json::<wire::List<wire::Event>>(200, "One page.")];

async fn list(call: Call) -> Result<Response> {
    let text = |name: &str| call.query.text(name).filter(|text| !text.is_empty());
    let filter = EventFilter {
        kinds: text("kind").map(kinds).transpose()?.unwrap_or_default(),
        actor: text("actor").map(author),
        connector: super::connector_named(&call).await?,
        connection: text("connection").map(Into::into),
        since: call.query.time("since"),
        until: call.query.time("until"),
    };
    let page = cursor::page(&call.query)?;
    let found = match call.query.count("wait_ms") {
        None => call.engine.events(call.caller()?, &filter, &page).await?,
        Some(_) if call.query.text("order") == Some("desc") => {
            return Err(Error::invalid(
                "order",
                "is asc where the log is followed (wait_ms)",
            ));
        }
        Some(wait) => {
            let wait = Duration::from_millis(wait);
            let followed = call
                .engine
                .follow_events(call.caller()?, &filter, &page, wait);
            followed.await?
        }
    };
    answer::ok(&wire::List::of(&found, wire::Event::from))
}

/// The kinds of a list of words, of which one may end in `.*`.
fn kinds(words: &str) -> Result<Vec<EventKind>> {
    let mut kinds = Vec::new();
    for word in words.split(',').map(str::trim) {
        let before = kinds.len();
        let named = EventKind::ALL
            .iter()
            .filter(|kind| match word.strip_suffix('*') {
                Some(group) => group.ends_with('.') && kind.as_str().starts_with(group),
                None => kind.as_str() == word,
            });
        kinds.extend(named);
        if kinds.len() == before {
            let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            let message = format!(
                "{word:?} is not a kind of event; there are {}",
                known.join(", ")
            );
            return Err(Error::invalid("kind", message));
        }
    }
    Ok(kinds)
}

fn author(text: &str) -> Author {
    match text {
        "server" => Author::Is(Actor::Server),
        "system" => Author::Is(Actor::System),
        "end_user" => Author::Is(Actor::EndUser),
        id => Author::Id(id.to_owned()),
    }
}
