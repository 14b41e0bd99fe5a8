//! GitHub Apps: the page that installs them, a person's own installations, and the app's token.

use std::time::Duration;

use grantry_core::Error;
use grantry_engine::{CallbackEnd, CallbackRefusal, Pressed};
use grantry_sandbox::{Endpoint, Order};
use url::Url;

use super::{
    asked, callback, code_of, installation_of, press, read, refused, rows, state_of, walk,
};
use crate::world::{CALLBACK, World};

pub(super) async fn world() -> World {
    let world = World::new().await;
    let pem = crate::types::PEM.replace('\n', "\\n");
    let declared = r#"
        [[connectors]]
        id = "scl_in"
        team = "team_1"
        name = "Code"
        type = "github"
        data = { appId = 7, appSlug = "acme", appName = "Acme", clientId = "demo", clientSecret = "demo-secret", privateKeyPem = "PEM", serverConfig = { authorization_endpoint = "http://sandbox.test/github/login/oauth/authorize", token_endpoint = "http://sandbox.test/github/login/oauth/access_token", api_base_url = "http://sandbox.test/github/api" } }
        links = [{ project = "prj_1" }]
    "#;
    world.apply(&declared.replace("PEM", &pem)).await;
    world
}

/// GitHub's page as the app's owner has set it up, for who presses the button.
fn page(pressed: &Pressed, setup: &str) -> Url {
    let mut url = pressed.url.clone();
    assert_eq!(url.path(), "/apps/acme/installations/new");
    assert_eq!(
        url.query_pairs().count(),
        1,
        "GitHub takes a state and nothing else"
    );
    url.query_pairs_mut().append_pair("callback", CALLBACK);
    let setup = url::form_urlencoded::parse(setup.as_bytes()).into_owned();
    url.query_pairs_mut().extend_pairs(setup);
    url
}

async fn install(world: &World, setup: &str) -> CallbackEnd {
    let requested = asked(world, None, None).await.unwrap();
    let pressed = press(world, &requested).await;
    let query = world.provider_answers(&page(&pressed, setup)).await;
    walk(world, &pressed, &query).await
}

#[tokio::test]
async fn an_app_is_installed_whether_github_sends_a_code_along_or_not() {
    let world = world().await;
    world.engine.start().await.unwrap();
    let (_, url) = refused(read(&world, None).await);
    assert!(url.contains("/install/sci_"), "{url}");
    assert_eq!(installation_of(install(&world, "login=Acme").await), "1001");
    assert_eq!(
        installation_of(install(&world, "login=other&oauth=1").await),
        "1002"
    );
    let row = |id: &str, name: &str, default| (id.to_owned(), Some(name.to_owned()), default);
    assert_eq!(
        rows(&world).await,
        [row("1001", "acme", true), row("1002", "other", false)]
    );
    let served = read(&world, Some("1002")).await.unwrap();
    assert!(served.token.expose().starts_with("ghs_"));
    assert_eq!(served.metadata["repository_selection"], "all");
    assert_ne!(
        read(&world, None).await.unwrap().token.expose(),
        served.token.expose()
    );
    // What proved it is kept no longer than that.
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.revocations(), 2);
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn an_installation_that_somebody_else_made_is_not_taken_in() {
    let world = world().await;
    // Bob's, in an account that alice has nothing to do with.
    let theirs = install(&world, "login=victim&login_hint=bob").await;
    assert_eq!(code_of(theirs), "foreign_installation", "alice signs in");
    for with_code in [false, true] {
        let requested = asked(&world, None, None).await.unwrap();
        let pressed = press(&world, &requested).await;
        let mut query = format!(
            "installation_id=1001&setup_action=install&state={}",
            state_of(&pressed)
        );
        if with_code {
            let own = world
                .provider_answers(&page(&pressed, "login=own&oauth=1"))
                .await;
            let code = own
                .split('&')
                .find(|pair| pair.starts_with("code="))
                .unwrap();
            query = format!("{query}&{code}");
        }
        assert_eq!(
            code_of(walk(&world, &pressed, &query).await),
            "foreign_installation"
        );
    }
    assert_eq!(rows(&world).await, []);
    refused(read(&world, Some("1001")).await);
}

#[tokio::test]
async fn an_owner_who_has_to_approve_leaves_the_link_open() {
    let world = world().await;
    for setup in ["request=1", "request=1&oauth=1"] {
        let requested = asked(&world, None, None).await.unwrap();
        let pressed = press(&world, &requested).await;
        let query = world.provider_answers(&page(&pressed, setup)).await;
        match callback(&world, &pressed, &query).await {
            CallbackEnd::Approval(id) => assert_eq!(id, requested.id),
            _ => panic!("{setup}"),
        }
        let pressed = press(&world, &requested).await;
        let query = world.provider_answers(&page(&pressed, "login=acme")).await;
        installation_of(walk(&world, &pressed, &query).await);
    }
}

