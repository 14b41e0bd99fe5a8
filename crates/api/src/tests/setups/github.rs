//! An app of a manifest, which GitHub makes.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{World, code_of, location, world};

/// The form that the page posts to GitHub: where, and its manifest; and the browser's cookie.
async fn github_form(world: &World, path: &str) -> (Url, Value, String) {
    let page = world.get(path, None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let between = |from: &str, to: &str| {
        let (_, rest) = page.text.split_once(from).unwrap();
        let (found, _) = rest.split_once(to).unwrap();
        found
            .replace("&#34;", "\"")
            .replace("&#38;", "&")
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
    };
    let action = between("<form method=\"post\" action=\"", "\"");
    let manifest = between("name=\"manifest\" value=\"", "\">");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (
        action.parse().unwrap(),
        serde_json::from_str(&manifest).unwrap(),
        cookie,
    )
}

fn state_of(action: &Url) -> String {
    let state = action.query_pairs().find(|(name, _)| name == "state");
    state.unwrap().1.into_owned()
}

fn back(path: &str, state: &str, code: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", code), ("state", state)])
        .finish();
    let path = path.split('?').next().unwrap();
    format!("{path}/github?{query}")
}

fn github() -> Value {
    json!({"service": "github", "name": "acme-app", "triggers": {"enabled": true}, "events": ["push", "issues"],
        "request_code": code_of("v-hub")})
}

#[tokio::test]
async fn github_makes_the_app_of_a_manifest_and_its_keys_come_by_themselves() {
    let world = world().await;
    let path = world.page_for(&github()).await;
    let (action, manifest, cookie) = github_form(&world, &path).await;
    assert_eq!(
        (action.host_str(), action.path()),
        (Some("github.com"), "/settings/apps/new")
    );
    assert_eq!(
        manifest["callback_urls"],
        json!(["https://connect.example/callback"])
    );
    assert_eq!(manifest["default_events"], json!(["push", "issues"]));
    let reads = json!({"metadata": "read", "contents": "read", "issues": "read"});
    assert_eq!(manifest["default_permissions"], reads);
    assert_eq!(
        manifest["redirect_url"],
        format!("https://connect.example{path}/github")
    );

    // Neither another browser, nor another state, nor a code that GitHub does not know.
    let state = state_of(&action);
    for (state, cookie) in [
        (state.as_str(), None),
        ("x.y", Some(cookie.as_str())),
        ("", Some(&cookie)),
    ] {
        let stopped = world.get(&back(&path, state, "good"), cookie).await;
        assert_eq!(
            location(&stopped),
            "https://connect.example/problem/not-waiting"
        );
    }
    let bad = world
        .get(&back(&path, &state, "../../user"), Some(&cookie))
        .await;
    assert!(
        location(&bad).ends_with("?notice=github"),
        "{}",
        location(&bad)
    );
    world.services.down.store(true, Ordering::Relaxed);
    let silent = world.get(&back(&path, &state, "good"), Some(&cookie)).await;
    assert!(location(&silent).ends_with("?notice=github"));
    world.services.down.store(false, Ordering::Relaxed);
    assert_eq!(world.result("v-hub").await["status"], "pending");

    let done = world.get(&back(&path, &state, "good"), Some(&cookie)).await;
    assert_eq!(location(&done), format!("https://connect.example{path}"));
    let result = world.result("v-hub").await;
    assert_eq!(result["status"], "success");
    let id = result["data"]["clientId"].as_str().unwrap();
    assert_eq!(
        manifest["hook_attributes"]["url"],
        format!("https://connect.example/trigger/{id}")
    );
    let route = format!("GET /v1/connect/connectors/{id}");
    let answer = world.server.call("tok_admin", &route, None).await;
    let made = answer.expect(200);
    assert_eq!(made["type"], "github");
    let data = json!({"appId": 7, "appSlug": "acme-app", "appName": "Acme App", "clientId": "Iv1.acme",
        "owner": {"type": "Organization", "id": 9, "slug": "acme"}});
    assert_eq!(made["data"], data);
    for secret in ["cs-hub", "wh-hub", "PRIVATE KEY"] {
        assert!(!answer.text.contains(secret), "{secret}");
    }
    let told = world.get(&path, None).await;
    assert!(
        told.text
            .contains("https://github.com/apps/acme-app/installations/new"),
        "{}",
        told.text
    );
    location(&world.get(&back(&path, &state, "good"), Some(&cookie)).await);
    assert_eq!(world.services.converted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_app_is_made_for_an_organization_on_a_github_of_one_s_own() {
    let world = world().await;
    let path = world.page_for(&github()).await;
    let chosen = format!("{path}?organization=acme&host=ghe.example&permissions=contents%3Awrite");
    let (action, manifest, cookie) = github_form(&world, &chosen).await;
    assert_eq!(action.host_str(), Some("ghe.example"));
    assert_eq!(action.path(), "/organizations/acme/settings/apps/new");
    assert_eq!(manifest["default_permissions"]["contents"], "write");
    location(
        &world
            .get(&back(&path, &state_of(&action), "good"), Some(&cookie))
            .await,
    );
    let id = world.result("v-hub").await["data"]["clientId"]
        .as_str()
        .unwrap()
        .to_owned();
    let made = world
        .server
        .call(
            "tok_admin",
            &format!("GET /v1/connect/connectors/{id}"),
            None,
        )
        .await;
    let config = &made.expect(200)["data"]["serverConfig"];
    assert_eq!(config["api_base_url"], "https://ghe.example/api/v3");
    assert_eq!(
        config["token_endpoint"],
        "https://ghe.example/login/oauth/access_token"
    );
    let other = json!({"service": "github", "name": "b"});
    let path = world.page_for(&other).await;
    for (wrong, named) in [
        ("organization=a%2Fb", "organization"),
        ("host=ghe.example%2Fx", "host"),
        ("host=javascript%3Aalert(1)", "host"),
        ("permissions=root", "root"),
        ("permissions=contents%3Aall", "permissions"),
    ] {
        let page = world.get(&format!("{path}?{wrong}"), None).await;
        let known = wrong.starts_with("permissions=root");
        assert_eq!(
            page.status.as_u16(),
            if known { 200 } else { 422 },
            "{wrong}: {}",
            page.text
        );
        assert!(page.text.contains(named), "{wrong}");
    }
}
