//! Linear applications: installed by workspace, which Linear says only to who asks with the new token; tokens of each
//! that rotate; the application by itself where it is installed nowhere; and whose account a person connected.

use std::time::Duration;

use grantry_core::nouns::{AuthorizationState, Install};
use grantry_core::store::Page;
use grantry_core::{Error, Result};
use grantry_engine::{AskConsent, AskToken, CallbackEnd, Requested, ServedToken};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use crate::world::{World, app_token, browser, subject};

const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_lin"
    team = "team_1"
    name = "Tracker"
    type = "linear"
    data = { clientId = "demo", clientSecret = "demo-secret", appScopes = ["write", "app:mentionable"], serverConfig = { authorization_endpoint = "http://sandbox.test/linear/oauth/authorize", token_endpoint = "http://sandbox.test/linear/oauth/token", revocation_endpoint = "http://sandbox.test/linear/oauth/revoke", api_base_url = "http://sandbox.test/linear/graphql" } }
    links = [{ project = "prj_1" }]
"#;

async fn linear() -> World {
    let world = World::new().await;
    world.apply(DECLARED).await;
    world
}

async fn read(world: &World, ask: AskToken) -> Result<ServedToken> {
    let caller = world.server().await;
    world.run(world.engine.token(&caller, "scl_lin", ask)).await
}

async fn text(world: &World, installation: Option<&str>) -> String {
    let served = read(world, app_token(installation)).await.unwrap();
    served.token.expose().to_owned()
}

