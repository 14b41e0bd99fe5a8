//! Connectors of which only the service is named at first (reference/vercel-connect A2), and the page that registers
//! them.

mod github;
mod links;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::http::{self, Failure, Http};
use grantry_vault::hash::sha256;
use serde_json::{Value, json};

use super::server::{Answer, Server, request};

const MANAGED: &str = "POST /v1/connect/connectors/managed";
const PEM: &str = include_str!("../../../vault/testdata/keys/rsa-pkcs1.pem");

/// GitHub, which makes apps of manifests and tells of each once; and a server that registers clients by itself.
#[derive(Default)]
struct Services {
    converted: AtomicU32,
    down: AtomicBool,
    registers: AtomicBool,
    registry_down: AtomicBool,
}

#[async_trait]
impl Http for Services {
    async fn send(&self, request: http::Request) -> Result<http::Response, Failure> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Failure::Unknown(http::Silence::Timeout));
        }
        let url = &request.url;
        if url.host_str() == Some("inside.example") {
            return Err(Failure::Refused);
        }
        let app = json!({
            "id": 7, "slug": "acme-app", "name": "Acme App", "client_id": "Iv1.acme", "client_secret": "cs-hub",
            "pem": PEM, "webhook_secret": "wh-hub", "owner": {"login": "acme", "id": 9, "type": "Organization"},
            "html_url": "https://github.com/apps/acme-app",
        });
        let issuer = "https://tools.example";
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/a"), "token_endpoint": format!("{issuer}/t"),
            "registration_endpoint": format!("{issuer}/r"), "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"],
        });
        let (status, body) = match (url.host_str(), url.path()) {
            (Some("api.github.com"), "/app-manifests/good/conversions") => {
                match self.converted.fetch_add(1, Ordering::Relaxed) {
                    0 => (201, app),
                    _ => (404, json!({"message": "Not Found"})),
                }
            }
            (Some("ghe.example"), "/api/v3/app-manifests/good/conversions") => (201, app),
            (Some("tools.example"), "/.well-known/oauth-authorization-server") => (200, metadata),
            (Some("tools.example"), "/r") if self.registry_down.load(Ordering::Relaxed) => {
                (503, json!({}))
            }
            (Some("tools.example"), "/r") if self.registers.load(Ordering::Relaxed) => (
                201,
                json!({"client_id": "dyn-1", "token_endpoint_auth_method": "none"}),
            ),
            (Some("tools.example"), "/r") => (403, json!({"error": "access_denied"})),
            _ => (404, json!({})),
        };
        Ok(http::Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into(),
            url: request.url,
        })
    }
}

struct World {
    server: Server,
    services: Arc<Services>,
}

async fn world() -> World {
    let services = Arc::<Services>::default();
    services.registers.store(true, Ordering::Relaxed);
    let server = Server::before(services.clone(), |_| ()).await;
    World { server, services }
}

fn code_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(&[verifier.as_bytes()]))
}

fn slack(verifier: &str) -> Value {
    json!({"service": "slack", "name": "helper", "projectId": "prj_1", "triggers": {"enabled": true},
        "events": ["app_mention"], "request_code": code_of(verifier)})
}

const FILLED: &str = "action=register&data.appId=A1&data.appName=Helper&data.clientId=1.2&data.clientSecret=cs-typed\
    &data.signingSecret=ss-typed&data.botScopes=chat%3Awrite";

impl World {
    async fn ask(&self, body: &Value) -> Answer {
        self.server.call("tok_admin", MANAGED, Some(body)).await
    }

