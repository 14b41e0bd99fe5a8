//! Cohere's connectors (docs/cohere.md).

use serde_json::{Value, json};

use super::server::{Answer, Server};

const CONNECTORS: &str = "/cohere/v1/connectors";

async fn ask(server: &Server, route: &str, body: Option<Value>) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let route = format!("{method} {CONNECTORS}{path}");
    server.call("tok_admin", &route, body.as_ref()).await
}

async fn create(server: &Server, body: Value) -> Value {
    let made = ask(server, "POST ", Some(body)).await.expect(200);
    made["connector"].clone()
}

fn id(connector: &Value) -> &str {
    connector["id"].as_str().unwrap()
}

fn searched(name: &str) -> Value {
    json!({"name": name, "url": "https://wiki.example/search"})
}

#[tokio::test]
async fn a_connector_with_a_key_is_told_whole_but_for_its_key() {
    let server = Server::start().await;
    let answer = ask(
        &server,
        "POST ",
        Some(json!({
            "name": "Example Connector!",
            "url": "https://wiki.example/search",
            "description": "The wiki.\nAll of it.",
            "excludes": ["id"],
            "continue_on_failure": true,
            "service_auth": {"type": "bearer", "token": "sekret-1"},
            "oauth": null,
            "unknown": {"to": "us"},
        })),
    )
    .await;
    let made = answer.expect(200)["connector"].clone();
    assert!(
        !answer.text.contains("sekret") && !answer.text.contains("null"),
        "{}",
        answer.text
    );
    let (name, random) = id(&made).rsplit_once('-').unwrap();
    assert_eq!((name, random.len()), ("example-connector", 6));
    assert!(
        random
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    assert_eq!(
        made,
        json!({
            "id": made["id"],
            "organization_id": "team_1",
            "name": "Example Connector!",
            "description": "The wiki.\nAll of it.",
            "url": "https://wiki.example/search",
            "created_at": made["created_at"],
            "updated_at": made["created_at"],
            "excludes": ["id"],
            "auth_type": "service_auth",
            "active": true,
            "continue_on_failure": true,
        })
    );
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
    let path = format!("GET /{}", id(&made));
    assert_eq!(
        ask(&server, &path, None).await.expect(200)["connector"],
        made
    );
    // The version in the base URL, twice, and not at all.
    for path in ["/cohere/connectors", "/cohere/v1/v1/connectors"] {
        let path = format!("GET {path}/{}", id(&made));
        let got = server.call("tok_admin", &path, None).await;
        assert_eq!(got.expect(200)["connector"], made, "{path}");
    }
    // The same row elsewhere.
    let path = format!("GET /v1/connect/connectors/{}", id(&made));
    let other = server.call("tok_admin", &path, None).await.expect(200);
    assert_eq!(
        (
            &other["type"],
            &other["service"],
            &other["data"]["search"]["scheme"]
        ),
        (&json!("api-key"), &json!("wiki.example"), &json!("bearer"))
    );
}

#[tokio::test]
async fn an_oauth_client_is_filled_in_step_by_step() {
    let server = Server::start().await;
    let mut body = searched("OAuth");
    body["oauth"] = json!({
        "authorize_url": "https://p.example/auth?access_type=offline",
        "token_url": "https://p.example/token",
    });
    let made = create(&server, body).await;
    let oauth = json!({
        "authorize_url": "https://p.example/auth?access_type=offline",
        "token_url": "https://p.example/token",
    });
    assert_eq!(
        (&made["auth_type"], &made["oauth"]),
        (&json!("oauth"), &oauth)
    );
    assert_eq!(made.get("auth_status"), None);

    let at = format!("/{}", id(&made));
    let early = ask(&server, &format!("POST {at}/oauth/authorize"), None).await;
    assert_eq!(
        early.expect(400)["message"],
        "invalid request: oauth.client_id: is required"
    );
    let change =
        json!({"oauth": {"client_id": "cid", "client_secret": "hush-1", "scope": "read  write"}});
    let answer = ask(&server, &format!("PATCH {at}"), Some(change)).await;
    let changed = answer.expect(200)["connector"].clone();
    assert!(!answer.text.contains("hush"));
    assert_eq!(
        changed["oauth"],
        json!({
            "client_id": "cid",
            "authorize_url": "https://p.example/auth?access_type=offline",
            "token_url": "https://p.example/token",
            "scope": "read write",
        })
    );
    for method in ["POST", "GET"] {
        let route = format!("{method} {at}/oauth/authorize");
        let asked = ask(&server, &route, None).await.expect(200);
        let url = asked["redirect_url"].as_str().unwrap();
        assert!(
            url.starts_with("https://connect.example/authorize/sca_"),
            "{url}"
        );
    }
    let far = format!("POST {at}/oauth/authorize?after_token_redirect=https://evil.example/");
    let refused = ask(&server, &far, None).await.expect(400);
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("invalid request: after_token_redirect: https://evil.example is not"),
        "{message}"
    );
    let row = server
        .call("tok_admin", &format!("GET /api/v1/connectors{at}"), None)
        .await;
    assert_eq!(
        row.expect(200)["redirect_uri"],
        "https://connect.example/cohere/v1/connectors/oauth/token"
    );
}