/// Asks for an installation, with these parameters of the authorization request.
async fn asked(world: &World, wanted: Install, params: &Value) -> Requested {
    let ask = AskConsent {
        token: app_token(None),
        install: Some(wanted),
        additional_params: params.as_object().unwrap().clone(),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    world
        .engine
        .authorize(&caller, "scl_lin", ask)
        .await
        .unwrap()
}

async fn install(world: &World, workspace: &str) -> AuthorizationState {
    let params = json!({ "workspace": workspace });
    let requested = asked(world, Install::default(), &params).await;
    match world.consent(&requested).await {
        CallbackEnd::Ended(result) => result.state,
        _ => panic!("not ended"),
    }
}

async fn installed(world: &World, workspace: &str) {
    let state = install(world, workspace).await;
    assert!(
        matches!(state, AuthorizationState::Success { .. }),
        "{state:?}"
    );
}

/// What Linear says of a token's workspace and of whom it acts for; `None` for one that opens nothing.
async fn seen(world: &World, token: &str) -> Option<(String, String)> {
    let body = json!({"query": "{ organization { id } viewer { id } }"}).to_string();
    let request = axum::http::Request::post("/linear/graphql")
        .header("authorization", format!("Bearer {token}"))
        .body(axum::body::Body::from(body))
        .unwrap();
    let page = browser::send(&world.sandbox.router(), request).await;
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    let id = |name: &str| Some(answer["data"][name]["id"].as_str()?.to_owned());
    Some((id("organization")?, id("viewer")?))
}

async fn acts_in(world: &World, token: &str) -> Option<String> {
    let (workspace, whom) = seen(world, token).await?;
    assert_eq!(whom, "app-demo", "the application acts as itself");
    Some(workspace)
}

fn strike_api(world: &World, fault: &str, times: u64) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(Endpoint::Resource),
        times: Some(times),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

#[tokio::test]
async fn it_is_installed_by_workspace_and_each_has_tokens_of_its_own_that_rotate() {
    let world = linear().await;
    installed(&world, "org-1").await;
    installed(&world, "org-2").await;
    let first = read(&world, app_token(None)).await.unwrap();
    let grant = &first.connection.as_ref().unwrap().connection.grant;
    assert_eq!(
        grant.installation.as_deref(),
        Some("org-1"),
        "the first is the default"
    );
    assert_eq!(first.scope.as_deref(), Some("read write app:mentionable"));
    let (one, two) = (
        text(&world, Some("org-1")).await,
        text(&world, Some("org-2")).await,
    );
    assert_eq!(first.token.expose(), one);
    assert_eq!(acts_in(&world, &one).await.as_deref(), Some("org-1"));
    assert_eq!(acts_in(&world, &two).await.as_deref(), Some("org-2"));
    assert!(matches!(
        read(&world, app_token(Some("org-3"))).await,
        Err(Error::InstallationRequired(why)) if why.url.as_ref().unwrap().contains("/install/sci_")
    ));

    world.expire().await;
    let next = text(&world, Some("org-2")).await;
    assert_ne!(next, two);
    assert_eq!(acts_in(&world, &next).await.as_deref(), Some("org-2"));
    assert_eq!(world.presentations().len(), 1, "the other's stays as it is");

    let caller = world.server().await;
    let page = Page::first(10);
    let rows = world.engine.installations(&caller, "scl_lin", &page).await;
    let mut rows: Vec<_> = rows
        .unwrap()
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
    let row = |id: &str, default| (id.to_owned(), Some(format!("Workspace {id}")), default);
    assert_eq!(rows, [row("org-1", true), row("org-2", false)]);
}

#[tokio::test]
async fn where_it_is_installed_nowhere_it_has_tokens_by_itself_and_afterwards_those_of_the_default()
{
    let world = linear().await;
    let by_itself = text(&world, None).await;
    assert_eq!(
        acts_in(&world, &by_itself).await.as_deref(),
        Some("org-usual")
    );
    installed(&world, "org-1").await;
    let of_default = text(&world, None).await;
    assert_eq!(acts_in(&world, &of_default).await.as_deref(), Some("org-1"));

    let caller = world.server().await;
    let page = Page::first(10);
    let rows = world.engine.installations(&caller, "scl_lin", &page).await;
    let id = rows.unwrap().data[0].installation.id.clone();
    world
        .run(world.engine.delete_installation(&caller, &id))
        .await
        .unwrap();
    assert_eq!(
        acts_in(&world, &of_default).await,
        None,
        "it ended at Linear"
    );
    let again = text(&world, None).await;
    assert_eq!(acts_in(&world, &again).await.as_deref(), Some("org-usual"));
}

#[tokio::test]
async fn an_application_without_scopes_of_its_own_asks_for_what_linear_always_grants() {
    let world = World::new().await;
    world
        .apply(&DECLARED.replace(r#"appScopes = ["write", "app:mentionable"], "#, ""))
        .await;
    assert!(matches!(
        read(&world, app_token(None)).await,
        Err(Error::InstallationRequired(_))
    ));
    installed(&world, "org-1").await;
    let served = read(&world, app_token(None)).await.unwrap();
    assert_eq!(served.scope.as_deref(), Some("read"));
}

#[tokio::test]
async fn a_workspace_that_cannot_be_asked_for_stores_nothing_and_can_be_tried_again() {
    let world = linear().await;
    world.engine.start().await.unwrap();
    for fault in ["s500", "deep", "r302"] {
        let requested = asked(&world, Install::default(), &json!({"workspace": "org-1"})).await;
        strike_api(&world, fault, 1);
        match world.consent(&requested).await {
            CallbackEnd::TryAgain { code, .. } => assert_eq!(code, "account_unreadable"),
            _ => panic!("{fault} was believed"),
        }
        assert!(matches!(
            read(&world, app_token(Some("org-1"))).await,
            Err(Error::InstallationRequired(_))
        ));
        let before = world.revocations();
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(
            world.revocations() - before,
            2,
            "both tokens of the pair are ended"
        );
        world.sandbox.reset();
        assert!(matches!(
            world.consent(&requested).await,
            CallbackEnd::Ended(_)
        ));
        let caller = world.server().await;
        let rows = world
            .engine
            .installations(&caller, "scl_lin", &Page::first(9))
            .await;
        let id = rows.unwrap().data[0].installation.id.clone();
        world
            .run(world.engine.delete_installation(&caller, &id))
            .await
            .unwrap();
        world.sandbox.reset();
    }
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn a_workspace_that_cannot_be_read_does_not_end_what_may_be_installed_there_already() {
    let world = linear().await;
    world.engine.start().await.unwrap();
    installed(&world, "org-1").await;
    let standing = text(&world, Some("org-1")).await;
    let named = Install {
        external_id: Some("org-1".to_owned()),
        ..Install::default()
    };
    for wanted in [Install::default(), named] {
        let requested = asked(&world, wanted, &json!({"workspace": "org-1"})).await;
        strike_api(&world, "s500", 1);
        assert!(matches!(
            world.consent(&requested).await,
            CallbackEnd::TryAgain {
                code: "account_unreadable",
                ..
            }
        ));
    }
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.revocations(), 0);
    assert_eq!(text(&world, Some("org-1")).await, standing);
    assert_eq!(acts_in(&world, &standing).await.as_deref(), Some("org-1"));
    // Whoever named another workspace, where nothing stands, ends nothing by its end.
    let other = Install {
        external_id: Some("org-2".to_owned()),
        ..Install::default()
    };
    let requested = asked(&world, other, &json!({"workspace": "org-2"})).await;
    strike_api(&world, "s500", 1);
    assert!(matches!(
        world.consent(&requested).await,
        CallbackEnd::TryAgain { .. }
    ));
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.revocations(), 2, "both tokens of its pair");
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn another_workspace_than_asked_for_is_not_kept() {
    let world = linear().await;
    for (wanted, code) in [
        ((Some("org-2"), None), "other_installation"),
        ((None, Some("org-2")), "other_tenant"),
    ] {
        let named = |id: Option<&str>| id.map(str::to_owned);
        let wanted = Install {
            external_id: named(wanted.0),
            tenant: named(wanted.1),
        };
        let requested = asked(&world, wanted, &json!({"workspace": "org-1"})).await;
        let CallbackEnd::Ended(ended) = world.consent(&requested).await else {
            panic!("not ended");
        };
        let code = code.to_owned();
        assert_eq!(ended.state, AuthorizationState::Error { code });
    }
    assert!(read(&world, app_token(Some("org-1"))).await.is_err());
}

#[tokio::test]
async fn whom_an_installations_token_acts_for_is_nobodys_to_choose() {
    let world = linear().await;
    let params = json!({"workspace": "org-1", "actor": "user"});
    let requested = asked(&world, Install::default(), &params).await;
    assert!(matches!(
        world.consent(&requested).await,
        CallbackEnd::Ended(_)
    ));
    let token = text(&world, Some("org-1")).await;
    assert_eq!(acts_in(&world, &token).await.as_deref(), Some("org-1"));
}

#[tokio::test]
async fn whose_account_a_person_connected_is_known_and_another_takes_its_place_only_when_told() {
    let world = linear().await;
    let consent = async |hint: &str| {
        let ask = AskConsent {
            token: AskToken {
                subject: Some(subject("u1")),
                ..AskToken::default()
            },
            additional_params: json!({"login_hint": hint}).as_object().unwrap().clone(),
            ..AskConsent::default()
        };
        let caller = world.server().await;
        let requested = world
            .engine
            .authorize(&caller, "scl_lin", ask)
            .await
            .unwrap();
        world.consent(&requested).await
    };
    let CallbackEnd::Ended(ended) = consent("alice").await else {
        panic!("not connected");
    };
    let AuthorizationState::Success { connection } = ended.state else {
        panic!("{:?}", ended.state);
    };
    let caller = world.server().await;
    let connection = world.engine.connection(&caller, &connection).await.unwrap();
    assert_eq!(connection.external_subject.as_deref(), Some("alice"));
    assert_eq!(connection.name.as_deref(), Some("alice@sandbox.test"));
    match consent("bob").await {
        CallbackEnd::OtherAccount {
            connected,
            signed_in,
            ..
        } => {
            assert_eq!(connected.as_deref(), Some("alice@sandbox.test"));
            assert_eq!(signed_in.as_deref(), Some("bob@sandbox.test"));
        }
        _ => panic!("alice's connection was taken over"),
    }
    // Who cannot be told apart does not take over either.
    strike_api(&world, "s500", 1);
    assert!(matches!(
        consent("alice").await,
        CallbackEnd::TryAgain {
            code: "account_unreadable",
            ..
        }
    ));
    assert!(matches!(consent("alice").await, CallbackEnd::Ended(_)));
}
