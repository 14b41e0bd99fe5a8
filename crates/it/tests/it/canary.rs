//! Every secret of a whole life is marked, and then looked for wherever it must not be: the
//! database's files, the log at its most talkative, and every answer but the one that hands out a
//! token (requirements 78 to 81).

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use grantry_api::kit::edge::Visit;
use grantry_sandbox::{Endpoint, Order};

use crate::world::browser::{Browser, Page, send};
use crate::world::database;
use crate::world::log::Log;
use crate::world::{CONNECTOR, Setup, World};

const CLIENT_SECRET: &str = "canary/client+secret=1b7f";
const KEY: &str = "canary_key_of_the_operator_4c1d";
const VALUE: &str = "canary?pasted&value%9e22";
const IMPORTED: [&str; 2] = [
    "canary~imported~access~77aa",
    "canary~imported~refresh~77ab",
];

/// The ways in which a secret could be written down.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap();
    // A Basic credential, as it would be if the authorization header were logged.
    let basic = STANDARD.encode(format!("demo:{secret}"));
    vec![
        secret.to_owned(),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex.to_uppercase(),
        hex,
        url,
        json.trim_matches('"').to_owned(),
        basic,
    ]
}

fn assert_absent(what: &str, bytes: &[u8], secrets: &BTreeMap<String, String>) {
    for (name, secret) in secrets {
        for spelling in spellings(secret) {
            let needle = spelling.as_bytes();
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{name} is in {what}");
        }
    }
}

async fn call(world: &World, method: &str, path: &str, key: &str, body: &str) -> Page {
    // Every request has a line in the log, as `log.requests = "all"` has it.
    let visit = Visit {
        client: "192.0.2.1".parse().ok(),
        request_id: None,
        traced: false,
        logged: true,
    };
    let request = Request::builder()
        .extension(visit)
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(&world.router(), request).await
}

