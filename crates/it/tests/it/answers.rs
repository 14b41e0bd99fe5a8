//! Nothing that can fail stands between a commit and its answer: a client that is told 5xx asks again, and what it
//! asked for was done.

use serde_json::{Value, json};

use crate::world::{Broken, World};

const APPS: &str = "/sequin/v1/oauth-apps";
const CREDENTIALS: &str = "/sequin/v1/credentials";

async fn made(world: &World, route: &str, body: Value) -> String {
    let page = world.call("tok_alice", route, &body).await;
    let made: Value = serde_json::from_str(&page.body).unwrap();
    let id = made["id"].as_str().or(made["connector"]["id"].as_str());
    id.unwrap_or_else(|| panic!("{}", page.body)).to_owned()
}

#[tokio::test]
async fn what_is_stored_is_answered_though_nothing_can_be_read_any_more() {
    let world = World::new().await;
    let new = |name: &str| json!({"provider": "linear", "client_id": "c", "client_secret": "s", "name": name});
    let app = made(&world, &format!("POST {APPS}"), new("One")).await;
    let import = |token: &str, org: &str, name: &str| {
        let properties =
            json!({"kind": "linear_oauth2", "access_token": token, "linear_org_id": org});
        json!({"oauth_app_id": app, "name": name, "properties": properties})
    };
    let route = format!("POST {CREDENTIALS}");
    let credential = made(&world, &route, import("t1", "o1", "A")).await;
    let wiki = json!({"name": "Wiki", "url": "https://wiki.example/search", "active": false});
    let wiki = made(&world, "POST /cohere/v1/connectors", wiki).await;
    for (route, body) in [
        (format!("POST {APPS}"), new("Two")),
        (format!("PATCH {APPS}/{app}"), json!({"name": "Other"})),
        (route.clone(), import("t9", "o2", "A")),
        (route.clone(), import("t2", "o1", "A")),
        (route.clone(), import("t2", "o1", "B")),
        (
            format!("PATCH {CREDENTIALS}/{credential}"),
            json!({"metadata": {"a": 1}}),
        ),
        (
            format!("PATCH /cohere/v1/connectors/{wiki}"),
            json!({"name": "Other"}),
        ),
        (
            "POST /cohere/v1/connectors".to_owned(),
            json!({"name": "New", "url": "https://wiki.example/search", "active": false}),
        ),
    ] {
        world.watch.break_writes(Broken::Last);
        let answer = world.call("tok_alice", &route, &body).await;
        world.watch.break_writes(Broken::No);
        assert_eq!(answer.status, 200, "{route} {body}: {}", answer.body);
    }
}
