//! The page behind a link that the `vercel` CLI prints (reference/vercel-connect E4).

mod keys;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_vault::hash::sha256;
use serde_json::{Value, json};

use super::server::{Answer, Server, request};

/// As the CLI makes them: 37 bytes in base64url.
fn verifier(letter: char) -> String {
    format!("{}A", letter.to_string().repeat(49))
}

fn code(letter: char) -> String {
    URL_SAFE_NO_PAD.encode(sha256(&[verifier(letter).as_bytes()]))
}

/// The link that the CLI prints.
fn link(verb: &str, connector: &str, letter: char, more: &str) -> String {
    let code = code(letter);
    format!("/api/v1/connect/{verb}/{connector}?teamId=team_1&request_code={code}{more}")
}

async fn look(server: &Server, path: &str) -> Answer {
    let route = format!("GET {path}");
    server.send(request(None, &route, None)).await
}

fn form(path: &str, body: String) -> Request<Body> {
    let request = Request::post(path).header("sec-fetch-site", "same-origin");
    request.body(Body::from(body)).unwrap()
}

async fn enter(server: &Server, path: &str, key: &str) -> Answer {
    let answer = server.send(form(path, format!("key={key}"))).await;
    assert!(
        key.is_empty() || !answer.text.contains(key),
        "{}",
        answer.text
    );
    for name in answer.headers.keys() {
        assert!(
            key.is_empty() || !answer.headers[name].to_str().unwrap().contains(key),
            "{name}"
        );
    }
    answer
}

#[track_caller]
fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    answer.headers["location"].to_str().unwrap().to_owned()
}

async fn result(server: &Server, letter: char) -> Value {
    let route = format!("GET /v1/connect/result/{}", verifier(letter));
    let answer = server.send(request(None, &route, None)).await;
    answer.expect(200)
}

/// The request that a consent's link stands for, without what differs from one to the next.
async fn stored(server: &Server, link: &str) -> Value {
    let id = link.rsplit('/').next().unwrap();
    let route = format!("GET /api/v1/authorizations?id={id}");
    let list = server.call("tok_admin", &route, None).await.expect(200);
    let rows = list["data"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == id);
    let mut row = row.unwrap_or_else(|| panic!("{id}: {list}")).clone();
    for name in ["id", "url", "created_at", "expires_at"] {
        row.as_object_mut().unwrap().remove(name);
    }
    row
}

#[tokio::test]
async fn looking_says_what_is_asked_and_nothing_of_what_there_is() {
    let server = Server::start().await;
    let there = look(
        &server,
        &link(
            "authorize",
            "scl_1",
            'a',
            "&scopes=read%2Cwrite&installationId=T1",
        ),
    )
    .await;
    for said in [
        "Connect an account",
        "scl_1",
        "team_1",
        "T1",
        "<bdi>read</bdi>",
        "<bdi>write</bdi>",
        "connect.example",
        "grk_",
    ] {
        assert!(there.text.contains(said), "{said}: {}", there.text);
    }
    assert_eq!(there.status, 200);
    let policy = there.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
        "{policy}"
    );
    assert_eq!(there.headers["cache-control"], "no-store");
    assert_eq!(there.headers["referrer-policy"], "same-origin");
    assert!(!there.headers.contains_key("set-cookie"));

    // What is not there, of a team that is not, or that somebody else's, looks the same.
    for (connector, team) in [
        ("scl_none", "team_1"),
        ("scl_1", "team_2"),
        ("scl_1", "nowhere"),
    ] {
        let path = link(
            "authorize",
            "scl_1",
            'a',
            "&scopes=read%2Cwrite&installationId=T1",
        );
        let path = path.replace("scl_1", connector).replace("team_1", team);
        let other = look(&server, &path).await;
        let text = there
            .text
            .replace("scl_1", connector)
            .replace("team_1", team);
        assert_eq!(
            (other.status, other.text),
            (there.status, text),
            "{connector} {team}"
        );
    }
    let installs = look(&server, &link("install", "scl_1", 'a', "&scopes=*")).await;
    assert!(
        installs.text.contains("Install an application"),
        "{}",
        installs.text
    );
    assert!(!installs.text.contains("Scopes"), "{}", installs.text);
    // Nothing was begun by any of it.
    let route = "GET /api/v1/authorizations";
    let none = server.call("tok_admin", route, None).await.expect(200);
    assert_eq!(none["data"], json!([]));
    assert_eq!(result(&server, 'a').await, json!({"status": "pending"}));
}

