//! The dialect's part of the route table, and its handlers.

use axum::response::Response;
use axum::routing::get as on_get;
use grantry_core::store::{ConnectorFilter, Page};
use grantry_core::{Error, Result, Secret};
use grantry_engine::permissions::Act;
use grantry_engine::{AskConsent, AskSearch, AskToken, OAUTH_CALLBACK_OF_COHERE, types};

use super::{error, fields, map, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::present;
use crate::kit::route::{Access, Method, Route, Takes};
use crate::pages::callback;

const MANAGE: Access = Access::Act(Act::ManageConnectors);
const AUTHORIZE: Access = Access::Act(Act::Authorize);

/// Cohere's rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/cohere/v1/connectors",
        Access::Act(Act::ReadLists),
        "cohereListConnectors",
        |route| call(route, list),
    )
    .about("The team's connectors, newest first.")
    .query(fields::PAGE)
    .json::<wire::List>(200, "One page, and how many there are."),
    Route::new(
        Method::Post,
        "/cohere/v1/connectors",
        MANAGE,
        "cohereCreateConnector",
        |route| call(route, create),
    )
    .about("Makes a connector, once its URL answers.")
    .takes(Takes::SomeJson(fields::CONNECTOR))
    .json::<wire::One>(200, "The connector."),
    Route::new(
        Method::Get,
        "/cohere/v1/connectors/{connector}",
        Access::Act(Act::ReadConnector),
        "cohereGetConnector",
        |route| call(route, get),
    )
    .about("One connector.")
    .json::<wire::One>(200, "The connector."),
    Route::new(
        Method::Patch,
        "/cohere/v1/connectors/{connector}",
        MANAGE,
        "cohereUpdateConnector",
        |route| call(route, update),
    )
    .about("Changes a connector; what is not named stays.")
    .takes(Takes::SomeJson(fields::CHANGE))
    .json::<wire::One>(200, "The connector."),
    Route::new(
        Method::Delete,
        "/cohere/v1/connectors/{connector}",
        MANAGE,
        "cohereDeleteConnector",
        |route| call(route, delete),
    )
    .about("Deletes a connector: its secrets are destroyed and its connections ended.")
    .json::<wire::Done>(200, "An empty object."),
    Route::new(
        Method::Post,
        "/cohere/v1/connectors/{connector}/oauth/authorize",
        AUTHORIZE,
        "cohereAuthorizeConnector",
        |route| call(route, authorize),
    )
    .about("Makes the link that the key's own user opens to connect.")
    .query(fields::AUTHORIZE)
    .json::<wire::Authorize>(200, "The link."),
    Route::new(
        Method::Get,
        "/cohere/v1/connectors/{connector}/oauth/authorize",
        AUTHORIZE,
        "cohereAuthorizeConnectorByGet",
        |route| call(route, authorize),
    )
    .about("The same, as 4.x clients ask for it.")
    .query(fields::AUTHORIZE)
    .json::<wire::Authorize>(200, "The link."),
    Route::new(
        Method::Post,
        "/cohere/v1/connectors/{connector}/search",
        Access::Act(Act::ReadToken),
        "cohereSearchConnector",
        |route| call(route, search),
    )
    .about("Ours: asks a connector as a chat would, and answers with a chat's search fields.")
    .takes(Takes::SomeJson(fields::SEARCH))
    .json::<wire::Searched>(200, "What it found."),
    Route::new(
        Method::Get,
        OAUTH_CALLBACK_OF_COHERE,
        callback::BY_STATE,
        "cohereCallback",
        |_| on_get(callback::arrive),
    )
    .about("Where providers send browsers back to.")
    .gives(
        303,
        "To where the user came from, or to a page that says what happened.",
    ),
    Route::new(
        Method::Post,
        "/cohere/v1/check-api-key",
        Access::Act(Act::ReadSelf),
        "cohereCheckApiKey",
        |route| call(route, check_key),
    )
    .about("Whose a key is.")
    .json::<wire::KeyCheck>(200, "Its team and its owner."),
];

/// Rows of a page whose size nobody named.
const ROWS: i64 = 30;

async fn list(call: Call) -> Result<Response> {
    let caller = call.caller()?;
    let limit = call.query.integer("limit").unwrap_or(ROWS);
    let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let filter = ConnectorFilter {
        skip: number(call.query.integer("offset").unwrap_or_default()),
        ..ConnectorFilter::default()
    };
    let total_count = call.engine.connector_count(caller).await?;
    let rows = match number(limit) {
        0 => vec![],
        limit => {
            let page = Page::first(limit);
            call.engine.connectors(caller, &filter, &page).await?.data
        }
    };
    let stored: Vec<_> = rows.iter().map(|view| &view.connector).collect();
    let statuses = call.engine.auth_statuses(caller, &stored).await?;
    let connectors = rows.iter().zip(statuses);
    answer::ok(&wire::List {
        connectors: connectors
            .map(|(view, status)| wire::Connector::of(view, status))
            .collect(),
        total_count,
    })
}

