//! Projects and their environments.

use std::collections::BTreeMap;

use axum::response::Response;
use grantry_core::{Error, Problem, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{NewProject, ProjectPatch};
use serde_json::{Map, Value};

use super::{fields, search, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const READ: Access = Access::Act(Act::ReadLists);
const MANAGE: Access = Access::Act(Act::ManageProjects);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/projects",
        READ,
        "list_projects",
        |route| call(route, list),
    )
    .about("The team's projects, by name.")
    .query(fields::SEARCHED)
    .json::<List<wire::Project>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/projects",
        MANAGE,
        "create_project",
        |route| call(route, create),
    )
    .about("Makes a project.")
    .takes(Takes::Json(fields::NEW_PROJECT))
    .json::<wire::Project>(201, "The project.")
    .refuses(&[409]),
    Route::new(
        Method::Get,
        "/api/v1/projects/{project}",
        READ,
        "get_project",
        |route| call(route, get),
    )
    .about("One project, by id or name.")
    .json::<wire::Project>(200, "The project."),
    Route::new(
        Method::Patch,
        "/api/v1/projects/{project}",
        MANAGE,
        "update_project",
        |route| call(route, update),
    )
    .about("Changes a project's name, base URLs, and what its workloads may do.")
    .takes(Takes::Json(fields::PROJECT))
    .json::<wire::Project>(200, "The project.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/projects/{project}",
        MANAGE,
        "delete_project",
        |route| call(route, delete),
    )
    .about("Deletes a project: links go, keys and workload tokens are refused, connections stay.")
    .nothing("Deleted."),
    Route::new(
        Method::Post,
        "/api/v1/projects/{project}/environments",
        MANAGE,
        "create_environment",
        |route| call(route, add),
    )
    .about("Gives a project an environment of its own.")
    .takes(Takes::Json(fields::ENVIRONMENT))
    .json::<wire::Project>(201, "The project.")
    .refuses(&[409]),
    Route::new(
        Method::Patch,
        "/api/v1/projects/{project}/environments/{environment}",
        MANAGE,
        "update_environment",
        |route| call(route, rename),
    )
    .about("Gives a project's own environment (id or slug) another slug; its id stays.")
    .takes(Takes::Json(fields::ENVIRONMENT))
    .json::<wire::Project>(200, "The project.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/projects/{project}/environments/{environment}",
        MANAGE,
        "delete_environment",
        |route| call(route, remove),
    )
    .about(
        "Takes an environment (id or slug) from a project: its keys end, its links leave it out.",
    )
    .json::<wire::Project>(200, "The project.")
    .refuses(&[409]),
];

/// The URLs of a `base_urls`; null where one shall go.
fn urls(map: Option<Map<String, Value>>) -> Result<BTreeMap<String, Option<String>>> {
    let (mut urls, mut problems) = (BTreeMap::new(), Vec::new());
    for (environment, url) in map.unwrap_or_default() {
        match url {
            Value::String(url) => {
                urls.insert(environment, Some(url));
            }
            Value::Null => {
                urls.insert(environment, None);
            }
            _ => problems.push(Problem::new(
                format!("base_urls.{environment}"),
                "must be a string",
            )),
        }
    }
    if problems.is_empty() {
        Ok(urls)
    } else {
        Err(Error::Invalid(problems))
    }
}

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .projects(call.caller()?, search(&call), &page)
        .await?;
    answer::ok(&List::of(&found, wire::Project::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let base_urls = urls(body.take_map("base_urls"))?;
    let new = NewProject {
        name: body.take_text("name").unwrap_or_default(),
        environments: body.take_texts("custom_environments").unwrap_or_default(),
        base_urls: base_urls
            .into_iter()
            .filter_map(|(environment, url)| Some((environment, url?)))
            .collect(),
        provisions: body.flag("provisions").unwrap_or_default(),
        sign_in_uris: body.take_texts("sign_in_uris").unwrap_or_default(),
    };
    let made = call.engine.create_project(call.caller()?, new).await?;
    answer::created(&wire::Project::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .read_project(call.caller()?, call.path("project"))
        .await?;
    answer::ok(&wire::Project::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let patch = ProjectPatch {
        name: call.body.take_text("name"),
        base_urls: urls(call.body.take_map("base_urls"))?,
        provisions: call.body.flag("provisions"),
        sign_in_uris: call.body.take_texts("sign_in_uris"),
    };
    let updated = call
        .engine
        .update_project(call.caller()?, call.path("project"), patch)
        .await?;
    answer::ok(&wire::Project::from(&updated))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_project(call.caller()?, call.path("project"))
        .await?;
    answer::nothing()
}

async fn add(call: Call) -> Result<Response> {
    let slug = call.body.text("slug").unwrap_or_default();
    let project = call
        .engine
        .add_environment(call.caller()?, call.path("project"), slug)
        .await?;
    answer::created(&wire::Project::from(&project))
}

async fn rename(call: Call) -> Result<Response> {
    let slug = call.body.text("slug").unwrap_or_default();
    let (project, environment) = (call.path("project"), call.path("environment"));
    let project = call
        .engine
        .rename_environment(call.caller()?, project, environment, slug)
        .await?;
    answer::ok(&wire::Project::from(&project))
}

async fn remove(call: Call) -> Result<Response> {
    let (project, environment) = (call.path("project"), call.path("environment"));
    let project = call
        .engine
        .remove_environment(call.caller()?, project, environment)
        .await?;
    answer::ok(&wire::Project::from(&project))
}
