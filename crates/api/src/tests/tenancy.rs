//! Accounts and teams on the wire.

use serde_json::{Value, json};

use super::server::Server;

/// One field of each row of a list.
pub(super) fn column(page: &Value, name: &str) -> Vec<String> {
    let rows = page["data"].as_array().unwrap();
    let text = |row: &Value| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(text).collect()
}

pub(super) fn fields(refused: &Value) -> Vec<&str> {
    let errors = refused["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect()
}

/// A key of an owner of team_1.
pub(super) async fn owner(server: &Server) -> String {
    let body = json!({"role": "owner", "user": "usr_alice"});
    let made = server
        .local("POST /api/v1/keys?team=team_1", Some(&body))
        .await;
    made.expect(201)["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_learns_who_one_is() {
    let server = Server::start().await;
    for (key, level, role, account, team, user, project) in [
        (
            "tok_admin",
            "team",
            "admin",
            "acc_1",
            "team_1",
            "usr_alice",
            "",
        ),
        (
            "tok_token_only",
            "team",
            "token-only",
            "acc_1",
            "team_1",
            "usr_bob",
            "",
        ),
        ("tok_account", "account", "admin", "acc_1", "", "", ""),
        ("tok_workload", "team", "", "acc_1", "team_1", "", "prj_1"),
    ] {
        let me = server.call(key, "GET /api/v1/me", None).await.expect(200);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = |what: &str| text(&me[what]["id"]);
        assert_eq!(me["credential"], "key", "{key}");
        assert_eq!(
            (text(&me["level"]), text(&me["role"])),
            (level.into(), role.into()),
            "{key}"
        );
        assert_eq!(
            (id("account"), id("team")),
            (account.into(), team.into()),
            "{key}"
        );
        assert_eq!(
            (id("user"), id("project")),
            (user.into(), project.into()),
            "{key}"
        );
        assert!(
            me["key"]["hint"].is_string() && me["key"]["id"].is_string(),
            "{key}"
        );
    }
    let me = server.local("GET /api/v1/me", None).await.expect(200);
    assert_eq!(
        (&me["credential"], &me["level"]),
        (&json!("operator"), &json!("server"))
    );
    let body = json!({"project": "web", "environment": "env_qa"});
    let route = "POST /api/v1/workload-tokens";
    let minted = server
        .call("tok_admin", route, Some(&body))
        .await
        .expect(201);
    let token = minted["token"].as_str().unwrap();
    let me = server.call(token, "GET /api/v1/me", None).await.expect(200);
    assert_eq!(
        (
            &me["credential"],
            &me["environment"],
            &me["project"]["name"]
        ),
        (&json!("workload_token"), &json!("env_qa"), &json!("web"))
    );
}

#[tokio::test]
async fn an_account_goes_from_creation_to_its_end() {
    let server = Server::start().await;
    let made = server
        .local("POST /api/v1/accounts", Some(&json!({"name": "New Inc"})))
        .await;
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    let list = server
        .local("GET /api/v1/accounts?limit=2", None)
        .await
        .expect(200);
    assert_eq!(column(&list, "id").len(), 2);
    let next = format!(
        "GET /api/v1/accounts?cursor={}",
        list["next_cursor"].as_str().unwrap()
    );
    let rest = server.local(&next, None).await.expect(200);
    assert_eq!(column(&rest, "id").len(), 1);
    let found = server
        .local("GET /api/v1/accounts?search=NEW", None)
        .await
        .expect(200);
    assert_eq!(column(&found, "id"), [id.as_str()]);

    // A key of the account reads and renames its own.
    let keys = format!("POST /api/v1/accounts/{id}/keys");
    let key = server
        .local(&keys, Some(&json!({"role": "admin"})))
        .await
        .expect(201);
    let key = key["key"].as_str().unwrap();
    let own = format!("/api/v1/accounts/{id}");
    server
        .call(key, &format!("GET {own}"), None)
        .await
        .expect(200);
    let renamed = json!({"name": "Newer Inc"});
    let renamed = server
        .call(key, &format!("PATCH {own}"), Some(&renamed))
        .await
        .expect(200);
    assert_eq!(renamed["name"], "Newer Inc");
    for body in [json!({"name": " "}), json!({"nam": "x"})] {
        server
            .call(key, &format!("PATCH {own}"), Some(&body))
            .await
            .expect(400);
    }
    let seen = server
        .call(key, &format!("GET {own}"), None)
        .await
        .expect(200);
    assert_eq!(seen, renamed);
    server
        .call(key, "GET /api/v1/accounts/acc_1", None)
        .await
        .expect(404);
    server
        .call(key, &format!("DELETE {own}"), None)
        .await
        .expect(403);
    server
        .call(key, "GET /api/v1/accounts", None)
        .await
        .expect(403);

    let team = json!({"slug": "fresh"});
    server
        .call(key, "POST /api/v1/teams", Some(&team))
        .await
        .expect(201);
    let kept = server
        .local(&format!("DELETE {own}"), None)
        .await
        .expect(409);
    assert!(kept["detail"].as_str().unwrap().contains("fresh"), "{kept}");
    server
        .call(key, "DELETE /api/v1/teams/fresh", None)
        .await
        .expect(204);
    server
        .local(&format!("DELETE {own}"), None)
        .await
        .expect(204);
    server.local(&format!("GET {own}"), None).await.expect(404);
    server.call(key, "GET /api/v1/me", None).await.expect(401);
}

#[tokio::test]
async fn teams_are_listed_by_what_one_may_see() {
    let server = Server::start().await;
    let list = async |key: Option<&str>, query: &str| {
        let route = format!("GET /api/v1/teams{query}");
        let page = match key {
            Some(key) => server.call(key, &route, None).await,
            None => server.local(&route, None).await,
        };
        column(&page.expect(200), "id")
    };
    assert_eq!(list(None, "").await, ["team_1", "team_2", "team_far"]);
    assert_eq!(list(None, "?account=acc_2").await, ["team_far"]);
    assert_eq!(list(Some("tok_account"), "").await, ["team_1", "team_2"]);
    assert_eq!(list(Some("tok_account"), "?search=OTHER").await, ["team_2"]);
    assert_eq!(list(Some("tok_member"), "").await, ["team_1"]);
    assert_eq!(list(Some("tok_member"), "?search=other").await, [""; 0]);
    let foreign = "GET /api/v1/teams?account=acc_2";
    server.call("tok_account", foreign, None).await.expect(404);
    server
        .call("tok_token_only", "GET /api/v1/teams", None)
        .await
        .expect(403);
    // A person's account key sees the teams that the person is in.
    let body = json!({"role": "admin", "user": "bob@example.com"});
    let route = "POST /api/v1/accounts/acc_1/keys";
    let made = server
        .call("tok_account", route, Some(&body))
        .await
        .expect(201);
    assert_eq!(list(made["key"].as_str(), "").await, ["team_1"]);
    server
        .call(
            made["key"].as_str().unwrap(),
            "GET /api/v1/teams/other",
            None,
        )
        .await
        .expect(404);
}

#[tokio::test]
async fn a_team_is_made_changed_and_deleted_with_everything_in_it() {
    let server = Server::start().await;
    let bad = json!({"slug": "Not A Slug", "name": "", "return_origins": ["https://a.example/x"]});
    let refused = server
        .call("tok_account", "POST /api/v1/teams", Some(&bad))
        .await
        .expect(400);
    assert_eq!(fields(&refused), ["slug", "name", "return_origins[0]"]);
    let body = json!({"slug": "shop", "return_origins": ["https://shop.example"]});
    let made = server
        .call("tok_account", "POST /api/v1/teams", Some(&body))
        .await
        .expect(201);
    assert_eq!(
        (&made["name"], &made["account"]),
        (&json!("shop"), &json!("acc_1"))
    );
    server
        .call("tok_account", "POST /api/v1/teams", Some(&body))
        .await
        .expect(409);
    server
        .call("tok_admin", "POST /api/v1/teams", Some(&body))
        .await
        .expect(403);

    let patch = json!({"name": "Acme II", "return_origins": null});
    let own = "/api/v1/teams/team_1";
    server
        .call("tok_member", &format!("PATCH {own}"), Some(&patch))
        .await
        .expect(403);
    let patched = server
        .call("tok_admin", &format!("PATCH {own}"), Some(&patch))
        .await
        .expect(200);
    assert_eq!(
        (
            &patched["name"],
            &patched["slug"],
            &patched["return_origins"]
        ),
        (&json!("Acme II"), &json!("acme"), &json!([]))
    );
    assert_eq!(
        server
            .call("tok_member", "GET /api/v1/teams/acme", None)
            .await
            .expect(200),
        patched
    );
    let taken = json!({"slug": "shop"});
    server
        .call("tok_admin", &format!("PATCH {own}"), Some(&taken))
        .await
        .expect(409);
    for key in ["tok_stranger", "tok_far"] {
        server
            .call(key, &format!("PATCH {own}"), Some(&patch))
            .await
            .expect(404);
    }

    let delete = format!("DELETE {own}");
    server.call("tok_admin", &delete, None).await.expect(403);
    let owner = owner(&server).await;
    let kept = server.call(&owner, &delete, None).await.expect(409);
    assert!(
        kept["detail"].as_str().unwrap().contains("oauth/acme"),
        "{kept}"
    );
    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u1"}});
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    server
        .call(&owner, &format!("{delete}?force=true"), None)
        .await
        .expect(204);
    for key in ["tok_admin", "tok_workload", owner.as_str()] {
        server
            .call(key, "POST /api/v1/tokens", Some(&ask))
            .await
            .expect(401);
    }
    server
        .call("tok_account", "GET /api/v1/teams/team_1", None)
        .await
        .expect(404);
    let route = "POST /api/v1/tokens?team=team_1";
    server
        .call("tok_account", route, Some(&ask))
        .await
        .expect(404);
    server
        .call("tok_account", "GET /api/v1/users/alice@example.com", None)
        .await
        .expect(200);
    let again = json!({"slug": "acme"});
    server
        .call("tok_account", "POST /api/v1/teams", Some(&again))
        .await
        .expect(201);
}
