//! Connections, tokens.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use grantry_core::nouns::Scopes;
use grantry_core::store::{ConnectionFilter, ConnectionStatus};
use grantry_core::{Result, Secret};
use grantry_engine::permissions::Act;
use grantry_engine::{AskToken, NewConnection, NewPair};

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::fields::{Fields, present};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor, subject};

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/api/v1/tokens",
        Access::Act(Act::ReadToken),
        "read_token",
        |route| call(route, token),
    )
    .about("A token that outlives the validity buffer, refreshed where necessary.")
    .takes(Takes::Json(fields::TOKEN))
    .json::<wire::Token>(200, "The token.")
    .refuses(&[422, 502, 504]),
    Route::new(
        Method::Get,
        "/api/v1/connections",
        Access::Act(Act::ReadLists),
        "list_connections",
        |route| call(route, list),
    )
    .about("Connections, newest first: the team's for an admin, their own for a member.")
    .query(fields::CONNECTIONS)
    .json::<wire::List<wire::Connection>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/connections",
        Access::Act(Act::ImportConnections),
        "import_connection",
        |route| call(route, import),
    )
    .about("Takes in a grant that exists already; one that stands keeps its tokens (200).")
    .takes(Takes::Json(fields::CONNECTION))
    .json::<wire::Connection>(201, "The connection.")
    .or(200, "It stands already.")
    .refuses(&[409, 422]),
    Route::new(
        Method::Get,
        "/api/v1/connections/{connection}",
        Access::Act(Act::ReadLists),
        "get_connection",
        |route| call(route, get),
    )
    .about("One connection; a member's must be their own.")
    .json::<wire::Connection>(200, "The connection."),
    Route::new(
        Method::Patch,
        "/api/v1/connections/{connection}",
        Access::Act(Act::RevokeOwn),
        "update_connection",
        |route| call(route, rename),
    )
    .about("Gives a connection another name.")
    .takes(Takes::Json(fields::CONNECTION_CHANGE))
    .json::<wire::Connection>(200, "The connection."),
    Route::new(
        Method::Delete,
        "/api/v1/connections/{connection}",
        Access::Act(Act::RevokeOwn),
        "revoke_connection",
        |route| call(route, revoke),
    )
    .about("Ends a connection here at once, and at the provider where it can.")
    .json::<wire::Ended>(200, "What became of it."),
];

pub(super) fn ask(body: &mut Fields) -> Result<AskToken> {
    let named = body
        .take_object("subject")
        .map(|fields| subject::named(fields, &[], "additional_claims"))
        .transpose()?;
    let (subject, subject_token) =
        named.map_or((None, None), |named| (Some(named.subject), named.token));
    Ok(AskToken {
        subject,
        subject_token,
        environment: body.text("environment").map(Into::into),
        installation: present(body.take_text("installation")),
        scopes: Scopes::from_list(body.take_texts("scopes").unwrap_or_default()),
        audience: body.take_texts("audience").unwrap_or_default(),
        resources: body.take_texts("resources").unwrap_or_default(),
        details: body.take_list("authorization_details").unwrap_or_default(),
        validity_buffer: Duration::from_millis(
            body.count("validity_buffer_ms").unwrap_or_default(),
        ),
    })
}

async fn token(mut call: Call) -> Result<Response> {
    let ask = ask(&mut call.body)?;
    let connector = call.body.take_text("connector").unwrap_or_default();
    let served = call.engine.token(call.caller()?, &connector, ask).await?;
    answer::ok(&wire::Token::from(&served))
}

async fn list(call: Call) -> Result<Response> {
    let text = |name: &str| call.query.text(name).filter(|text| !text.is_empty());
    let filter = ConnectionFilter {
        external_subject: None,
        imported: false,
        service: None,
        connector: super::connector_named(&call).await?,
        subject: super::subject_named(&call),
        subject_kind: match text("subject") {
            Some("app") => Some("app"),
            Some("user") => Some("user"),
            Some(_) => Some("connection"),
            None => None,
        },
        status: text("state").map(|word| match word {
            "active" => ConnectionStatus::Active,
            "revoked" => ConnectionStatus::Revoked,
            _ => ConnectionStatus::NeedsReauth,
        }),
        include_revoked: call.query.flag("include_revoked").unwrap_or_default(),
        environment: text("environment").map(Into::into),
        installation: text("installation").map(str::to_owned),
        search: text("search").map(str::to_owned),
        since: call.query.time("created_since"),
        until: call.query.time("created_until"),
    };
    let page = cursor::page(&call.query)?;
    let found = call
        .engine
        .connections(call.caller()?, &filter, &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Connection::from))
}

async fn import(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let new = NewConnection {
        id: body.text("id").map(Into::into),
        connector: body.take_text("connector").unwrap_or_default(),
        token: ask(body)?,
        name: body.take_text("name"),
        external_subject: body.take_text("external_subject"),
        pair: NewPair {
            servers: None,
            access: Secret::new(body.take_text("access_token").unwrap_or_default()),
            expires_in: body.count("expires_in").map(Duration::from_secs),
            refresh: body.take_text("refresh_token").map(Secret::new),
            refresh_ends: None,
            scope: body.take_text("scope"),
            metadata: body.take_map("metadata").unwrap_or_default(),
        },
    };
    let (connection, new) = call.engine.import_connection(call.caller()?, new).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(answer::json(status, &wire::Connection::from(&connection)))
}

async fn get(call: Call) -> Result<Response> {
    let id = call.path("connection").into();
    let found = call.engine.connection(call.caller()?, &id).await?;
    answer::ok(&wire::Connection::from(&found))
}

async fn rename(mut call: Call) -> Result<Response> {
    let id = call.path("connection").into();
    let renamed = match call.body.take_change("name") {
        Some(name) => {
            let renamed = call
                .engine
                .rename_connection(call.caller()?, &id, name.as_deref());
            renamed.await?
        }
        None => call.engine.connection(call.caller()?, &id).await?,
    };
    answer::ok(&wire::Connection::from(&renamed))
}

async fn revoke(call: Call) -> Result<Response> {
    let id = call.path("connection").into();
    let revoked = call.engine.revoke_connection(call.caller()?, &id).await?;
    answer::ok(&wire::Ended::from(revoked))
}
