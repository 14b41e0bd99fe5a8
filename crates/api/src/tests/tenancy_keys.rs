//! Keys of every level on the wire: nobody makes one that may more than they do.

use serde_json::{Value, json};

use super::server::Server;
use super::tenancy::owner;

const TEAM: &str = "/api/v1/keys";
const ACCOUNT: &str = "/api/v1/accounts/acc_1/keys";
const SERVER: &str = "/api/v1/server-keys";

#[tokio::test]
async fn nobody_makes_a_key_that_may_more_than_they_do() {
    let server = Server::start().await;
    let owner = owner(&server).await;
    let ours = json!({"role": "member"});
    let admin = json!({"role": "admin"});
    let top = json!({"role": "owner"});
    let nothing = json!({});
    for (key, path, body, status) in [
        ("tok_member", TEAM, &ours, 403),
        ("tok_token_only", TEAM, &nothing, 403),
        ("tok_workload", TEAM, &nothing, 403),
        ("tok_admin", TEAM, &ours, 201),
        ("tok_admin", TEAM, &admin, 201),
        ("tok_admin", TEAM, &top, 400),
        (&owner, TEAM, &top, 201),
        ("tok_member", ACCOUNT, &nothing, 403),
        ("tok_admin", ACCOUNT, &nothing, 403),
        (&owner, ACCOUNT, &nothing, 403),
        ("tok_account", ACCOUNT, &admin, 201),
        ("tok_account", ACCOUNT, &top, 400),
        ("tok_far", ACCOUNT, &admin, 404),
        ("tok_member", SERVER, &nothing, 403),
        ("tok_admin", SERVER, &nothing, 403),
        (&owner, SERVER, &nothing, 403),
        ("tok_account", SERVER, &nothing, 403),
    ] {
        let answer = server.call(key, &format!("POST {path}"), Some(body)).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{key} {path} {body}: {}",
            answer.text
        );
    }
    // A personal key of the account is none of the account's: it stands as its person.
    let body = json!({"role": "admin", "user": "usr_alice"});
    let alices = server
        .call("tok_account", &format!("POST {ACCOUNT}"), Some(&body))
        .await;
    let alices = alices.expect(201)["key"].as_str().unwrap().to_owned();
    server
        .call(&alices, "GET /api/v1/projects", None)
        .await
        .expect(200);
    server
        .call(&alices, &format!("POST {ACCOUNT}"), Some(&nothing))
        .await
        .expect(403);
    server
        .call(&alices, "GET /api/v1/users", None)
        .await
        .expect(403);
}

#[tokio::test]
async fn a_key_for_somebody_is_cut_to_them() {
    let server = Server::start().await;
    let route = format!("POST {TEAM}");
    for (body, field) in [
        (json!({"user": "usr_bob", "role": "admin"}), "role"),
        (json!({"user": "usr_eve"}), "user"),
        (json!({"user": "nobody@example.com"}), "user"),
        (json!({"user": "usr_bob", "project": "web"}), "user"),
        (json!({"expires_at": "2025-01-01T00:00:00Z"}), "expires_at"),
    ] {
        let refused = server
            .call("tok_admin", &route, Some(&body))
            .await
            .expect(400);
        assert_eq!(refused["errors"][0]["field"], field, "{body}");
    }
    let user = async |body: Value| {
        let made = server
            .call("tok_admin", &route, Some(&body))
            .await
            .expect(201);
        assert_eq!(
            (&made["team"], &made["account"]),
            (&json!("team_1"), &json!("acc_1"))
        );
        made["user"].clone()
    };
    assert_eq!(
        user(json!({"user": "bob@example.com", "role": "member"})).await,
        "usr_bob"
    );
    assert_eq!(
        user(json!({"role": "member"})).await,
        "usr_alice",
        "oneself when nobody is named"
    );
    assert_eq!(
        user(json!({"role": "member", "user": null})).await,
        Value::Null
    );
    assert_eq!(user(json!({"project": "web"})).await, Value::Null);
    let of_bob = server
        .call("tok_admin", "GET /api/v1/keys?user=usr_bob", None)
        .await
        .expect(200);
    let rows = of_bob["data"].as_array().unwrap();
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["user"] == "usr_bob"),
        "{of_bob}"
    );
    let of_web = server
        .call("tok_admin", "GET /api/v1/keys?project=web", None)
        .await
        .expect(200);
    assert_eq!(of_web["data"].as_array().unwrap().len(), 2);
    let far = json!({"user": "usr_far"});
    let refused = server
        .call("tok_account", &format!("POST {ACCOUNT}"), Some(&far))
        .await;
    assert_eq!(refused.expect(400)["errors"][0]["field"], "user");
}

