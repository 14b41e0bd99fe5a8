//! The dialect's part of the route table, and its handlers.

use axum::response::Response;
use grantry_core::store::Page;
use grantry_core::{Error, Result, Secret};
use grantry_engine::ConnectorView;
use grantry_engine::permissions::Act;

use super::{fields, map, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageConnectors);
const READ: Access = Access::Act(Act::ReadLists);

/// Sequin's rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/sequin/v1/oauth-apps",
        READ,
        "sequinListOauthApps",
        |route| call(route, list),
    )
    .about("The team's OAuth apps, newest first, all of them.")
    .query(fields::APPS)
    .json::<wire::Apps<'_>>(200, "The apps."),
    Route::new(
        Method::Post,
        "/sequin/v1/oauth-apps",
        MANAGE,
        "sequinCreateOauthApp",
        |route| call(route, create),
    )
    .about("Makes an OAuth app.")
    .takes(Takes::Json(fields::APP))
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Get,
        "/sequin/v1/oauth-apps/{connector}",
        Access::Act(Act::ReadConnector),
        "sequinGetOauthApp",
        |route| call(route, get),
    )
    .about("One OAuth app.")
    .query(fields::ONE)
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Patch,
        "/sequin/v1/oauth-apps/{connector}",
        MANAGE,
        "sequinUpdateOauthApp",
        |route| call(route, update),
    )
    .about("Changes an OAuth app; what is not sent stays. Its connections keep their tokens.")
    .takes(Takes::Json(fields::APP_CHANGE))
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Delete,
        "/sequin/v1/oauth-apps/{connector}",
        MANAGE,
        "sequinDeleteOauthApp",
        |route| call(route, delete),
    )
    .about("Deletes an OAuth app: its secrets are destroyed and its connections ended.")
    .nothing("Deleted."),
];

/// Rows that one read of the store brings.
const ROWS: u32 = 500;

async fn list(call: Call) -> Result<Response> {
    let (caller, filter) = (call.caller()?, map::filter(&call.query)?);
    let mut found = Vec::new();
    let mut page = Page::first(ROWS);
    loop {
        let rows = call.engine.connectors(caller, &filter.rows, &page).await?;
        let connectors: Vec<_> = rows
            .data
            .iter()
            .map(|view| view.connector.clone())
            .collect();
        let healths = call.engine.healths(caller, &connectors).await?;
        for (view, health) in rows.data.into_iter().zip(healths) {
            if filter.wants(&view.connector.metadata, health.status) {
                found.push((view, health));
            }
        }
        match rows.next {
            Some(after) => page.after = Some(after),
            None => break,
        }
    }
    let mut shown = Vec::new();
    for (view, _) in &found {
        shown.push(secret_of(&call, view).await?);
    }
    let data = found
        .iter()
        .zip(&shown)
        .map(|((view, health), shown)| wire::App::of(view, health.clone(), shown.as_ref()));
    answer::ok(&wire::Apps {
        data: data.collect(),
    })
}

/// The app's secret, where it was asked for and may be shown; that is an event.
async fn secret_of(call: &Call, view: &ConnectorView) -> Result<Option<Secret>> {
    let caller = call.caller()?;
    let asked = call.query.flag("truncate_secrets") == Some(false);
    if !asked || !call.engine.reveals_secrets(caller) {
        return Ok(None);
    }
    let id = view.connector.id.as_str();
    call.engine.reveal_client_secret(caller, id).await
}

async fn create(mut call: Call) -> Result<Response> {
    require_provider(&call).await?;
    let new = map::app(std::mem::take(&mut call.body), call.engine.uuid())?;
    let caller = call.caller()?;
    let made = call.engine.create_connector(caller, new).await?;
    let health = call.engine.health(caller, &made.connector).await?;
    answer::ok(&wire::App::of(&made, health, None))
}

/// An app is always of a service that we know, and that has apps.
async fn require_provider(call: &Call) -> Result<()> {
    let named = call.body.text("provider").unwrap_or_default();
    let problem = match call.engine.service(named).await? {
        None => format!(
            "is not a service of the catalogue; Sequin's are {}",
            fields::PROVIDERS.join(", ")
        ),
        Some(row) if row.data.get("kind").is_some_and(|kind| kind == "api_key") => {
            format!("{named} has no OAuth apps: its API takes keys")
        }
        Some(_) => return Ok(()),
    };
    Err(Error::invalid("provider", problem))
}

async fn get(call: Call) -> Result<Response> {
    let caller = call.caller()?;
    let found = call
        .engine
        .connector(caller, call.path("connector"))
        .await?;
    let health = call.engine.health(caller, &found.connector).await?;
    let shown = secret_of(&call, &found).await?;
    answer::ok(&wire::App::of(&found, health, shown.as_ref()))
}

async fn update(mut call: Call) -> Result<Response> {
    let change = map::app_change(std::mem::take(&mut call.body))?;
    let (caller, id) = (call.caller()?, call.path("connector"));
    let changed = call.engine.update_connector(caller, id, change).await?;
    let health = call.engine.health(caller, &changed.connector).await?;
    answer::ok(&wire::App::of(&changed, health, None))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_connector(call.caller()?, call.path("connector"))
        .await?;
    answer::nothing()
}
