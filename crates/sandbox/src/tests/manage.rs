//! The management of registrations (RFC 7592).

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::support::{Bench, CALLBACK, Reply, basic};
use crate::{Endpoint, FAULTS, Order};

/// A client that registered itself, as the provider said it last.
struct Registered {
    bench: Bench,
    said: Value,
}

impl Registered {
    async fn at(bench: Bench) -> Self {
        let body = json!({"redirect_uris": [CALLBACK], "client_name": "First"}).to_string();
        let reply = bench.try_call("POST", "/register", &[], body).await;
        let said = reply.unwrap().json();
        Self { bench, said }
    }

    fn text(&self, name: &str) -> String {
        self.said[name].as_str().unwrap().to_owned()
    }

    fn path(&self) -> String {
        format!("/register/{}", self.text("client_id"))
    }

    async fn call(&self, method: &str, token: &str, body: Value) -> Reply {
        let headers = [("authorization", format!("Bearer {token}"))];
        let path = self.path();
        let call = self
            .bench
            .try_call(method, &path, &headers, body.to_string());
        call.await.unwrap()
    }

    fn told(&self, changes: Value) -> Value {
        let mut told = json!({
            "client_id": self.said["client_id"], "client_secret": self.said["client_secret"],
            "redirect_uris": [CALLBACK],
        });
        let changes = changes.as_object().unwrap().clone();
        told.as_object_mut().unwrap().extend(changes);
        told
    }

    /// What the token endpoint says to the client with this secret.
    async fn app_token(&self, secret: &str) -> StatusCode {
        let credentials = basic(&self.text("client_id"), secret);
        let pairs = [("grant_type", "client_credentials")];
        let reply = self.bench.post("/token", Some(credentials), &pairs).await;
        reply.unwrap().status
    }
}

#[tokio::test]
async fn a_registration_is_read_changed_and_ended_with_its_own_token() {
    let mut client = Registered::at(Bench::new()).await;
    let first = client.text("registration_access_token");
    let read = client.call("GET", &first, json!({})).await;
    assert_eq!(read.json()["client_name"], "First");
    let told = client.told(json!({"client_name": "Second"}));
    let changed = client.call("PUT", &first, told).await;
    assert_eq!(changed.status, 200);
    client.said = changed.json();
    assert_eq!(client.said["client_name"], "Second");
    let second = client.text("registration_access_token");
    assert_ne!(first, second);
    let secret = client.text("client_secret");
    assert_eq!(client.app_token(&secret).await, 200);
    for token in [first.as_str(), "", "other"] {
        let refused = client.call("GET", token, json!({})).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.error(), "invalid_token");
        assert!(refused.header("www-authenticate").starts_with("Bearer "));
    }
    for wrong in [
        json!({"client_id": "another"}),
        json!({"client_secret": "another"}),
        json!({"redirect_uris": []}),
    ] {
        let refused = client
            .call("PUT", &second, client.told(wrong.clone()))
            .await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let ended = client.call("DELETE", &second, json!({})).await;
    assert_eq!(ended.status, 204);
    assert_eq!(client.call("GET", &second, json!({})).await.status, 401);
    assert_eq!(client.app_token(&secret).await, 401);
}

#[tokio::test]
async fn a_secret_that_ends_is_another_one_after_each_change() {
    let minute = Duration::from_secs(60);
    let mut client = Registered::at(Bench::with(|config| config.secret_ttl = Some(minute))).await;
    let secret = client.text("client_secret");
    assert_eq!(client.app_token(&secret).await, 200);
    client.bench.clock.advance(minute);
    assert_eq!(client.app_token(&secret).await, 401);
    let token = client.text("registration_access_token");
    let changed = client.call("PUT", &token, client.told(json!({}))).await;
    client.said = changed.json();
    let renewed = client.text("client_secret");
    assert_ne!(renewed, secret);
    assert_eq!(client.app_token(&renewed).await, 200);
    assert_eq!(client.app_token(&secret).await, 401);
}

#[tokio::test]
async fn a_forgotten_client_is_nobody_and_without_management_there_is_none() {
    let client = Registered::at(Bench::new()).await;
    let (id, secret) = (client.text("client_id"), client.text("client_secret"));
    assert_eq!(
        client.bench.sandbox.registered(&id).unwrap()["client_name"],
        "First"
    );
    client.bench.sandbox.forget(&id);
    assert_eq!(client.bench.sandbox.registered(&id), None);
    assert_eq!(client.app_token(&secret).await, 401);
    let token = client.text("registration_access_token");
    assert_eq!(client.call("GET", &token, json!({})).await.status, 401);
    let bench = Bench::with(|config| config.manages_registrations = false);
    let plain = Registered::at(bench).await;
    for name in ["registration_client_uri", "registration_access_token"] {
        assert_eq!(plain.said.get(name), None);
    }
}

#[tokio::test]
async fn every_fault_of_the_management_changes_the_answer() {
    for fault in FAULTS
        .iter()
        .filter(|fault| fault.endpoints == [Endpoint::Manage])
    {
        let client = Registered::at(Bench::new()).await;
        let token = client.text("registration_access_token");
        client.bench.sandbox.order(Order::once(fault.name)).unwrap();
        let struck = client.call("PUT", &token, client.told(json!({}))).await;
        let whole = match struck.status.as_u16() {
            200 => {
                let said = struck.json();
                let whole = ["client_secret", "registration_access_token"]
                    .iter()
                    .all(|name| said.get(name).is_some());
                whole && said["client_id"] == client.said["client_id"]
            }
            _ => false,
        };
        assert!(!whole, "{}", fault.name);
    }
}
