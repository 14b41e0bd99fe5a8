//! Connection providers, connectors, secrets and the identity: rows of the route table, and their handlers.

use axum::response::Response;
use grantry_core::store::{ConnectorFilter, Listed};
use grantry_core::{Error, Result, Secret};
use grantry_engine::permissions::Act;
use grantry_engine::{KeptSecret, types};

use super::page::Asked;
use super::{catalogue, fields, map, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call, deciding_header};
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageConnectors);
const SECRETS: Access = Access::Act(Act::ManageSecrets);

/// These rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/datagrid/v1/connection-providers",
        MANAGE,
        "datagridCreateConnectionProvider",
        |route| call(route, create),
    )
    .about("Makes a connection provider: an OAuth client of a service.")
    .takes(Takes::Json(fields::PROVIDER))
    .json::<wire::Provider>(201, "The provider, without its secret."),
    Route::new(
        Method::Get,
        "/datagrid/v1/connection-providers",
        Access::Act(Act::ReadLists),
        "datagridListConnectionProviders",
        |route| call(route, list),
    )
    .about("The teamspace's connection providers, newest first.")
    .query(fields::LIST_OF_CONNECTOR)
    .json::<wire::List<wire::Provider>>(200, "The providers."),
    Route::new(
        Method::Get,
        "/datagrid/v1/connection-providers/{connector}",
        Access::Act(Act::ReadConnector),
        "datagridGetConnectionProvider",
        |route| call(route, get),
    )
    .about("One connection provider.")
    .json::<wire::Provider>(200, "The provider."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/connection-providers/{connector}",
        MANAGE,
        "datagridUpdateConnectionProvider",
        |route| call(route, update),
    )
    .about("Changes a connection provider. A new secret has a new id.")
    .takes(Takes::Json(fields::PROVIDER_CHANGE))
    .json::<wire::Provider>(200, "The provider."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/connection-providers/{connector}",
        MANAGE,
        "datagridDeleteConnectionProvider",
        |route| call(route, delete),
    )
    .about("Deletes a connection provider: its secret is destroyed and its connections ended.")
    .nothing("Deleted."),
    Route::new(
        Method::Get,
        "/datagrid/v1/connectors",
        Access::Act(Act::ReadCatalogue),
        "datagridListConnectors",
        |route| call(route, connectors),
    )
    .about("The services of the catalogue, by id.")
    .query(fields::LIST)
    .json::<wire::List<wire::Service>>(200, "The services, with what an OAuth app of them has to allow."),
    Route::new(
        Method::Post,
        "/datagrid/v1/secrets",
        SECRETS,
        "datagridCreateSecret",
        |route| call(route, create_secret),
    )
    .about("Keeps a secret.")
    .takes(Takes::Json(fields::SECRET_BODY))
    .json::<wire::Secret>(201, "The secret, without its value."),
    Route::new(
        Method::Get,
        "/datagrid/v1/secrets",
        SECRETS,
        "datagridListSecrets",
        |route| call(route, secrets),
    )
    .about("The teamspace's own secrets, newest first; not those that belong to providers and MCP servers.")
    .query(fields::LIST)
    .json::<wire::List<wire::Secret>>(200, "The secrets."),
    Route::new(
        Method::Get,
        "/datagrid/v1/secrets/{secret}",
        SECRETS,
        "datagridGetSecret",
        |route| call(route, secret),
    )
    .about("One secret, whomever it belongs to.")
    .json::<wire::Secret>(200, "The secret, without its value."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/secrets/{secret}",
        SECRETS,
        "datagridDeleteSecret",
        |route| call(route, delete_secret),
    )
    .about("Deletes a secret of the teamspace's own.")
    .nothing("Deleted."),
    Route::new(
        Method::Get,
        "/datagrid/v1/identity",
        Access::Act(Act::ReadSelf),
        "datagridGetIdentity",
        |route| call(route, identity),
    )
    .about("Who the key is, and in which teamspaces.")
    .json::<wire::Identity>(200, "The identity."),
];