#[tokio::test]
async fn what_is_no_installation_leads_nowhere_and_a_state_is_one_browsers() {
    let world = world().await;
    for said in [
        "installation_id=&setup_action=install",
        "installation_id=1%2F..%2F2&setup_action=install",
        "installation_id=one&setup_action=install",
        "setup_action=install",
        "code=c",
        "admin_consent=True&tenant=1001",
    ] {
        let requested = asked(&world, None, None).await.unwrap();
        let pressed = press(&world, &requested).await;
        let query = format!("{said}&state={}", state_of(&pressed));
        let end = callback(&world, &pressed, &query).await;
        assert!(
            matches!(end, CallbackEnd::Refused(CallbackRefusal::Malformed)),
            "{said}"
        );
    }
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let query = world.provider_answers(&page(&pressed, "login=acme")).await;
    let other = press(&world, &requested).await;
    let end = callback(&world, &other, &query).await;
    assert!(matches!(
        end,
        CallbackEnd::Refused(CallbackRefusal::NotWaiting)
    ));
    let CallbackEnd::Onward(_) = callback(&world, &pressed, &query).await else {
        panic!("the browser's own is not waited for");
    };
    let again = callback(&world, &pressed, &query).await;
    assert!(matches!(
        again,
        CallbackEnd::Refused(CallbackRefusal::AlreadyUsed)
    ));
    match asked(&world, Some("one"), None).await {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "installationId"),
        _ => panic!("no number"),
    }
}

#[tokio::test]
async fn a_github_that_does_not_say_whose_it_is_can_be_asked_again() {
    let world = world().await;
    for fault in ["s500", "s429", "deep"] {
        let order = Order {
            fault: fault.to_owned(),
            endpoint: Some(Endpoint::Resource),
            times: Some(1),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        match install(&world, "login=acme").await {
            CallbackEnd::TryAgain { code, .. } => assert_eq!(code, "account_unreadable"),
            _ => panic!("{fault} was believed"),
        }
        assert_eq!(rows(&world).await, []);
    }
    installation_of(install(&world, "login=acme").await);
}

#[tokio::test]
async fn another_account_than_asked_for_is_not_kept() {
    let world = world().await;
    for (id, tenant, code) in [
        (Some("77"), None, "other_installation"),
        (None, Some("other"), "other_tenant"),
    ] {
        let requested = asked(&world, id, tenant).await.unwrap();
        let pressed = press(&world, &requested).await;
        let query = world.provider_answers(&page(&pressed, "login=acme")).await;
        assert_eq!(code_of(walk(&world, &pressed, &query).await), code);
    }
    assert_eq!(rows(&world).await, []);
    let requested = asked(&world, None, Some("ACME")).await.unwrap();
    let pressed = press(&world, &requested).await;
    let query = world.provider_answers(&page(&pressed, "login=acme")).await;
    installation_of(walk(&world, &pressed, &query).await);
}

#[tokio::test]
async fn an_installation_that_is_brought_again_counts_at_once() {
    let world = world().await;
    installation_of(install(&world, "login=acme").await);
    world.sandbox.suspend(1001, true);
    world.expire().await;
    let suspended = |read| matches!(read, Err(Error::Unresolvable { reason }) if reason.contains("suspended at GitHub"));
    assert!(suspended(read(&world, None).await));
    world.sandbox.suspend(1001, false);
    assert!(
        suspended(read(&world, None).await),
        "GitHub is not asked again so soon"
    );
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let state = state_of(&pressed);
    let query = format!("installation_id=1001&setup_action=update&state={state}");
    assert_eq!(
        installation_of(walk(&world, &pressed, &query).await),
        "1001"
    );
    read(&world, None).await.unwrap();
    assert_eq!(rows(&world).await.len(), 1);
}

#[tokio::test]
async fn who_was_led_there_by_no_link_of_ours_is_told_that_nothing_was_connected() {
    let world = world().await;
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    for query in [
        "installation_id=1001&setup_action=update",
        "code=c&installation_id=1001&setup_action=install",
    ] {
        assert!(matches!(
            callback(&world, &pressed, query).await,
            CallbackEnd::Refused(CallbackRefusal::Unasked)
        ));
    }
    assert_eq!(rows(&world).await, []);
}
