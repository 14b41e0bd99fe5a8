//! An app of a manifest, which GitHub makes.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Answer, MANAGED, World, code_of, location, world};

/// The form that the page posts to GitHub: where, and its manifest; and the browser's cookie.
async fn github_form(world: &World, path: &str) -> (Url, Value, String) {
    form_on(&world.get(path, None).await)
}

fn form_on(page: &Answer) -> (Url, Value, String) {
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
    assert_eq!(manifest["setup_url"], "https://connect.example/callback");
    assert_eq!(manifest["setup_on_update"], true);
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
        location(&bad).ends_with("?notice=untold"),
        "{}",
        location(&bad)
    );
    world.services.down.store(true, Ordering::Relaxed);
    let silent = world.get(&back(&path, &state, "good"), Some(&cookie)).await;
    assert!(location(&silent).ends_with("?notice=untold"));
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
async fn an_app_is_installed_by_a_link_that_takes_in_what_comes_back() {
    let world = world().await;
    let route = format!("{MANAGED}?autoinstall=true");
    let asked = github();
    let refused = world.server.call("tok_admin", &route, Some(&asked));
    let refused = refused.await.expect(422);
    let url = refused["error"]["registerUrl"].as_str().unwrap();
    let path = url.strip_prefix("https://connect.example").unwrap();
    let (action, _, cookie) = github_form(&world, path).await;
    let made = back(path, &state_of(&action), "good");
    location(&world.get(&made, Some(&cookie)).await);
    assert_eq!(world.result("v-hub").await["status"], "partial");
    let install = world.post(path, "action=install").await;
    let link = location(&install);
    assert!(
        link.starts_with("https://connect.example/install/sci_"),
        "{link}"
    );
}

/// The page of a setup that is asked for with `body`, and the connector it will be.
async fn native(world: &World, body: &Value) -> (String, String) {
    let asked = world
        .server
        .call("tok_admin", "POST /api/v1/setups", Some(body));
    let setup = asked.await.expect(201);
    let listed = world.server.call("tok_admin", "GET /api/v1/setups", None);
    let listed = listed.await.expect(200);
    let connector = listed["data"][0]["connector"].as_str().unwrap();
    (
        format!("/register/{}", setup["id"].as_str().unwrap()),
        connector.to_owned(),
    )
}

#[tokio::test]
async fn an_app_is_made_for_an_organization_on_a_github_that_was_asked_for() {
    let world = world().await;
    let asked = json!({"service": "github", "name": "own", "host": "ghe.example"});
    let (path, id) = native(&world, &asked).await;
    let chosen = "action=choose&organization=acme&permissions=contents%3Awrite";
    let page = world.post(&path, chosen).await;
    let (action, manifest, cookie) = form_on(&page);
    assert_eq!(action.host_str(), Some("ghe.example"));
    assert_eq!(action.path(), "/organizations/acme/settings/apps/new");
    assert_eq!(manifest["default_permissions"]["contents"], "write");
    // All of it is said above the button that does it.
    let (above, _) = page.text.split_once("<button").unwrap();
    for said in [
        "ghe.example",
        "<bdi>acme</bdi>",
        "contents: write",
        "Continue only if you expected this",
    ] {
        assert!(above.contains(said), "{said}: {above}");
    }
    let good = back(&path, &state_of(&action), "good");
    location(&world.get(&good, Some(&cookie)).await);
    let done = world.get(&path, None).await;
    assert!(
        done.text.contains("to https://ghe.example"),
        "{}",
        done.text
    );
    let route = format!("GET /v1/connect/connectors/{id}");
    let made = world.server.call("tok_admin", &route, None).await;
    let config = &made.expect(200)["data"]["serverConfig"];
    assert_eq!(config["api_base_url"], "https://ghe.example/api/v3");
    assert_eq!(
        config["token_endpoint"],
        "https://ghe.example/login/oauth/access_token"
    );
    let event = world.by_link("connector.created").await["data"].clone();
    assert_eq!(
        (&event["host"], &event["app"], &event["owner"]),
        (&json!("ghe.example"), &json!(7), &json!("acme"))
    );
}

#[tokio::test]
async fn a_host_is_asked_for_reached_by_https_and_allowed() {
    let world = world().await;
    for (service, host, told) in [
        ("github", "http://ghe.example", "https"),
        ("github", "ghe.example/x", "must be a host name"),
        ("github", "javascript:alert(1)", "must be a host name"),
        ("github", "a@ghe.example", "must be a host name"),
        ("github", "inside.example", "egress.allow"),
        ("notion", "ghe.example", "GitHub Enterprise Server only"),
    ] {
        let asked = json!({"service": service, "name": "own", "host": host});
        let refused = world
            .server
            .call("tok_admin", "POST /api/v1/setups", Some(&asked));
        let refused = refused.await.expect(400);
        assert_eq!(refused["errors"][0]["field"], "host", "{refused}");
        assert!(refused.to_string().contains(told), "{host}: {refused}");
    }
    let listed = world.server.call("tok_admin", "GET /api/v1/setups", None);
    assert_eq!(listed.await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn who_sends_the_link_chooses_nothing_by_its_query() {
    let world = world().await;
    let path = world.page_for(&github()).await;
    let query = "organization=victim&host=evil.example&permissions=administration%3Awrite&data.appName=evil";
    let (action, manifest, _) = github_form(&world, &format!("{path}?{query}")).await;
    assert_eq!(
        (action.host_str(), action.path()),
        (Some("github.com"), "/settings/apps/new")
    );
    assert_eq!(
        manifest["default_permissions"]["administration"],
        Value::Null
    );
    let page = world.get(&format!("{path}?{query}"), None).await;
    for word in ["victim", "evil", "administration"] {
        assert!(!page.text.contains(word), "{word}");
    }
}

#[tokio::test]
async fn what_is_chosen_wrong_is_named() {
    let world = world().await;
    let path = world.page_for(&github()).await;
    for (wrong, told) in [
        (
            "organization=a%2Fb",
            "organization must be the organization&#39;s name",
        ),
        ("permissions=root", "&#34;root&#34; is no permission"),
        (
            "permissions=contents%3Aall",
            "&#34;contents:all&#34; is no permission",
        ),
    ] {
        let page = world.post(&path, &format!("action=choose&{wrong}")).await;
        assert_eq!(page.status, 422, "{wrong}: {}", page.text);
        assert!(page.text.contains(told), "{wrong}: {}", page.text);
    }
}

#[tokio::test]
async fn nothing_is_exchanged_for_a_connector_that_could_not_be_stored() {
    let world = world().await;
    let project = json!({"name": "short-lived"});
    let project = world
        .server
        .call("tok_admin", "POST /api/v1/projects", Some(&project));
    let project = project.await.expect(201)["id"].as_str().unwrap().to_owned();
    let mut asked = github();
    asked["projectId"] = json!(project);
    let path = world.page_for(&asked).await;
    let (action, _, cookie) = github_form(&world, &path).await;
    let route = format!("DELETE /api/v1/projects/{project}");
    let gone = world.server.call("tok_admin", &route, None).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    let good = back(&path, &state_of(&action), "good");
    let back = world.get(&good, Some(&cookie)).await;
    assert_eq!(location(&back), format!("https://connect.example{path}"));
    assert_eq!(world.services.converted.load(Ordering::Relaxed), 0);
    let page = world.get(&path, None).await;
    assert_eq!(page.status, 422);
    assert!(
        page.text.contains("project is not there any more"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("name=\"manifest\""), "{}", page.text);
}