#[tokio::test]
async fn a_link_that_is_not_in_order_is_told_before_a_key_is_asked_for() {
    let server = Server::start().await;
    let at = |query: &str| format!("/api/v1/connect/authorize/scl_1{query}");
    let good = code('a');
    for (path, said) in [
        (at(""), "It has no request_code"),
        (
            at("?teamId=team_1"),
            "ask for a link with grantry authorizations create",
        ),
        (at("?request_code="), "request_code: must not be empty"),
        (
            at("?request_code=abc"),
            "request_code: must be a SHA-256 in base64url without padding: 43 characters",
        ),
        (
            at(&format!("?request_code={good}=")),
            "request_code: must be a SHA-256",
        ),
        (
            at(&format!("?request_code={good}A")),
            "request_code: must be a SHA-256",
        ),
        (
            at(&format!("?request_code={}", "x".repeat(65))),
            "request_code: must be at most 64 bytes",
        ),
        (
            at(&format!("?request_code={good}&teamId=a&slug=b")),
            "slug: must not be given together with teamId",
        ),
        (
            at(&format!("?request_code={good}&installationId=%00")),
            "installationId: must not contain control",
        ),
        (
            at(&format!("?request_code={good}&scopes={}", "x".repeat(8193))),
            "scopes: must be at most",
        ),
        (
            at(&format!("?request_code={good}")).replace("scl_1", "%0A"),
            "connector: cannot be",
        ),
        (
            at(&format!("?request_code={good}")).replace("scl_1", "%FF"),
            "connector: cannot be",
        ),
    ] {
        let looked = look(&server, &path).await;
        assert_eq!(looked.status, 400, "{path}: {}", looked.text);
        assert!(looked.text.contains(said), "{path}: {}", looked.text);
        assert!(!looked.text.contains("<form"), "{path}");
        assert_eq!(
            enter(&server, &path, "tok_admin").await.text,
            looked.text,
            "{path}"
        );
    }
}

#[tokio::test]
async fn hostile_text_of_a_link_stays_text() {
    let server = Server::start().await;
    let hostile = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let path = link(
        "authorize",
        &hostile.replace('/', "%2F"),
        'a',
        &format!("&installationId={hostile}&scopes={hostile}&x={hostile}"),
    );
    let shown = look(&server, &path.replace("team_1", hostile)).await;
    assert_eq!(shown.status, 200);
    assert!(shown.text.contains("&#60;script&#62;"), "{}", shown.text);
    assert!(
        !shown.text.contains("<script") && !shown.text.contains("\"\">"),
        "{}",
        shown.text
    );
    let path = link("authorize", &hostile.replace('/', "%2F"), 'a', "");
    let unknown = enter(&server, &path, "tok_admin").await;
    assert_eq!(unknown.status, 404);
    assert!(!unknown.text.contains("<script"), "{}", unknown.text);
}

#[tokio::test]
async fn a_key_begins_what_its_persons_token_request_lacked() {
    let server = Server::start().await;
    // E1 for the person, as they would ask without the page.
    for (letter, connector, more, body) in [
        ('a', "oauth%2Facme", "&scopes=*", json!({"scopes": ["*"]})),
        ('b', "scl_1", "", json!({})),
        (
            'c',
            "scl_1",
            "&scopes=write%2Cread&installationId=T1",
            json!({"scopes": ["read", "write"], "installationId": "T1"}),
        ),
    ] {
        let path = link("authorize", connector, letter, more);
        let begun = location(&enter(&server, &path, "tok_admin").await);
        assert!(
            begun.starts_with("https://connect.example/authorize/sca_"),
            "{begun}"
        );
        let route = format!("POST /v1/connect/authorize/{connector}");
        let asked = server
            .call("tok_admin", &route, Some(&body))
            .await
            .expect(200);
        let asked = stored(&server, asked["url"].as_str().unwrap()).await;
        assert_eq!(stored(&server, &begun).await, asked);
        assert_eq!(asked["subject"], json!({"type": "user", "id": "usr_alice"}));
        assert_eq!(asked["environment"], "production");
        assert_eq!(result(&server, letter).await, json!({"status": "pending"}));
        let page = look(
            &server,
            begun.strip_prefix("https://connect.example").unwrap(),
        )
        .await;
        assert_eq!(page.status, 200);
    }
    // Somebody else's is theirs, and spaces around a key are none of it.
    let begun = enter(
        &server,
        &link("authorize", "scl_1", 'd', ""),
        "+tok_member%0A",
    )
    .await;
    let row = stored(&server, &location(&begun)).await;
    assert_eq!(row["subject"]["id"], "usr_bob");
    // The team of the key, where the link names none.
    let path = link("authorize", "scl_1", 'e', "").replace("teamId=team_1&", "");
    location(&enter(&server, &path, "tok_admin").await);
    let path = link("authorize", "scl_1", 'f', "").replace("teamId=team_1", "slug=acme");
    location(&enter(&server, &path, "tok_admin").await);
}

#[tokio::test]
async fn its_result_is_polled_with_the_verifier() {
    let server = Server::start().await;
    let path = link("authorize", "scl_1", 'a', "");
    let begun = location(&enter(&server, &path, "tok_admin").await);
    let page = begun.strip_prefix("https://connect.example").unwrap();
    location(&server.send(form(page, "action=decline".to_owned())).await);
    assert_eq!(result(&server, 'a').await, json!({"status": "canceled"}));
    let path = link("authorize", "scl_1", 'b', "");
    location(&enter(&server, &path, "tok_admin").await);
    server.clock.advance(Duration::from_secs(3601));
    assert_eq!(result(&server, 'b').await["error"]["code"], "expired");
    // Only what the CLI makes by itself can be waited for before it is known.
    for other in ["nonsense", &"a".repeat(43), &"A".repeat(51)] {
        let route = format!("GET /v1/connect/result/{other}");
        let unknown = server.send(request(None, &route, None)).await;
        unknown.expect(404);
    }
}

