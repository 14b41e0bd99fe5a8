//! People of accounts and teams on the wire.

use serde_json::json;

use super::server::Server;
use super::tenancy::{column, fields, owner};

#[tokio::test]
async fn people_are_made_found_changed_and_deleted() {
    let server = Server::start().await;
    let bad = json!({"email": "nobody", "first_name": "x"});
    let refused = server
        .call("tok_account", "POST /api/v1/users", Some(&bad))
        .await
        .expect(400);
    assert_eq!(fields(&refused), ["email"]);
    let body = json!({"email": "ann@example.com", "first_name": "Ann"});
    let made = server
        .call("tok_account", "POST /api/v1/users", Some(&body))
        .await
        .expect(201);
    assert_eq!(
        (&made["account"], &made["last_name"]),
        (&json!("acc_1"), &json!(""))
    );
    server
        .call("tok_account", "POST /api/v1/users", Some(&body))
        .await
        .expect(409);
    // The same address in another account is another person.
    server
        .call("tok_far", "POST /api/v1/users", Some(&body))
        .await
        .expect(201);
    server
        .call("tok_admin", "POST /api/v1/users", Some(&body))
        .await
        .expect(403);

    let list = async |query: &str| {
        let route = format!("GET /api/v1/users{query}");
        server.call("tok_account", &route, None).await.expect(200)
    };
    let all = [
        "alice@example.com",
        "ann@example.com",
        "bob@example.com",
        "eve@example.com",
    ];
    assert_eq!(column(&list("").await, "email"), all);
    assert_eq!(
        column(&list("?email=ann@example.com").await, "email"),
        all[1..2]
    );
    assert_eq!(column(&list("?search=ANN").await, "email"), all[1..2]);
    let first = list("?limit=3").await;
    let rest = list(&format!(
        "?cursor={}",
        first["next_cursor"].as_str().unwrap()
    ))
    .await;
    assert_eq!(column(&rest, "email"), all[3..]);
    let refused = server.local("GET /api/v1/users", None).await.expect(400);
    assert_eq!(fields(&refused), ["account"]);
    assert!(
        refused["detail"].as_str().unwrap().contains("acc_1, acc_2"),
        "{refused}"
    );
    server
        .local("GET /api/v1/users?account=acc_2", None)
        .await
        .expect(200);

    let seen = server
        .call("tok_account", "GET /api/v1/users/bob@example.com", None)
        .await;
    assert_eq!(
        seen.expect(200)["memberships"],
        json!([{"team": "team_1", "role": "member"}])
    );
    let patch = json!({"first_name": null, "last_name": "Lee", "email": "ann.lee@example.com"});
    let route = "PATCH /api/v1/users/ann@example.com";
    let patched = server
        .call("tok_account", route, Some(&patch))
        .await
        .expect(200);
    assert_eq!(
        (
            &patched["first_name"],
            &patched["last_name"],
            &patched["id"]
        ),
        (&json!(""), &json!("Lee"), &made["id"])
    );
    let taken = json!({"email": "bob@example.com"});
    let route = format!("PATCH /api/v1/users/{}", made["id"].as_str().unwrap());
    server
        .call("tok_account", &route, Some(&taken))
        .await
        .expect(409);

    let only_owner = server
        .call("tok_account", "DELETE /api/v1/users/usr_alice", None)
        .await;
    assert!(
        only_owner.expect(409)["detail"]
            .as_str()
            .unwrap()
            .contains("only owner")
    );
    server
        .call("tok_member", "GET /api/v1/projects", None)
        .await
        .expect(200);
    server
        .call("tok_far", "DELETE /api/v1/users/usr_bob", None)
        .await
        .expect(404);
    server
        .call("tok_account", "DELETE /api/v1/users/usr_bob", None)
        .await
        .expect(204);
    server
        .call("tok_member", "GET /api/v1/projects", None)
        .await
        .expect(401);
    server
        .call("tok_account", "DELETE /api/v1/users/usr_bob", None)
        .await
        .expect(404);
}

#[tokio::test]
async fn an_owner_says_who_is_in_the_team_and_there_is_always_one() {
    let server = Server::start().await;
    let owner = owner(&server).await;
    let members = "/api/v1/teams/acme/memberships";
    let list = server
        .call("tok_member", &format!("GET {members}"), None)
        .await
        .expect(200);
    let people: Vec<_> = list["data"].as_array().unwrap().iter().collect();
    assert_eq!(people.len(), 2);
    assert_eq!(
        (&people[1]["user"]["id"], &people[1]["role"]),
        (&json!("usr_bob"), &json!("member"))
    );
    let found = format!("GET {members}?search=ALICE");
    let found = server.call("tok_member", &found, None).await.expect(200);
    assert_eq!(found["data"][0]["role"], "owner");

    let eve = format!("{members}/eve@example.com");
    let role = |role: &str| json!({"role": role});
    server
        .call("tok_member", &format!("GET {eve}"), None)
        .await
        .expect(404);
    for (key, status) in [("tok_admin", 403), ("tok_member", 403), ("tok_far", 404)] {
        server
            .call(key, &format!("PUT {eve}"), Some(&role("member")))
            .await
            .expect(status);
    }
    for bad in ["token-only", "emperor"] {
        server
            .call(&owner, &format!("PUT {eve}"), Some(&role(bad)))
            .await
            .expect(400);
    }
    let put = server
        .call(&owner, &format!("PUT {eve}"), Some(&role("member")))
        .await
        .expect(200);
    assert_eq!(
        (&put["user"]["id"], &put["role"]),
        (&json!("usr_eve"), &json!("member"))
    );
    let stranger = format!("PUT {members}/far@example.com");
    server
        .call(&owner, &stranger, Some(&role("member")))
        .await
        .expect(404);

    // A key goes no further than its person, at once.
    let route = format!("PUT {members}/usr_bob");
    server
        .call("tok_member", "POST /api/v1/keys", Some(&json!({})))
        .await
        .expect(403);
    server
        .call("tok_account", &route, Some(&role("admin")))
        .await
        .expect(200);
    server
        .call(&owner, &format!("DELETE {members}/usr_bob"), None)
        .await
        .expect(204);
    server
        .call("tok_member", "GET /api/v1/projects", None)
        .await
        .expect(401);
    server
        .call(&owner, &format!("DELETE {members}/usr_bob"), None)
        .await
        .expect(404);

    let alice = format!("{members}/usr_alice");
    for request in [format!("PUT {alice}"), format!("DELETE {alice}")] {
        let body = role("admin");
        let refused = server.call(&owner, &request, Some(&body)).await.expect(409);
        assert!(
            refused["detail"].as_str().unwrap().contains("only owner"),
            "{refused}"
        );
    }
    server
        .call(&owner, &format!("PUT {eve}"), Some(&role("owner")))
        .await
        .expect(200);
    server
        .call(&owner, &format!("PUT {alice}"), Some(&role("admin")))
        .await
        .expect(200);
    server
        .call(&owner, &format!("PUT {eve}"), Some(&role("member")))
        .await
        .expect(403);
}
