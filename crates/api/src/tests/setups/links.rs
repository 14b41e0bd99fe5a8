//! What the link of a setup is good for, for how long, and who sees what came of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FILLED, location, slack, world};

#[tokio::test]
async fn a_link_ends_with_its_time_with_a_no_and_with_its_maker() {
    let world = world().await;
    let before = world.connectors().await;
    let path = world.page_for(&slack("v-no")).await;
    let asks = world.get(&format!("{path}/cancel"), None).await;
    assert!(asks.text.contains("Do not set up"));
    location(&world.post(&path, "action=cancel").await);
    assert_eq!(world.result("v-no").await, json!({"status": "canceled"}));
    location(&world.post(&path, FILLED).await);
    assert!(
        world
            .get(&path, None)
            .await
            .text
            .contains("Nothing was set up")
    );

    let path = world.page_for(&slack("v-late")).await;
    world.server.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(world.result("v-late").await["error"]["code"], "expired");
    assert_eq!(world.get(&path, None).await.status, 410);
    location(&world.post(&path, FILLED).await);

    let path = world.page_for(&slack("v-gone")).await;
    let demoted = json!({"role": "member"});
    let route = "PUT /api/v1/teams/team_1/memberships/usr_alice";
    let owner = json!({"role": "owner"});
    let bob = "PUT /api/v1/teams/team_1/memberships/usr_bob";
    world.server.local(bob, Some(&owner)).await.expect(200);
    world.server.local(route, Some(&demoted)).await.expect(200);
    assert_eq!(world.post(&path, FILLED).await.status, 410);
    assert_eq!(world.connectors().await, before);
    for unknown in ["/register/scr_nobody", "/register/%0A", "/register/sca_1"] {
        assert_eq!(world.get(unknown, None).await.status, 404, "{unknown}");
        assert_eq!(world.post(unknown, FILLED).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn a_link_ends_with_the_key_that_asked_for_it() {
    let world = world().await;
    let before = world.connectors().await;
    for body in [
        json!({"role": "admin"}),
        json!({"role": "admin", "user": "usr_alice"}),
        json!({"role": "admin", "user": null}),
    ] {
        let route = "POST /api/v1/keys";
        let made = world.server.call("tok_admin", route, Some(&body)).await;
        let key = made.expect(201);
        let secret = key["key"].as_str().unwrap();
        let asked = json!({"service": "notion", "name": "leaked"});
        let setup = world
            .server
            .call(secret, "POST /api/v1/setups", Some(&asked))
            .await
            .expect(201);
        let path = format!("/register/{}", setup["id"].as_str().unwrap());
        assert_eq!(world.get(&path, None).await.status, 200);
        let revoke = format!("DELETE /api/v1/keys/{}", key["id"].as_str().unwrap());
        let revoked = world.server.call("tok_admin", &revoke, None).await;
        assert!(revoked.status.is_success(), "{}", revoked.text);
        let typed = "action=register&data.clientId=a&data.clientSecret=b";
        assert_eq!(world.post(&path, typed).await.status, 410);
    }
    assert_eq!(world.connectors().await, before);
}

#[tokio::test]
async fn what_came_by_the_link_is_told_apart_from_what_the_requester_did() {
    let world = world().await;
    let path = world.page_for(&slack("v-1")).await;
    location(&world.post(&path, FILLED).await);
    let path = world.page_for(&slack("v-2")).await;
    location(&world.post(&path, "action=cancel").await);
    for (kind, app) in [
        ("connector.created", json!("A1")),
        ("setup.canceled", Value::Null),
    ] {
        let event = world.by_link(kind).await;
        assert_eq!(event["actor"]["type"], "end_user", "{event}");
        assert_eq!(event["data"]["requested_by"]["id"], "usr_alice");
        assert_eq!(event["data"]["app"], app);
    }
}

#[tokio::test]
async fn open_ones_are_listed_without_their_links_and_called_off() {
    let world = world().await;
    for name in ["one", "two", "three"] {
        let asked = json!({"service": "slack", "name": name});
        world.ask(&asked).await.expect(422);
    }
    let list = async |query: &str| {
        let route = format!("GET /api/v1/setups?{query}");
        world.server.call("tok_admin", &route, None).await
    };
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for left in [2, 1] {
        let answer = list(&format!("limit=2{cursor}")).await;
        assert!(!answer.text.contains("scr_"), "{}", answer.text);
        let page = answer.expect(200);
        let rows = page["data"].as_array().unwrap();
        assert_eq!(rows.len(), left);
        seen.extend(rows.clone());
        let next = page["next_cursor"].as_str().unwrap_or_default();
        cursor = format!("&cursor={next}");
    }
    assert_eq!(cursor, "&cursor=");
    assert_eq!(seen[0]["requested_by"]["id"], "usr_alice");
    let first = seen[0]["connector"].as_str().unwrap();
    let cancel = format!("DELETE /api/v1/setups/{first}");
    let theirs = world.server.call("tok_stranger", &cancel, None).await;
    theirs.expect(404);
    let member = world.server.call("tok_member", "GET /api/v1/setups", None);
    member.await.expect(403);
    let canceled = world.server.call("tok_admin", &cancel, None).await;
    assert!(canceled.status.is_success(), "{}", canceled.text);
    let left = list("limit=10").await.expect(200);
    let left = left["data"].as_array().unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|row| row["connector"] != first));
}
