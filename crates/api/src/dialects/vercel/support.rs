//! What the `vercel` CLI asks before and beside its Connect calls (reference/vercel-connect §10): who one is, in
//! which teams, and what projects are called.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::limits;
use grantry_core::nouns::{Project, Team};
use grantry_core::store::Page;
use grantry_engine::Me;
use grantry_engine::permissions::{Act, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional};
use crate::kit::route::{Access, Method, Route};
use crate::kit::{answer, cursor};

const LISTS: Access = Access::Act(Act::ReadLists);

const TEAMS: &[Field] = &[
    optional(
        "limit",
        Shape::Integer(1, limits::PAGE_ROWS_MAX as i64),
        "Rows wanted, 20 when absent.",
    ),
    optional(
        "cursor",
        Shape::Text(1024),
        "`pagination.next` of the page before.",
    ),
];

/// The support calls.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/v2/user",
        Access::Act(Act::ReadSelf),
        "getAuthUser",
        |route| call(route, user),
    )
    .about("Who the credential acts for.")
    .json::<UserAnswer>(200, "The person, else the key or the project."),
    Route::new(Method::Get, "/teams/{team}", LISTS, "getTeam", |route| {
        call(route, team)
    })
    .about("A team, by id or slug.")
    .json::<TeamAnswer>(200, "The team."),
    Route::new(
        Method::Get,
        "/v2/teams/{team}",
        LISTS,
        "getTeamV2",
        |route| call(route, team),
    )
    .about("A team, by id or slug.")
    .json::<TeamAnswer>(200, "The team."),
    Route::new(
        Method::Get,
        "/v1/teams",
        Access::Act(Act::ListTeams),
        "getTeamsV1",
        |route| call(route, teams),
    )
    .about("The teams that the credential may act in, by id.")
    .query(TEAMS)
    .json::<TeamsAnswer>(200, "One page: teams, pagination."),
    Route::new(
        Method::Get,
        "/v2/teams",
        Access::Act(Act::ListTeams),
        "getTeams",
        |route| call(route, teams),
    )
    .about("The teams that the credential may act in, by id.")
    .query(TEAMS)
    .json::<TeamsAnswer>(200, "One page: teams, pagination."),
    Route::new(
        Method::Get,
        "/v9/projects/{project}",
        LISTS,
        "getProject",
        |route| call(route, project),
    )
    .about("A project, by id or name.")
    .json::<ProjectAnswer>(200, "The project."),
    Route::new(
        Method::Get,
        "/projects/{project}/custom-environments",
        LISTS,
        "getProjectCustomEnvironments",
        |route| call(route, environments),
    )
    .about("A project's environments beside the three built-in ones.")
    .json::<EnvironmentsAnswer>(200, "The environments."),
    Route::new(
        Method::Get,
        "/v9/projects/{project}/custom-environments",
        LISTS,
        "getProjectCustomEnvironmentsV9",
        |route| call(route, environments),
    )
    .about("A project's environments beside the three built-in ones.")
    .json::<EnvironmentsAnswer>(200, "The environments."),
];

#[derive(Serialize, ToSchema)]
#[schema(as = VercelUser)]
struct UserAnswer {
    user: UserDetails,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelUserDetails)]
#[serde(rename_all = "camelCase")]
struct UserDetails {
    id: String,
    /// Of a key that acts for nobody, its name.
    username: String,
    /// Empty where the credential acts for nobody.
    email: String,
    name: String,
    /// `northstar`: the kind of account whose owner has a default team. The CLI knows another, older one.
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default_team_id: Option<String>,
}

impl UserDetails {
    fn of(me: Me, team: Option<String>) -> Self {
        let standing = match me.standing {
            Standing::Server => "server",
            _ => "key",
        };
        let (id, username, email, name) = match (me.user, me.workload, me.key) {
            (Some(user), ..) => {
                let name = format!("{} {}", user.first_name, user.last_name);
                let id = user.id.to_string();
                (id, user.email.clone(), user.email, name.trim().to_owned())
            }
            (None, Some((project, _)), _) => {
                let name = project.name;
                (project.id.to_string(), name.clone(), String::new(), name)
            }
            (None, None, Some(key)) => {
                let name = match key.name.as_str() {
                    "" => key.hint,
                    _ => key.name,
                };
                (key.id.to_string(), name.clone(), String::new(), name)
            }
            (None, None, None) => {
                let word = standing.to_owned();
                (word.clone(), word.clone(), String::new(), word)
            }
        };
        Self {
            id,
            username,
            email,
            name,
            version: "northstar",
            default_team_id: team,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelTeam)]
#[serde(rename_all = "camelCase")]
struct TeamAnswer {
    id: String,
    slug: String,
    name: String,
    created_at: i64,
}

impl From<Team> for TeamAnswer {
    fn from(team: Team) -> Self {
        Self {
            id: team.id.to_string(),
            slug: team.slug,
            name: team.name,
            created_at: team.created_at.as_millis(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelTeams)]
struct TeamsAnswer {
    teams: Vec<TeamAnswer>,
    pagination: TeamsPagination,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelTeamsPagination)]
struct TeamsPagination {
    count: usize,
    next: Option<String>,
    prev: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelProjectDetails)]
#[serde(rename_all = "camelCase")]
struct ProjectAnswer {
    id: String,
    name: String,
    account_id: String,
    created_at: i64,
    #[schema(value_type = Vec<Object>)]
    custom_environments: Vec<grantry_core::nouns::CustomEnvironment>,
}

impl From<Project> for ProjectAnswer {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.to_string(),
            name: project.name,
            account_id: project.team.to_string(),
            created_at: project.created_at.as_millis(),
            custom_environments: project.custom_environments,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelEnvironments)]
struct EnvironmentsAnswer {
    #[schema(value_type = Vec<Object>)]
    environments: Vec<grantry_core::nouns::CustomEnvironment>,
}

async fn user(call: Call) -> Result<Response> {
    let principal = call.principal()?;
    let me = call.engine.me(principal).await?;
    let team = match &me.team {
        Some(team) => Some(team.id.to_string()),
        None => {
            let one = Page::first(1);
            let teams = call.engine.teams(principal, None, None, &one).await?;
            teams.data.first().map(|team| team.id.to_string())
        }
    };
    answer::ok(&UserAnswer {
        user: UserDetails::of(me, team),
    })
}

async fn team(call: Call) -> Result<Response> {
    answer::ok(&TeamAnswer::from(call.engine.team(call.caller()?).await?))
}

async fn teams(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let page = call
        .engine
        .teams(call.principal()?, None, None, &page)
        .await?;
    let teams: Vec<_> = page.data.into_iter().map(TeamAnswer::from).collect();
    answer::ok(&TeamsAnswer {
        pagination: TeamsPagination {
            count: teams.len(),
            next: page.next.as_ref().map(cursor::encode),
            prev: None,
        },
        teams,
    })
}

async fn read_project(call: &Call) -> Result<Project> {
    let named = call.path("project");
    call.engine.read_project(call.caller()?, named).await
}

async fn project(call: Call) -> Result<Response> {
    answer::ok(&ProjectAnswer::from(read_project(&call).await?))
}

async fn environments(call: Call) -> Result<Response> {
    answer::ok(&EnvironmentsAnswer {
        environments: read_project(&call).await?.custom_environments,
    })
}
