//! Lists: what narrows them is named as everywhere, and a cursor that is none is refused.

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
