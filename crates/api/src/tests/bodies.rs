//! Whatever is wrong with a request is said in its dialect's shape, and nothing is written.

use std::collections::HashSet;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::{StreamExt, stream};
use grantry_core::limits::Limits;
use grantry_core::nouns::Role;
use grantry_engine::permissions::Standing;
use serde_json::{Value, json};

use super::server::{Answer, Server, request};
use crate::all_routes;
use crate::kit::dialect::Dialect;
use crate::kit::openapi::documented;
use crate::kit::route::{Access, Route, Takes};

fn line(route: &Route) -> String {
    let path = route
        .path
        .replace("{connector}", "scl_1")
        .replace("{project}", "prj_1")
        .replace("{setup}", "scr_1")
        .replace("{team}", "team_1")
        .replace("{key}", "key_1")
        .replace("{user}", "usr_alice")
        .replace("{environment}", "env_qa")
        .replace("{server}", "mcp_1")
        .replace("{invite}", "inv_1");
    format!("{} {path}", route.method.as_str())
}

/// Those that an admin's key may call: nobody else's body is read.
fn json_routes() -> impl Iterator<Item = &'static Route> {
    all_routes()
        .filter(|route| matches!(route.takes, Takes::Json(_) | Takes::SomeJson(_) | Takes::OptionalJson(_)))
        .filter(
            |route| matches!(route.access, Access::Act(act) if Standing::Role(Role::Admin).may(act)),
        )
}

/// In shape: code and message, whatever the dialect.
#[track_caller]
fn in_shape(dialect: Dialect, answer: &Answer) -> (String, String) {
    let body = answer.json();
    let (code, message) = match dialect {
        Dialect::Native => {
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(body["status"], answer.status.as_u16());
            (&body["code"], &body["detail"])
        }
        Dialect::Vercel => {
            assert_eq!(answer.headers["content-type"], "application/json");
            (&body["error"]["code"], &body["error"]["message"])
        }
        Dialect::Datagrid => {
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(body["status_code"], answer.status.as_u16());
            assert_eq!(body["statusCode"], answer.status.as_u16());
            assert_eq!(body["retryable"], false);
            (&body["error"], &body["message"])
        }
        // They have no codes; the status tells as much.
        Dialect::Cohere => {
            assert_eq!(answer.headers["content-type"], "application/json");
            let fields = body.as_object().unwrap();
            assert!(fields.len() == 1 && answer.status != 409, "{body}");
            let reason = answer.status.canonical_reason().unwrap();
            let message = body["message"].as_str().unwrap().to_owned();
            return (reason.to_lowercase().replace(' ', "_"), message);
        }
        Dialect::Sequin => {
            assert_eq!(answer.headers["content-type"], "application/json");
            let errors = &body["validation_errors"];
            assert_eq!(errors.is_object(), answer.status == 422, "{body}");
            let summary = body["summary"].as_str().unwrap();
            let reason = answer.status.canonical_reason().unwrap();
            let fields = errors.as_object().into_iter().flatten();
            let fields =
                fields.map(|(field, why)| format!("{field}: {}", why[0].as_str().unwrap()));
            let message = [vec![summary.to_owned()], fields.collect()]
                .concat()
                .join("; ");
            return (reason.to_lowercase().replace(' ', "_"), message);
        }
    };
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    (text(code).unwrap(), text(message).unwrap())
}

fn raw(route: &Route, content_type: &str, body: Body) -> Request<Body> {
    let (method, path) = (route.method.as_str(), line(route));
    Request::builder()
        .method(method)
        .uri(path.split_once(' ').unwrap().1)
        .header("authorization", "Bearer tok_admin")
        .header("content-type", content_type)
        .body(body)
        .unwrap()
}

