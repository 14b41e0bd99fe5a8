//! Lists: what narrows them is named as everywhere, and a cursor that is none is refused.

use std::time::Duration;

use grantry_core::nouns::EventKind;
use serde_json::json;

use super::server::Server;

#[tokio::test]
async fn a_filter_takes_an_id_or_a_name_and_an_unknown_one_is_not_found() {
    let server = Server::start().await;
    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u1"}});
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    for (list, filter, names, rows) in [
        (
            "api/v1/connections",
            "connector",
            ["scl_1", "oauth%2Facme"],
            "/data",
        ),
        (
            "api/v1/events?kind=token.read",
            "connector",
            ["scl_1", "oauth%2Facme"],
            "/data",
        ),
        ("api/v1/connectors", "project", ["prj_1", "web"], "/data"),
        (
            "v1/connect/connectors",
            "projectId",
            ["prj_1", "web"],
            "/clients",
        ),
        (
            "v2/connect/connectors",
            "projectId",
            ["prj_1", "web"],
            "/connectors",
        ),
    ] {
        let joint = if list.contains('?') { '&' } else { '?' };
        let line = |name: &str| format!("GET /{list}{joint}{filter}={name}");
        for name in names {
            let found = server
                .call("tok_admin", &line(name), None)
                .await
                .expect(200);
            let rows = found.pointer(rows).unwrap().as_array().unwrap();
            assert!(!rows.is_empty(), "{}", line(name));
        }
        server
            .call("tok_admin", &line("nothing"), None)
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn what_a_deleted_connector_left_in_the_log_is_found_by_its_id() {
    let server = Server::start().await;
    server
        .call("tok_admin", "DELETE /api/v1/connectors/scl_1", None)
        .await
        .expect(204);
    let log = "GET /api/v1/events?kind=connector.deleted&connector=scl_1";
    let log = server.call("tok_admin", log, None).await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
}

#[tokio::test]
async fn a_cursor_of_another_list_is_a_wrong_field() {
    let server = Server::start().await;
    let by_time = ["connectors", "connections", "events", "keys"];
    for list in by_time {
        // "a\0b": a list by name could have given it.
        let line = format!("GET /api/v1/{list}?cursor=YQBi");
        let refused = server.call("tok_admin", &line, None).await.expect(400);
        assert_eq!(refused["errors"][0]["field"], "cursor", "{list}");
    }
    server
        .call("tok_admin", "GET /api/v1/projects?cursor=YQBi", None)
        .await
        .expect(200);
}

#[tokio::test]
async fn who_asks_for_an_unknown_kind_of_event_learns_which_there_are() {
    let server = Server::start().await;
    let line = "GET /api/v1/events?kind=nonsense";
    let refused = server.call("tok_admin", line, None).await.expect(400);
    let message = refused["errors"][0]["message"].as_str().unwrap();
    for kind in EventKind::ALL {
        assert!(message.contains(kind.as_str()), "{message}");
    }
}

#[tokio::test]
async fn the_log_is_narrowed_by_kinds_author_and_time() {
    let server = Server::start().await;
    server
        .call(
            "tok_admin",
            "DELETE /api/v1/connectors/scl_1/projects/prj_1",
            None,
        )
        .await
        .expect(204);
    server.clock.advance(Duration::from_secs(60));
    server
        .call("tok_admin", "DELETE /api/v1/connectors/scl_preview", None)
        .await
        .expect(204);
    let kinds = async |query: &str| {
        let line = format!("GET /api/v1/events?{query}");
        let page = server.call("tok_admin", &line, None).await.expect(200);
        let rows = page["data"].as_array().unwrap().clone();
        let kinds = rows
            .iter()
            .map(|row| row["kind"].as_str().unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    let ended = ["connector.deleted", "link.deleted"];
    for (query, expected) in [
        ("kind=link.deleted,connector.deleted", &ended[..]),
        ("kind=link.*&actor=usr_alice", &ended[1..]),
        ("actor=usr_alice", &ended),
        ("actor=usr_bob", &[]),
        ("actor=system", &[]),
        ("since=2026-01-01T00:01:00Z", &ended[..1]),
        ("actor=usr_alice&until=2026-01-01T00:01:00Z", &ended[1..]),
        ("actor=usr_alice&order=asc&limit=1", &ended[1..]),
    ] {
        assert_eq!(kinds(query).await, expected, "{query}");
    }
    for (query, field) in [
        ("since=yesterday", "since"),
        ("order=sideways", "order"),
        ("kind=connection.*,nonsense", "kind"),
        ("kind=*", "kind"),
        ("wait_ms=10001", "wait_ms"),
        ("wait_ms=1&order=desc", "order"),
    ] {
        let line = format!("GET /api/v1/events?{query}");
        let refused = server.call("tok_admin", &line, None).await.expect(400);
        assert_eq!(refused["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn the_log_is_followed_from_now_on_without_a_gap() {
    let server = Server::start().await;
    let follow = async |cursor: &str| {
        let line = format!("GET /api/v1/events?wait_ms=0&cursor={cursor}");
        let page = server.call("tok_admin", &line, None).await.expect(200);
        let kinds: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["kind"].as_str().unwrap().to_owned())
            .collect();
        (kinds, page["next_cursor"].as_str().unwrap().to_owned())
    };
    server.clock.advance(Duration::from_secs(60));
    let (kinds, cursor) = follow("").await;
    assert!(kinds.is_empty(), "what was before is not shown: {kinds:?}");
    let end = "DELETE /api/v1/connectors/scl_1/projects/prj_1";
    server.call("tok_admin", end, None).await.expect(204);
    let (kinds, cursor) = follow(&cursor).await;
    assert!(kinds.is_empty(), "one of this moment waits: {kinds:?}");
    server.clock.advance(Duration::from_secs(3));
    let (kinds, cursor) = follow(&cursor).await;
    assert_eq!(kinds, ["link.deleted"]);
    assert!(follow(&cursor).await.0.is_empty(), "each is shown once");
    let line = "GET /api/v1/events?wait_ms=0&since=2026-01-01T00:00:00Z&limit=1";
    let first = server.call("tok_admin", line, None).await.expect(200);
    assert_eq!(first["data"][0]["at"], "2026-01-01T00:00:00Z");

    // Who waits hears of what happens meanwhile.
    let waiting = format!("GET /api/v1/events?wait_ms=10000&cursor={cursor}");
    let waiting = server.call("tok_admin", &waiting, None);
    let meanwhile = async {
        let end = "DELETE /api/v1/connectors/scl_preview";
        server.call("tok_admin", end, None).await.expect(204);
        loop {
            if server.clock.sleepers() > 0 {
                server.clock.advance(Duration::from_millis(500));
            }
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! {
        answer = waiting => answer,
        () = meanwhile => unreachable!("it does not end"),
    };
    assert_eq!(answer.expect(200)["data"][0]["kind"], "connector.deleted");
}

#[tokio::test]
async fn who_follows_the_log_is_not_kept_waiting_by_a_server_that_stops() {
    let server = Server::start().await;
    let line = "GET /api/v1/events?wait_ms=10000";
    let waiting = server.call("tok_admin", line, None);
    let stop = async {
        while server.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        server.engine.dismiss_listeners();
        server.clock.advance(Duration::from_millis(500));
    };
    let (answer, ()) = tokio::join!(waiting, stop);
    assert_eq!(answer.expect(200)["data"], json!([]));
    // Who comes now is answered at once.
    let again = server.call("tok_admin", line, None).await;
    assert_eq!(again.expect(200)["data"], json!([]));
}
