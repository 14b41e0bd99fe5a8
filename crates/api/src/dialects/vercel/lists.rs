//! Lists of connectors and of links: A4, A5, B1, B2, B6 of reference/vercel-connect §2.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::limits;
use grantry_core::nouns::Link;
use grantry_core::store::{ConnectorFilter, ConnectorSort, Page};
use grantry_engine::permissions::Act;
use grantry_engine::{ConnectorView, CursorPage};

use super::map;
use super::wire::{self, Reader};
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional};
use crate::kit::route::{Access, Method, Route};
use crate::kit::{answer, cursor};

const LISTS: Access = Access::Act(Act::ReadLists);

/// Links of a page when the caller does not say (reference/vercel-connect §6).
const LINKS_LIMIT: u32 = 50;

const ROWS: Shape = Shape::Integer(1, limits::PAGE_ROWS_MAX as i64);
const CURSOR: Field = optional("cursor", Shape::Text(2048), "Where the page before ended.");

const LINKS: &[Field] = &[
    optional("limit", ROWS, "Rows wanted, 50 when absent."),
    CURSOR,
];

const CONNECTORS: &[Field] = &[
    optional("limit", ROWS, "Rows wanted, 20 when absent."),
    CURSOR,
    optional(
        "projectId",
        Shape::Text(256),
        "Linked to this project, by id or name.",
    ),
    optional("search", Shape::Text(256), "Text in name, uid or service."),
    optional("type", Shape::Text(1024), "Types, separated by commas."),
    optional(
        "service",
        Shape::Text(4096),
        "Services, separated by commas.",
    ),
    optional(
        "sort",
        Shape::Word(&["name", "createdAt", "updatedAt"]),
        "Names begin with the first, times with the latest; `createdAt` when absent.",
    ),
    optional(
        "include",
        Shape::Word(&["projects"]),
        "Tell the first 100 links of each connector too (v1).",
    ),
];

/// The dialect's lists.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/v1/connect/connectors",
        LISTS,
        "listClients",
        |route| call(route, connectors_v1),
    )
    .about("A4: the team's connectors, newest first.")
    .query(CONNECTORS)
    .json::<wire::Clients>(200, "One page: clients, cursor."),
    Route::new(
        Method::Get,
        "/v2/connect/connectors",
        LISTS,
        "listConnectors",
        |route| call(route, connectors_v2),
    )
    .about("A5: the team's connectors, in the order asked for.")
    .query(CONNECTORS)
    .json::<wire::Connectors>(200, "One page: connectors, pagination."),
    Route::new(
        Method::Get,
        "/v1/connect/connectors/{connector}/projects",
        LISTS,
        "listClientProjects",
        |route| call(route, links_v1),
    )
    .about("B1: the projects that a connector is linked to, by id.")
    .query(LINKS)
    .json::<wire::Links>(200, "One page: projects, cursor."),
    Route::new(
        Method::Get,
        "/v2/connect/connectors/{connector}/projects",
        LISTS,
        "listConnectorProjectConnections",
        |route| call(route, links_v2),
    )
    .about("B2: the projects that a connector is linked to, by id.")
    .query(LINKS)
    .json::<wire::ProjectConnections>(200, "One page: projects, pagination."),
    Route::new(
        Method::Get,
        "/v2/connect/projects/{project}/connectors",
        LISTS,
        "listProjectConnectorConnections",
        |route| call(route, links_of_project),
    )
    .about("B6: a project's links, by connector id.")
    .query(LINKS)
    .json::<wire::ConnectorConnections>(200, "One page: connectors, pagination."),
];

async fn page_of(call: &Call) -> Result<CursorPage<ConnectorView>> {
    let caller = call.caller()?;
    let Some(filter) = map::filter(&call.query) else {
        return Ok(CursorPage {
            data: vec![],
            next: None,
        });
    };
    let page = match filter.sort {
        ConnectorSort::Name => cursor::page_by_name(&call.query)?,
        ConnectorSort::Created | ConnectorSort::Updated => cursor::page(&call.query)?,
    };
    let project = match call.query.text("projectId") {
        Some(named) if !named.is_empty() => Some(call.engine.project(caller, named).await?.id),
        _ => None,
    };
    let filter = ConnectorFilter { project, ..filter };
    call.engine.connectors(caller, &filter, &page).await
}

async fn connectors_v1(call: Call) -> Result<Response> {
    let (reader, page) = (Reader::of(&call.headers), page_of(&call).await?);
    let include = call.query.text("include").is_some();
    let links = page.data.iter().flat_map(|view| &view.links);
    let projects = match include {
        true => call.engine.projects_of_links(call.caller()?, links).await?,
        false => wire::Projects::new(),
    };
    let clients = page.data.iter().map(|view| {
        let connector = wire::Connector::of(view, reader);
        match include {
            true => connector.including(view, &projects),
            false => connector,
        }
    });
    answer::ok(&wire::Clients {
        clients: clients.collect(),
        cursor: page.next.as_ref().map(cursor::encode),
    })
}

async fn connectors_v2(call: Call) -> Result<Response> {
    let (reader, page) = (Reader::of(&call.headers), page_of(&call).await?);
    answer::ok(&wire::Connectors {
        connectors: page
            .data
            .iter()
            .map(|view| wire::Connector::of(view, reader))
            .collect(),
        pagination: pagination(&page),
    })
}

fn pagination<T>(page: &CursorPage<T>) -> wire::Pagination {
    wire::Pagination {
        next: page.next.as_ref().map(cursor::encode),
    }
}

/// A page of links, as its query asks for it.
fn page_of_links(call: &Call) -> Result<Page> {
    let page = cursor::page_by_name(&call.query)?;
    let limit = match call.query.count("limit") {
        Some(_) => page.limit,
        None => LINKS_LIMIT,
    };
    Ok(Page { limit, ..page })
}

async fn links(call: &Call) -> Result<(CursorPage<Link>, wire::Projects)> {
    let (caller, page) = (call.caller()?, page_of_links(call)?);
    let engine = &call.engine;
    let links = engine.links(caller, call.path("connector"), &page).await?;
    let projects = engine.projects_of_links(caller, &links.data).await?;
    Ok((links, projects))
}

async fn links_v1(call: Call) -> Result<Response> {
    let (page, projects) = links(&call).await?;
    answer::ok(&wire::Links {
        projects: wire::Link::all(&page.data, &projects),
        cursor: page.next.as_ref().map(cursor::encode),
    })
}

async fn links_v2(call: Call) -> Result<Response> {
    let (page, projects) = links(&call).await?;
    answer::ok(&wire::ProjectConnections {
        projects: wire::Link::all(&page.data, &projects),
        pagination: pagination(&page),
    })
}

async fn links_of_project(call: Call) -> Result<Response> {
    let (caller, page) = (call.caller()?, page_of_links(&call)?);
    let project = call.path("project");
    let page = call.engine.project_links(caller, project, &page).await?;
    let projects = call.engine.projects_of_links(caller, &page.data).await?;
    answer::ok(&wire::ConnectorConnections {
        connectors: wire::Link::all(&page.data, &projects),
        pagination: pagination(&page),
    })
}
