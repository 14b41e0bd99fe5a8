//! Connectors of every type: made, shown and used by what their type is, or refused without a trace.

use grantry_core::Clock;
use grantry_core::nouns::{ConnectorType, Subject};
use grantry_core::store::{ConnectorFilter, Page};
use grantry_core::{Error, Secret};
use grantry_engine::{AskToken, NewConnector};
use serde_json::{Value, json};

use crate::world::{World, app_token};

/// A private key, as providers hand them out.
pub const PEM: &str = include_str!("../../../vault/testdata/keys/rsa-pkcs1.pem");

/// What a connector of each type is made of, whom it has tokens for, and a field that it cannot do without.
pub fn kinds() -> Vec<(&'static str, Value, &'static [&'static str], &'static str)> {
    let config = json!({
        "authorization_endpoint": "http://sandbox.test/authorize",
        "token_endpoint": "http://sandbox.test/token",
    });
    vec![
        (
            "api-key",
            json!({"values": [{"value": "k"}]}),
            &["app"],
            "values",
        ),
        (
            "aws-alpha",
            json!({"roleArn": "arn:aws:iam::123456789012:role/x", "region": "eu-central-1"}),
            &["app"],
            "",
        ),
        ("custom", json!({}), &[], ""),
        (
            "discord",
            json!({"applicationId": "17", "botToken": "never-shown"}),
            // No code is redeemed without a client secret.
            &["app"],
            "applicationId",
        ),
        (
            "github",
            json!({"appId": 7, "appSlug": "my-app", "appName": "My App", "clientId": "Iv1.x", "privateKeyPem": PEM}),
            &["app"],
            "appSlug",
        ),
        (
            "linear",
            json!({"clientId": "c", "clientSecret": "never-shown"}),
            &["user", "app"],
            "clientSecret",
        ),
        (
            "linq",
            json!({"apiToken": "never-shown"}),
            &["app"],
            "apiToken",
        ),
        (
            "microsoft-entra",
            json!({"clientId": "c", "clientSecret": "never-shown", "tenantId": "contoso.example"}),
            &["user", "app"],
            "clientId",
        ),
        (
            "microsoft-teams",
            json!({"appId": "c", "clientSecret": "never-shown"}),
            &["user", "app"],
            "appId",
        ),
        (
            "oauth",
            json!({"clientId": "c", "serverConfig": config}),
            &["user"],
            "clientId",
        ),
        (
            "photon",
            json!({"projectId": "p", "projectSecret": "never-shown"}),
            &["app"],
            "projectSecret",
        ),
        (
            "salesforce",
            json!({"consumerKey": "c", "consumerSecret": "never-shown", "loginHost": "test.salesforce.com"}),
            &["user"],
            "loginHost",
        ),
        (
            "sendblue",
            json!({"apiKeyId": "i", "apiSecretKey": "never-shown"}),
            &["app"],
            "apiKeyId",
        ),
        (
            "slack",
            json!({"appId": "A1", "appName": "n", "clientId": "1.2", "clientSecret": "never-shown"}),
            &["user", "app"],
            "clientSecret",
        ),
        (
            "snowflake",
            json!({"accountIdentifier": "acme-prod", "clientId": "c", "clientSecret": "never-shown"}),
            &["user"],
            "accountIdentifier",
        ),
        (
            "snowflake-wif",
            json!({"accountIdentifier": "acme-prod"}),
            &["app"],
            "",
        ),
    ]
}

fn new(kind: &str, data: &Value) -> NewConnector {
    NewConnector {
        kind: kind.to_owned(),
        name: Some(kind.to_owned()),
        data: data.as_object().unwrap().clone(),
        ..NewConnector::default()
    }
}

async fn count(world: &World) -> usize {
    let caller = world.server().await;
    let (filter, page) = (ConnectorFilter::default(), Page::first(100));
    let listed = world.engine.connectors(&caller, &filter, &page).await;
    listed.unwrap().data.len()
}

#[tokio::test]
async fn a_connector_of_every_type_is_made_and_shown_by_what_its_type_is() {
    let world = World::new().await;
    let caller = world.server().await;
    let kinds = kinds();
    assert_eq!(kinds.len(), ConnectorType::ALL.len());
    for (kind, data, subjects, _) in &kinds {
        let made = world
            .engine
            .create_connector(&caller, new(kind, data))
            .await;
        let made = made.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(made.connector.kind.as_str(), *kind);
        assert_eq!(made.capabilities.subjects, *subjects, "{kind}");
        let shown = Value::Object(made.connector.data.clone()).to_string();
        assert!(
            !shown.contains("never-shown") && !shown.contains("PRIVATE"),
            "{kind}"
        );
        assert!(!made.connector.service.is_empty());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_connector_is_named_and_nothing_of_it_is_stored() {
    let world = World::new().await;
    let caller = world.server().await;
    let before = count(&world).await;
    for (kind, data, _, needed) in kinds() {
        let mut bad = vec![("bogus", json!(1))];
        if !needed.is_empty() {
            bad.extend([
                (needed, Value::Null),
                (needed, json!({"a": 1})),
                (needed, json!("x".repeat(20_000))),
            ]);
        }
        for (field, value) in bad {
            let mut data = data.clone();
            data[field] = value;
            let refused = world
                .engine
                .create_connector(&caller, new(kind, &data))
                .await;
            let Err(Error::Invalid(problems)) = refused else {
                panic!("{kind} {field}: taken");
            };
            assert_eq!(problems[0].field, format!("data.{field}"), "{kind}");
        }
    }
    // Where a provider is, is no free text.
    for (kind, field, host) in [
        ("salesforce", "loginHost", "evil.example"),
        (
            "salesforce",
            "loginHost",
            "login.salesforce.com@evil.example",
        ),
        ("snowflake", "accountIdentifier", "evil.example/"),
        ("microsoft-entra", "tenantId", "../x"),
        ("aws-alpha", "roleArn", "arn:aws:iam::1:role/x"),
        ("aws-alpha", "region", "eu-central-1.evil.example"),
    ] {
        let mut data = kinds().into_iter().find(|row| row.0 == kind).unwrap().1;
        data[field] = json!(host);
        let refused = world
            .engine
            .create_connector(&caller, new(kind, &data))
            .await;
        let Err(Error::Invalid(problems)) = refused else {
            panic!("{kind} {host}: taken");
        };
        assert_eq!(problems[0].field, format!("data.{field}"), "{host}");
    }
    assert_eq!(count(&world).await, before);
}

#[tokio::test]
async fn a_secret_that_a_connector_keeps_is_its_applications_token() {
    let world = World::new().await;
    let caller = world.server().await;
    for (kind, secret, metadata) in [
        ("photon", "never-shown", json!({"projectId": "p"})),
        ("sendblue", "never-shown", json!({"apiKeyId": "i"})),
        ("linq", "never-shown", json!({})),
        ("discord", "never-shown", json!({"applicationId": "17"})),
    ] {
        let data = kinds().into_iter().find(|row| row.0 == kind).unwrap().1;
        let made = world
            .engine
            .create_connector(&caller, new(kind, &data))
            .await
            .unwrap();
        let id = made.connector.id.as_str();
        let ask = || AskToken {
            subject: Some(Subject::App),
            ..AskToken::default()
        };
        let served = world.engine.token(&caller, id, ask()).await.unwrap();
        assert_eq!(served.token.expose(), secret, "{kind}");
        assert_eq!(Value::Object(served.metadata), metadata, "{kind}");
        assert_eq!(served.expires_at, None);
        // Nothing narrower is promised than what is handed out.
        let narrow = AskToken {
            details: vec![json!({"type": "x"})],
            ..ask()
        };
        let refused = world.engine.token(&caller, id, narrow).await.err().unwrap();
        assert!(matches!(refused, Error::Invalid(_)), "{kind}: {refused}");
    }
}

#[tokio::test]
async fn a_change_keeps_the_secrets_that_it_does_not_name_and_a_needed_one_cannot_go() {
    let world = World::new().await;
    let caller = world.server().await;
    let data = json!({"projectId": "p", "projectSecret": "s"});
    let made = world
        .engine
        .create_connector(&caller, new("photon", &data))
        .await
        .unwrap();
    let id = made.connector.id.as_str();
    let change = |data: Value| grantry_engine::ConnectorChange {
        data: Some(data.as_object().unwrap().clone()),
        ..grantry_engine::ConnectorChange::default()
    };
    let engine = &world.engine;
    engine
        .update_connector(&caller, id, change(json!({"projectId": "q"})))
        .await
        .unwrap();
    let ask = || AskToken {
        subject: Some(Subject::App),
        ..AskToken::default()
    };
    let token = |secret: Secret| secret.expose().to_owned();
    assert_eq!(
        token(engine.token(&caller, id, ask()).await.unwrap().token),
        "s"
    );
    let refused = engine
        .update_connector(&caller, id, change(json!({"projectSecret": ""})))
        .await;
    assert!(
        matches!(refused, Err(Error::Invalid(problems)) if problems[0].field == "data.projectSecret")
    );
    engine
        .update_connector(&caller, id, change(json!({"projectSecret": "t"})))
        .await
        .unwrap();
    assert_eq!(
        token(engine.token(&caller, id, ask()).await.unwrap().token),
        "t"
    );
}

#[tokio::test]
async fn a_snowflake_user_is_signed_for_with_its_own_key_until_just_before_the_end() {
    let world = World::new().await;
    let caller = world.server().await;
    let data = json!({
        "accountIdentifier": "acme-prod", "user": "svc", "privateKeyPem": PEM, "defaultSessionRole": "ANALYST",
    });
    let made = world
        .engine
        .create_connector(&caller, new("snowflake", &data))
        .await
        .unwrap();
    assert_eq!(made.capabilities.subjects, ["app"]);
    let id = made.connector.id.as_str();
    let first = world
        .engine
        .token(&caller, id, app_token(None))
        .await
        .unwrap();
    assert_eq!(first.token.expose().split('.').count(), 3);
    assert_eq!(first.metadata["tokenType"], "KEYPAIR_JWT");
    assert_eq!(first.metadata["defaultSessionRole"], "ANALYST");
    let again = world
        .engine
        .token(&caller, id, app_token(None))
        .await
        .unwrap();
    assert_eq!(again.token.expose(), first.token.expose());
    // A JWT of 59 minutes that began half a minute ago.
    let life = std::time::Duration::from_secs(58 * 60 + 30);
    let second = std::time::Duration::from_secs(1);
    assert_eq!(first.expires_at, Some(world.clock.now().after(life)));
    world.pass(life - second).await;
    let last = world
        .engine
        .token(&caller, id, app_token(None))
        .await
        .unwrap();
    assert_eq!(last.token.expose(), first.token.expose());
    world.pass(second).await;
    let later = world
        .engine
        .token(&caller, id, app_token(None))
        .await
        .unwrap();
    assert_ne!(later.token.expose(), first.token.expose());
    let narrow = AskToken {
        resources: vec!["x".to_owned()],
        ..app_token(None)
    };
    assert!(matches!(
        world.engine.token(&caller, id, narrow).await,
        Err(Error::Invalid(_))
    ));
}
