//! OAuth apps.

use axum::response::Response;
use grantry_core::{Error, Result, Secret};
use grantry_engine::ConnectorView;

use super::{fields, map, wire};
use crate::kit::answer;
use crate::kit::call::Call;
use crate::kit::cursor::all_pages;

pub(super) async fn list(call: Call) -> Result<Response> {
    let (caller, filter) = (call.caller()?, map::Filter::of(&call.query)?);
    let (engine, rows) = (&call.engine, &filter.rows());
    let page = |page| async move { engine.connectors(caller, rows, &page).await };
    let apps = all_pages(page).await?;
    let connectors: Vec<_> = apps.iter().map(|view| &view.connector).collect();
    let healths = call.engine.healths(caller, &connectors).await?;
    let mut found = Vec::new();
    for (view, health) in apps.iter().zip(healths) {
        if filter.wants(Some(&view.connector.metadata), health.status) {
            let shown = secret_of(&call, view).await?;
            found.push((view, health, shown));
        }
    }
    let data = found
        .iter()
        .map(|(view, health, shown)| wire::App::of(view, health.clone(), shown.as_ref()));
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

pub(super) async fn create(mut call: Call) -> Result<Response> {
    require_provider(&call).await?;
    let new = map::app(std::mem::take(&mut call.body), call.engine.uuid())?;
    let caller = call.caller()?;
    let basis = call.engine.health_basis(caller, None).await?;
    let made = call.engine.create_connector(caller, new).await?;
    let health = basis.of(&made.connector);
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

pub(super) async fn get(call: Call) -> Result<Response> {
    let caller = call.caller()?;
    let found = call
        .engine
        .connector(caller, call.path("connector"))
        .await?;
    let health = call.engine.health(caller, &found.connector).await?;
    let shown = secret_of(&call, &found).await?;
    answer::ok(&wire::App::of(&found, health, shown.as_ref()))
}

pub(super) async fn update(mut call: Call) -> Result<Response> {
    let change = map::app_change(std::mem::take(&mut call.body))?;
    let (caller, id) = (call.caller()?, call.path("connector"));
    let basis = call.engine.health_basis(caller, Some(id)).await?;
    let changed = call.engine.update_connector(caller, id, change).await?;
    let health = basis.of(&changed.connector);
    answer::ok(&wire::App::of(&changed, health, None))
}

pub(super) async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_connector(call.caller()?, call.path("connector"))
        .await?;
    answer::nothing()
}
