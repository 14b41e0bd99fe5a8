//! Setups: connectors that are registered at their service after they were asked for, by a person on a page of ours or
//! by a program here.

use axum::response::Response;
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{AskSetup, Filling, NewConnector, NewLink};

use super::connectors::environments;
use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional, present, required};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

const MANAGE: Access = Access::Act(Act::ManageConnectors);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/api/v1/setups",
        MANAGE,
        "create_setup",
        |route| call(route, create),
    )
    .about(
        "Asks for a connector of which only the service is named. It is there at once where the service registers clients \
         by itself; else a person registers it at `url`, or a program completes it, within two hours.",
    )
    .takes(Takes::Json(SETUP))
    .json::<wire::Setup>(201, "The setup.")
    .refuses(&[409, 422, 502, 504]),
    Route::new(
        Method::Get,
        "/api/v1/setups",
        MANAGE,
        "list_setups",
        |route| call(route, list),
    )
    .about("The team's setups that wait to be registered, newest first, without their links.")
    .query(fields::PAGE_BY_TIME)
    .json::<wire::List<wire::OpenSetup>>(200, "One page."),
    Route::new(
        Method::Get,
        "/api/v1/setups/{setup}",
        MANAGE,
        "get_setup",
        |route| call(route, get),
    )
    .about("How far a setup has come.")
    .json::<wire::Setup>(200, "The setup."),
    Route::new(
        Method::Post,
        "/api/v1/setups/{setup}/complete",
        MANAGE,
        "complete_setup",
        |route| call(route, complete),
    )
    .about("Makes the connector with what was registered at its service, once. What is wrong is named, and the setup stays open.")
    .takes(Takes::Json(COMPLETION))
    .json::<wire::Setup>(200, "The setup, with its connector.")
    .refuses(&[409, 422, 502, 504]),
    Route::new(
        Method::Delete,
        "/api/v1/setups/{setup}",
        MANAGE,
        "cancel_setup",
        |route| call(route, cancel),
    )
    .about("Calls a setup off: its link ends. It is named by its id, or by its connector's as the list shows it.")
    .nothing("Canceled.")
    .refuses(&[409]),
];

/// `POST /setups`
const SETUP: &[Field] = &[
    required(
        "service",
        Shape::Text(512),
        "Catalogue id of the third party, or the URL of a server.",
    ),
    optional(
        "connection_method",
        Shape::Text(64),
        "One of those that the service has; the first when absent.",
    ),
    optional(
        "name",
        Shape::Text(256),
        "The linked project's name when absent.",
    ),
    optional(
        "project",
        Shape::Text(256),
        "Link this project at once, by id or name.",
    ),
    optional(
        "environments",
        Shape::Texts(128),
        "Of that link; the three built-in ones when absent.",
    ),
    optional(
        "host",
        Shape::Text(256),
        "Of the team's own GitHub Enterprise Server: its host name. github.com when absent.",
    ),
    optional("triggers", Shape::Bool, "Take in provider events."),
    optional("events", Shape::Texts(256), "Events wanted."),
    optional(
        "icon",
        Shape::Text(2048),
        "SHA-1 of an uploaded image, or a URL to fetch one from.",
    ),
    optional("background_color", Shape::Text(16), "`#rrggbb`"),
    optional("accent_color", Shape::Text(16), "`#rrggbb`"),
    optional(
        "install",
        Shape::Bool,
        "It is done when its application is installed, too.",
    ),
];

/// `POST /setups/{setup}/complete`
const COMPLETION: &[Field] = &[required(
    "data",
    Shape::Free,
    "Configuration and secrets of the type, as of a new connector: docs/connector-types.md.",
)];

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let environments = body.take_texts("environments").map(environments);
    let project = present(body.take_text("project"));
    if environments.is_some() && project.is_none() {
        return Err(Error::invalid("environments", "needs project"));
    }
    let ask = AskSetup {
        new: NewConnector {
            service: body.take_text("service"),
            connection_method: present(body.take_text("connection_method")),
            name: body.take_text("name"),
            link: project.map(|project| NewLink {
                project,
                environments,
            }),
            triggers_enabled: body.flag("triggers").unwrap_or_default(),
            events: body.take_texts("events").unwrap_or_default(),
            icon: present(body.take_text("icon")),
            background_color: present(body.take_text("background_color")),
            accent_color: present(body.take_text("accent_color")),
            ..NewConnector::default()
        },
        host: present(body.take_text("host")),
        autoinstall: body.flag("install").unwrap_or_default(),
        code: None,
    };
    let asked = call.engine.ask_setup(call.caller()?, ask).await?;
    answer::created(&wire::Setup::from(&asked.view))
}

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page(&call.query)?;
    let found = call.engine.open_setups(call.caller()?, &page).await?;
    answer::ok(&wire::List::of(&found, wire::OpenSetup::from))
}

async fn get(call: Call) -> Result<Response> {
    let id = call.path("setup").into();
    let view = call.engine.setup(call.caller()?, &id).await?;
    answer::ok(&wire::Setup::from(&view))
}

async fn complete(mut call: Call) -> Result<Response> {
    let data = call.body.take_map("data").unwrap_or_default();
    let id = call.path("setup").into();
    let view = call
        .engine
        .complete_setup(call.caller()?, &id, Filling { data })
        .await?;
    answer::ok(&wire::Setup::from(&view))
}

async fn cancel(call: Call) -> Result<Response> {
    let id = call.path("setup");
    call.engine.cancel_setup(call.caller()?, id).await?;
    answer::nothing()
}
