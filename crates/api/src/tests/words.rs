//! What a refusal says: in the caller's spelling, and no more than it should.

use serde_json::json;

use super::server::Server;

#[tokio::test]
async fn a_field_that_nobody_knows_is_quoted_as_it_was_sent() {
    let server = Server::start().await;
    let ask = json!({
        "connector": "scl_1", "subject": {"type": "user", "id": "u1"},
        "returnUrl": "https://app.example/",
    });
    let route = "POST /api/v1/authorizations";
    let refused = server
        .call("tok_workload", route, Some(&ask))
        .await
        .expect(400);
    assert_eq!(refused["errors"][0]["field"], "returnUrl");
}

#[tokio::test]
async fn the_name_of_an_apply_file_stays_as_it_is() {
    let server = Server::start().await;
    for file in ["/tmp/data-QiMz/aB.toml", "returnUrl", "Acme.toml"] {
        let line = format!("POST /api/v1/apply?file={file}");
        let refused = server
            .apply(&line, "[[teams]]\nslug = 7\n")
            .await
            .expect(400);
        let field = refused["errors"][0]["field"].as_str().unwrap();
        assert!(field.starts_with(file), "{field}");
    }
}

#[tokio::test]
async fn environments_without_a_project_are_not_dropped() {
    let server = Server::start().await;
    for (route, names) in [
        (
            "POST /v1/connect/connectors",
            "environments: needs projectId",
        ),
        ("POST /api/v1/connectors", "environments: needs project"),
    ] {
        let body = json!({"type": "oauth", "name": "n", "data": {}, "environments": ["preview"]});
        let answer = server.call("tok_admin", route, Some(&body)).await;
        answer.expect(400);
        assert!(answer.text.contains(names), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_empty_installation_is_an_absent_one() {
    let server = Server::start().await;
    let subject = json!({"type": "user", "id": "u1"});
    let ask = json!({"connector": "scl_1", "subject": subject, "installation": ""});
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    let body = json!({"subject": subject, "installationId": ""});
    let route = "DELETE /v1/connect/connectors/scl_1/tokens";
    let counts = server
        .call("tok_workload", route, Some(&body))
        .await
        .expect(200);
    assert_eq!(counts["tokensFound"], 1, "{counts}");
}

#[tokio::test]
async fn a_deleted_connector_is_gone_for_vercels_clients_and_unknown_to_ours() {
    let server = Server::start().await;
    let route = "DELETE /api/v1/connectors/scl_1";
    server.call("tok_admin", route, None).await.expect(204);
    let ours = |name: &str| format!("GET /api/v1/connectors/{name}");
    let deleted = server
        .call("tok_admin", &ours("scl_1"), None)
        .await
        .expect(404);
    let unknown = server
        .call("tok_admin", &ours("scl_none"), None)
        .await
        .expect(404);
    assert_eq!(deleted, unknown);
    server
        .call("tok_admin", "GET /v1/connect/connectors/scl_1", None)
        .await
        .expect(410);
}

#[tokio::test]
async fn a_refused_credential_is_told_the_scheme() {
    let server = Server::start().await;
    for route in ["GET /api/v1/connectors", "GET /v1/connect/connectors"] {
        let answer = server.call("tok_nobody", route, None).await;
        answer.expect(401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{route}");
    }
}

#[tokio::test]
async fn a_page_that_takes_no_form_says_what_it_takes() {
    let server = Server::start().await;
    for route in ["POST /callback", "POST /callback/team_1", "PUT /callback"] {
        let answer = server.call("tok_admin", route, None).await;
        assert_eq!(answer.status, 405, "{route}");
        let allowed = answer.headers["allow"].to_str().unwrap();
        assert!(allowed.contains("GET"), "{route}: {allowed}");
    }
}

#[tokio::test]
async fn the_operator_names_a_team_only_where_there_is_a_choice() {
    let server = Server::start().await;
    let refused = server
        .local("GET /api/v1/connectors", None)
        .await
        .expect(400);
    assert_eq!(refused["errors"][0]["field"], "team");
    assert_eq!(
        refused["errors"][0]["message"],
        "is required: one of acme, far, other"
    );
}
