//! Installations, as connections know them.

use serde_json::json;

use super::server::Server;

/// By its id, a connection is of its own installation, whatever the default is.
#[tokio::test]
async fn a_suspended_installation_gives_out_nothing_by_a_connections_id_either() {
    let server = Server::start().await;
    let installations = "POST /api/v1/connectors/scl_1/installations";
    let mut ids = Vec::new();
    for installation in ["T1", "T2"] {
        let made = json!({"external_id": installation, "default": installation == "T2"});
        let made = server.call("tok_admin", installations, Some(&made)).await;
        ids.push(made.expect(201)["id"].as_str().unwrap().to_owned());
        let import = json!({
            "connector": "scl_1", "subject": {"type": "user", "id": "u9"}, "installation": installation,
            "access_token": format!("at_{installation}"), "expires_in": 3600,
        });
        let route = "POST /api/v1/connections";
        let made = server.call("tok_admin", route, Some(&import)).await;
        ids.push(made.expect(201)["id"].as_str().unwrap().to_owned());
    }
    let [one, of_one, two, of_two] = &ids[..] else {
        panic!("{ids:?}");
    };
    let set = async |id: &str, status: &str| {
        let route = format!("PATCH /api/v1/installations/{id}");
        let body = json!({"status": status});
        server
            .call("tok_admin", &route, Some(&body))
            .await
            .expect(200);
    };
    let reads = async |connection: &str| {
        let subject = json!({"type": "connection", "id": connection});
        let ask = json!({"connector": "scl_1", "subject": subject});
        let route = "POST /api/v1/tokens";
        let read = server.call("tok_workload", route, Some(&ask)).await;
        read.status.as_u16()
    };
    set(two, "suspended").await;
    assert_eq!((reads(of_one).await, reads(of_two).await), (200, 422));
    set(two, "active").await;
    set(one, "suspended").await;
    assert_eq!((reads(of_one).await, reads(of_two).await), (422, 200));
}
