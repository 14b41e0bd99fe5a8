//! An application that asks for more than it did has to be installed again.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::nouns::Install;
use grantry_core::store::Page;
use grantry_engine::{AskConsent, CallbackEnd, Changed, ConnectorChange};
use serde_json::json;

use crate::installs::{DECLARED, install, token};
use crate::world::{CALLBACK, World, app_token};

/// Changes what is installed of the connector.
async fn change(world: &World, installation: serde_json::Value) -> Changed {
    let data = json!({ "installation": installation });
    let change = ConnectorChange {
        data: data.as_object().cloned(),
        nested: true,
        ..ConnectorChange::default()
    };
    world.pass(Duration::from_secs(1)).await;
    let changed = world
        .engine
        .change_connector(&*world.server().await, "scl_bot", change)
        .await;
    world.pass(Duration::from_secs(1)).await;
    changed.unwrap()
}

#[tokio::test]
async fn an_application_that_asks_for_more_is_installed_again_wherever_it_is() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let caller = world.server().await;
    let since = async || {
        let view = world.engine.connector(&caller, "scl_bot").await.unwrap();
        view.connector.reinstall_at
    };
    let outdated = async || {
        let page = Page::first(10);
        let rows = world.engine.installations(&caller, "scl_bot", &page);
        let rows = rows.await.unwrap().data.into_iter();
        let rows = rows.filter(|view| view.outdated);
        rows.map(|view| view.installation.external_id)
            .collect::<BTreeSet<_>>()
    };
    let scopes = |scopes: &[&str]| json!({ "scopes": scopes });
    let told = |changed: &Changed| {
        (
            changed.consequences.reinstall,
            changed.view.connector.reinstall_at,
        )
    };

    let nobodys = change(&world, scopes(&["email", "profile"])).await;
    assert_eq!(told(&nobodys), (false, None));
    install(&world, "T1", Install::default()).await;
    install(&world, "T2", Install::default()).await;
    assert_eq!(since().await, None);

    let (_, first) = told(&change(&world, scopes(&["email", "profile", "openid"])).await);
    assert!(first.is_some());
    assert_eq!(since().await, first);
    let more = ["email", "profile", "openid", "offline_access"];
    assert_eq!(told(&change(&world, scopes(&more)).await), (true, first));
    assert_eq!(outdated().await.len(), 2);
    install(&world, "T1", Install::default()).await;
    assert_eq!(
        (since().await, outdated().await),
        (first, ["T2".to_owned()].into())
    );
    // What was given there before goes on.
    assert!(token(&world, Some("T2")).await.is_ok());
    install(&world, "T2", Install::default()).await;
    assert_eq!((since().await, outdated().await.len()), (None, 0));

    // Off and on again is nothing new; what changes between is.
    let [off, on] = [false, true].map(|on| json!({ "enabled": on }));
    assert_eq!(told(&change(&world, off.clone()).await), (false, None));
    assert_eq!(told(&change(&world, on.clone()).await), (false, None));
    change(&world, off).await;
    let further = [&more[..], &["phone"]].concat();
    assert_eq!(told(&change(&world, scopes(&further)).await), (false, None));
    let (needed, at) = told(&change(&world, on).await);
    assert_eq!((needed, at.is_some(), since().await), (true, true, at));

    // A file's change says so too, and the end of all is the end of it.
    install(&world, "T1", Install::default()).await;
    install(&world, "T2", Install::default()).await;
    assert_eq!(since().await, None);
    world.pass(Duration::from_secs(1)).await;
    world
        .apply(&DECLARED.replace(r#"["email"]"#, r#"["email", "address"]"#))
        .await;
    assert!(since().await.is_some());
    let page = Page::first(10);
    let rows = world.engine.installations(&caller, "scl_bot", &page).await;
    for view in rows.unwrap().data {
        let id = &view.installation.id;
        world
            .run(world.engine.delete_installation(&caller, id))
            .await
            .unwrap();
    }
    assert_eq!(since().await, None);
}

#[tokio::test]
async fn who_consented_to_less_than_is_asked_for_since_is_asked_again() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let ask = AskConsent {
        token: app_token(None),
        install: Some(Install::default()),
        ..AskConsent::default()
    };
    let caller = world.caller("tok_web").await;
    let requested = world.engine.authorize(&caller, "scl_bot", ask).await;
    let requested = requested.unwrap();
    let pressed = world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap();
    let query = world.provider_answers(&pressed.url).await;
    change(&world, json!({ "scopes": ["email", "profile"] })).await;
    let back = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    match world.run(back).await.unwrap() {
        CallbackEnd::TryAgain { code, .. } => assert_eq!(code, "connector_changed"),
        _ => panic!("it was installed"),
    }
    let ended = world.consent(&requested).await;
    assert!(matches!(ended, CallbackEnd::Ended(_)));
}
