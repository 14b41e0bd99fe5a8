//! The organization: credits, teamspaces, MCP servers and, in `members`, people: rows of the route table, and their
//! handlers.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::ids::McpServerId;
use grantry_core::nouns::Words;
use grantry_engine::TeamPatch;
use grantry_engine::permissions::Act;

use super::page::Asked;
use super::{fields, map, members, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::Fields;
use crate::kit::route::{Access, Method, Route, Takes};

const READ: Access = Access::Act(Act::ReadLists);
const INVITE: Access = Access::Act(Act::ManageMembers);
const SECRETS: Access = Access::Act(Act::ManageSecrets);
const ACCOUNT: Access = Access::Act(Act::ReadAccount);

/// These rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/credits",
        READ,
        "datagridGetCredits",
        |route| call(route, credits),
    )
    .about("How many credits there are. Nothing uses any up.")
    .json::<wire::Credits>(200, "The report."),
    Route::new(
        Method::Post,
        "/datagrid/v1/organization/teamspaces",
        Access::Act(Act::ManageAccount),
        "datagridCreateTeamspace",
        |route| call(route, create),
    )
    .about("Makes a teamspace.")
    .takes(Takes::Json(fields::TEAMSPACE))
    .json::<wire::Teamspace>(201, "The teamspace."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces",
        Access::Act(Act::ListTeams),
        "datagridListTeamspaces",
        |route| call(route, list),
    )
    .about("The teamspaces that the key may act in, by id.")
    .query(fields::LIST)
    .json::<wire::List<wire::Teamspace>>(200, "The teamspaces."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces/{team}",
        READ,
        "datagridGetTeamspace",
        |route| call(route, get),
    )
    .about("One teamspace.")
    .json::<wire::Teamspace>(200, "The teamspace."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/organization/teamspaces/{team}",
        Access::Act(Act::ManageTeam),
        "datagridUpdateTeamspace",
        |route| call(route, update),
    )
    .about("Changes a teamspace.")
    .takes(Takes::Json(fields::TEAMSPACE_CHANGE))
    .json::<wire::Teamspace>(200, "The teamspace."),
    Route::new(
        Method::Post,
        "/datagrid/v1/organization/teamspaces/{team}/invites",
        INVITE,
        "datagridCreateInvite",
        |route| call(route, members::invite),
    )
    .about("Invites somebody; who is known already is a member at once.")
    .takes(Takes::Json(fields::INVITE))
    .json::<wire::Invitation>(201, "The invitation."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces/{team}/invites",
        READ,
        "datagridListInvites",
        |route| call(route, members::invites),
    )
    .about("The teamspace's invitations, newest first.")
    .query(fields::LIST)
    .json::<wire::List<wire::Invitation>>(200, "The invitations."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces/{team}/invites/{invite}",
        READ,
        "datagridGetInvite",
        |route| call(route, members::invitation),
    )
    .about("One invitation.")
    .json::<wire::Invitation>(200, "The invitation."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/organization/teamspaces/{team}/invites/{invite}",
        INVITE,
        "datagridDeleteInvite",
        |route| call(route, members::take_back),
    )
    .about("Takes an invitation back.")
    .nothing("Deleted."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces/{team}/users",
        READ,
        "datagridListTeamspaceUsers",
        |route| call(route, members::list),
    )
    .about("The teamspace's people, by id.")
    .query(fields::PEOPLE)
    .json::<wire::List<wire::Person>>(200, "The people."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/teamspaces/{team}/users/{user}",
        READ,
        "datagridGetTeamspaceUser",
        |route| call(route, members::get),
    )
    .about("One of the teamspace's people.")
    .json::<wire::Person>(200, "The person."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/organization/teamspaces/{team}/users/{user}",
        INVITE,
        "datagridUpdateTeamspaceUser",
        |route| call(route, members::update),
    )
    .about("Gives one of the teamspace's people another role.")
    .takes(Takes::Json(fields::MEMBER_CHANGE))
    .json::<wire::Person>(200, "The person."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/organization/teamspaces/{team}/users/{user}",
        INVITE,
        "datagridDeleteTeamspaceUser",
        |route| call(route, members::remove),
    )
    .about("Takes somebody out of the teamspace.")
    .nothing("Removed."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/users",
        ACCOUNT,
        "datagridListUsers",
        |route| call(route, members::people),
    )
    .about("The organization's people, by mail address.")
    .query(fields::PEOPLE)
    .json::<wire::List<wire::Person>>(200, "The people."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/users/{user}",
        ACCOUNT,
        "datagridGetUser",
        |route| call(route, members::person),
    )
    .about("One of the organization's people.")
    .json::<wire::Person>(200, "The person."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/organization/users/{user}",
        Access::Act(Act::ManageAccount),
        "datagridUpdateUser",
        |route| call(route, members::promote),
    )
    .about("Gives a person this role in every teamspace that they are in.")
    .takes(Takes::Json(fields::PERSON_CHANGE))
    .json::<wire::Person>(200, "The person."),
    Route::new(
        Method::Post,
        "/datagrid/v1/organization/mcp-servers",
        SECRETS,
        "datagridCreateMcpServer",
        |route| call(route, create_mcp),
    )
    .about("Makes an MCP server; a teamspace has at most 30.")
    .takes(Takes::Json(fields::MCP_SERVER))
    .json::<wire::Mcp>(201, "The server."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/mcp-servers",
        READ,
        "datagridListMcpServers",
        |route| call(route, all_mcp),
    )
    .about("All of the teamspace's MCP servers, newest first.")
    .json::<wire::List<wire::Mcp>>(200, "The servers."),
    Route::new(
        Method::Get,
        "/datagrid/v1/organization/mcp-servers/{server}",
        READ,
        "datagridGetMcpServer",
        |route| call(route, get_mcp),
    )
    .about("One MCP server.")
    .json::<wire::Mcp>(200, "The server."),
    Route::new(
        Method::Patch,
        "/datagrid/v1/organization/mcp-servers/{server}",
        SECRETS,
        "datagridUpdateMcpServer",
        |route| call(route, update_mcp),
    )
    .about("Changes an MCP server.")
    .takes(Takes::Json(fields::MCP_SERVER_CHANGE))
    .json::<wire::Mcp>(200, "The server."),
    Route::new(
        Method::Delete,
        "/datagrid/v1/organization/mcp-servers/{server}",
        SECRETS,
        "datagridDeleteMcpServer",
        |route| call(route, delete_mcp),
    )
    .about("Deletes an MCP server with the secret that it owns.")
    .nothing("Deleted."),
];