async fn create(mut call: Call) -> Result<Response> {
    let body = std::mem::take(&mut call.body);
    let callback = call.engine.settings().url(OAUTH_CALLBACK_OF_COHERE);
    let new = map::connector(body, callback)?;
    let made = call.engine.create_connector(call.caller()?, new).await?;
    // Nobody can have connected yet.
    let connector = wire::Connector::of(&made, None);
    answer::ok(&wire::One { connector })
}

async fn get(call: Call) -> Result<Response> {
    let (caller, named) = (call.caller()?, call.path("connector"));
    let found = match call.engine.connector(caller, named).await {
        Ok(found) => found,
        Err(error) => return unknown(&call, error),
    };
    let status = call.engine.auth_status(caller, &found.connector).await?;
    let connector = wire::Connector::of(&found, status);
    answer::ok(&wire::One { connector })
}

async fn update(mut call: Call) -> Result<Response> {
    let change = map::change(std::mem::take(&mut call.body))?;
    let (caller, named) = (call.caller()?, call.path("connector"));
    let stored = match call.engine.connector(caller, named).await {
        Ok(stored) => stored.connector,
        Err(error) => return unknown(&call, error),
    };
    // Once it is stored nothing may fail any more.
    let status = call.engine.auth_status(caller, &stored).await?;
    let changed = match call.engine.update_connector(caller, named, change).await {
        Ok(changed) => changed,
        Err(error) => return unknown(&call, error),
    };
    // Of another type, it has no connections.
    let status = status.filter(|_| changed.connector.kind == stored.kind);
    let connector = wire::Connector::of(&changed, status);
    answer::ok(&wire::One { connector })
}

/// That there is no connector of the id in the path, where that is what went wrong.
fn unknown(call: &Call, error: Error) -> Result<Response> {
    match &*error.hiding() {
        Error::NotFound("connector") => Ok(error::unknown_connector(call.path("connector"))),
        _ => Err(error),
    }
}

async fn delete(call: Call) -> Result<Response> {
    let (caller, named) = (call.caller()?, call.path("connector"));
    match call.engine.delete_connector(caller, named).await {
        Ok(()) => answer::ok(&wire::Done {}),
        Err(error) => unknown(&call, error),
    }
}

async fn authorize(call: Call) -> Result<Response> {
    let (caller, named) = (call.caller()?, call.path("connector"));
    let found = match call.engine.connector(caller, named).await {
        Ok(found) => found.connector,
        Err(error) => return unknown(&call, error),
    };
    if !types::speaks_oauth(&found) {
        let reason = format!("connector '{}' does not use oauth.", found.id);
        return Err(Error::Unresolvable { reason });
    }
    let missing = call.engine.missing_of(&found).await?;
    if !missing.is_empty() {
        return Err(Error::Invalid(missing));
    }
    let ask = AskConsent {
        return_url: present(call.query.text("after_token_redirect").map(str::to_owned)),
        ..AskConsent::default()
    };
    let asked = call
        .engine
        .authorize(caller, found.id.as_str(), ask)
        .await?;
    answer::ok(&wire::Authorize {
        redirect_url: asked.url,
    })
}

async fn search(mut call: Call) -> Result<Response> {
    let (caller, named) = (call.caller()?.clone(), call.path("connector").to_owned());
    let body = &mut call.body;
    let ask = AskSearch {
        query: body.take_text("query").unwrap_or_default(),
        token: AskToken::default(),
        own_token: present(body.take_text("user_access_token")).map(Secret::new),
        continue_on_failure: body.flag("continue_on_failure"),
    };
    let query = ask.query.clone();
    let found = match call.engine.search(&caller, &named, ask).await {
        Ok(found) => found,
        Err(error) => return unknown(&call, error),
    };
    match &found.results {
        Err(failure) if !found.continues => Err(Error::Unresolvable {
            reason: format!(
                "connectors failed with continue on failure disabled: connector {} failed with message '{}'",
                found.connector, failure.message
            ),
        }),
        _ => answer::ok(&wire::Searched::of(&found, &query)),
    }
}

async fn check_key(call: Call) -> Result<Response> {
    answer::ok(&wire::KeyCheck::of(call.principal()?))
}
