//! Changes of connectors: A7, A8 and C1 of reference/vercel-connect §2.

use axum::response::Response;
use grantry_core::{Error, Result};
use grantry_engine::ConnectorChange;
use grantry_engine::permissions::Act;

use super::wire::{self, Reader};
use super::{fields, map};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::dialect::{respelled, spelled};
use crate::kit::fields::{Field, Shape, optional, required};
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageConnectors);

const CHANGE: &[Field] = &[
    optional("triggers", Shape::Switch, "Take in provider events."),
    optional("events", Shape::Texts(256), "All events wanted."),
    optional(
        "data",
        Shape::Free,
        "Fields of the type that shall be other; an empty text clears one. Of type `api-key`: toAdd, toUpdate, toDelete.",
    ),
    fields::ICON,
    optional(
        "backgroundColor",
        Shape::Text(16),
        "`#rrggbb`; an empty text clears it.",
    ),
    optional(
        "accentColor",
        Shape::Text(16),
        "`#rrggbb`; an empty text clears it.",
    ),
    optional(
        "uid",
        Shape::Text(256),
        "Unique in the team; callers that use the old one break.",
    ),
    optional("name", Shape::Text(1200), "For people."),
];

const DESTINATIONS: &[Field] = &[required(
    "destinations",
    Shape::Objects(fields::DESTINATION),
    "All places where events go, at most three; none clears them.",
)];

/// The dialect's changes.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Patch,
        "/v1/connect/connectors/{connector}",
        MANAGE,
        "updateClient",
        |route| call(route, update_v1),
    )
    .about("A7: changes a connector.")
    .takes(Takes::Json(CHANGE))
    .json::<wire::Connector>(200, "The connector."),
    Route::new(
        Method::Patch,
        "/v2/connect/connectors/{connector}",
        MANAGE,
        "updateConnector",
        |route| call(route, update_v2),
    )
    .about("A8: changes a connector, and says what is left to do.")
    .takes(Takes::Json(CHANGE))
    .json::<wire::Updated>(200, "The connector, and what the change asks of people."),
    Route::new(
        Method::Patch,
        "/v1/connect/connectors/{connector}/trigger-destinations",
        MANAGE,
        "replaceConnectorTriggerDestinations",
        |route| call(route, replace_destinations),
    )
    .about("C1: replaces all places where a connector's events go, and links their projects.")
    .takes(Takes::Json(DESTINATIONS))
    .json::<wire::Connector>(200, "The connector."),
];

async fn update_v1(mut call: Call) -> Result<Response> {
    let change = map::change(std::mem::take(&mut call.body));
    let changed = call
        .engine
        .update_connector(call.caller()?, call.path("connector"), change)
        .await?;
    answer::ok(&wire::Connector::of(&changed, Reader::of(&call.headers)))
}

async fn update_v2(mut call: Call) -> Result<Response> {
    let change = map::change(std::mem::take(&mut call.body));
    let changed = call
        .engine
        .change_connector(call.caller()?, call.path("connector"), change)
        .await?;
    answer::ok(&wire::Updated::of(&changed, Reader::of(&call.headers)))
}

async fn replace_destinations(mut call: Call) -> Result<Response> {
    let items = call.body.take_objects("destinations").unwrap_or_default();
    let destinations = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| map::destination_at(&format!("destinations[{index}]"), item, None))
        .collect::<Result<_>>()?;
    let change = ConnectorChange {
        trigger_destinations: Some(destinations),
        ..ConnectorChange::default()
    };
    let changed = call
        .engine
        .update_connector(call.caller()?, call.path("connector"), change)
        .await
        .map_err(in_their_words)?;
    answer::ok(&wire::Connector::of(&changed, Reader::of(&call.headers)))
}

/// The list has another name in this call than on a connector.
fn in_their_words(error: Error) -> Error {
    respelled(error, |mut problem| {
        problem.field = spelled(problem.field, &[("triggerDestinations", "destinations")]);
        problem
    })
}