async fn create(mut call: Call) -> Result<Response> {
    let body = std::mem::take(&mut call.body);
    let named = body.text("connector_id").unwrap_or_default();
    let service = catalogue::service_with_apps(&call, named).await?;
    let new = map::provider(body, service)?;
    let made = call.engine.create_connector(call.caller()?, new).await?;
    answer::created(&provider(made.connector)?)
}

fn provider(row: grantry_core::nouns::Connector) -> Result<wire::Provider> {
    wire::Provider::of(row).ok_or(Error::NotFound("connector"))
}

async fn list(call: Call) -> Result<Response> {
    let call = &call;
    let caller = call.caller()?;
    let mut filter = ConnectorFilter {
        kinds: types::oauth_kinds(),
        ..ConnectorFilter::default()
    };
    if let Some(id) = call.query.text("connector_id").filter(|id| !id.is_empty()) {
        filter.services.push(catalogue::service_of(call, id).await?);
    }
    let asked = Asked::of(&call.query);
    let page = asked.by_time(call, Listed::Connectors).await?;
    let filter = &filter;
    asked
        .answer(page, |page| async move {
            let found = call.engine.connectors(caller, filter, &page).await?;
            Ok(found.map(|view| wire::Provider::of(view.connector)))
        })
        .await
}

async fn get(call: Call) -> Result<Response> {
    let id = call.path("connector");
    let found = call.engine.connector(call.caller()?, id).await?;
    answer::ok(&provider(found.connector)?)
}

async fn update(mut call: Call) -> Result<Response> {
    let change = map::provider_change(std::mem::take(&mut call.body))?;
    let (caller, id) = (call.caller()?, call.path("connector"));
    // What is no provider cannot be changed as one.
    provider(call.engine.connector(caller, id).await?.connector)?;
    let changed = call.engine.update_connector(caller, id, change).await?;
    answer::ok(&provider(changed.connector)?)
}

async fn delete(call: Call) -> Result<Response> {
    let (caller, id) = (call.caller()?, call.path("connector"));
    provider(call.engine.connector(caller, id).await?.connector)?;
    call.engine.delete_connector(caller, id).await?;
    answer::nothing()
}

async fn connectors(call: Call) -> Result<Response> {
    let call = &call;
    let principal = call.principal()?;
    let redirect_uri = &call.engine.settings().url("/callback");
    let asked = Asked::of(&call.query);
    asked
        .answer(Some(asked.by_id()), |page| async move {
            let found = call.engine.services(principal, None, &page).await?;
            Ok(found.map(|row| Some(wire::Service::of(&row, redirect_uri))))
        })
        .await
}

async fn create_secret(mut call: Call) -> Result<Response> {
    let name = map::name(&mut call.body)?.unwrap_or_default();
    let value = Secret::new(call.body.take_text("value").unwrap_or_default());
    let caller = call.caller()?;
    let made = call
        .engine
        .create_labelled_secret(caller, &name, &value)
        .await?;
    answer::created(&wire::Secret::from(KeptSecret::from(made)))
}

async fn secrets(call: Call) -> Result<Response> {
    let call = &call;
    let caller = call.caller()?;
    let asked = Asked::of(&call.query);
    let page = asked.by_time(call, Listed::Secrets).await?;
    asked
        .answer(page, |page| async move {
            let found = call.engine.secrets(caller, &page).await?;
            Ok(found.map(|row| Some(wire::Secret::from(KeptSecret::from(row)))))
        })
        .await
}

async fn secret(call: Call) -> Result<Response> {
    let id = call.path("secret");
    let found = call.engine.kept_secret(call.caller()?, id).await?;
    answer::ok(&wire::Secret::from(found))
}

async fn delete_secret(call: Call) -> Result<Response> {
    let id = call.path("secret");
    call.engine.delete_kept_secret(call.caller()?, id).await?;
    answer::nothing()
}

async fn identity(call: Call) -> Result<Response> {
    let named = deciding_header(&call.headers, "datagrid-teamspace")?;
    let who = call.engine.identity(call.principal()?, named).await?;
    answer::ok(&wire::Identity::from(who))
}
