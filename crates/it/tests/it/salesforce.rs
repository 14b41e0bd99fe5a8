//! The app's own tokens at Salesforce, bought with what its key signs about a user of the org (RFC 7523).

use std::time::Duration;

use grantry_core::nouns::{Scopes, Subject};
use grantry_core::{Error, Result};
use grantry_engine::{AskToken, NewConnector, ServedToken};
use serde_json::{Value, json};

use crate::types::PEM;
use crate::world::{World, app_token};

async fn made(world: &World, more: &Value) -> String {
    created(world, more, &["user", "app"]).await
}

async fn created(world: &World, more: &Value, subjects: &[&str]) -> String {
    let mut data = json!({
        "consumerKey": "demo", "consumerSecret": "demo-secret", "loginHost": "acme--dev.sandbox.my.salesforce.com",
        "username": "alice", "privateKeyPem": PEM,
        "serverConfig": {
            "authorization_endpoint": "http://sandbox.test/authorize",
            "token_endpoint": "http://sandbox.test/salesforce/services/oauth2/token",
        },
    });
    let data = data.as_object_mut().unwrap();
    data.extend(more.as_object().unwrap().clone());
    data.retain(|_, value| !value.is_null());
    let new = NewConnector {
        kind: "salesforce".to_owned(),
        name: Some("crm".to_owned()),
        data: data.clone(),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await.unwrap();
    assert_eq!(made.capabilities.subjects, subjects);
    made.connector.id.to_string()
}

async fn token(world: &World, id: &str, ask: AskToken) -> Result<ServedToken> {
    let caller = world.server().await;
    world.run(world.engine.token(&caller, id, ask)).await
}

#[tokio::test]
async fn an_assertion_about_the_apps_user_buys_a_token_that_says_where_to_ask_with_it() {
    let world = World::new().await;
    let id = made(&world, &json!({})).await;
    let first = token(&world, &id, app_token(None)).await.unwrap();
    assert_eq!(
        first.metadata["instance_url"],
        "https://acme.my.salesforce.com"
    );
    assert_eq!(first.scope.as_deref(), Some("api"));
    // Salesforce names no lifetime: two hours are taken.
    let life = first
        .expires_at
        .unwrap()
        .since(grantry_core::Clock::now(&world.clock));
    assert_eq!(life, Duration::from_secs(7200));
    let again = token(&world, &id, app_token(None)).await.unwrap();
    assert_eq!(again.token.expose(), first.token.expose());
    world.pass(Duration::from_secs(7201)).await;
    let later = token(&world, &id, app_token(None)).await.unwrap();
    assert_ne!(later.token.expose(), first.token.expose());
}

#[tokio::test]
async fn the_key_speaks_for_whom_a_request_names_where_the_connector_lets_it() {
    let about = |sub: Option<&str>, aud: Option<&str>| AskToken {
        subject: Some(Subject::JwtBearer {
            sub: sub.map(str::to_owned),
            iss: None,
            aud: aud.map(str::to_owned),
            claims: None,
        }),
        ..AskToken::default()
    };
    let refused = |served: Result<ServedToken>| match served {
        Err(Error::Invalid(problems)) => problems[0].field.clone(),
        Err(Error::Unresolvable { reason }) => reason,
        other => panic!("{:?}", other.map(|served| served.scope)),
    };
    let world = World::new().await;
    let plain = made(&world, &json!({})).await;
    let reason = "this connector has no tokens for the subject type jwt-bearer";
    assert_eq!(
        refused(token(&world, &plain, about(Some("alice"), None)).await),
        reason
    );

    let open = json!({"jwtBearer": {"enabled": true}, "username": null});
    let id = created(&world, &open, &["user", "jwt-bearer"]).await;
    let served = token(&world, &id, about(Some("alice"), None))
        .await
        .unwrap();
    assert_eq!(
        served.metadata["instance_url"],
        "https://acme.my.salesforce.com"
    );
    let stranger = token(&world, &id, about(Some("mallory"), None)).await;
    assert_eq!(refused(stranger), "the provider refuses it (invalid_grant)");
    assert_eq!(
        refused(token(&world, &id, about(None, None)).await),
        "subject.sub"
    );
    let chosen = about(Some("alice"), Some("https://evil.example"));
    assert_eq!(refused(token(&world, &id, chosen).await), "subject.aud");
}

#[tokio::test]
async fn what_salesforce_or_the_connector_cannot_do_is_said() {
    let world = World::new().await;
    let id = made(&world, &json!({})).await;
    let narrow = AskToken {
        scopes: Scopes::Exactly(vec!["api".to_owned()]),
        ..app_token(None)
    };
    match token(&world, &id, narrow).await {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "scopes"),
        other => panic!("{:?}", other.map(|served| served.scope)),
    }
    // Nobody has approved the app for this user.
    let stranger = made(&world, &json!({"username": "mallory"})).await;
    match token(&world, &stranger, app_token(None)).await {
        Err(Error::Unresolvable { reason }) => {
            assert_eq!(reason, "the provider refuses it (invalid_grant)");
        }
        other => panic!("{:?}", other.map(|served| served.scope)),
    }
    let keyless = made(&world, &json!({"privateKeyPem": null})).await;
    match token(&world, &keyless, app_token(None)).await {
        Err(Error::Unresolvable { reason }) => assert_eq!(
            reason,
            "the connector is not complete: data.privateKeyPem is required for tokens of data.username"
        ),
        other => panic!("{:?}", other.map(|served| served.scope)),
    }
}
