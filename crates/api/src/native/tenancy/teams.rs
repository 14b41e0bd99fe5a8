//! Teams, and who is in them.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::nouns::{Role, Words};
use grantry_engine::permissions::Act;
use grantry_engine::{NewTeam, TeamPatch};

use super::{fields, role, search, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const READ: Access = Access::Act(Act::ReadLists);
const MEMBERS: Access = Access::Act(Act::ManageMembers);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/teams",
        Access::Act(Act::ListTeams),
        "list_teams",
        |route| call(route, list),
    )
    .about(
        "The teams one may act in, by id: all for the server, the account's for its key, one's own else.",
    )
    .query(fields::TEAMS)
    .json::<List<wire::Team>>(200, "One page.")
    .refuses(&[404]),
    Route::new(
        Method::Post,
        "/api/v1/teams",
        Access::Act(Act::ManageAccount),
        "create_team",
        |route| call(route, create),
    )
    .about("Makes a team of the account.")
    .takes(Takes::Json(fields::NEW_TEAM))
    .json::<wire::Team>(201, "The team.")
    .refuses(&[409]),
    Route::new(Method::Get, "/api/v1/teams/{team}", READ, "get_team", |route| {
        call(route, get)
    })
    .about("One team, by id or slug.")
    .json::<wire::Team>(200, "The team."),
    Route::new(
        Method::Patch,
        "/api/v1/teams/{team}",
        Access::Act(Act::ManageTeam),
        "update_team",
        |route| call(route, update),
    )
    .about("Changes a team's name, slug and return origins.")
    .takes(Takes::Json(fields::TEAM))
    .json::<wire::Team>(200, "The team.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/teams/{team}",
        Access::Act(Act::DeleteTeam),
        "delete_team",
        |route| call(route, delete),
    )
    .about(
        "Deletes a team with everything in it: nothing of it is served any more; tokens are revoked \
         at their providers, then the connectors' secrets destroyed, within a day. Refused while it has connectors, unless forced.",
    )
    .query(fields::DELETE_TEAM)
    .nothing("Deleted.")
    .refuses(&[409]),
    Route::new(
        Method::Get,
        "/api/v1/teams/{team}/memberships",
        READ,
        "list_memberships",
        |route| call(route, members),
    )
    .about("The team's people and their roles, by id.")
    .query(fields::MEMBERS)
    .json::<List<wire::Membership>>(200, "One page."),
    Route::new(
        Method::Get,
        "/api/v1/teams/{team}/memberships/{user}",
        READ,
        "get_membership",
        |route| call(route, member),
    )
    .about("One of the team's people, by id or mail address.")
    .json::<wire::Membership>(200, "The membership."),
    Route::new(
        Method::Put,
        "/api/v1/teams/{team}/memberships/{user}",
        MEMBERS,
        "put_membership",
        |route| call(route, put_member),
    )
    .about("Gives a person of the account (id or mail address) a role in the team.")
    .takes(Takes::Json(fields::MEMBER))
    .json::<wire::Membership>(200, "The membership.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/teams/{team}/memberships/{user}",
        MEMBERS,
        "delete_membership",
        |route| call(route, remove_member),
    )
    .about("Takes a person out of the team: their keys open it no longer, everywhere within 2 s.")
    .nothing("Removed.")
    .refuses(&[409]),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let account = call.query.text("account").filter(|id| !id.is_empty());
    let found = call
        .engine
        .teams(call.principal()?, account, search(&call), &page)
        .await?;
    answer::ok(&List::of(&found, wire::Team::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let new = NewTeam {
        slug: body.take_text("slug").unwrap_or_default(),
        name: body.take_text("name"),
        return_origins: body.take_texts("return_origins").unwrap_or_default(),
        words: Words::new(),
    };
    let made = call.engine.create_team(call.steward()?, new).await?;
    answer::created(&wire::Team::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let found = call.engine.team(call.caller()?).await?;
    answer::ok(&wire::Team::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let patch = TeamPatch {
        slug: body.take_text("slug"),
        name: body.take_text("name"),
        return_origins: match body.cleared("return_origins") {
            true => Some(Vec::new()),
            false => body.take_texts("return_origins"),
        },
        words: Words::new(),
    };
    let updated = call.engine.update_team(call.caller()?, patch).await?;
    answer::ok(&wire::Team::from(&updated))
}

async fn delete(call: Call) -> Result<Response> {
    let force = call.query.flag("force").unwrap_or_default();
    call.engine.delete_team(call.caller()?, force).await?;
    answer::nothing()
}

async fn members(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .members(call.caller()?, search(&call), &page)
        .await?;
    answer::ok(&List::of(&found, wire::Membership::from))
}

async fn member(call: Call) -> Result<Response> {
    let found = call
        .engine
        .member(call.caller()?, call.path("user"))
        .await?;
    answer::ok(&wire::Membership::from(&found))
}

async fn put_member(call: Call) -> Result<Response> {
    let role = role(&call.body).unwrap_or(Role::Member);
    let put = call
        .engine
        .put_member(call.caller()?, call.path("user"), role, Words::new())
        .await?;
    answer::ok(&wire::Membership::from(&put))
}

async fn remove_member(call: Call) -> Result<Response> {
    call.engine
        .remove_member(call.caller()?, call.path("user"))
        .await?;
    answer::nothing()
}
