//! Installations: the app's tokens in a tenant, from the refusal that tells where to install it to a fresh token. And
//! the news of how a request ended.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::nouns::{AuthorizationState, EventKind, Install, Subject};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Clock, Error, Result, Secret};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, ConsentResult, NewGrant, NewPair, ServedToken, Which,
};
use serde_json::json;

use crate::world::{CALLBACK, World, app_token};

pub const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_bot"
    team = "team_1"
    name = "Bot"
    type = "oauth"
    service = "sandbox"
    data = { clientId = "demo", clientSecret = "demo-secret", installation = { enabled = true, id = "/team/id", name = "/team/name", scopes = ["email"], params = { workspace = "T1" } } }
    links = [{ project = "prj_1" }]
"#;

pub async fn token(world: &World, installation: Option<&str>) -> Result<ServedToken> {
    let caller = world.caller("tok_web").await;
    world
        .run(
            world
                .engine
                .token(&caller, "scl_bot", app_token(installation)),
        )
        .await
}

/// Installs in `workspace`, and how that ended.
pub async fn install(world: &World, workspace: &str, wanted: Install) -> ConsentResult {
    let ask = AskConsent {
        token: app_token(None),
        install: Some(wanted),
        additional_params: json!({ "workspace": workspace })
            .as_object()
            .unwrap()
            .clone(),
        ..AskConsent::default()
    };
    let caller = world.caller("tok_web").await;
    let requested = world
        .engine
        .authorize(&caller, "scl_bot", ask)
        .await
        .unwrap();
    assert!(requested.url.contains("/install/sci_"), "{}", requested.url);
    match world.consent(&requested).await {
        CallbackEnd::Ended(result) => result,
        _ => panic!("not ended"),
    }
}

#[tokio::test]
async fn who_asks_before_it_is_installed_is_told_where_and_then_gets_fresh_tokens_of_each_tenant() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    for installation in [None, Some("T1")] {
        match token(&world, installation).await {
            Err(Error::InstallationRequired(why)) => {
                assert!(why.url.unwrap().contains("/install/sci_"));
            }
            other => panic!("{:?}", other.err()),
        }
    }
    let ended = install(&world, "T1", Install::default()).await;
    assert!(matches!(ended.state, AuthorizationState::Success { .. }));
    assert_eq!(ended.installation.as_deref(), Some("T1"));
    install(&world, "T2", Install::default()).await;

    let first = token(&world, None).await.unwrap();
    let second = token(&world, Some("T2")).await.unwrap();
    let of = |served: &ServedToken| {
        let live = served.connection.as_ref().unwrap();
        (
            live.connection.grant.installation.clone().unwrap(),
            served.scope.clone(),
        )
    };
    assert_eq!(of(&first), ("T1".to_owned(), Some("email".to_owned())));
    assert_eq!(of(&second).0, "T2");
    assert_ne!(first.token.expose(), second.token.expose());
    assert!(matches!(
        token(&world, Some("T3")).await,
        Err(Error::InstallationRequired(_))
    ));

    world.expire().await;
    let fresh = token(&world, None).await.unwrap();
    assert_ne!(fresh.token.expose(), first.token.expose());

    let caller = world.server().await;
    let page = Page::first(10);
    let rows = world
        .engine
        .installations(&caller, "scl_bot", &page)
        .await
        .unwrap();
    let mut rows: Vec<_> = rows
        .data
        .into_iter()
        .map(|view| {
            (
                view.installation.external_id,
                view.installation.name,
                view.default,
            )
        })
        .collect();
    rows.sort();
    let name = |id: &str| Some(format!("Workspace {id}"));
    let expected =
        [("T1", true), ("T2", false)].map(|(id, default)| (id.to_owned(), name(id), default));
    assert_eq!(rows, expected);

    // Once more is the same installation with other tokens.
    install(&world, "T1", Install::default()).await;
    let rows = world
        .engine
        .installations(&caller, "scl_bot", &page)
        .await
        .unwrap();
    assert_eq!(rows.data.len(), 2);
    assert_ne!(
        token(&world, None).await.unwrap().token_set,
        fresh.token_set
    );
}

