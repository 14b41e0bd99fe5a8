//! Projects, environments and the catalogue on the wire.

use serde_json::{Value, json};

use super::server::Server;
use super::tenancy::{column, fields};

#[tokio::test]
async fn a_project_is_made_changed_and_deleted_with_keys_and_links() {
    let server = Server::start().await;
    let bad = json!({
        "name": "", "custom_environments": ["QA", "ok", "ok"],
        "base_urls": {"ok": "ftp://x", "moon": "https://m.example"},
    });
    let refused = server
        .call("tok_admin", "POST /api/v1/projects", Some(&bad))
        .await
        .expect(400);
    assert_eq!(
        fields(&refused),
        [
            "name",
            "custom_environments[0]",
            "custom_environments[2]",
            "base_urls.moon",
            "base_urls.ok"
        ]
    );
    let body = json!({
        "name": "shop", "custom_environments": ["staging"],
        "base_urls": {"production": "https://shop.example", "staging": "https://staging.example"},
    });
    let made = server
        .call("tok_admin", "POST /api/v1/projects", Some(&body))
        .await
        .expect(201);
    let staging = made["custom_environments"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(made["base_urls"][&staging], "https://staging.example");
    server
        .call("tok_admin", "POST /api/v1/projects", Some(&body))
        .await
        .expect(409);
    server
        .call("tok_member", "POST /api/v1/projects", Some(&body))
        .await
        .expect(403);
    let found = server
        .call("tok_member", "GET /api/v1/projects?search=SHO", None)
        .await;
    assert_eq!(column(&found.expect(200), "name"), ["shop"]);
    assert_eq!(
        server
            .call("tok_member", "GET /api/v1/projects/shop", None)
            .await
            .expect(200),
        made
    );
    server
        .call("tok_stranger", "GET /api/v1/projects/shop", None)
        .await
        .expect(404);
    server
        .call("tok_workload", "GET /api/v1/projects/shop", None)
        .await
        .expect(403);

    let patch =
        json!({"name": "store", "base_urls": {"production": null, "preview": "https://p.example"}});
    let patched = server
        .call("tok_admin", "PATCH /api/v1/projects/shop", Some(&patch))
        .await;
    let patched = patched.expect(200);
    assert_eq!(
        (&patched["name"], &patched["base_urls"]),
        (
            &json!("store"),
            &json!({"preview": "https://p.example", staging: "https://staging.example"})
        )
    );
    let taken = json!({"name": "web"});
    server
        .call("tok_admin", "PATCH /api/v1/projects/store", Some(&taken))
        .await
        .expect(409);
    let wrong = json!({"base_urls": {"preview": 7}});
    let refused = server
        .call("tok_admin", "PATCH /api/v1/projects/store", Some(&wrong))
        .await;
    assert_eq!(fields(&refused.expect(400)), ["base_urls.preview"]);

    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u1"}});
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    server
        .call("tok_admin", "DELETE /api/v1/projects/web", None)
        .await
        .expect(204);
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(401);
    let connector = server
        .call("tok_admin", "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(200);
    assert_eq!(connector["links"], json!([]));
    server
        .call("tok_admin", "DELETE /api/v1/projects/web", None)
        .await
        .expect(404);
}

#[tokio::test]
async fn environments_are_added_renamed_and_removed() {
    let server = Server::start().await;
    let path = "/api/v1/projects/web/environments";
    for slug in ["production", "qa", "No", ""] {
        let body = json!({"slug": slug});
        let refused = server
            .call("tok_admin", &format!("POST {path}"), Some(&body))
            .await;
        assert!(fields(&refused.expect(400)).contains(&"slug"), "{slug}");
    }
    let body = json!({"slug": "canary"});
    let project = server
        .call("tok_admin", &format!("POST {path}"), Some(&body))
        .await
        .expect(201);
    let id = project["custom_environments"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = json!({"project": "web", "environment": id});
    let key = server
        .call("tok_admin", "POST /api/v1/keys", Some(&key))
        .await
        .expect(201);
    let key = key["key"].as_str().unwrap();
    let link = json!({"environments": ["production", id]});
    let route = "PUT /api/v1/connectors/scl_1/projects/web";
    server
        .call("tok_admin", route, Some(&link))
        .await
        .expect(200);
    server
        .call(key, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(200);

    let rename = json!({"slug": "beta"});
    let route = format!("PATCH {path}/canary");
    let renamed = server
        .call("tok_admin", &route, Some(&rename))
        .await
        .expect(200);
    assert_eq!(
        renamed["custom_environments"][1],
        json!({"id": id, "slug": "beta"})
    );
    let taken = json!({"slug": "qa"});
    server
        .call("tok_admin", &format!("PATCH {path}/beta"), Some(&taken))
        .await
        .expect(400);
    server
        .call("tok_admin", &format!("PATCH {path}/canary"), Some(&rename))
        .await
        .expect(404);
    server
        .call(key, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(200);

    server
        .call("tok_admin", &format!("DELETE {path}/production"), None)
        .await
        .expect(409);
    let left = server
        .call("tok_admin", &format!("DELETE {path}/beta"), None)
        .await
        .expect(200);
    assert_eq!(
        left["custom_environments"],
        json!([{"id": "env_qa", "slug": "qa"}])
    );
    server
        .call(key, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(401);
    let route = "GET /api/v1/connectors/scl_1/projects/web";
    let link = server.call("tok_admin", route, None).await.expect(200);
    assert_eq!(link["environments"], json!(["production"]));
    server
        .call("tok_admin", &format!("DELETE {path}/beta"), None)
        .await
        .expect(404);
}

#[tokio::test]
async fn the_catalogue_is_read_by_members_and_changed_by_the_server() {
    let server = Server::start().await;
    let list = server
        .call("tok_member", "GET /api/v1/services?limit=3", None)
        .await
        .expect(200);
    assert_eq!(column(&list, "id").len(), 3);
    let next = format!(
        "GET /api/v1/services?limit=3&cursor={}",
        list["next_cursor"].as_str().unwrap()
    );
    let next = server.call("tok_member", &next, None).await.expect(200);
    assert!(column(&next, "id")[0] > column(&list, "id")[2]);
    let github = server
        .call("tok_member", "GET /api/v1/services/github", None)
        .await
        .expect(200);
    assert_eq!(
        (&github["built_in"], &github["own"]),
        (&json!(true), &Value::Null)
    );
    let found = server
        .call("tok_member", "GET /api/v1/services?search=GITHUB", None)
        .await;
    assert!(column(&found.expect(200), "id").contains(&"github".to_owned()));
    server
        .call("tok_token_only", "GET /api/v1/services", None)
        .await
        .expect(403);
    server
        .call("tok_member", "GET /api/v1/services/none", None)
        .await
        .expect(404);

    let body = json!({"data": {"name": "Our Hub", "token_endpoint": "https://hub.example/token"}});
    for key in ["tok_admin", "tok_account"] {
        server
            .call(key, "PUT /api/v1/services/github", Some(&body))
            .await
            .expect(403);
    }
    let put = server
        .local("PUT /api/v1/services/github", Some(&body))
        .await
        .expect(200);
    assert_eq!(
        (&put["own"], &put["data"]["name"]),
        (&body["data"], &json!("Our Hub"))
    );
    assert_eq!(
        put["data"]["authorization_endpoint"],
        github["data"]["authorization_endpoint"]
    );
    for (bad, field) in [
        (json!({"naem": "x"}), "naem"),
        (json!({"token_endpoint": "ftp://x"}), "token_endpoint"),
        (json!({"id": "x"}), "id"),
        (json!({"name": null}), ""),
    ] {
        let bad = json!({"data": bad});
        let refused = server
            .local("PUT /api/v1/services/github", Some(&bad))
            .await
            .expect(400);
        assert_eq!(fields(&refused), [field], "{bad}");
    }
    server
        .local("DELETE /api/v1/services/github", None)
        .await
        .expect(204);
    assert_eq!(
        server
            .call("tok_member", "GET /api/v1/services/github", None)
            .await
            .expect(200),
        github
    );
    server
        .local("DELETE /api/v1/services/github", None)
        .await
        .expect(404);
    server
        .local("PUT /api/v1/services/ours", Some(&body))
        .await
        .expect(200);
    let ours = server
        .call("tok_member", "GET /api/v1/services?search=our+hub", None)
        .await;
    assert_eq!(column(&ours.expect(200), "id"), ["ours"]);
}
