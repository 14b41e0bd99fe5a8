//! Datagrid's organization: teamspaces, people, invitations, MCP servers (reference/datagrid §2.7 and §2.8).

use serde_json::{Value, json};

use super::datagrid::{admin, ask, id, ids};
use super::server::{Answer, Server};

async fn account(server: &Server, route: &str, body: Option<&Value>) -> Answer {
    ask(server, "tok_account", route, body).await
}

#[tokio::test]
async fn teamspaces_are_made_read_and_changed() {
    let server = Server::start().await;
    let body = json!({"name": "Ärzte & Co", "access": "open"});
    let made = account(&server, "POST /organization/teamspaces", Some(&body))
        .await
        .expect(201);
    assert_eq!(
        made,
        json!({
            "id": made["id"], "name": "Ärzte & Co", "access": "open", "cloud_provider": "gcp",
            "created_at": made["created_at"],
        })
    );
    // Two of one name are two.
    let body = json!({"name": "Ärzte & Co", "access": "closed", "cloud_provider": "aws"});
    let twin = account(&server, "POST /organization/teamspaces", Some(&body))
        .await
        .expect(201);
    assert_eq!(twin["cloud_provider"], "aws");
    let one = format!("/organization/teamspaces/{}", id(&made));
    let got = account(&server, &format!("GET {one}"), None).await;
    assert_eq!(got.expect(200), made);
    let patch = json!({"name": "é".repeat(300), "access": "closed"});
    let changed = account(&server, &format!("PATCH {one}"), Some(&patch))
        .await
        .expect(200);
    assert_eq!(
        (&changed["name"], &changed["access"]),
        (&patch["name"], &json!("closed"))
    );
    assert_eq!(changed["cloud_provider"], "gcp");
    let same = account(&server, &format!("PATCH {one}"), Some(&json!({}))).await;
    assert_eq!(same.expect(200), changed);
    let listed = account(&server, "GET /organization/teamspaces?limit=100", None)
        .await
        .expect(200);
    assert_eq!(ids(&listed).len(), 4);
    let back = format!(
        "GET /organization/teamspaces?limit=1&before={}",
        ids(&listed)[2]
    );
    assert_eq!(
        ids(&account(&server, &back, None).await.expect(200)),
        ids(&listed)[1..2]
    );

    // A team's key sees its own; what it names else is not there. Making teams is the account's.
    let own = admin(&server, "GET /organization/teamspaces", None)
        .await
        .expect(200);
    assert_eq!(ids(&own), ["team_1"]);
    assert_eq!(own["data"][0]["access"], "closed");
    for route in [
        format!("GET {one}"),
        "GET /organization/teamspaces/team_2".to_owned(),
    ] {
        admin(&server, &route, None).await.expect(404);
    }
    let refused = admin(&server, "POST /organization/teamspaces", Some(&body)).await;
    assert_eq!(refused.expect(403)["error"], "forbidden");
    for (bad, words) in [
        (json!({"name": "x"}), "access: is required"),
        (
            json!({"name": "x", "access": "half"}),
            "access: must be one of open, closed",
        ),
        (
            json!({"name": "x".repeat(301), "access": "open"}),
            "at most 300 characters",
        ),
        (
            json!({"name": "x", "access": "open", "cloud_provider": "z"}),
            "cloud_provider",
        ),
    ] {
        let told = account(&server, "POST /organization/teamspaces", Some(&bad))
            .await
            .expect(400);
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
}

#[tokio::test]
async fn people_have_the_role_they_were_given_in_the_words_it_was_given_in() {
    let server = Server::start().await;
    let users = "/organization/teamspaces/team_1/users";
    let listed = account(&server, &format!("GET {users}"), None)
        .await
        .expect(200);
    assert_eq!(ids(&listed), ["usr_alice", "usr_bob"]);
    assert_eq!(
        listed["data"][1],
        json!({
            "id": "usr_bob", "email": "bob@example.com", "first_name": "", "last_name": "",
            "permissions": {"role": "member"},
        })
    );
    let found = account(&server, &format!("GET {users}?search=ALICE"), None).await;
    assert_eq!(ids(&found.expect(200)), ["usr_alice"]);
    let bob = format!("{users}/usr_bob");
    let role = async |body: Value| {
        account(&server, &format!("PATCH {bob}"), Some(&body))
            .await
            .expect(200)["permissions"]
            .clone()
    };
    // What is not said stays.
    for (said, then) in [
        (
            json!({"role": "agent-specific", "agent_ids": ["a1"]}),
            json!({"role": "agent-specific", "agent_ids": ["a1"]}),
        ),
        (
            json!({"role": "agent-specific"}),
            json!({"role": "agent-specific", "agent_ids": ["a1"]}),
        ),
        (
            json!({"role": "admin", "agent_ids": []}),
            json!({"role": "admin", "agent_ids": []}),
        ),
    ] {
        assert_eq!(role(said).await, then);
        let got = account(&server, &format!("GET {bob}"), None)
            .await
            .expect(200);
        assert_eq!(got["permissions"], then);
    }
    // Its own words end when another API says something else.
    let native = json!({"role": "member"});
    let put = server
        .call(
            "tok_account",
            "PUT /api/v1/teams/team_1/memberships/usr_bob",
            Some(&native),
        )
        .await;
    assert!(put.status.is_success(), "{}", put.text);
    let got = account(&server, &format!("GET {bob}"), None)
        .await
        .expect(200);
    assert_eq!(got["permissions"], json!({"role": "member"}));

    // The organization's people, whose role there is the highest they have.
    let all = account(&server, "GET /organization/users?limit=2", None)
        .await
        .expect(200);
    assert_eq!(ids(&all), ["usr_alice", "usr_bob"]);
    assert_eq!(all["has_more"], true);
    let rest = account(&server, "GET /organization/users?after=usr_bob", None)
        .await
        .expect(200);
    assert_eq!(ids(&rest), ["usr_eve"]);
    let before = account(
        &server,
        "GET /organization/users?limit=1&before=usr_eve",
        None,
    )
    .await;
    assert_eq!(ids(&before.expect(200)), ["usr_bob"]);
    assert_eq!(all["data"][0]["permissions"]["role"], "owner");
    let promote = json!({"role": "admin"});
    let bob_there = "/organization/users/usr_bob";
    let promoted = account(&server, &format!("PATCH {bob_there}"), Some(&promote))
        .await
        .expect(200);
    assert_eq!(promoted["permissions"], json!({"role": "admin"}));
    let got = account(&server, &format!("GET {bob_there}"), None)
        .await
        .expect(200);
    assert_eq!(got, promoted);
    let owner = account(
        &server,
        "PATCH /organization/users/usr_alice",
        Some(&promote),
    )
    .await;
    assert_eq!(owner.expect(409)["error"], "conflict");
    admin(&server, "GET /organization/users", None)
        .await
        .expect(403);
    account(&server, "GET /organization/users/usr_far", None)
        .await
        .expect(404);

    let last = account(&server, &format!("DELETE {users}/usr_alice"), None).await;
    last.expect(409);
    account(&server, &format!("DELETE {bob}"), None)
        .await
        .expect(204);
    for method in ["GET", "DELETE"] {
        account(&server, &format!("{method} {bob}"), None)
            .await
            .expect(404);
    }
    let back = account(&server, &format!("PATCH {bob}"), Some(&promote)).await;
    back.expect(404);
}

#[tokio::test]
async fn an_invitation_waits_or_makes_a_member_at_once() {
    let server = Server::start().await;
    let invites = "/organization/teamspaces/team_1/invites";
    let invite = async |body: Value| {
        server.clock.advance(std::time::Duration::from_millis(1));
        account(&server, &format!("POST {invites}"), Some(&body)).await
    };
    let permissions = json!({"role": "admin", "agent_ids": ["string"]});
    let body = json!({"email": "dev@stainless.com", "permissions": permissions});
    let one = invite(body.clone()).await.expect(201);
    assert_eq!(
        one,
        json!({
            "id": one["id"], "email": "dev@stainless.com", "permissions": permissions,
            "status": "pending", "accepted_at": null,
        })
    );
    // Once more is another one.
    let two = invite(body).await.expect(201);
    let three = invite(json!({"email": "eve@example.com"}))
        .await
        .expect(201);
    assert_eq!(
        (&three["status"], &three["permissions"]),
        (&json!("accepted"), &json!({"role": "member"}))
    );
    assert!(three["accepted_at"].is_string());
    let eve = account(
        &server,
        "GET /organization/teamspaces/team_1/users/usr_eve",
        None,
    )
    .await;
    assert_eq!(eve.expect(200)["permissions"]["role"], "member");
    // Whoever is a member keeps their role, and the invitation says which.
    let four = invite(json!({"email": "Alice@example.com"}))
        .await
        .expect(201);
    assert_eq!(four["permissions"]["role"], "owner");
    assert_eq!(four["status"], "accepted");
    let alice = account(
        &server,
        "GET /organization/teamspaces/team_1/users/usr_alice",
        None,
    )
    .await;
    assert_eq!(alice.expect(200)["permissions"]["role"], "owner");
    let listed = account(
        &server,
        &format!("GET {invites}?after={}", id(&three)),
        None,
    )
    .await;
    assert_eq!(ids(&listed.expect(200)), [id(&two), id(&one)]);
    let path = format!("{invites}/{}", id(&one));
    assert_eq!(
        account(&server, &format!("GET {path}"), None)
            .await
            .expect(200),
        one
    );
    account(&server, &format!("DELETE {path}"), None)
        .await
        .expect(204);
    for method in ["GET", "DELETE"] {
        account(&server, &format!("{method} {path}"), None)
            .await
            .expect(404);
    }
    for (bad, words) in [
        (json!({}), "email: is required"),
        (json!({"email": "nobody"}), "email: must be"),
        (
            json!({"email": "a@b.example", "permissions": {}}),
            "permissions.role: is required",
        ),
        (
            json!({"email": "a@b.example", "permissions": {"role": "owner"}}),
            "permissions.role: must be one of",
        ),
    ] {
        let told = invite(bad).await.expect(400);
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
}

#[tokio::test]
async fn an_invitation_is_accepted_by_whoever_gets_its_address() {
    let server = Server::start().await;
    let invites = "/organization/teamspaces/team_1/invites";
    let invite = async |email: &str, role: &str| {
        server.clock.advance(std::time::Duration::from_millis(1));
        let body = json!({"email": email, "permissions": {"role": role}});
        let made = account(&server, &format!("POST {invites}"), Some(&body)).await;
        id(&made.expect(201))
    };
    let first = invite("New@example.com", "agents-only").await;
    let second = invite("new@example.com", "admin").await;
    let other = invite("other@example.com", "admin").await;
    let person = json!({"email": "new@example.com"});
    let made = server
        .call("tok_account", "POST /api/v1/users", Some(&person))
        .await
        .expect(201);
    let status = async |invite: &str| {
        let got = account(&server, &format!("GET {invites}/{invite}"), None).await;
        got.expect(200)["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&first).await, "accepted");
    assert_eq!(status(&second).await, "accepted");
    assert_eq!(status(&other).await, "pending");
    let path = format!("/organization/teamspaces/team_1/users/{}", id(&made));
    let member = account(&server, &format!("GET {path}"), None).await;
    assert_eq!(member.expect(200)["permissions"]["role"], "agents-only");
    // Also by a change of address; in teams of their account only.
    let moved = json!({"email": "other@example.com"});
    server
        .call("tok_account", "PATCH /api/v1/users/usr_eve", Some(&moved))
        .await
        .expect(200);
    assert_eq!(status(&other).await, "accepted");
    let eve = "GET /organization/teamspaces/team_1/users/usr_eve";
    let eve = account(&server, eve, None).await.expect(200);
    assert_eq!(eve["permissions"]["role"], "admin");
}

#[tokio::test]
async fn a_secret_that_an_mcp_server_uses_is_not_deleted_under_it() {
    let server = Server::start().await;
    let secret = json!({"name": "key", "value": "v"});
    let secret = id(&admin(&server, "POST /secrets", Some(&secret))
        .await
        .expect(201));
    let body = json!({
        "name": "tools", "base_url": "https://tools.example/mcp", "authorization_secret_id": secret,
    });
    let made = admin(&server, "POST /organization/mcp-servers", Some(&body)).await;
    let made = id(&made.expect(201));
    let delete = format!("DELETE /secrets/{secret}");
    let told = admin(&server, &delete, None).await.expect(409);
    assert!(told["message"].as_str().unwrap().contains(&made), "{told}");
    let none = json!({"authorization_secret_id": null});
    let path = format!("PATCH /organization/mcp-servers/{made}");
    admin(&server, &path, Some(&none)).await.expect(200);
    admin(&server, &delete, None).await.expect(204);
}

#[tokio::test]
async fn an_mcp_servers_authorization_is_a_secret_of_its_own_until_it_changes() {
    let server = Server::start().await;
    let servers = "/organization/mcp-servers";
    let body = json!({
        "name": "name", "base_url": "https://example.com", "icon_url": "icon_url", "transport": "http",
        "protocol_version": "protocol_version", "authorization": "Bearer the-value",
        "authorization_secret_id": "authorization_secret_id",
    });
    let made = admin(&server, &format!("POST {servers}"), Some(&body)).await;
    assert!(!made.text.contains("the-value"));
    let made = made.expect(201);
    let secret = made["authorization_secret_id"].as_str().unwrap().to_owned();
    assert_eq!(
        made,
        json!({
            "object": "mcp_server", "id": made["id"], "name": "name", "base_url": "https://example.com",
            "status": "active", "transport": "http", "icon_url": "icon_url",
            "protocol_version": "protocol_version", "authorization_secret_id": secret, "metadata": null,
            "created_at": made["created_at"], "updated_at": made["created_at"],
        })
    );
    let kept = async |id: &str, status| {
        admin(&server, &format!("GET /secrets/{id}"), None)
            .await
            .expect(status)
    };
    kept(&secret, 200).await;
    admin(&server, &format!("DELETE /secrets/{secret}"), None)
        .await
        .expect(409);
    let listed = admin(&server, "GET /secrets", None).await.expect(200);
    assert_eq!(ids(&listed), [""; 0]);
    let one = format!("{servers}/{}", id(&made));
    let patch = async |body: Value| {
        admin(&server, &format!("PATCH {one}"), Some(&body))
            .await
            .expect(200)
    };
    assert_eq!(patch(json!({})).await, made);
    let rotated = patch(json!({"authorization": "Bearer other"})).await;
    let other = rotated["authorization_secret_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(other, secret);
    kept(&secret, 404).await;
    // A secret of the teamspace's own stays when the server lets go of it; its own does not.
    let own = json!({"name": "own", "value": "v"});
    let own = id(&admin(&server, "POST /secrets", Some(&own))
        .await
        .expect(201));
    let named = patch(json!({"authorization_secret_id": own})).await;
    assert_eq!(named["authorization_secret_id"], json!(own));
    kept(&other, 404).await;
    let cleared =
        patch(json!({"authorization_secret_id": null, "icon_url": null, "name": "n2"})).await;
    assert_eq!(
        (&cleared["authorization_secret_id"], &cleared["icon_url"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(cleared["name"], "n2");
    kept(&own, 200).await;
    for (bad, words) in [
        (
            json!({"authorization_secret_id": "nope"}),
            "authorization_secret_id: is not a secret",
        ),
        (
            json!({"base_url": "http://example.com"}),
            "base_url: must be an https URL",
        ),
        (
            json!({"name": "x".repeat(256)}),
            "name: must be at most 255 characters",
        ),
        (
            json!({"transport": "stdio"}),
            "transport: must be one of http",
        ),
    ] {
        let told = admin(&server, &format!("PATCH {one}"), Some(&bad))
            .await
            .expect(400);
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
    assert_eq!(
        admin(&server, &format!("GET {one}"), None)
            .await
            .expect(200),
        cleared
    );
    patch(json!({"authorization": "Bearer last"})).await;
    admin(&server, &format!("DELETE {one}"), None)
        .await
        .expect(204);
    admin(&server, &format!("GET {one}"), None)
        .await
        .expect(404);
    let all = server
        .call("tok_admin", "GET /api/v1/secrets", None)
        .await
        .expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
    // Thirty, and no more.
    let body = json!({"name": "n", "base_url": "https://example.com"});
    for _ in 0..30 {
        admin(&server, &format!("POST {servers}"), Some(&body))
            .await
            .expect(201);
    }
    let full = admin(&server, &format!("POST {servers}"), Some(&body)).await;
    assert_eq!(full.expect(409)["error"], "conflict");
    assert_eq!(full.headers["x-should-retry"], "false");
    let all = admin(&server, &format!("GET {servers}"), None)
        .await
        .expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 30);
    assert!(all.get("has_more").is_none());
}

#[tokio::test]
async fn credits_are_those_of_the_deployment() {
    let server = Server::start().await;
    let report = admin(&server, "GET /organization/credits", None)
        .await
        .expect(200);
    assert_eq!(report, json!({"remaining": 0, "consumed": 0, "total": 0}));
}
