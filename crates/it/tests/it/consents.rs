//! Consents of the types whose provider is not emulated elsewhere: what each asks its users for, and the tokens that come.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use grantry_core::nouns::AuthorizationState;
use grantry_core::{Clock, Error, Result};
use grantry_engine::{AskConsent, CallbackEnd, NewConnector, ServedToken};
use serde_json::{Value, json};
use url::Url;

use crate::world::{ACCESS_TTL, CALLBACK, World, browser, token_of};

/// A type's client at the sandbox.
struct Case {
    kind: &'static str,
    data: Value,
    /// Path of its token endpoint.
    token: &'static str,
    /// What users are asked for.
    scope: &'static str,
    /// More of the authorization request.
    params: &'static [(&'static str, &'static str)],
    /// What is granted, as the token says it.
    granted: Option<&'static str>,
    /// How long the provider's tokens count as good.
    life: Duration,
    /// Whether a refresh brings another refresh token.
    rotates: bool,
    /// Whose account it is, where that can be told.
    account: Option<&'static str>,
    /// What is served beside the token.
    metadata: Value,
}

fn cases() -> Vec<Case> {
    let usual = |kind, data, scope| Case {
        kind,
        data,
        token: "/token",
        scope,
        params: &[],
        granted: Some(scope),
        life: ACCESS_TTL,
        rotates: true,
        account: None,
        metadata: json!({}),
    };
    let salesforce = json!({
        "consumerKey": "demo", "consumerSecret": "demo-secret", "loginHost": "login.salesforce.com",
        "userScopes": ["api", "refresh_token"],
    });
    let snowflake = json!({
        "accountIdentifier": "acme-prod", "clientId": "demo", "clientSecret": "demo-secret",
        "defaultSessionRole": "ANALYST",
    });
    vec![
        Case {
            token: "/salesforce/services/oauth2/token",
            // Salesforce names no lifetime: two hours are taken.
            life: Duration::from_secs(7200),
            rotates: false,
            metadata: json!({
                "instance_url": "https://acme.my.salesforce.com",
                "id": "https://login.salesforce.com/id/00D0/alice",
            }),
            ..usual("salesforce", salesforce, "api refresh_token")
        },
        Case {
            token: "/snowflake/oauth/token-request",
            granted: None,
            rotates: false,
            metadata: json!({"username": "ALICE"}),
            ..usual("snowflake", snowflake, "refresh_token session:role:ANALYST")
        },
        Case {
            account: Some("alice"),
            ..usual(
                "microsoft-teams",
                json!({"appId": "demo", "clientSecret": "demo-secret"}),
                "openid profile offline_access",
            )
        },
        usual(
            "discord",
            json!({"applicationId": "demo", "clientSecret": "demo-secret", "userScopes": ["identify", "guilds"]}),
            "identify guilds",
        ),
        Case {
            params: &[("access_type", "offline")],
            ..usual(
                "custom",
                json!({
                    "clientId": "demo", "clientSecret": "demo-secret",
                    "userAuthorization": {"enabled": true, "scopes": ["read", "write"]},
                    "authorizationUrlParams": {"access_type": "offline"},
                }),
                "read write",
            )
        },
    ]
}