#[tokio::test]
async fn who_connected_before_it_was_installed_stays_connected_wherever_the_default_goes() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let server = world.server().await;
    let ask = AskConsent {
        token: crate::world::token_of("u1"),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&server, "scl_bot", ask).await;
    world.consent(&requested.unwrap()).await;
    let read = async || {
        let caller = world.caller("tok_web").await;
        let token = crate::world::token_of("u1");
        let served = world.run(world.engine.token(&caller, "scl_bot", token));
        served.await.map(|served| served.token_set)
    };
    let before = read().await.unwrap();
    install(&world, "T1", Install::default()).await;
    assert_eq!(read().await.unwrap(), before);
    let rows = world
        .engine
        .installations(&server, "scl_bot", &Page::first(9))
        .await
        .unwrap();
    let id = &rows.data[0].installation.id;
    world.engine.delete_installation(&server, id).await.unwrap();
    assert_eq!(read().await.unwrap(), before);
}

#[tokio::test]
async fn what_is_installed_from_one_environment_has_its_tokens_in_all_and_is_one_connection() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let server = world.server().await;
    let within = |environment: &str, installation: Option<&str>| AskToken {
        environment: Some(environment.into()),
        ..app_token(installation)
    };
    let token = async |environment, installation| {
        let asked = within(environment, installation);
        let served = world.run(world.engine.token(&server, "scl_bot", asked));
        let live = served.await?.connection.unwrap();
        Ok::<_, Error>((live.connection.id.clone(), live.sets[0].id.clone()))
    };
    let install = async |environment, workspace: &str| {
        let ask = AskConsent {
            token: within(environment, None),
            install: Some(Install::default()),
            additional_params: json!({ "workspace": workspace })
                .as_object()
                .unwrap()
                .clone(),
            ..AskConsent::default()
        };
        let requested = world.engine.authorize(&server, "scl_bot", ask).await;
        world.consent(&requested.unwrap()).await;
    };
    install("preview", "T1").await;
    let first = token("preview", None).await.unwrap();
    for environment in ["production", "development", "preview"] {
        for installation in [None, Some("T1")] {
            let found = token(environment, installation).await.unwrap();
            assert_eq!(found, first, "{environment} {installation:?}");
        }
        assert!(matches!(
            token(environment, Some("T2")).await,
            Err(Error::InstallationRequired(_))
        ));
    }
    install("production", "T1").await;
    for environment in ["preview", "production", "development"] {
        let found = token(environment, None).await.unwrap();
        assert_eq!(found.0, first.0, "{environment}: renewed, and no second");
        assert_ne!(
            found.1, first.1,
            "{environment}: by what the second brought"
        );
    }
    // What is due is refreshed once, whichever environment asks.
    world.expire().await;
    let fresh = token("development", None).await.unwrap();
    assert_eq!(token("production", None).await.unwrap(), fresh);

    let which = Which {
        subject: Some(Subject::App),
        ..Which::default()
    };
    world
        .run(world.engine.revoke(&server, "scl_bot", which))
        .await
        .unwrap();
    for environment in ["preview", "production", "development"] {
        assert!(matches!(
            token(environment, None).await,
            Err(Error::InstallationRequired(_))
        ));
    }
}