#[tokio::test]
async fn keys_of_every_level_are_made_shown_once_changed_and_revoked() {
    let server = Server::start().await;
    for (path, level, opens) in [
        (TEAM, "team", "/api/v1/projects?team=team_1"),
        (ACCOUNT, "account", "/api/v1/projects?team=team_2"),
        (SERVER, "server", "/api/v1/accounts"),
    ] {
        let body = match level {
            "server" => json!({"name": "ci"}),
            _ => json!({"name": "ci", "role": "admin"}),
        };
        let at = |rest: &str| format!("{path}{rest}?team=team_1");
        let made = server
            .local(&format!("POST {}", at("")), Some(&body))
            .await
            .expect(201);
        assert_eq!(
            (&made["level"], &made["expires_at"]),
            (&json!(level), &Value::Null)
        );
        let (text, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
        let one = at(&format!("/{id}"));
        server
            .call(text, &format!("GET {opens}"), None)
            .await
            .expect(200);
        let list = server.local(&format!("GET {}", at("")), None).await;
        assert!(
            list.text.contains(id) && !list.text.contains(text),
            "{level}"
        );
        let seen = server.local(&format!("GET {one}"), None).await;
        assert!(!seen.text.contains(text), "{level}");
        assert_eq!(seen.expect(200)["name"], "ci");
        // It is a key of this level and of no other.
        for other in [TEAM, ACCOUNT, SERVER]
            .iter()
            .filter(|other| **other != path)
        {
            let route = format!("GET {other}/{id}?team=team_1");
            server.local(&route, None).await.expect(404);
        }

        let patch = json!({"name": null, "expires_at": "2026-01-01T00:10:00Z"});
        let patched = server
            .local(&format!("PATCH {one}"), Some(&patch))
            .await
            .expect(200);
        assert_eq!(
            (&patched["name"], &patched["expires_at"]),
            (&json!(""), &json!("2026-01-01T00:10:00Z"))
        );
        let past = json!({"expires_at": "2025-01-01T00:00:00Z"});
        server
            .local(&format!("PATCH {one}"), Some(&past))
            .await
            .expect(400);
        let never = json!({"expires_at": null});
        let patched = server
            .local(&format!("PATCH {one}"), Some(&never))
            .await
            .expect(200);
        assert_eq!(patched["expires_at"], Value::Null);

        server
            .local(&format!("DELETE {one}"), None)
            .await
            .expect(204);
        server
            .call(text, &format!("GET {opens}"), None)
            .await
            .expect(401);
        server
            .local(&format!("DELETE {one}"), None)
            .await
            .expect(404);
        let never = json!({"expires_at": null, "name": "x"});
        server
            .local(&format!("PATCH {one}"), Some(&never))
            .await
            .expect(409);
        let list = server.local(&format!("GET {}", at("")), None).await;
        assert!(!list.text.contains(id), "{level}");
        let all = format!("GET {}&include_revoked=true", at(""));
        assert!(server.local(&all, None).await.text.contains(id), "{level}");
    }
}

#[tokio::test]
async fn a_key_that_expires_earlier_is_refused_from_then_on() {
    let server = Server::start().await;
    let route = format!("POST {TEAM}");
    let made = server
        .call("tok_admin", &route, Some(&json!({"role": "member"})))
        .await
        .expect(201);
    let (text, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    server
        .call(text, "GET /api/v1/projects", None)
        .await
        .expect(200);
    let soon = json!({"expires_at": "2026-01-01T00:01:00Z"});
    let route = format!("PATCH {TEAM}/{id}");
    server
        .call("tok_admin", &route, Some(&soon))
        .await
        .expect(200);
    server
        .call(text, "GET /api/v1/projects", None)
        .await
        .expect(200);
    server.clock.advance(std::time::Duration::from_secs(60));
    server
        .call(text, "GET /api/v1/projects", None)
        .await
        .expect(401);
}

#[tokio::test]
async fn a_key_that_ends_makes_and_leaves_none_that_ends_later() {
    let server = Server::start().await;
    let (soon, later) = ("2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z");
    for (path, maker) in [(TEAM, "tok_admin"), (ACCOUNT, "tok_account")] {
        let make = format!("POST {path}");
        let ends = json!({"role": "admin", "expires_at": soon});
        let made = server.call(maker, &make, Some(&ends)).await.expect(201);
        let (text, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
        let own = format!("PATCH {path}/{id}");
        for end in [Value::Null, json!(later)] {
            let patch = json!({"expires_at": end});
            let refused = server.call(text, &own, Some(&patch)).await.expect(400);
            assert_eq!(refused["errors"][0]["field"], "expires_at");
        }
        let longer = json!({"expires_at": later});
        let refused = server.call(text, &make, Some(&longer)).await.expect(400);
        assert_eq!(refused["errors"][0]["field"], "expires_at");
        for body in [
            json!({}),
            json!({"expires_at": null}),
            json!({"expires_at": soon}),
        ] {
            let made = server.call(text, &make, Some(&body)).await.expect(201);
            assert_eq!(made["expires_at"], soon);
        }
        // One that ends later than the key that changes it may be named anew and shortened, and not lengthened.
        let other = server
            .call(maker, &make, Some(&json!({})))
            .await
            .expect(201);
        let other = format!("PATCH {path}/{}", other["id"].as_str().unwrap());
        let named = json!({"name": "other"});
        server.call(text, &other, Some(&named)).await.expect(200);
        server.call(text, &other, Some(&longer)).await.expect(200);
        let never = json!({"expires_at": null});
        server.call(text, &other, Some(&never)).await.expect(400);
        server.call(maker, &other, Some(&never)).await.expect(200);
    }
}

#[tokio::test]
async fn nobody_lets_a_key_live_on_that_may_more_than_they_do() {
    let server = Server::start().await;
    let owner = owner(&server).await;
    let made = server
        .call(
            &owner,
            &format!("POST {TEAM}"),
            Some(&json!({"role": "owner"})),
        )
        .await;
    let made = made.expect(201);
    let one = format!("{TEAM}/{}", made["id"].as_str().unwrap());
    let patch = json!({"expires_at": null, "name": "mine"});
    server
        .call("tok_admin", &format!("PATCH {one}"), Some(&patch))
        .await
        .expect(403);
    server
        .call(&owner, &format!("PATCH {one}"), Some(&patch))
        .await
        .expect(200);
    server
        .call("tok_stranger", &format!("PATCH {one}"), Some(&patch))
        .await
        .expect(404);
    // To end one is in every admin's hands.
    server
        .call("tok_admin", &format!("DELETE {one}"), None)
        .await
        .expect(204);
}