#[tokio::test]
async fn no_secret_is_found_in_the_files_the_log_or_an_answer() {
    let log = Log::default();
    let _logging = log.listen();

    let world = World::with(Setup {
        client_secret: CLIENT_SECRET,
        ..Setup::default()
    })
    .await;
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    let mut answers = Vec::new();
    secrets.insert("the client secret".to_owned(), CLIENT_SECRET.to_owned());
    secrets.insert("the key".to_owned(), KEY.to_owned());
    secrets.insert("the API key value".to_owned(), VALUE.to_owned());
    secrets.insert(
        "the imported access token".to_owned(),
        IMPORTED[0].to_owned(),
    );
    secrets.insert(
        "the imported refresh token".to_owned(),
        IMPORTED[1].to_owned(),
    );
    let report = world
        .apply(&format!(
            r#"
            [[keys]]
            team = "team_1"
            role = "admin"
            token = "{KEY}"
            [[keys]]
            team = "team_1"
            role = "admin"
            name = "generated"
            [[connectors]]
            id = "scl_keys"
            team = "team_1"
            name = "Keys"
            type = "api-key"
            data = {{ values = [{{ value = "{VALUE}" }}] }}
            [[connections]]
            connector = "scl_1"
            team = "team_1"
            subject = {{ type = "user", id = "imported" }}
            access_token = "{}"
            refresh_token = "{}"
            expires_in = 60
            "#,
            IMPORTED[0], IMPORTED[1]
        ))
        .await;
    let generated = report.rows[1].key.as_ref().unwrap();
    secrets.insert(
        "the generated key".to_owned(),
        generated.expose().to_owned(),
    );

    // A consent in a browser, with its state, cookie, code and tokens.
    let requested = world.ask("u1").await;
    secrets.insert(
        "the verifier of the result".to_owned(),
        requested.verifier.expose().to_owned(),
    );
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    let url = url::Url::parse(&arrival).unwrap();
    for (name, value) in url.query_pairs() {
        if matches!(&*name, "code" | "state") {
            secrets.insert(format!("the {name}"), value.into_owned());
        }
    }
    answers.push(browser.get(&arrival).await);
    answers.push(browser.get(&requested.url).await);

    // Reads, a refresh, failures whose answers repeat the request, a key nobody has.
    let first = world.token_text("u1").await.unwrap();
    secrets.insert("the first access token".to_owned(), first);
    let refresh = world.stored_refresh_token("u1").await;
    secrets.insert(
        "the first refresh token".to_owned(),
        refresh.expose().to_owned(),
    );
    world.expire().await;
    world.strike("reflect", Some(1));
    assert!(world.token_text("u1").await.is_err());
    let caller = world.server().await;
    let imported = crate::world::token_of("imported");
    assert!(
        world
            .run(world.engine.token(&caller, CONNECTOR, imported))
            .await
            .is_err()
    );
    world.pass(std::time::Duration::from_secs(600)).await;
    let second = world.token_text("u1").await.unwrap();
    secrets.insert("the second access token".to_owned(), second);
    let refresh = world.stored_refresh_token("u1").await;
    secrets.insert(
        "the second refresh token".to_owned(),
        refresh.expose().to_owned(),
    );
    let value = world
        .engine
        .token(&caller, "scl_keys", Default::default())
        .await;
    assert_eq!(value.ok().unwrap().token.expose(), VALUE);
    let reflected = Order {
        fault: "reflect".to_owned(),
        endpoint: Some(Endpoint::Revoke),
        ..Order::default()
    };
    world.sandbox.order(reflected).unwrap();

    for (method, path, key) in [
        ("GET", "/v1/connect/connectors", KEY),
        ("GET", "/v1/connect/connectors/scl_1", KEY),
        ("GET", "/api/v1/connectors", KEY),
        ("GET", "/api/v1/connectors/scl_1", KEY),
        ("GET", "/api/v1/connections", KEY),
        ("GET", "/api/v1/keys", KEY),
        ("GET", "/api/v1/events", KEY),
        ("GET", "/api/v1/connectors", "canary_wrong_key"),
    ] {
        let page = call(&world, method, path, key, "").await;
        assert!(!page.status.is_server_error(), "{path}: {}", page.body);
        answers.push(page);
    }
    world
        .run(world.engine.delete_connector(&caller, CONNECTOR))
        .await
        .unwrap();
    world.pass(std::time::Duration::from_secs(60)).await;
    world.run(world.engine.drain()).await;

    let logged = log.text();
    let text = String::from_utf8_lossy(&logged);
    let line = text
        .lines()
        .find(|line| {
            line.contains("a request was answered") && line.contains("/v1/connect/connectors")
        })
        .unwrap_or_else(|| panic!("no line of a request: {text}"));
    for words in [
        "method=\"GET\"",
        "status=200",
        "client=192.0.2.1",
        "team=\"team_1\"",
        "actor=\"key:",
    ] {
        let plain = line
            .replace("\u{1b}[3m", "")
            .replace("\u{1b}[0m", "")
            .replace("\u{1b}[2m", "");
        assert!(plain.contains(words), "{words} is not in {plain}");
    }
    assert_absent("the log", &logged, &secrets);
    for page in &answers {
        assert_absent("an answer", page.body.as_bytes(), &secrets);
        for (name, value) in &page.headers {
            // The cookie is the browser's own secret; the others are not in it.
            assert_absent(name.as_str(), value.as_bytes(), &secrets);
        }
    }
    let mut files = 0;
    for entry in std::fs::read_dir(world.directory()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_absent(&path.display().to_string(), &bytes, &secrets);
        files += usize::from(!bytes.is_empty());
    }
    // PostgreSQL's files are not ours to read; what is handed to it is the same.
    let looked_through = files > 1 || database::is_postgres();
    assert!(
        looked_through,
        "the database and its log were looked through"
    );
}

#[test]
fn a_secret_is_recognised_however_it_is_spelled() {
    let secrets = BTreeMap::from([("it".to_owned(), CLIENT_SECRET.to_owned())]);
    for spelling in spellings(CLIENT_SECRET) {
        let text = format!("before {spelling} after");
        let found = std::panic::catch_unwind(|| assert_absent("text", text.as_bytes(), &secrets));
        assert!(found.is_err(), "{spelling}");
    }
    assert_absent("text", b"nothing here", &secrets);
}