#[tokio::test]
async fn what_an_admin_imported_is_of_its_environment_also_where_a_consents_would_be_of_all() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let server = world.server().await;
    let within = |environment: &str| AskToken {
        environment: Some(environment.into()),
        ..app_token(Some("T1"))
    };
    let imported = NewGrant {
        token: within("preview"),
        name: None,
        external_subject: None,
        installation: None,
        pair: NewPair {
            access: Secret::new("brought-along"),
            expires_in: None,
            refresh: None,
            refresh_ends: None,
            scope: None,
            metadata: serde_json::Map::new(),
            servers: None,
        },
    };
    let done = world
        .engine
        .import_grants(&server, "scl_bot", vec![imported]);
    assert!(world.run(done).await.unwrap()[0].new);
    let token = async |environment| {
        let served = world.run(world.engine.token(&server, "scl_bot", within(environment)));
        Ok::<_, Error>(served.await?.token.expose().to_owned())
    };
    let missing = |read: Result<String>| matches!(read, Err(Error::InstallationRequired(_)));
    assert_eq!(token("preview").await.unwrap(), "brought-along");
    assert!(missing(token("production").await) && missing(token("development").await));
    // A consent for another environment does not take its place either, and is of all others.
    install(&world, "T1", Install::default()).await;
    let consented = token("production").await.unwrap();
    assert_ne!(consented, "brought-along");
    assert_eq!(token("development").await.unwrap(), consented);
    assert_eq!(token("preview").await.unwrap(), "brought-along");
}

#[tokio::test]
async fn a_users_connection_stays_in_its_environment() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    world.connect("u1").await;
    let server = world.server().await;
    let asked = AskToken {
        environment: Some("preview".into()),
        ..crate::world::token_of("u1")
    };
    assert!(matches!(
        world.engine.token(&server, "scl_1", asked).await,
        Err(Error::AuthorizationRequired(_))
    ));
}

#[tokio::test]
async fn what_came_with_the_first_tokens_outlives_refreshes_that_do_not_repeat_it() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    install(&world, "T1", Install::default()).await;
    world.strike("nofacts", Some(2));
    let mut seen = vec![token(&world, None).await.unwrap()];
    for _ in 0..3 {
        world.expire().await;
        seen.push(token(&world, None).await.unwrap());
    }
    for served in &seen {
        assert_eq!(served.metadata["team"]["name"], "Workspace T1");
    }
    let distinct: BTreeSet<&str> = seen.iter().map(|served| served.token.expose()).collect();
    assert_eq!(distinct.len(), 4, "each was a refresh");
}

#[tokio::test]
async fn an_installation_is_named_by_its_own_id() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    match token(&world, Some("*")).await {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "installationId"),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn what_was_installed_by_mistake_where_it_was_already_is_not_revoked() {
    let world = World::new().await;
    world.engine.start().await.unwrap();
    world.apply(DECLARED).await;
    install(&world, "T1", Install::default()).await;
    let elsewhere = Install {
        external_id: Some("T2".to_owned()),
        tenant: None,
    };
    install(&world, "T1", elsewhere.clone()).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.revocations(), 0, "what T1 has may be the same token");
    install(&world, "T3", elsewhere).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.revocations(), 2, "both tokens of a pair");
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn a_team_that_is_gone_has_no_news() {
    let world = World::new().await;
    let caller = world.server().await;
    let ask = AskConsent {
        token: crate::world::token_of("u1"),
        webhook: Some("https://hooks.example/x".to_owned()),
        ..AskConsent::default()
    };
    world.engine.authorize(&caller, "scl_1", ask).await.unwrap();
    world.engine.delete_team(&caller, true).await.unwrap();
    let due = world.store.due_webhooks(world.clock.now(), 10).await;
    assert_eq!(due.unwrap().len(), 0);
}

#[tokio::test]
async fn what_was_installed_elsewhere_than_asked_is_not_kept() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let named = |external_id: Option<&str>, tenant: Option<&str>| Install {
        external_id: external_id.map(str::to_owned),
        tenant: tenant.map(str::to_owned),
    };
    for (wanted, code) in [
        (named(Some("T2"), None), "other_installation"),
        (named(None, Some("T2")), "other_tenant"),
    ] {
        let ended = install(&world, "T1", wanted).await;
        let error = AuthorizationState::Error {
            code: code.to_owned(),
        };
        assert_eq!(ended.state, error);
    }
    assert!(matches!(
        token(&world, None).await,
        Err(Error::InstallationRequired(_))
    ));
    let ended = install(&world, "T1", named(Some("T1"), Some("T1"))).await;
    assert!(matches!(ended.state, AuthorizationState::Success { .. }));
}