/// A connector of the case, by its id.
async fn made(world: &World, case: &Case) -> String {
    let mut data = case.data.clone();
    data["serverConfig"] = json!({
        "issuer": "http://sandbox.test", "jwks_uri": "http://sandbox.test/jwks",
        "authorization_endpoint": "http://sandbox.test/authorize",
        "token_endpoint": format!("http://sandbox.test{}", case.token),
    });
    let new = NewConnector {
        kind: case.kind.to_owned(),
        name: Some(case.kind.to_owned()),
        data: data.as_object().unwrap().clone(),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    let made = made.unwrap_or_else(|error| panic!("{}: {error}", case.kind));
    made.connector.id.to_string()
}

/// Alice consents: where the button led her, and what her authorization ended as.
pub async fn connected(world: &World, connector: &str) -> (Url, AuthorizationState) {
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let requested = world.engine.authorize(&caller, connector, ask).await;
    let id = requested.unwrap().id;
    let pressed = world.engine.press(&id, None, false).await.unwrap();
    let query = world.provider_answers(&pressed.url).await;
    let back = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    match world.run(back).await.unwrap() {
        CallbackEnd::Ended(result) => (pressed.url, result.state),
        _ => panic!("not ended"),
    }
}

pub async fn token(world: &World, connector: &str) -> Result<ServedToken> {
    let caller = world.server().await;
    let read = world.engine.token(&caller, connector, token_of("u1"));
    world.run(read).await
}

/// Whose the provider says a token is; `None` for one that opens nothing.
async fn opens(world: &World, served: &ServedToken) -> Option<String> {
    let token = served.token.expose();
    let request = Request::get("/api/me").header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    let page = browser::send(&world.sandbox.router(), request).await;
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    Some(answer["user"]["id"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_user_connects_to_each_and_is_served_fresh_tokens() {
    for case in cases() {
        let (world, kind) = (World::new().await, case.kind);
        let id = made(&world, &case).await;
        let (url, ended) = connected(&world, &id).await;
        let sent = |name: &str| {
            let mut found = url.query_pairs().filter(|(key, _)| key == name);
            let value = found.next().map(|(_, value)| value.into_owned());
            assert!(found.next().is_none(), "{kind}: {name} twice");
            value
        };
        for (name, value) in [
            ("client_id", "demo"),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("code_challenge_method", "S256"),
            ("scope", case.scope),
        ]
        .iter()
        .chain(case.params)
        {
            assert_eq!(sent(name).as_deref(), Some(*value), "{kind}: {name}");
        }
        assert_eq!(sent("code_challenge").map(|text| text.len()), Some(43));
        assert!(!url.as_str().contains("demo-secret"), "{kind}");
        let success = matches!(ended, AuthorizationState::Success { .. });
        assert!(success, "{kind}: {ended:?}");

        let first = token(&world, &id).await.unwrap();
        let live = world.live("u1").await.unwrap();
        let account = live.connection.external_subject.as_deref();
        assert_eq!(account, case.account, "{kind}");
        let kept = world.stored_refresh_token("u1").await;
        // The code is as old as the world, for no time has passed.
        let ends = |served: &ServedToken| served.expires_at.unwrap().since(world.clock.now());
        assert_eq!(ends(&first), case.life, "{kind}");

        world.pass(case.life).await;
        let second = token(&world, &id).await.unwrap();
        assert_ne!(second.token.expose(), first.token.expose(), "{kind}");
        assert_eq!(ends(&second), case.life, "{kind}");
        assert_eq!(world.presentations().len(), 1, "{kind}");
        let now = world.stored_refresh_token("u1").await;
        assert_eq!(now.expose() != kept.expose(), case.rotates, "{kind}");
        for served in [&first, &second] {
            assert_eq!(served.scope.as_deref(), case.granted, "{kind}");
            let metadata = Value::Object(served.metadata.clone());
            assert_eq!(metadata, case.metadata, "{kind}");
        }
        let whose = opens(&world, &second).await;
        assert_eq!(whose.as_deref(), Some("alice"), "{kind}");
    }
}

#[tokio::test]
async fn a_snowflake_user_who_was_not_asked_for_a_refresh_token_is_asked_again_at_the_end() {
    let world = World::new().await;
    let mut case = cases().swap_remove(1);
    case.data["userScopes"] = json!(["session:role:READER"]);
    let id = made(&world, &case).await;
    let (url, _) = connected(&world, &id).await;
    // The role that the scopes name is the one, and not the connector's.
    let mut scopes = url.query_pairs().filter(|(name, _)| name == "scope");
    assert_eq!(scopes.next().unwrap().1, "session:role:READER");
    let first = token(&world, &id).await.unwrap();
    assert_eq!(opens(&world, &first).await.as_deref(), Some("alice"));
    world.pass(case.life).await;
    let ended = token(&world, &id).await.err();
    assert!(
        matches!(ended, Some(Error::AuthorizationRequired(_))),
        "{ended:?}"
    );
    assert!(world.presentations().is_empty());
}
