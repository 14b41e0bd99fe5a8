//! Sequin's OAuth apps (seed 002, docs/sequin.md).

use serde_json::{Value, json};

use super::server::Server;

/// The seed's request, to the letter.
fn seed() -> Value {
    json!({
        "provider": "stripe",
        "client_id": "db97a4eb-f488-46c8-b1a7-78be3d8380d1",
        "client_secret": "e8c22f21-3455-4ad5-ae1e-76bee847dec9",
        "name": "Arakkis - Stripe",
        "metadata": { "custom_property": 42 }
    })
}

const APPS: &str = "/sequin/v1/oauth-apps";

async fn create(server: &Server, body: &Value) -> Value {
    let route = format!("POST {APPS}");
    let made = server.call("tok_admin", &route, Some(body));
    made.await.expect(200)
}

async fn listed(server: &Server, query: &str) -> Vec<String> {
    let route = format!("GET {APPS}{query}");
    let answer = server.call("tok_admin", &route, None);
    let answer = answer.await.expect(200);
    let rows = answer["data"].as_array().unwrap().clone();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_documented_request_makes_an_app_whose_secret_is_never_shown() {
    let server = Server::start().await;
    let made = create(&server, &seed()).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(
        made,
        json!({
            "id": id,
            "provider": "stripe",
            "name": "Arakkis - Stripe",
            "client_id": "db97a4eb-f488-46c8-b1a7-78be3d8380d1",
            "client_secret": "**********",
            "metadata": { "custom_property": 42 },
            "health": {
                "status": "ok",
                "notes": ["Never used: nobody has connected yet."],
                "time": made["created_at"],
            },
            "created_at": made["created_at"],
            "updated_at": made["created_at"],
        })
    );
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
    let got = server
        .call("tok_admin", &format!("GET {APPS}/{id}"), None)
        .await;
    assert_eq!(got.expect(200), made);
    for text in [
        &got.text,
        &server
            .call(
                "tok_admin",
                &format!("GET {APPS}?truncate_secrets=false"),
                None,
            )
            .await
            .text,
    ] {
        assert!(!text.contains("e8c22f21"), "{text}");
    }
}

#[tokio::test]
async fn apps_are_filtered_by_provider_health_and_metadata() {
    let server = Server::start().await;
    let stripe = create(&server, &seed()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let shop = json!({
        "provider": "shopify", "client_id": "c", "client_secret": "s", "name": "Shop",
        "metadata": {"custom_property": 42, "tier": {"name": "gold", "seats": 5}},
    });
    // Of one millisecond's ids nobody knows which is the newer.
    server.clock.advance(std::time::Duration::from_millis(1));
    let shop = create(&server, &shop).await;
    assert_eq!(shop["health"]["status"], "warn", "its host is not known");
    assert!(
        shop["health"]["notes"][0]
            .as_str()
            .unwrap()
            .contains("shop")
    );
    let shop = shop["id"].as_str().unwrap().to_owned();
    let encoded = |metadata: Value| {
        let text = metadata.to_string();
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        format!("?metadata={text}")
    };
    assert_eq!(
        listed(&server, "?provider=stripe").await,
        std::slice::from_ref(&stripe)
    );
    assert_eq!(listed(&server, "?provider=nope").await, [""; 0]);
    assert_eq!(
        listed(&server, "?provider=shopify&health.status=warn").await,
        std::slice::from_ref(&shop)
    );
    assert_eq!(
        listed(&server, "?provider=shopify&health.status=ok").await,
        [""; 0]
    );
    assert_eq!(
        listed(&server, &encoded(json!({"tier": {"name": "gold"}}))).await,
        std::slice::from_ref(&shop)
    );
    assert_eq!(
        listed(&server, &encoded(json!({"custom_property": 42}))).await,
        [shop, stripe]
    );
    let refused = server
        .call("tok_admin", &format!("GET {APPS}?metadata=42"), None)
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text);
}

#[tokio::test]
async fn a_wrong_app_is_told_field_by_field_and_not_made() {
    let server = Server::start().await;
    let before = listed(&server, "").await;
    for (change, field, words) in [
        (json!({"name": null}), "name", "is required"),
        (
            json!({"client_secret": 7}),
            "client_secret",
            "must be a string",
        ),
        (
            json!({"provider": "nope"}),
            "provider",
            "Sequin's are airtable",
        ),
        (json!({"provider": "sendgrid"}), "provider", "takes keys"),
        (json!({"metadata": []}), "metadata", "must be an object"),
        (json!({"client_id": "a\u{0}"}), "client_id", "control"),
        (
            json!({"variables": {"shop": "x"}}),
            "variables.shop",
            "has no variables",
        ),
    ] {
        let mut body = seed();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let refused = server
            .call("tok_admin", &format!("POST {APPS}"), Some(&body))
            .await;
        let told = refused.expect(422);
        let reasons = &told["validation_errors"][field];
        assert!(
            reasons[0].as_str().is_some_and(|why| why.contains(words)),
            "{told}"
        );
        assert_eq!(told["summary"], "Validation failed");
    }
    assert_eq!(listed(&server, "").await, before);
}

#[tokio::test]
async fn a_deleted_app_is_gone_in_every_dialect() {
    let server = Server::start().await;
    let id = create(&server, &seed()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let native = server
        .call("tok_admin", &format!("GET /api/v1/connectors/{id}"), None)
        .await;
    assert_eq!(native.expect(200)["service"], "stripe");
    let sdk = server
        .call(
            "tok_admin",
            &format!("GET /v1/connect/connectors/{id}"),
            None,
        )
        .await;
    assert_eq!(sdk.expect(200)["type"], "oauth");

    let app = format!("{APPS}/{id}");
    server
        .call("tok_admin", &format!("DELETE {app}"), None)
        .await
        .expect(204);
    let gone = server.call("tok_admin", &format!("GET {app}"), None).await;
    assert_eq!(gone.expect(404), json!({"summary": "connector not found"}));
    server
        .call(
            "tok_admin",
            &format!("GET /v1/connect/connectors/{id}"),
            None,
        )
        .await
        .expect(410);
}

#[tokio::test]
async fn an_app_that_was_made_incomplete_is_completed_step_by_step() {
    let server = Server::start().await;
    let shop = json!({
        "provider": "shopify", "client_id": "c", "client_secret": "s", "name": "Shop",
    });
    let shop = create(&server, &shop).await;
    let route = format!("PATCH /api/v1/connectors/{}", shop["id"].as_str().unwrap());
    let patch = async |data: Value| {
        let body = json!({"data": data});
        server.call("tok_admin", &route, Some(&body)).await
    };
    let still = patch(json!({"clientSecret": "rotated"})).await.expect(200);
    assert!(still["data"].get("variables").is_none());
    let less = patch(json!({"clientId": null})).await.expect(400);
    assert_eq!(less["errors"][0]["field"], "data.clientId");
    let wrong = patch(json!({"variables": {"shop": "../evil"}}))
        .await
        .expect(400);
    assert_eq!(wrong["errors"][0]["field"], "data.variables.shop");
    let whole = patch(json!({"variables": {"shop": "acme"}}))
        .await
        .expect(200);
    assert_eq!(whole["data"]["variables"]["shop"], "acme");
    let again = patch(json!({"variables": null})).await.expect(400);
    assert_eq!(
        again["errors"][0]["field"], "data.variables.shop",
        "what was complete stays so"
    );
}

#[tokio::test]
async fn connectors_of_other_dialects_are_apps_too() {
    let server = Server::start().await;
    let all = listed(&server, "").await;
    assert!(all.iter().any(|id| id == "scl_1"), "{all:?}");
}

#[tokio::test]
async fn an_app_changes_in_what_is_sent_and_in_nothing_else() {
    let server = Server::start().await;
    let made = create(&server, &seed()).await;
    let route = format!("PATCH {APPS}/{}", made["id"].as_str().unwrap());
    let patch = async |body: Value| {
        let answer = server.call("tok_admin", &route, Some(&body)).await;
        answer.expect(200)
    };
    assert_eq!(patch(json!({})).await, made);
    server.clock.advance(std::time::Duration::from_secs(5));
    let renamed = patch(json!({"name": "Stripe 2", "metadata": {"b": [1, {"z": null}], "a": 2.5}}));
    let renamed = renamed.await;
    let mut wanted = made.clone();
    wanted["name"] = json!("Stripe 2");
    wanted["metadata"] = json!({"b": [1, {"z": null}], "a": 2.5});
    wanted["updated_at"] = renamed["updated_at"].clone();
    wanted["health"]["time"] = renamed["updated_at"].clone();
    assert_eq!(renamed, wanted);
    assert_ne!(renamed["updated_at"], made["updated_at"]);
    assert_eq!(
        patch(json!({"client_secret": "rotated"})).await["client_secret"],
        "**********"
    );

    let before = patch(json!({})).await;
    for (change, field, words) in [
        (
            json!({"client_secret": " "}),
            "client_secret",
            "must not be empty",
        ),
        (
            json!({"client_secret": 7}),
            "client_secret",
            "must be a string",
        ),
        (json!({"name": ""}), "name", "must not be empty"),
        (
            json!({"name": "n", "provider": "github"}),
            "provider",
            "known are name",
        ),
        (
            json!({"name": "n", "client_id": "x"}),
            "client_id",
            "known are name",
        ),
        (json!({"metadata": [1]}), "metadata", "must be an object"),
    ] {
        let refused = server.call("tok_admin", &route, Some(&change)).await;
        let told = refused.expect(422);
        let why = told["validation_errors"][field][0].as_str();
        assert!(why.is_some_and(|why| why.contains(words)), "{told}");
    }
    assert_eq!(patch(json!({})).await, before);
    let nowhere = format!("PATCH {APPS}/nope");
    let unknown = server.call("tok_admin", &nowhere, Some(&json!({}))).await;
    assert_eq!(
        unknown.expect(404),
        json!({"summary": "connector not found"})
    );
}

#[tokio::test]
async fn an_app_that_lacks_its_tenants_host_can_be_completed_step_by_step() {
    let server = Server::start().await;
    let shop =
        json!({"provider": "shopify", "client_id": "c", "client_secret": "s", "name": "Shop"});
    let made = create(&server, &shop).await;
    assert_eq!(made["health"]["status"], "warn");
    let route = format!("PATCH {APPS}/{}", made["id"].as_str().unwrap());
    let patch = async |body: Value| {
        let answer = server.call("tok_admin", &route, Some(&body)).await;
        answer.expect(200)["health"]["status"].clone()
    };
    assert_eq!(patch(json!({"client_secret": "new"})).await, "warn");
    assert_eq!(patch(json!({"variables": {"shop": "acme"}})).await, "ok");
}

#[tokio::test]
async fn a_secret_is_shown_where_the_deployment_says_so_to_admins_who_ask_one_event_each() {
    const SECRET: &str = "e8c22f21-3455-4ad5-ae1e-76bee847dec9";
    for (reveals, key, query, shown) in [
        (false, "tok_admin", "?truncate_secrets=false", false),
        (true, "tok_member", "?truncate_secrets=false", false),
        (true, "tok_admin", "?truncate_secrets=true", false),
        (true, "tok_admin", "", false),
        (true, "tok_admin", "?truncate_secrets=false", true),
    ] {
        let server = Server::start_with(|settings| settings.reveal_secrets = reveals).await;
        let made = create(&server, &seed()).await;
        let id = made["id"].as_str().unwrap();
        let (one, list) = (
            format!("GET {APPS}/{id}{query}"),
            format!("GET {APPS}{query}"),
        );
        let one = server.call(key, &one, None).await.expect(200);
        let list = server.call(key, &list, None).await.expect(200);
        let in_list = list["data"].as_array().unwrap().iter();
        let in_list = in_list.clone().find(|row| row["id"] == id).unwrap().clone();
        for app in [one, in_list] {
            let wanted = if shown { SECRET } else { "**********" };
            assert_eq!(app["client_secret"], wanted, "{reveals} {key} {query}");
        }
        let events = "GET /api/v1/events?kind=connector.revealed";
        let events = server.call("tok_admin", events, None).await.expect(200);
        let of_it = events["data"].as_array().unwrap().iter();
        let count = of_it.filter(|event| event["connector"] == id).count();
        assert_eq!(count, if shown { 2 } else { 0 }, "{events}");
    }
}