/// Requirement: whoever may change a connector must not read what is write-only by pointing it elsewhere, be it
/// complete or not.
#[tokio::test]
async fn a_stored_secret_is_not_taken_to_another_server() {
    let server = Server::start().await;
    let p = |path: &str| format!("https://p.example/{path}");
    for (first, change, allowed) in [
        (
            json!({"client_secret": "s", "authorize_url": p("a"), "token_url": p("t")}),
            json!({"token_url": "https://evil.example/t"}),
            false,
        ),
        (
            json!({"client_secret": "s", "authorize_url": p("a")}),
            json!({"token_url": "https://evil.example/t"}),
            false,
        ),
        (
            json!({"client_secret": "s", "authorize_url": p("a")}),
            json!({"token_url": p("t")}),
            true,
        ),
        // Whose it is said anew.
        (
            json!({"client_secret": "s", "authorize_url": p("a"), "token_url": p("t")}),
            json!({"client_secret": "s2", "token_url": "https://other.example/t"}),
            true,
        ),
        // Nothing said yet whose it is, and no secret at all.
        (
            json!({"client_secret": "s"}),
            json!({"token_url": p("t")}),
            true,
        ),
        (
            json!({"authorize_url": p("a"), "token_url": p("t")}),
            json!({"token_url": "https://other.example/t"}),
            true,
        ),
    ] {
        let mut body = searched("OAuth");
        body["oauth"] = first.clone();
        let made = create(&server, body).await;
        let patch = format!("PATCH /{}", id(&made));
        let changed = ask(&server, &patch, Some(json!({"oauth": change}))).await;
        if allowed {
            changed.expect(200);
        } else {
            let told = changed.expect(400)["message"].as_str().unwrap().to_owned();
            let wanted = "invalid request: oauth.client_secret: is needed again";
            assert!(told.starts_with(wanted), "{first} {told}");
        }
    }
}

#[tokio::test]
async fn a_change_leaves_the_rest_and_may_change_how_it_authenticates() {
    let server = Server::start().await;
    let made = create(&server, searched("Wiki")).await;
    assert_eq!(made.get("auth_type"), None);
    let at = format!("/{}", id(&made));
    let patch = async |change: Value| {
        let answer = ask(&server, &format!("PATCH {at}"), Some(change)).await;
        answer.expect(200)["connector"].clone()
    };
    assert_eq!(patch(json!({})).await, made, "nothing is no change");
    let quiet = patch(json!({"active": false, "description": "d", "auth_type": "oauth"})).await;
    let expected = (&json!(false), &json!("d"), &made["url"], &made["name"]);
    assert_eq!(
        (
            &quiet["active"],
            &quiet["description"],
            &quiet["url"],
            &quiet["name"]
        ),
        expected
    );

    let key = patch(json!({"service_auth": {"type": "basic", "token": "k"}})).await;
    assert_eq!(
        (&key["auth_type"], &key["active"]),
        (&json!("service_auth"), &json!(false))
    );
    let oauth = patch(json!({"oauth": {"client_id": "c"}, "name": "New"})).await;
    assert_eq!(
        (
            &oauth["auth_type"],
            &oauth["oauth"],
            &oauth["name"],
            &oauth["url"]
        ),
        (
            &json!("oauth"),
            &json!({"client_id": "c", "authorize_url": "", "token_url": ""}),
            &json!("New"),
            &made["url"]
        )
    );
    let back = patch(json!({"service_auth": {"type": "noscheme", "token": "k2"}})).await;
    assert_eq!(
        (&back["auth_type"], back.get("oauth")),
        (&json!("service_auth"), None)
    );
    let native = server
        .call("tok_admin", &format!("GET /api/v1/connectors{at}"), None)
        .await;
    let data = native.expect(200)["data"].clone();
    assert_eq!(data.get("clientId"), None, "{data}");
    assert_eq!(data["search"]["scheme"], "noscheme");
}

