//! Tokens that are taken in (reference/vercel-connect D2).

use serde_json::{Value, json};

use super::server::Server;

const IMPORT: &str = "POST /v1/connect/token/oauth%2Facme/import";
/// An hour after the tests' clock.
const SOON: i64 = 1_767_225_600_000 + 3_600_000;

fn token(user: &str) -> Value {
    json!({
        "accessToken": format!("at-of-{user}"), "expiresAt": SOON, "environment": "production",
        "subject": {"type": "user", "id": user},
    })
}

fn with(mut token: Value, field: &str, value: Value) -> Value {
    token[field] = value;
    token
}

async fn served(server: &Server, user: &str, installation: Option<&str>) -> Value {
    let ask = json!({"subject": {"type": "user", "id": user}, "installationId": installation});
    let route = "POST /v1/connect/token/oauth%2Facme";
    let answer = server.call("tok_workload", route, Some(&ask)).await;
    answer.expect(200)
}

#[tokio::test]
async fn tokens_are_taken_in_once_and_told_without_their_secrets() {
    let server = Server::start().await;
    let full = json!({
        "accessToken": "at-full", "refreshToken": "rt-full", "refreshTokenExpiresAt": SOON,
        "expiresAt": SOON, "environment": "production",
        "subject": {"type": "user", "id": "new-1", "issuer": "https://idp.example"},
        "installationId": "T1", "scopes": ["b", "a"], "audience": ["api"], "resources": ["https://r.example"],
        "authorizationDetails": [{"type": "x"}], "name": "Ada", "externalSubject": "U-1",
        "installation": {"id": "T1", "name": "Acme workspace"}, "tenant": {"id": "E1", "name": "Acme"},
        "data": {"botUserId": "U9"},
    });
    let body = json!({"tokens": [full.clone(), token("new-2")]});
    let told = server
        .call("tok_admin", IMPORT, Some(&body))
        .await
        .expect(200);
    let without_secrets = |token: &Value| {
        let mut token = token.clone();
        let map = token.as_object_mut().unwrap();
        map.retain(|name, _| name != "accessToken" && name != "refreshToken");
        map.insert("succeeded".to_owned(), true.into());
        token
    };
    assert_eq!(
        told,
        json!({
            "accepted": 2, "imported": 2,
            "tokens": [without_secrets(&full), without_secrets(&token("new-2"))],
        })
    );
    assert_eq!(served(&server, "new-2", None).await["token"], "at-of-new-2");

    // The same again is as good; another token for a grant that stands is not taken.
    let again = server
        .call("tok_admin", IMPORT, Some(&body))
        .await
        .expect(200);
    assert_eq!(
        (&again["imported"], &again["tokens"]),
        (&json!(0), &told["tokens"])
    );
    let other = with(token("new-2"), "accessToken", json!("at-other"));
    let body = json!({"tokens": [other, token("new-3")]});
    let mixed = server
        .call("tok_admin", IMPORT, Some(&body))
        .await
        .expect(200);
    assert_eq!(
        (&mixed["accepted"], &mixed["imported"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(mixed["tokens"][0]["succeeded"], false);
    assert_eq!(mixed["tokens"][1]["succeeded"], true);
    assert_eq!(served(&server, "new-2", None).await["token"], "at-of-new-2");

    // The installation is known by now, with its tenant.
    let route = "GET /api/v1/connectors/scl_1/installations";
    let known = server.call("tok_admin", route, None).await.expect(200);
    let of = |known: &Value| json!([known["external_id"], known["tenant"], known["name"]]);
    assert_eq!(of(&known["data"][0]), json!(["T1", "E1", "Acme workspace"]));
}

#[tokio::test]
async fn a_list_with_anything_wrong_in_it_stores_nothing_and_names_all_of_it() {
    let server = Server::start().await;
    let good = token("never");
    let missing = |field: &str| {
        let mut token = good.clone();
        token.as_object_mut().unwrap().remove(field);
        token
    };
    let long = "x".repeat(70_000);
    for (bad, field) in [
        (missing("accessToken"), "tokens[1].accessToken"),
        (missing("expiresAt"), "tokens[1].expiresAt"),
        (missing("subject"), "tokens[1].subject"),
        (missing("environment"), "tokens[1].environment"),
        (
            with(good.clone(), "accessToken", json!("")),
            "tokens[1].accessToken",
        ),
        (
            with(good.clone(), "accessToken", json!(long)),
            "tokens[1].accessToken",
        ),
        (
            with(good.clone(), "expiresAt", json!("soon")),
            "tokens[1].expiresAt",
        ),
        (
            with(good.clone(), "expiresAt", json!(-1)),
            "tokens[1].expiresAt",
        ),
        (
            with(good.clone(), "expiresAt", json!(1)),
            "tokens[1].expiresAt",
        ),
        (
            with(good.clone(), "environment", json!("nowhere")),
            "tokens[1].environment",
        ),
        (
            with(good.clone(), "environment", json!("")),
            "tokens[1].environment",
        ),
        (
            with(good.clone(), "subject", json!({"type": "user"})),
            "tokens[1].subject.id",
        ),
        (
            with(good.clone(), "subject", json!({"type": "pigeon"})),
            "tokens[1].subject.type",
        ),
        (
            with(good.clone(), "subject", json!({"type": "token"})),
            "tokens[1].subject.type",
        ),
        (
            with(good.clone(), "subject", json!({"type": "app"})),
            "tokens[1].subject",
        ),
        (
            with(good.clone(), "refreshToken", json!("")),
            "tokens[1].refreshToken",
        ),
        (
            with(good.clone(), "refreshTokenExpiresAt", json!(1.5)),
            "tokens[1].refreshTokenExpiresAt",
        ),
        (
            with(good.clone(), "installationId", json!("")),
            "tokens[1].installationId",
        ),
        (
            with(good.clone(), "scopes", json!("a b")),
            "tokens[1].scopes",
        ),
        (
            with(good.clone(), "scopes", json!(["a b"])),
            "tokens[1].scopes",
        ),
        (
            with(good.clone(), "audience", json!(["a", "b"])),
            "tokens[1].audience",
        ),
        (
            with(good.clone(), "resources", json!([1])),
            "tokens[1].resources[0]",
        ),
        (
            with(good.clone(), "authorizationDetails", json!(["x"])),
            "tokens[1].authorizationDetails[0]",
        ),
        (with(good.clone(), "name", json!("a\nb")), "tokens[1].name"),
        (
            with(good.clone(), "externalSubject", json!(7)),
            "tokens[1].externalSubject",
        ),
        (
            with(good.clone(), "installation", json!({})),
            "tokens[1].installation.id",
        ),
        (
            with(good.clone(), "installation", json!({"id": "*"})),
            "tokens[1].installationId",
        ),
        (
            with(good.clone(), "installation", json!({"id": " T1"})),
            "tokens[1].installation.id",
        ),
        (
            with(good.clone(), "tenant", json!({"id": "E"})),
            "tokens[1].tenant",
        ),
        (with(good.clone(), "data", json!([])), "tokens[1].data"),
        (with(good.clone(), "bogus", json!(1)), "tokens[1].bogus"),
        (
            with(
                with(good.clone(), "installationId", json!("T1")),
                "installation",
                json!({"id": "T2"}),
            ),
            "tokens[1].installation.id",
        ),
        (good.clone(), "tokens[1]"),
        (json!("text"), "tokens[1]"),
    ] {
        let body = json!({"tokens": [good, bad]});
        let refused = server
            .call("tok_admin", IMPORT, Some(&body))
            .await
            .expect(400);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{field}: {message}");
        assert!(
            !message.contains("at-of-never") && message.len() < 2000,
            "{message}"
        );
    }
    for (body, field) in [(json!({}), "tokens"), (json!({"tokens": {}}), "tokens")] {
        let refused = server
            .call("tok_admin", IMPORT, Some(&body))
            .await
            .expect(400);
        assert!(
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains(field)
        );
    }
    let ask = json!({"subject": {"type": "user", "id": "never"}});
    let route = "POST /v1/connect/token/oauth%2Facme";
    server
        .call("tok_workload", route, Some(&ask))
        .await
        .expect(422);
}

#[tokio::test]
async fn only_who_may_import_imports_and_only_into_their_team() {
    let server = Server::start().await;
    let body = json!({"tokens": [token("new")]});
    for (key, status) in [
        ("tok_member", 403),
        ("tok_workload", 403),
        ("tok_stranger", 404),
    ] {
        server.call(key, IMPORT, Some(&body)).await.expect(status);
    }
}