#[tokio::test]
async fn a_provider_that_does_not_say_what_was_installed_installs_nothing() {
    let world = World::new().await;
    world
        .apply(&DECLARED.replace("/team/id", "workspace"))
        .await;
    let ended = install(&world, "T1", Install::default()).await;
    let error = AuthorizationState::Error {
        code: "no_installation".to_owned(),
    };
    assert_eq!(ended.state, error);
}

#[tokio::test]
async fn a_connector_without_installations_refuses_to_be_installed() {
    let world = World::new().await;
    let ask = AskConsent {
        token: app_token(None),
        install: Some(Install::default()),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let refused = world.engine.authorize(&caller, "scl_1", ask).await;
    assert!(matches!(refused, Err(Error::Unresolvable { .. })));
}

#[tokio::test]
async fn news_that_nobody_takes_are_given_up_after_a_day_and_said_to_be() {
    let world = World::new().await;
    world.engine.start().await.unwrap();
    let caller = world.server().await;
    let ask = AskConsent {
        token: crate::world::token_of("u1"),
        // The sandbox has no such page.
        webhook: Some("http://127.0.0.1:9/no-such-page".to_owned()),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&caller, "scl_1", ask).await.unwrap();
    let pressed = world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap();
    let query = world.provider_answers(&pressed.url).await;
    let work = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    world.run(work).await.unwrap();
    let failed = async || {
        let filter = EventFilter {
            kinds: vec![EventKind::WebhookFailed, EventKind::WebhookDelivered],
            ..EventFilter::default()
        };
        let found = world
            .store
            .events(&"team_1".into(), &filter, &Page::first(9))
            .await;
        let told = found.unwrap().into_iter();
        told.map(|event| (event.kind, event.data["tries"].clone()))
            .collect::<Vec<_>>()
    };
    for _ in 0..12 {
        world.pass(Duration::from_secs(7)).await;
        world.clock.advance(Duration::from_secs(5 * 3600));
    }
    world.pass(Duration::from_secs(7)).await;
    assert_eq!(failed().await, [(EventKind::WebhookFailed, json!(8))]);
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn a_webhook_that_is_not_https_is_refused() {
    let world = World::new().await;
    let caller = world.server().await;
    for bad in [
        "",
        "hooks.example",
        "http://hooks.example/x",
        "ftp://hooks.example/x",
        "javascript:alert(1)",
        "https://user:pw@hooks.example/x",
        "//hooks.example",
    ] {
        let ask = AskConsent {
            token: crate::world::token_of("u1"),
            webhook: Some(bad.to_owned()),
            ..AskConsent::default()
        };
        match world.engine.authorize(&caller, "scl_1", ask).await {
            Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "webhook", "{bad}"),
            other => panic!("{bad}: {}", other.is_ok()),
        }
    }
}

#[tokio::test]
async fn a_slack_app_is_installed_in_each_workspace_with_the_scopes_of_its_bot() {
    let world = World::new().await;
    let slack = r#"
        [[connectors]]
        id = "scl_bot"
        team = "team_1"
        name = "Bot"
        type = "slack"
        service = "sandbox"
        data = { appId = "A1", appName = "Bot", clientId = "demo", clientSecret = "demo-secret", botScopes = ["profile"] }
        links = [{ project = "prj_1" }]
    "#;
    world.apply(slack).await;
    assert!(matches!(
        token(&world, None).await,
        Err(Error::InstallationRequired(_))
    ));
    let ended = install(&world, "T9", Install::default()).await;
    assert_eq!(ended.installation.as_deref(), Some("T9"));
    let served = token(&world, Some("T9")).await.unwrap();
    assert_eq!(served.scope.as_deref(), Some("profile"));
    assert_eq!(served.metadata["team"]["name"], "Workspace T9");
}