#[tokio::test]
async fn a_code_stands_for_one_request_and_for_its_requester() {
    let server = Server::start().await;
    let path = link("authorize", "scl_1", 'a', "&scopes=read");
    let begun = location(&enter(&server, &path, "tok_admin").await);
    assert_eq!(location(&enter(&server, &path, "tok_admin").await), begun);
    let at_once = link("authorize", "scl_1", 'c', "");
    let [first, second] = [(); 2].map(|()| enter(&server, &at_once, "tok_admin"));
    let (first, second) = futures_util::future::join(first, second).await;
    assert_eq!(location(&first), location(&second));
    // By its uid it is the same connector.
    let named = link("authorize", "oauth%2Facme", 'a', "&scopes=read");
    assert_eq!(location(&enter(&server, &named, "tok_admin").await), begun);
    for (other, key) in [
        (path.clone(), "tok_member"),
        (path.replace("scopes=read", "scopes=write"), "tok_admin"),
        (path.replace("scl_1", "scl_unlinked"), "tok_admin"),
        (format!("{path}&installationId=T1"), "tok_admin"),
    ] {
        let refused = enter(&server, &other, key).await;
        assert_eq!(refused.status, 409, "{other}: {}", refused.text);
        assert!(
            refused
                .text
                .contains("something else was asked for with it"),
            "{}",
            refused.text
        );
    }
    let page = begun.strip_prefix("https://connect.example").unwrap();
    location(&server.send(form(page, "action=decline".to_owned())).await);
    let over = enter(&server, &path, "tok_admin").await;
    assert_eq!(over.status, 409);
    assert!(
        over.text.contains("has ended") && over.text.contains("prints a new link"),
        "{}",
        over.text
    );

    // A connector that is asked for is polled in the same place.
    let setup = json!({"service": "slack", "name": "s", "request_code": code('b')});
    let managed = "POST /v1/connect/connectors/managed";
    server
        .call("tok_admin", managed, Some(&setup))
        .await
        .expect(422);
    let taken = enter(&server, &link("authorize", "scl_1", 'b', ""), "tok_admin").await;
    assert_eq!(taken.status, 409, "{}", taken.text);
    let setup = json!({"service": "slack", "name": "s", "request_code": code('a')});
    let taken = server.call("tok_admin", managed, Some(&setup)).await;
    taken.expect(409);
}

#[tokio::test]
async fn an_application_is_installed_by_the_other_verb() {
    let server = Server::start().await;
    let bot = json!({
        "type": "oauth", "name": "Bot", "uid": "oauth/bot", "service": "provider.example",
        "data": {
            "clientId": "cid", "clientSecret": "s",
            "installation": {"enabled": true, "id": "/team/id"},
            "serverConfig": {
                "authorization_endpoint": "https://provider.example/authorize",
                "token_endpoint": "https://provider.example/token",
            },
        },
    });
    server
        .call("tok_admin", "POST /api/v1/connectors", Some(&bot))
        .await
        .expect(201);
    // Any key of the team that may, a person's or not: the installation is the team's.
    for (letter, key) in [('a', "tok_member"), ('b', "tok_account")] {
        let path = link("install", "oauth%2Fbot", letter, "&scopes=*");
        let begun = location(&enter(&server, &path, key).await);
        assert!(
            begun.starts_with("https://connect.example/install/sci_"),
            "{begun}"
        );
        assert_eq!(location(&enter(&server, &path, key).await), begun);
        let row = stored(&server, &begun).await;
        assert_eq!(row["subject"], json!({"type": "app"}));
        assert_eq!(result(&server, letter).await, json!({"status": "pending"}));
    }
    let token_only = enter(
        &server,
        &link("install", "oauth%2Fbot", 'c', ""),
        "tok_token_only",
    )
    .await;
    assert_eq!(token_only.status, 403);
    let project = enter(
        &server,
        &link("install", "oauth%2Fbot", 'c', ""),
        "tok_workload",
    )
    .await;
    assert_eq!(project.status, 403);
    assert!(
        project.text.contains("not linked to that project"),
        "{}",
        project.text
    );
}

#[tokio::test]
async fn a_link_at_another_host_leads_home_whole() {
    let server = Server::start().await;
    let path = link("authorize", "scl_1", 'a', "&scopes=read");
    let mut asked = request(None, &format!("GET {path}"), None);
    asked
        .headers_mut()
        .insert("host", HeaderValue::from_static("vercel.com"));
    let moved = server.send(asked).await;
    assert_eq!(
        location(&moved),
        format!("https://connect.example{path}&moved")
    );
    let home = look(&server, &format!("{path}&moved")).await;
    assert_eq!(home.status, 200);
}
