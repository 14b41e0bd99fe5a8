//! Every route is refused to whoever may not call it: made from the route table and the permission
//! table, so that a new row of either is tested the day it is written.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use grantry_api::all_routes;
use grantry_api::kit::route::{Access, Route};
use grantry_core::nouns::Role;
use grantry_engine::permissions::{Act, Standing};

use crate::world::World;
use crate::world::browser::{Page, send};

/// A key of each standing, and one of another team that may do everything there.
const KEYS: &[(&str, Standing)] = &[
    ("key_token_only", Standing::Role(Role::TokenOnly)),
    ("key_member", Standing::Role(Role::Member)),
    ("key_admin", Standing::Role(Role::Admin)),
    ("tok_web", Standing::Workload),
];
const STRANGER: &str = "key_stranger";

const DECLARED: &str = r#"
    [[keys]]
    team = "team_1"
    role = "token-only"
    token = "key_token_only"
    [[keys]]
    team = "team_1"
    role = "member"
    token = "key_member"
    [[keys]]
    team = "team_1"
    role = "admin"
    token = "key_admin"
    [[accounts]]
    id = "acc_2"
    name = "Other Inc"
    [[teams]]
    id = "team_2"
    account = "acc_2"
    slug = "other"
    [[keys]]
    team = "team_2"
    role = "admin"
    token = "key_stranger"
    [[connections]]
    id = "conn_1"
    connector = "scl_1"
    team = "team_1"
    subject = { type = "user", id = "u1" }
    access_token = "at_1"
"#;

/// The route's path, its parameters filled with ids that exist.
pub fn filled(route: &Route) -> String {
    let fill = |segment: &str| match segment.strip_prefix('{') {
        None => segment.to_owned(),
        Some(name) => match name.trim_end_matches('}').trim_start_matches('*') {
            "connector" | "connectorIdOrUid" => "scl_1".to_owned(),
            "project" | "projectIdOrName" => "prj_1".to_owned(),
            "connection" => "conn_1".to_owned(),
            "key" => "key_web".to_owned(),
            "team" => "team_1".to_owned(),
            _ => "nothing".to_owned(),
        },
    };
    route
        .path
        .split('/')
        .map(fill)
        .collect::<Vec<_>>()
        .join("/")
}

async fn call(world: &World, route: &Route, query: &str, key: Option<&str>) -> Page {
    let mut request = Request::builder()
        .method(route.method.as_str())
        .uri(format!("{}{query}", filled(route)))
        .header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    send(&world.router(), request.body(Body::empty()).unwrap()).await
}

fn guarded() -> impl Iterator<Item = (&'static Route, Act)> {
    all_routes().filter_map(|route| match route.access {
        Access::Act(act) => Some((route, act)),
        Access::Public(reason) => {
            assert!(!reason.is_empty(), "{} is public for no reason", route.path);
            None
        }
    })
}

#[tokio::test]
async fn no_route_answers_without_a_valid_key() {
    let world = World::new().await;
    for (route, _) in guarded() {
        for key in [None, Some(""), Some("nobodys"), Some("a.b.c")] {
            let page = call(&world, route, "", key).await;
            let name = format!("{} {} with {key:?}", route.method.as_str(), route.path);
            assert_eq!(
                page.status,
                StatusCode::UNAUTHORIZED,
                "{name}: {}",
                page.body
            );
        }
    }
}

#[tokio::test]
async fn no_route_answers_a_key_whose_standing_does_not_include_its_act() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let mut refused = 0;
    for (route, act) in guarded() {
        for (key, standing) in KEYS.iter().filter(|(_, standing)| !standing.may(act)) {
            let page = call(&world, route, "", Some(key)).await;
            let name = format!("{} {} for {standing:?}", route.method.as_str(), route.path);
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{name}: {}", page.body);
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused} refusals prove nothing");
}

#[tokio::test]
async fn no_route_shows_or_changes_what_is_another_teams() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let before = world.store.last_change().await.unwrap();
    for (route, _) in guarded() {
        for query in ["", "?team=team_1", "?teamId=team_1", "?slug=acme"] {
            let page = call(&world, route, query, Some(STRANGER)).await;
            let name = format!("{} {}{query}", route.method.as_str(), route.path);
            for ours in [
                "\"Acme\"",
                "sandbox/acme",
                "at_1",
                "usr_alice",
                "key_alice",
                "\"team_1\"",
            ] {
                assert!(
                    !page.body.contains(ours),
                    "{name} shows {ours}: {}",
                    page.body
                );
            }
            let names_a_row = route.path.contains('{');
            assert!(
                !(names_a_row && page.status.is_success()),
                "{name}: {}",
                page.body
            );
        }
    }
    assert_eq!(
        world.store.last_change().await.unwrap(),
        before,
        "something was changed"
    );
    assert!(
        world.token_text("u1").await.is_ok(),
        "the connection is gone"
    );
}