async fn credits(call: Call) -> Result<Response> {
    call.caller()?;
    let total = call.engine.settings().datagrid.credits;
    answer::ok(&wire::Credits::of(total))
}

/// What is said of a teamspace that there is no word for here.
fn words(body: &mut Fields) -> Words {
    ["access", "cloud_provider"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), body.take_text(name)?.into())))
        .collect()
}

async fn create(mut call: Call) -> Result<Response> {
    let name = map::name(&mut call.body)?.unwrap_or_default();
    let words = words(&mut call.body);
    let made = call
        .engine
        .create_named_team(call.steward()?, &name, words)
        .await?;
    answer::created(&wire::Teamspace::from(made))
}

async fn list(call: Call) -> Result<Response> {
    let call = &call;
    let principal = call.principal()?;
    let asked = Asked::of(&call.query);
    asked
        .answer(Some(asked.by_id()), |page| async move {
            let found = call.engine.teams(principal, None, None, &page).await?;
            Ok(found.map(|row| Some(wire::Teamspace::from(row))))
        })
        .await
}

async fn get(call: Call) -> Result<Response> {
    let found = call.engine.team(call.caller()?).await?;
    answer::ok(&wire::Teamspace::from(found))
}

async fn update(mut call: Call) -> Result<Response> {
    let patch = TeamPatch {
        name: map::name(&mut call.body)?,
        words: words(&mut call.body),
        ..TeamPatch::default()
    };
    let changed = call.engine.update_team(call.caller()?, patch).await?;
    answer::ok(&wire::Teamspace::from(changed))
}

fn server(call: &Call) -> McpServerId {
    McpServerId::from(call.path("server"))
}

async fn create_mcp(mut call: Call) -> Result<Response> {
    let new = map::mcp_server(std::mem::take(&mut call.body))?;
    let made = call.engine.create_mcp_server(call.caller()?, new).await?;
    answer::created(&wire::Mcp::from(made))
}

async fn all_mcp(call: Call) -> Result<Response> {
    let all = call.engine.mcp_servers(call.caller()?).await?;
    let all = all.into_iter().map(wire::Mcp::from);
    answer::ok(&wire::List::whole(all.collect()))
}

async fn get_mcp(call: Call) -> Result<Response> {
    let found = call
        .engine
        .mcp_server(call.caller()?, &server(&call))
        .await?;
    answer::ok(&wire::Mcp::from(found))
}

async fn update_mcp(mut call: Call) -> Result<Response> {
    let change = map::mcp_server(std::mem::take(&mut call.body))?;
    let changed = call
        .engine
        .update_mcp_server(call.caller()?, &server(&call), change)
        .await?;
    answer::ok(&wire::Mcp::from(changed))
}

async fn delete_mcp(call: Call) -> Result<Response> {
    call.engine
        .delete_mcp_server(call.caller()?, &server(&call))
        .await?;
    answer::nothing()
}
