//! Searching what a connector reaches (reference/cohere-sequin §1.8).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use grantry_core::http::{Failure, Http, Method, Purpose, Request, Response, Silence};
use grantry_engine::Settings;
use serde_json::{Value, json};

use super::server::{Answer, Server};

/// The other end: says what it was told to say, and keeps what it was asked.
#[derive(Default)]
struct Endpoint {
    says: Mutex<Option<Result<(u16, String), Failure>>>,
    seen: Mutex<Vec<(String, Option<String>, String)>>,
    /// While somebody holds it, no answer goes out.
    gate: tokio::sync::RwLock<()>,
}

impl Endpoint {
    fn says(&self, answer: Result<(u16, Value), Failure>) {
        let answer = answer.map(|(status, body)| (status, body.to_string()));
        *self.says.lock().unwrap() = Some(answer);
    }

    /// URL, `Authorization` and body of what was asked since the last look.
    fn seen(&self) -> Vec<(String, Option<String>, String)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

#[async_trait]
impl Http for Endpoint {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        assert!(request.method == Method::Post && request.purpose == Purpose::Search);
        let header = |wanted: &str| {
            let found = request.headers.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_string())
        };
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let asked = (request.url.to_string(), header("authorization"), body);
        self.seen.lock().unwrap().push(asked);
        let _open = self.gate.read().await;
        let says = self.says.lock().unwrap().clone();
        let (status, body) = says.unwrap_or_else(|| Ok((200, found().to_string())))?;
        Ok(Response {
            status,
            headers: vec![],
            body: body.into(),
            url: request.url,
        })
    }
}

fn found() -> Value {
    json!({"results": [{"id": "a1", "title": "Penguin", "text": "Tall"}, {"text": "Small"}]})
}

const URL: &str = "https://wiki.example/search";

async fn start(search_probe: bool) -> (Server, Arc<Endpoint>) {
    start_with(|settings| settings.search_probe = search_probe).await
}

async fn start_with(choose: impl FnOnce(&mut Settings)) -> (Server, Arc<Endpoint>) {
    let endpoint = Arc::new(Endpoint::default());
    let server = Server::before(endpoint.clone(), choose).await;
    (server, endpoint)
}