    /// The path of the page at which `body` is registered.
    async fn page_for(&self, body: &Value) -> String {
        let refused = self.ask(body).await.expect(422);
        assert_eq!(refused["error"]["code"], "registration_required");
        let url = refused["error"]["registerUrl"].as_str().unwrap();
        url.strip_prefix("https://connect.example")
            .unwrap()
            .to_owned()
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut asked = Request::get(path).header("host", "connect.example");
        if let Some(cookie) = cookie {
            asked = asked.header("cookie", cookie);
        }
        self.server.send(asked.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let asked = Request::post(path)
            .header("host", "connect.example")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.server
            .send(asked.body(Body::from(form.to_owned())).unwrap())
            .await
    }

    async fn result(&self, verifier: &str) -> Value {
        let route = format!("GET /v1/connect/result/{verifier}");
        self.server
            .send(request(None, &route, None))
            .await
            .expect(200)
    }

    /// The one event of `kind` that says it came by a link.
    async fn by_link(&self, kind: &str) -> Value {
        let route = "GET /api/v1/events?limit=100";
        let events = self.server.call("tok_admin", route, None).await.expect(200);
        let all = events["data"].as_array().unwrap().iter();
        let mut found = all.filter(|event| event["kind"] == kind && event["data"]["via"] == "link");
        let event = found.next().unwrap().clone();
        assert_eq!(found.count(), 0);
        event
    }

    async fn connectors(&self) -> usize {
        let all = self
            .server
            .call("tok_admin", "GET /v1/connect/connectors?limit=100", None)
            .await;
        all.expect(200)["clients"].as_array().unwrap().len()
    }
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text);
    answer.headers["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_person_registers_what_somebody_asked_for_and_the_poll_sees_it() {
    let world = world().await;
    let before = world.connectors().await;
    let path = world.page_for(&slack("v-1")).await;
    assert_eq!(world.result("v-1").await, json!({"status": "pending"}));
    let page = world.get(&path, None).await;
    assert_eq!(page.status, 200);
    for shown in [
        "helper",
        "data.signingSecret",
        "app_mentions:read",
        "https://api.slack.com/apps?new_app=1&#38;manifest_json=",
    ] {
        assert!(page.text.contains(shown), "{shown}");
    }
    assert!(!page.text.contains("<script"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );

    let done = world.post(&path, FILLED).await;
    assert_eq!(location(&done), format!("https://connect.example{path}"));
    let result = world.result("v-1").await;
    assert_eq!(result["status"], "success");
    let id = result["data"]["clientId"].as_str().unwrap();
    let route = format!("GET /v1/connect/connectors/{id}");
    let made = world
        .server
        .call("tok_admin", &route, None)
        .await
        .expect(200);
    assert_eq!(
        (&made["type"], &made["name"], &made["service"]),
        (&json!("slack"), &json!("helper"), &json!("slack"))
    );
    assert_eq!(
        made["createdBy"],
        json!({"type": "user", "id": "usr_alice"})
    );
    assert_eq!(made["data"]["botScopes"], json!(["chat:write"]));
    assert_eq!(made["events"], json!(["app_mention"]));
    let link = world
        .server
        .call("tok_admin", &format!("{route}/projects/prj_1"), None)
        .await;
    link.expect(200);
    assert_eq!(world.connectors().await, before + 1);
    let told = world.get(&path, None).await;
    assert!(told.text.contains("is set up"), "{}", told.text);

    // A second use makes nothing; the same question is answered with what came of it.
    let again = world.post(&path, FILLED).await;
    location(&again);
    assert_eq!(world.connectors().await, before + 1);
    assert_eq!(world.ask(&slack("v-1")).await.expect(201)["id"], id);
}

#[tokio::test]
async fn the_same_request_code_stands_for_one_request() {
    let world = world().await;
    let path = world.page_for(&slack("v-1")).await;
    assert_eq!(world.page_for(&slack("v-1")).await, path);
    let mut other = slack("v-1");
    other["name"] = json!("another");
    for (key, body) in [("tok_admin", &other), ("tok_account", &slack("v-1"))] {
        let route = format!("{MANAGED}?teamId=team_1");
        let refused = world.server.call(key, &route, Some(body)).await.expect(409);
        assert!(
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains("request_code"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anybody_is_sent_anywhere() {
    let world = world().await;
    let with = |field: &str, value: Value| {
        let mut body = slack("v-1");
        body[field] = value;
        body
    };
    for (body, named) in [
        (with("service", json!("pigeon-post")), "service"),
        (with("service", json!("")), "service"),
        (with("name", json!("a\u{7}b")), "name"),
        (
            with("connectionMethod", json!("carrier")),
            "connectionMethod",
        ),
        (with("target", json!("api")), "target"),
        (with("accentColor", json!("red")), "accentColor"),
        (with("icon", json!("0".repeat(40))), "icon"),
        (with("request_code", json!("short")), "request_code"),
        (
            with("triggerDestination", json!({"projectId": "prj_9"})),
            "triggerDestination",
        ),
        (with("environments", json!(["nowhere"])), "environments"),
        (json!({"service": "slack"}), "name"),
    ] {
        let refused = world.ask(&body).await.expect(400);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{named}: {message}");
    }
    let unknown = world
        .server
        .send(request(None, "GET /v1/connect/result/v-1", None))
        .await;
    unknown.expect(404);
    let member = world
        .server
        .call("tok_member", MANAGED, Some(&slack("v-1")))
        .await;
    member.expect(403);
}

#[tokio::test]
async fn what_was_typed_wrong_is_named_and_kept_but_no_secret() {
    let world = world().await;
    let before = world.connectors().await;
    let path = world.page_for(&slack("v-1")).await;
    let wrong = "action=register&data.appId=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&data.appName=Kept+name\
        &data.clientId=&data.clientSecret=cs-typed&data.signingSecret=a%0Ab";
    let page = world.post(&path, wrong).await;
    assert_eq!(page.status, 422);
    assert!(
        page.text.contains("Kept name") && page.text.contains("Client ID is required"),
        "{}",
        page.text
    );
    assert!(
        page.text
            .contains("Signing secret must not contain control characters")
    );
    assert!(
        !page.text.contains("cs-typed") && !page.text.contains("<script"),
        "{}",
        page.text
    );
    assert_eq!(world.connectors().await, before);
    location(&world.post(&path, FILLED).await);
    assert_eq!(world.connectors().await, before + 1);
}

#[tokio::test]
async fn another_site_does_not_press_the_button() {
    let world = world().await;
    let path = world.page_for(&slack("v-1")).await;
    let asked = Request::post(&path)
        .header("host", "connect.example")
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded");
    let refused = world
        .server
        .send(asked.body(Body::from(FILLED)).unwrap())
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(world.result("v-1").await["status"], "pending");
    for form in ["", "action=", "action=own", "data.clientId=x"] {
        assert_eq!(world.post(&path, form).await.status, 400, "{form}");
    }
}

#[tokio::test]
async fn a_server_that_registers_clients_by_itself_needs_nobody() {
    let world = world().await;
    let tools = |verifier: &str| json!({"service": "https://tools.example", "name": "tools", "request_code": code_of(verifier)});
    let made = world.ask(&tools("v-1")).await.expect(201);
    assert_eq!(
        (&made["type"], &made["service"]),
        (&json!("oauth"), &json!("tools.example"))
    );
    assert_eq!(world.ask(&tools("v-1")).await.expect(201)["id"], made["id"]);
    assert_eq!(world.result("v-1").await["data"]["clientId"], made["id"]);

    // One that does not register this one leaves it to a person, who may have it tried again.
    world.services.registers.store(false, Ordering::Relaxed);
    let mut other = tools("v-2");
    other["name"] = json!("more tools");
    let path = world.page_for(&other).await;
    let refused = world.post(&path, "action=register").await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("Client ID is required"),
        "{}",
        refused.text
    );
    let typed = world
        .post(&path, "action=register&data.clientId=typed")
        .await;
    location(&typed);
    assert_eq!(world.result("v-2").await["status"], "success");
}

#[tokio::test]
async fn what_was_made_is_installed_where_that_was_asked_for() {
    let world = world().await;
    let mut asked = slack("v-1");
    asked["name"] = json!("bot");
    let route = format!("{MANAGED}?autoinstall=true");
    let refused = world
        .server
        .call("tok_admin", &route, Some(&asked))
        .await
        .expect(422);
    let url = refused["error"]["registerUrl"].as_str().unwrap();
    let path = url.strip_prefix("https://connect.example").unwrap();
    location(&world.post(path, FILLED).await);
    let partial = world.result("v-1").await;
    assert_eq!(
        (&partial["status"], &partial["progress"]),
        (&json!("partial"), &json!("Waiting for the installation"))
    );
    assert!(partial["data"]["clientId"].is_string());
    let page = world.get(path, None).await;
    assert!(page.text.contains("Install in"), "{}", page.text);
    let install = world.post(path, "action=install").await;
    let first = location(&install).to_owned();
    assert!(
        first.starts_with("https://connect.example/install/sci_"),
        "{first}"
    );
    assert_eq!(location(&world.post(path, "action=install").await), first);
    assert_eq!(world.result("v-1").await["status"], "partial");
    location(&world.post(path, "action=finish").await);
    assert_eq!(world.result("v-1").await["status"], "success");
}

#[tokio::test]
async fn a_program_completes_what_was_asked_for_in_its_own_team_only() {
    let world = world().await;
    let asked = json!({"service": "notion", "name": "notes"});
    let setup = world
        .server
        .call("tok_admin", "POST /api/v1/setups", Some(&asked))
        .await
        .expect(201);
    let id = setup["id"].as_str().unwrap();
    let data = json!({"data": {"clientId": "cid", "clientSecret": "cs"}});
    let complete = format!("POST /api/v1/setups/{id}/complete");
    world
        .server
        .call("tok_stranger", &complete, Some(&data))
        .await
        .expect(404);
    let wrong = json!({"data": {"clientSecret": "cs"}});
    let refused = world
        .server
        .call("tok_admin", &complete, Some(&wrong))
        .await
        .expect(400);
    assert_eq!(refused["errors"][0]["field"], "data.clientId", "{refused}");
    let done = world
        .server
        .call("tok_admin", &complete, Some(&data))
        .await
        .expect(200);
    assert_eq!(done["status"], "done");
    assert!(done["connector"].is_string());
    world
        .server
        .call("tok_admin", &complete, Some(&data))
        .await
        .expect(409);
    let cancel = format!("DELETE /api/v1/setups/{id}");
    world
        .server
        .call("tok_admin", &cancel, None)
        .await
        .expect(409);
}

#[tokio::test]
async fn a_team_has_so_many_open_ones_and_no_more() {
    let world = world().await;
    for number in 0..100 {
        let asked = json!({"service": "slack", "name": format!("n{number}")});
        world.ask(&asked).await.expect(422);
    }
    let refused = world
        .ask(&json!({"service": "slack", "name": "one more"}))
        .await
        .expect(409);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("100"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_registration_that_failed_for_now_is_tried_again_with_the_same_code() {
    let world = world().await;
    let tools = json!({"service": "https://tools.example", "name": "tools", "request_code": code_of("v-1")});
    world.services.registry_down.store(true, Ordering::Relaxed);
    let failed = world.ask(&tools).await;
    assert!(failed.status.is_server_error(), "{}", failed.text);
    assert_eq!(world.result("v-1").await["status"], "pending");
    world.services.registry_down.store(false, Ordering::Relaxed);
    world.server.clock.advance(Duration::from_secs(60));
    let made = world.ask(&tools).await.expect(201);
    assert_eq!(world.result("v-1").await["data"]["clientId"], made["id"]);
}