#[tokio::test]
async fn lists_are_cut_by_limit_and_offset_newest_first() {
    let server = Server::start().await;
    let list = async |query: &str| {
        let answer = ask(&server, &format!("GET {query}"), None)
            .await
            .expect(200);
        let rows = answer["connectors"].as_array().unwrap().clone();
        let names = rows
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned());
        (
            names.collect::<Vec<_>>(),
            answer["total_count"].as_u64().unwrap(),
        )
    };
    let (_, before) = list("").await;
    for name in ["first", "second", "third"] {
        server.clock.advance(std::time::Duration::from_millis(1));
        create(&server, searched(name)).await;
    }
    let total = before + 3;
    for (query, names) in [
        ("?limit=1.0&offset=1.0", vec!["second"]),
        ("?limit=2", vec!["third", "second"]),
        ("?limit=0", vec![]),
        ("?offset=1000", vec![]),
    ] {
        assert_eq!(
            list(query).await,
            (names.into_iter().map(str::to_owned).collect(), total),
            "{query}"
        );
    }
    for query in [
        "?limit=101",
        "?limit=-1",
        "?limit=1.5",
        "?offset=x",
        "?offset=-1",
    ] {
        let refused = ask(&server, &format!("GET {query}"), None)
            .await
            .expect(400);
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("must be a whole number"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_stored() {
    let server = Server::start().await;
    let before = ask(&server, "GET ", None).await.text;
    let with = |field: &str, value: Value| {
        let mut body = searched("Wiki");
        body[field] = value;
        body
    };
    let both = json!({"name": "n", "url": "https://w.example/search", "oauth": {},
        "service_auth": {"type": "bearer", "token": "t"}});
    for (body, words) in [
        (json!({}), "name: is required; url: is required"),
        (both, "service_auth: cannot be given together with oauth"),
        (
            with("url", json!("ftp://x/search")),
            "url: must be an absolute http(s) URL",
        ),
        (
            with("url", json!("https://w.example/search?q=1")),
            "url: must be an absolute",
        ),
        (
            with("service_auth", json!({"type": "digest", "token": "t"})),
            "service_auth.type: must be one of bearer, basic, noscheme",
        ),
        (
            with("service_auth", json!({"type": "basic"})),
            "service_auth.token: is required",
        ),
        (
            with("service_auth", json!({"type": "bearer", "token": ""})),
            "service_auth.token: must not be empty",
        ),
        (with("url", json!("")), "url: must not be empty"),
        (
            with("oauth", json!({"token_url": "nope"})),
            "oauth.token_url: must be an absolute",
        ),
        (
            with("oauth", json!({"client_id": 7})),
            "oauth.client_id: must be a string",
        ),
        (
            with("excludes", json!([1])),
            "excludes[0]: must be a string",
        ),
        (
            with("active", json!("yes")),
            "active: must be true or false",
        ),
        (with("name", json!("")), "name: is required"),
    ] {
        let refused = ask(&server, "POST ", Some(body)).await;
        let message = refused.expect(400)["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("invalid request: ") && message.contains(words),
            "{message}"
        );
    }
    assert_eq!(ask(&server, "GET ", None).await.text, before);

    // Nor by a change, be the connector complete or not.
    let mut body = searched("OAuth");
    body["oauth"] = json!({});
    let made = create(&server, body).await;
    let at = format!("/{}", id(&made));
    for (change, words) in [
        (json!({"url": ""}), "url: must not be empty"),
        (
            json!({"service_auth": {"type": "bearer", "token": ""}}),
            "service_auth.token: must not be empty",
        ),
    ] {
        let refused = ask(&server, &format!("PATCH {at}"), Some(change)).await;
        let message = format!("invalid request: {words}");
        assert_eq!(refused.expect(400)["message"], message);
    }
    // Where it has no URL, one comes first: a search without is none.
    let native = format!("PATCH /api/v1/connectors{at}");
    let none = json!({"data": {"search": null}});
    server
        .call("tok_admin", &native, Some(&none))
        .await
        .expect(200);
    let change = json!({"description": "d"});
    let refused = ask(&server, &format!("PATCH {at}"), Some(change)).await;
    assert_eq!(
        refused.expect(400)["message"],
        "invalid request: url: is required"
    );
}

#[tokio::test]
async fn the_known_errors_have_the_known_texts() {
    let server = Server::start().await;
    let nobody = server
        .call("nope", &format!("GET {CONNECTORS}"), None)
        .await;
    assert_eq!(nobody.expect(401), json!({"message": "invalid api token"}));
    let unknown = json!({"message": "connector 'web-search' not found."});
    for (method, tail, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"name": "n"}))),
        ("DELETE", "", None),
        ("POST", "/oauth/authorize", None),
    ] {
        let answer = ask(&server, &format!("{method} /web-search{tail}"), body).await;
        assert_eq!(answer.expect(404), unknown, "{method}");
    }
    let lost = server
        .call("tok_admin", "GET /cohere/v1/nothing", None)
        .await;
    assert_eq!(lost.expect(404), json!({"message": "404 page not found"}));

    let made = create(&server, searched("Wiki")).await;
    let plain = ask(
        &server,
        &format!("POST /{}/oauth/authorize", id(&made)),
        None,
    )
    .await;
    assert_eq!(
        plain.expect(400)["message"],
        format!("connector '{}' does not use oauth.", id(&made))
    );
    let at = format!("/{}", id(&made));
    let stranger = server
        .call("tok_stranger", &format!("GET {CONNECTORS}{at}"), None)
        .await;
    assert_eq!(stranger.status, 404);
    let member = server
        .call("tok_member", &format!("DELETE {CONNECTORS}{at}"), None)
        .await;
    assert_eq!(member.status, 403);
    assert_eq!(ask(&server, &format!("DELETE {at}"), None).await.text, "{}");
    assert_eq!(ask(&server, &format!("GET {at}"), None).await.status, 404);
    assert_eq!(
        ask(&server, &format!("DELETE {at}"), None).await.status,
        404
    );
}

#[tokio::test]
async fn a_key_is_told_whose_it_is() {
    let server = Server::start().await;
    for (key, organization, owner) in [
        ("tok_admin", "team_1", "usr_alice"),
        ("tok_token_only", "team_1", "usr_bob"),
        ("tok_workload", "team_1", "prj_1"),
    ] {
        let answer = server.call(key, "POST /cohere/check-api-key", None).await;
        assert_eq!(
            answer.expect(200),
            json!({"valid": true, "organization_id": organization, "owner_id": owner})
        );
    }
    let nobody = server
        .call("nope", "POST /cohere/v1/check-api-key", None)
        .await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn connectors_of_other_dialects_are_listed_without_what_they_lack() {
    let server = Server::start().await;
    let answer = ask(&server, "GET /scl_1", None).await.expect(200);
    let connector = &answer["connector"];
    assert_eq!(
        connector["oauth"],
        json!({
            "client_id": "cid",
            "authorize_url": "https://provider.example/authorize",
            "token_url": "https://provider.example/token",
        })
    );
    for lacking in ["url", "excludes", "active", "auth_status"] {
        assert_eq!(connector.get(lacking), None, "{lacking}");
    }
}
