//! Connections and what is made of them: rows of the route table, and their handlers.

use axum::response::Response;
use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{Connection, ConnectionState};
use grantry_core::store::{ConnectionFilter, Listed};
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{AskConnection, CursorPage};

use super::page::Asked;
use super::{catalogue, fields, map, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Fields, present};
use crate::kit::route::{Access, Method, Route, Takes};

/// A connection of the teamspace's own is no user's to make.
const MAKE: Access = Access::Act(Act::ImportConnections);
const READ: Access = Access::Act(Act::ReadLists);
const OWN: Access = Access::Act(Act::RevokeOwn);

/// These rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/datagrid/v1/connections",
        MAKE,
        "datagridCreateConnection",
        |route| call(route, create),
    )
    .about("Makes the link under which a connection comes into being.")
    .takes(Takes::Json(fields::CONNECTION))
    .json::<wire::Redirect>(200, "Where the user goes."),
    Route::new(
        Method::Get,
        "/datagrid/v1/connections",
        READ,
        "datagridListConnections",
        |route| call(route, list),
    )
    .about("The teamspace's connections, newest first.")
    .query(fields::LIST_OF_CONNECTOR)
    .json::<wire::List<wire::Linked>>(200, "The connections."),
    Route::new(
        Method::Get,
        "/datagrid/v1/connections/{connection}",
        READ,
        "datagridGetConnection",
        |route| call(route, get),
    )
    .about("One connection.")
    .json::<wire::Linked>(200, "The connection."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/connections/{connection}",
        OWN,
        "datagridUpdateConnection",
        |route| call(route, update),
    )
    .about("Gives a connection another name.")
    .takes(Takes::Json(fields::CONNECTION_CHANGE))
    .json::<wire::Linked>(200, "The connection."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/connections/{connection}",
        OWN,
        "datagridDeleteConnection",
        |route| call(route, delete),
    )
    .about("Ends a connection, here and at its provider.")
    .nothing("Ended."),
    Route::new(
        Method::Post,
        "/datagrid/v1/knowledge/connect",
        MAKE,
        "datagridConnectKnowledge",
        |route| call(route, knowledge),
    )
    .about("Makes the link under which a connection is renewed; of knowledge this server has none.")
    .takes(Takes::Json(fields::KNOWLEDGE))
    .json::<wire::Redirect>(200, "Where the user goes."),
];

async fn create(mut call: Call) -> Result<Response> {
    let mut body = std::mem::take(&mut call.body);
    let named = body.take_text("connector_id").unwrap_or_default();
    let connection = present(body.take_text("connection_id"));
    if let Some(id) = &connection {
        let standing = stands(&call, id).await?;
        let service = call.engine.service_of(call.caller()?, &standing).await?;
        if service != catalogue::service_of(&call, &named).await? {
            let message = format!("is a connection of {service}");
            return Err(Error::invalid("connection_id", message));
        }
    }
    let ask = AskConnection {
        service: catalogue::service_of(&call, &named).await?,
        provider: present(body.take_text("connection_provider_id")),
        connection: connection.map(ConnectionId::from),
        origin: origin(&mut body),
    };
    link(&call, ask).await
}

async fn knowledge(mut call: Call) -> Result<Response> {
    let mut body = std::mem::take(&mut call.body);
    let id = body.take_text("connection_id").unwrap_or_default();
    stands(&call, &id).await?;
    let ask = AskConnection {
        connection: Some(ConnectionId::from(id)),
        origin: origin(&mut body),
        ..AskConnection::default()
    };
    link(&call, ask).await
}

fn origin(body: &mut Fields) -> Option<String> {
    present(body.take_text("embed_origin"))
}

async fn link(call: &Call, ask: AskConnection) -> Result<Response> {
    let asked = call
        .engine
        .authorize_connection(call.caller()?, ask)
        .await?;
    answer::ok(&wire::Redirect::to(asked.url))
}

/// The connection that a body names.
async fn stands(call: &Call, id: &str) -> Result<Connection> {
    match live(call, id).await {
        Err(Error::NotFound(_)) => Err(Error::invalid(
            "connection_id",
            "is not a connection of this teamspace",
        )),
        found => found,
    }
}

/// The connection that a path names. One that has ended is none.
async fn live(call: &Call, id: &str) -> Result<Connection> {
    let id = ConnectionId::from(id);
    let found = call.engine.connection(call.caller()?, &id).await?;
    match found.state {
        ConnectionState::Revoked => Err(Error::NotFound("connection")),
        _ => Ok(found),
    }
}

async fn list(call: Call) -> Result<Response> {
    let call = &call;
    let caller = call.caller()?;
    let mut filter = ConnectionFilter::default();
    if let Some(id) = call.query.text("connector_id").filter(|id| !id.is_empty()) {
        filter.service = Some(catalogue::service_of(call, id).await?);
    }
    let asked = Asked::of(&call.query);
    let page = asked.by_time(call, Listed::Connections).await?;
    let filter = &filter;
    asked
        .answer(page, |page| async move {
            let found = call.engine.connections(caller, filter, &page).await?;
            let mut data = Vec::with_capacity(found.data.len());
            for row in found.data {
                data.push(Some(shown(call, row).await?));
            }
            let next = found.next;
            Ok(CursorPage { data, next })
        })
        .await
}

async fn shown(call: &Call, row: Connection) -> Result<wire::Linked> {
    let service = call.engine.service_of(call.caller()?, &row).await?;
    Ok(wire::Linked::of(row, service))
}

async fn get(call: Call) -> Result<Response> {
    let found = live(&call, call.path("connection")).await?;
    answer::ok(&shown(&call, found).await?)
}

async fn update(mut call: Call) -> Result<Response> {
    let name = map::name(&mut call.body)?;
    let found = live(&call, call.path("connection")).await?;
    // Once it is stored nothing may fail any more.
    let service = call.engine.service_of(call.caller()?, &found).await?;
    let renamed = call
        .engine
        .rename_connection(call.caller()?, &found.id, name.as_deref())
        .await?;
    answer::ok(&wire::Linked::of(renamed, service))
}

async fn delete(call: Call) -> Result<Response> {
    let found = live(&call, call.path("connection")).await?;
    call.engine
        .revoke_connection(call.caller()?, &found.id)
        .await?;
    answer::nothing()
}