async fn everything(server: &Server) -> String {
    let mut all = String::new();
    for list in ["connectors", "connections", "events", "keys"] {
        let answer = server
            .call("tok_admin", &format!("GET /api/v1/{list}?limit=100"), None)
            .await;
        answer.expect(200);
        all.push_str(&answer.text);
    }
    all
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_by_every_endpoint_and_changes_nothing() {
    let server = Server::start().await;
    let before = everything(&server).await;
    let deep = "[".repeat(200_000);
    let cases: [(&str, &[u8], u16); 7] = [
        ("application/json", b"{\"subject\":", 400),
        ("application/json", b"[]", 400),
        ("application/json", b"\"text\"", 400),
        ("application/json", b"\"\xff\"", 400),
        ("application/json", deep.as_bytes(), 400),
        ("text/plain", b"{}", 415),
        ("application/jsonp", b"{}", 415),
    ];
    for route in json_routes() {
        for (content_type, body, status) in cases {
            let answer = server
                .send(raw(route, content_type, Body::from(body.to_vec())))
                .await;
            assert_eq!(answer.status, status, "{}: {}", line(route), answer.text);
            in_shape(route.dialect(), &answer);
        }
    }
    assert_eq!(everything(&server).await, before);
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_named_by_every_endpoint() {
    let server = Server::start().await;
    let strict = |route: &&Route| !matches!(route.takes, Takes::SomeJson(_));
    for route in json_routes().filter(strict) {
        let body = json!({"pigeon": 1});
        let answer = server.call("tok_admin", &line(route), Some(&body)).await;
        let wrong = match route.dialect() {
            Dialect::Native | Dialect::Vercel | Dialect::Cohere | Dialect::Datagrid => 400,
            Dialect::Sequin => 422,
        };
        assert_eq!(answer.status, wrong, "{}", line(route));
        let (_, message) = in_shape(route.dialect(), &answer);
        let named = match route.dialect() {
            Dialect::Datagrid => "property pigeon should not exist",
            _ => "pigeon: is not a known field",
        };
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test]
async fn a_charset_and_capitals_in_the_content_type_do_no_harm() {
    let server = Server::start().await;
    let route = json_routes().find(|route| route.path == "/v1/connect/token/{connector}");
    let body = json!({"subject": {"type": "user", "id": "usr_alice"}}).to_string();
    let asked = raw(
        route.unwrap(),
        "Application/JSON; charset=utf-8",
        body.into(),
    );
    let answer = server.send(asked).await;
    assert_eq!(
        answer.expect(422)["error"]["code"],
        "user_authorization_required"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read_whole() {
    let server = Server::start().await;
    for route in json_routes() {
        // By its declared length: the answer waits for not a byte of it.
        let unread = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let mut declared = raw(route, "application/json", unread);
        let length = (Limits::default().body_bytes_max + 1)
            .to_string()
            .parse()
            .unwrap();
        declared.headers_mut().insert("content-length", length);
        let answer = server.send(declared).await;
        assert_eq!(answer.status, 413, "{}", line(route));
        in_shape(route.dialect(), &answer);

        // Chunked: reading ends where the limit is passed.
        let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 256 * 1024]));
        let endless = stream::iter(0..64).map(move |n| {
            assert!(
                n <= Limits::default().body_bytes_max / (256 * 1024),
                "reading went on after the limit"
            );
            chunk()
        });
        let answer = server
            .send(raw(route, "application/json", Body::from_stream(endless)))
            .await;
        assert_eq!(answer.status, 413, "{}", line(route));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_mistake() {
    let server = Server::start().await;
    let route = json_routes().next().unwrap();
    let broken = stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("reset"))]);
    let answer = server
        .send(raw(route, "application/json", Body::from_stream(broken)))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for_longer_than_15_seconds() {
    let server = Server::start().await;
    let route = json_routes().next().unwrap();
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answering = server.send(raw(route, "application/json", never));
    let time_passes = async {
        for seconds in [14, 1] {
            // Waits on: after 14 s the body is still given a chance.
            while server.clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
            server.clock.advance(Duration::from_secs(seconds));
        }
    };
    let (answer, ()) = tokio::join!(answering, time_passes);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("took too long"), "{}", answer.text);
}

#[tokio::test]
async fn neither_is_the_form_of_the_consent_page() {
    let server = Server::start().await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let mut asked = request(None, "POST /authorize/sca_1", None);
    *asked.body_mut() = never;
    let time_passes = async {
        while server.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        server.clock.advance(Duration::from_secs(15));
    };
    let (answer, ()) = tokio::join!(server.send(asked), time_passes);
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_answered_in_the_shape_of_their_prefix() {
    let server = Server::start().await;
    for (route, dialect, status, code) in [
        ("GET /v1/connect/nothing", Dialect::Vercel, 404, "not_found"),
        (
            "GET /v1/connect/networks",
            Dialect::Vercel,
            404,
            "not_found",
        ),
        ("GET /", Dialect::Vercel, 404, "not_found"),
        ("GET /sequin/v1/syncs", Dialect::Sequin, 404, "not_found"),
        (
            "PUT /sequin/v1/oauth-apps",
            Dialect::Sequin,
            405,
            "method_not_allowed",
        ),
        ("GET /cohere/v1/chat", Dialect::Cohere, 404, "not_found"),
        (
            "PUT /cohere/v1/connectors",
            Dialect::Cohere,
            405,
            "method_not_allowed",
        ),
        ("GET /api/v1/nothing", Dialect::Native, 404, "not_found"),
        (
            "PUT /v1/connect/connectors",
            Dialect::Vercel,
            405,
            "method_not_allowed",
        ),
        (
            "PATCH /api/v1/connectors",
            Dialect::Native,
            405,
            "method_not_allowed",
        ),
        (
            "DELETE /healthz",
            Dialect::Native,
            405,
            "method_not_allowed",
        ),
    ] {
        let answer = server.call("tok_admin", route, None).await;
        assert_eq!(answer.status, status, "{route}");
        assert_eq!(in_shape(dialect, &answer).0, code, "{route}");
        if status == 405 {
            assert!(answer.headers.contains_key("allow"), "{route}");
        }
    }
}

#[tokio::test]
async fn a_path_with_a_broken_escape_is_a_bad_request() {
    let server = Server::start().await;
    for path in ["oauth%2", "%", "%zz", "a%2Fb%g0", "%ff"] {
        let route = format!("POST /v1/connect/token/{path}");
        let answer = server.call("tok_admin", &route, Some(&json!({}))).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        in_shape(Dialect::Vercel, &answer);
    }
}

/// PostgreSQL would not even look for a text with NUL.
#[tokio::test]
async fn a_path_with_a_control_character_is_a_bad_request_in_every_dialect() {
    let server = Server::start().await;
    let admin = Standing::Role(Role::Admin);
    // A browser's page for such a path is that of a link which does not exist.
    let page = |path: &str| path.starts_with("/sequin/link/oauth2/start/");
    for route in documented().filter(|route| route.path.contains('{')) {
        let asked = match route.access {
            Access::Act(act) => admin.may(act),
            Access::Public(_) => route.dialect() != Dialect::Native && !page(route.path),
        };
        if !asked {
            continue;
        }
        for escape in ["%00", "a%0Ab", "%7F"] {
            let parameters = route
                .path
                .split('/')
                .map(|part| match part.strip_prefix('{') {
                    Some("team}") => "team_1",
                    Some(_) => escape,
                    None => part,
                });
            let path = parameters.collect::<Vec<_>>().join("/");
            if !path.contains(escape) {
                continue;
            }
            let line = format!("{} {path}", route.method.as_str());
            let answer = server.call("tok_admin", &line, None).await;
            // Sequin's API has a status of its own for what does not pass.
            let wanted = match route.dialect() {
                Dialect::Sequin => 422,
                _ => 400,
            };
            assert_eq!(answer.status, wanted, "{line}: {}", answer.text);
            in_shape(route.dialect(), &answer);
        }
    }
}

#[tokio::test]
async fn an_empty_filter_of_a_revocation_is_refused_and_ends_nothing() {
    let server = Server::start().await;
    for (line, body) in [
        (
            "POST /api/v1/connectors/scl_1/revoke",
            json!({"installation": ""}),
        ),
        (
            "POST /api/v1/connectors/scl_1/revoke",
            json!({"environment": ""}),
        ),
        (
            "DELETE /v1/connect/connectors/scl_1/tokens",
            json!({"installationId": ""}),
        ),
    ] {
        let answer = server.call("tok_admin", line, Some(&body)).await;
        assert_eq!(answer.status, 400, "{line} {body}: {}", answer.text);
        assert!(answer.text.contains("must not be empty"), "{}", answer.text);
    }
    let route = "GET /api/v1/connections/conn_1";
    let stands = server.call("tok_admin", route, None).await.expect(200);
    assert_eq!(stands["state"], "active");
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own_and_cannot_be_cached_sniffed_or_framed() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for route in [
        "GET /healthz",
        "GET /v1/connect/connectors",
        "GET /v1/connect/nothing",
        "PUT /v1/connect/connectors",
        "GET /api/v1/openapi.json",
        "GET /api/v1/connectors/scl_none",
    ] {
        let answer = server.send(request(Some("tok_admin"), route, None)).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store", "{route}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{route}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{route}");
        assert!(
            header("content-security-policy").contains("frame-ancestors 'none'"),
            "{route}"
        );
        ids.push(header("x-request-id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let starts: HashSet<_> = ids.iter().map(|id| id.split('-').next()).collect();
    assert_eq!(starts.len(), 1, "one start of one server: {ids:?}");
}
