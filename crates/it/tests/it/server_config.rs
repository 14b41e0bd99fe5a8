//! What a connector says of its server by itself, in place of what is found out.

use axum::body::Body;
use axum::http::Request;
use grantry_core::nouns::AuthorizationState;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::callback::{discovered, link};
use crate::world::World;
use crate::world::browser::{Browser, standing};

/// The keys that the provider signs ID tokens with.
pub async fn published(world: &World) -> Value {
    let request = Request::get("/jwks").body(Body::empty()).unwrap();
    let answer = world.sandbox.router().oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Whose account a consent connected, and how it ended, where `jwks` are the connector's own.
async fn connected(jwks: impl FnOnce(Value) -> Value) -> (Option<String>, AuthorizationState) {
    let world = World::new().await;
    let mut new = discovered();
    new.data.remove("serverUrl");
    new.data["userAuthorization"]["scopes"] = json!(["openid"]);
    let config = json!({
        "issuer": "http://sandbox.test",
        "authorizationEndpoint": "http://sandbox.test/authorize",
        "tokenEndpoint": "http://sandbox.test/token",
        "jwks": jwks(published(&world).await),
    });
    new.data.insert("serverConfig".to_owned(), config);
    let caller = world.server().await;
    world.engine.create_connector(&caller, new).await.unwrap();
    let requested = link(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    browser.get(&arrival).await;
    let live = world.live("u1").await;
    let account = live.and_then(|live| live.connection.external_subject.clone());
    (account, standing(&world, &requested).await)
}

#[tokio::test]
async fn keys_that_a_connector_has_itself_tell_whose_account_it_is() {
    let (account, state) = connected(|keys| keys).await;
    assert!(account.is_some(), "{state:?}");
    let another = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]});
    let (account, state) = connected(|_| another).await;
    assert_eq!(account, None);
    let code = "invalid_id_token".to_owned();
    assert_eq!(state, AuthorizationState::Error { code });
}