async fn make(server: &Server, more: Value) -> String {
    let mut body = json!({"name": "Wiki", "url": URL});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made = server
        .call("tok_admin", "POST /cohere/v1/connectors", Some(&body))
        .await;
    made.expect(200)["connector"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn search(server: &Server, id: &str, more: Value) -> Answer {
    let mut body = json!({"query": "tall"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let route = format!("POST /api/v1/connectors/{id}/search");
    server.call("tok_admin", &route, Some(&body)).await
}

#[tokio::test]
async fn the_right_credential_goes_along_and_stays_here() {
    let (server, endpoint) = start(false).await;
    for (auth, header) in [
        (json!({}), None),
        (
            json!({"service_auth": {"type": "bearer", "token": "k1"}}),
            Some("Bearer k1"),
        ),
        (
            json!({"service_auth": {"type": "basic", "token": "dTpw"}}),
            Some("Basic dTpw"),
        ),
        (
            json!({"service_auth": {"type": "noscheme", "token": "k3"}}),
            Some("k3"),
        ),
    ] {
        let id = make(&server, auth).await;
        let answer = search(&server, &id, json!({})).await;
        assert_eq!(answer.expect(200)["results"], found()["results"]);
        let header = header.map(str::to_owned);
        let body = r#"{"query":"tall"}"#.to_owned();
        assert_eq!(endpoint.seen(), [(URL.to_owned(), header, body.clone())]);
        // The caller's own stands in its place.
        search(&server, &id, json!({"access_token": "mine"}))
            .await
            .expect(200);
        let own = Some("Bearer mine".to_owned());
        assert_eq!(endpoint.seen(), [(URL.to_owned(), own, body)]);
    }
}

#[tokio::test]
async fn a_users_token_is_the_callers_own() {
    let (server, endpoint) = start(false).await;
    let oauth = json!({"client_id": "c", "authorize_url": "https://p.example/a", "token_url": "https://p.example/t"});
    let id = make(&server, json!({"oauth": oauth})).await;
    let native = search(&server, &id, json!({})).await;
    assert_eq!(native.expect(422)["code"], "authorization_required");
    let route = format!("POST /cohere/v1/connectors/{id}/search");
    let query = json!({"query": "tall"});
    let refused = server.call("tok_admin", &route, Some(&query)).await;
    assert_eq!(
        refused.expect(400)["message"],
        format!(
            "connectors failed with continue on failure disabled: connector {id} failed with message \
             'failed to get auth token: user is not authenticated for connector {id}'"
        )
    );
    assert_eq!(endpoint.seen(), []);
    for (subject, access) in [("usr_alice", "at_alice"), ("usr_bob", "at_bob")] {
        let import = json!({
            "connector": id, "access_token": access, "expires_in": 3600,
            "subject": {"type": "user", "id": subject},
        });
        let imported = server
            .local("POST /api/v1/connections?team=team_1", Some(&import))
            .await;
        imported.expect(201);
    }
    for (key, header) in [
        ("tok_admin", "Bearer at_alice"),
        ("tok_member", "Bearer at_bob"),
    ] {
        server.call(key, &route, Some(&query)).await.expect(200);
        assert_eq!(endpoint.seen()[0].1.as_deref(), Some(header));
    }
    let connector = format!("GET /cohere/v1/connectors/{id}");
    let mut statuses = Vec::new();
    for after in [0, 3600] {
        server.clock.advance(std::time::Duration::from_secs(after));
        let answer = server.call("tok_admin", &connector, None).await.expect(200);
        statuses.push(answer["connector"]["auth_status"].clone());
    }
    // Without a refresh token it ends with its time.
    assert_eq!(statuses, ["valid", "expired"]);
}

#[tokio::test]
async fn what_is_excluded_is_kept_from_the_prompt_only() {
    let (server, _) = start(false).await;
    let id = make(&server, json!({"excludes": ["id", "title"]})).await;
    let answer = search(&server, &id, json!({})).await.expect(200);
    assert_eq!(answer["results"], found()["results"]);
    assert_eq!(
        answer["prompt_results"],
        json!([{"text": "Tall"}, {"text": "Small"}])
    );
    let route = format!("POST /cohere/v1/connectors/{id}/search");
    let answer = server
        .call("tok_admin", &route, Some(&json!({"query": "tall"})))
        .await;
    let (first, second) = (format!("{id}_0"), format!("{id}_1"));
    assert_eq!(
        answer.expect(200),
        json!({
            "search_results": [{
                "search_query": {"text": "tall"},
                "connector": {"id": id},
                "document_ids": [first, second],
                "continue_on_failure": false,
            }],
            "documents": [{"id": first, "title": "Penguin", "text": "Tall"}, {"id": second, "text": "Small"}],
            "prompt_documents": [{"id": first, "text": "Tall"}, {"id": second, "text": "Small"}],
        })
    );
}

#[tokio::test]
async fn a_failure_is_an_error_or_an_answer_and_an_event_either_way() {
    let (server, endpoint) = start(false).await;
    let id = make(&server, json!({})).await;
    let timeout = Failure::Unknown(Silence::Timeout);
    for (says, status, message, outcome) in [
        (
            Ok((401, json!({}))),
            502,
            "request failed with status code 401",
            "search_refused",
        ),
        (
            Ok((302, json!({}))),
            502,
            "request failed with status code 302",
            "search_refused",
        ),
        (
            Ok((200, json!({"documents": []}))),
            502,
            "the answer is not {\"results\": [documents]}",
            "search_unreadable",
        ),
        (
            Err(timeout),
            504,
            "request timed out after 30 s",
            "search_timeout",
        ),
        (
            Err(Failure::NotSent),
            502,
            "could not connect",
            "search_unanswered",
        ),
        (
            Err(Failure::Refused),
            400,
            "the destination is not allowed",
            "destination_refused",
        ),
    ] {
        endpoint.says(says);
        server.clock.advance(std::time::Duration::from_secs(1));
        let refused = search(&server, &id, json!({})).await;
        assert_eq!(refused.status.as_u16(), status, "{}", refused.text);
        let told = search(&server, &id, json!({"continue_on_failure": true}))
            .await
            .expect(200);
        assert_eq!(
            (&told["error"], &told["results"]),
            (&json!(message), &json!([]))
        );
        let route = format!("POST /cohere/v1/connectors/{id}/search");
        let refused = server
            .call("tok_admin", &route, Some(&json!({"query": "tall"})))
            .await;
        let expected = format!(
            "connectors failed with continue on failure disabled: connector {id} failed with message '{message}'"
        );
        assert_eq!(refused.expect(400)["message"], expected);
        let log = format!("GET /api/v1/events?connector={id}&kind=connector.searched&limit=3");
        let log = server.call("tok_admin", &log, None).await.expect(200);
        for event in log["data"].as_array().unwrap() {
            assert_eq!(event["data"]["outcome"], outcome, "{event}");
            assert!(event["data"]["duration_millis"].is_u64(), "{event}");
        }
        assert_eq!(log["data"].as_array().unwrap().len(), 3);
    }
    // The connector says so itself.
    let change = json!({"continue_on_failure": true});
    server
        .call(
            "tok_admin",
            &format!("PATCH /cohere/v1/connectors/{id}"),
            Some(&change),
        )
        .await
        .expect(200);
    assert_eq!(search(&server, &id, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_team_has_so_many_searches_at_work_and_no_more() {
    let (server, endpoint) = start_with(|settings| settings.limits.team_searches_max = 2).await;
    let id = make(&server, json!({})).await;
    let shut = endpoint.gate.write().await;
    let excess = async {
        while endpoint.seen.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        let native = search(&server, &id, json!({})).await;
        let route = format!("POST /cohere/v1/connectors/{id}/search");
        let query = json!({"query": "tall"});
        let cohere = server.call("tok_admin", &route, Some(&query)).await;
        drop(shut);
        (native, cohere)
    };
    let (one, two, (native, cohere)) = tokio::join!(
        search(&server, &id, json!({})),
        search(&server, &id, json!({})),
        excess
    );
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    let words = "searches of a team are limited to 2 (limits.team_searches_max) at once: try again when one has ended";
    assert_eq!(native.expect(429)["detail"], words);
    assert_eq!(cohere.expect(429), json!({"message": words}));
    assert_eq!(cohere.headers["retry-after"], "1");
    search(&server, &id, json!({})).await.expect(200);
    assert_eq!(endpoint.seen().len(), 3);
}

#[tokio::test]
async fn what_cannot_be_searched_is_not_asked() {
    let (server, endpoint) = start(false).await;
    let id = make(&server, json!({"active": false})).await;
    let inactive = search(&server, &id, json!({})).await.expect(422);
    assert_eq!(inactive["detail"], format!("connector {id} is not active"));
    let none = search(&server, "scl_1", json!({})).await.expect(422);
    assert_eq!(none["detail"], "connector scl_1 has no search url");
    let id = make(&server, json!({})).await;
    for (query, words) in [("", "must be 1 to 16384 bytes"), (" ", "must not be empty")] {
        let empty = search(&server, &id, json!({"query": query})).await;
        let wrong = json!([{"field": "query", "message": words}]);
        assert_eq!(empty.expect(400)["errors"], wrong, "{query:?}");
    }
    let foreign = format!("POST /api/v1/connectors/{id}/search");
    let foreign = server
        .call("tok_stranger", &foreign, Some(&json!({"query": "q"})))
        .await;
    assert_eq!(foreign.status, 404);
    let route = "POST /cohere/v1/connectors/web-search/search";
    let unknown = server
        .call("tok_admin", route, Some(&json!({"query": "q"})))
        .await;
    assert_eq!(
        unknown.expect(404)["message"],
        "connector 'web-search' not found."
    );
    assert_eq!(endpoint.seen(), []);
}

#[tokio::test]
async fn a_connector_is_stored_once_its_endpoint_has_answered_its_credential() {
    let (server, endpoint) = start(true).await;
    let total = async || {
        let list = server
            .call("tok_admin", "GET /cohere/v1/connectors", None)
            .await;
        list.expect(200)["total_count"].as_u64().unwrap()
    };
    let before = total().await;
    let key = json!({"service_auth": {"type": "basic", "token": "k"}});
    let id = make(&server, key.clone()).await;
    let asked = endpoint.seen();
    assert_eq!(
        asked,
        [(
            URL.to_owned(),
            Some("Basic k".to_owned()),
            r#"{"query":"test"}"#.to_owned()
        )]
    );

    endpoint.says(Ok((401, json!({}))));
    let mut body = json!({"name": "Never", "url": URL});
    body["service_auth"] = key["service_auth"].clone();
    let refused = server
        .call("tok_admin", "POST /cohere/v1/connectors", Some(&body))
        .await;
    let reason =
        format!("connector not reachable at {URL}. error: request failed with status code 401");
    assert_eq!(refused.expect(400), json!({"message": reason}));
    let patch = format!("PATCH /cohere/v1/connectors/{id}");
    for change in [
        json!({"url": "https://new.example/search"}),
        json!({"service_auth": {"type": "bearer", "token": "new"}}),
    ] {
        let refused = server.call("tok_admin", &patch, Some(&change)).await;
        assert!(
            refused.expect(400)["message"]
                .as_str()
                .unwrap()
                .starts_with("connector not reachable at ")
        );
    }
    let asked: Vec<_> = endpoint
        .seen()
        .into_iter()
        .map(|(url, header, _)| (url, header.unwrap()))
        .collect();
    assert_eq!(
        asked[1],
        (
            "https://new.example/search".to_owned(),
            "Basic k".to_owned()
        )
    );
    assert_eq!(asked[2], (URL.to_owned(), "Bearer new".to_owned()));
    // What does not reach how it is asked, and what is switched off, is not asked about.
    for change in [
        json!({"name": "Other", "excludes": ["x"]}),
        json!({"active": false}),
    ] {
        server
            .call("tok_admin", &patch, Some(&change))
            .await
            .expect(200);
    }
    assert_eq!(endpoint.seen(), []);
    // A user's token is not there yet, so being refused without one is being there.
    make(&server, json!({"oauth": {"client_id": "c"}})).await;
    assert_eq!(endpoint.seen()[0].1, None);
    endpoint.says(Ok((500, json!({}))));
    body = json!({"name": "Never", "url": URL, "oauth": {}});
    let refused = server
        .call("tok_admin", "POST /cohere/v1/connectors", Some(&body))
        .await;
    assert!(
        refused.expect(400)["message"]
            .as_str()
            .unwrap()
            .ends_with("status code 500")
    );
    assert_eq!(total().await, before + 2);
}

#[tokio::test]
async fn the_probe_presents_what_a_search_will() {
    let (server, endpoint) = start(true).await;
    let native = async |data: Value, status: u16| {
        let body = json!({"type": "api-key", "name": "Keys", "data": data});
        let made = server.call("tok_admin", "POST /api/v1/connectors", Some(&body));
        made.await.expect(status)
    };
    // The first of its keys, whatever their order in memory: some, so that luck does not pass.
    let keys: Vec<Value> = (0..12).map(|n| json!({"value": format!("k{n}")})).collect();
    let data = json!({"search": {"url": URL}, "values": keys});
    let made = native(data, 201).await;
    let id = made["id"].as_str().unwrap();
    search(&server, id, json!({})).await.expect(200);
    let patch = format!("PATCH /api/v1/connectors/{id}");
    let moved = json!({"data": {"search": {"url": "https://new.example/search"}}});
    let changed = server.call("tok_admin", &patch, Some(&moved)).await;
    changed.expect(200);
    let sent: Vec<_> = endpoint.seen().into_iter().map(|(_, key, _)| key).collect();
    assert_eq!(sent, vec![Some("Bearer k0".to_owned()); 3]);

    // Users bring it: an endpoint that refuses who brings none is there.
    endpoint.says(Ok((401, json!({}))));
    let data = json!({"search": {"url": URL}, "subjectType": "user"});
    native(data, 201).await;
    assert_eq!(endpoint.seen()[0].1, None);
    endpoint.says(Ok((200, found())));

    // A client's secret is not for the endpoint.
    let oauth = json!({"client_id": "c", "client_secret": "s"});
    let id = make(&server, json!({"oauth": oauth})).await;
    endpoint.seen();
    let patch = format!("PATCH /cohere/v1/connectors/{id}");
    let rotated = json!({"oauth": {"client_secret": "s2"}});
    let changed = server.call("tok_admin", &patch, Some(&rotated)).await;
    changed.expect(200);
    assert_eq!(endpoint.seen(), []);
}

#[tokio::test]
async fn a_probe_is_an_event_be_it_refused_or_not() {
    let (server, endpoint) = start(true).await;
    let id = make(&server, json!({})).await;
    endpoint.says(Ok((500, json!({}))));
    let body = json!({"name": "Never", "url": URL});
    let refused = server.call("tok_admin", "POST /cohere/v1/connectors", Some(&body));
    refused.await.expect(400);
    let log = "GET /api/v1/events?kind=connector.searched&limit=5&order=asc";
    let log = server.call("tok_admin", log, None).await.expect(200);
    let log = log["data"].as_array().unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|event| {
            let data = &event["data"];
            assert_eq!(data["probe"], true, "{event}");
            (
                data["outcome"].as_str().unwrap(),
                data["status_code"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("found", 200), ("search_refused", 500)]);
    assert_eq!(log[0]["connector"], json!(id));
}
