//! Installations of a GitHub App.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use grantry_core::limits::RENEWALS_APART_TIME;
use grantry_core::nouns::{EventKind, Fault, InstallationStatus};
use grantry_core::{Error, Result};
use grantry_engine::{InstallationChange, NewInstallation, ServedToken};
use grantry_sandbox::{Endpoint, Order};
use serde_json::json;

use super::{deliver, github_headers, rows, told};
use crate::world::{Setup, World, app_token, browser};

const ID: u64 = 1001;
use InstallationStatus::{Active, Removed, Suspended, SuspendedThere};

async fn world() -> World {
    world_with(Setup::default()).await
}

async fn world_with(setup: Setup) -> World {
    let world = World::with(setup).await;
    let pem = crate::types::PEM.replace('\n', "\\n");
    let declared = r#"
        [[connectors]]
        id = "scl_in"
        team = "team_1"
        name = "Code"
        type = "github"
        data = { appId = 7, appSlug = "acme", appName = "Acme", clientId = "demo", clientSecret = "demo-secret", webhookSecret = "hush", privateKeyPem = "PEM", serverConfig = { authorization_endpoint = "http://sandbox.test/github/login/oauth/authorize", token_endpoint = "http://sandbox.test/github/login/oauth/access_token", api_base_url = "http://sandbox.test/github/api" } }
        links = [{ project = "prj_1" }]
    "#;
    world.apply(&declared.replace("PEM", &pem)).await;
    install_there(&world).await;
    let caller = world.server().await;
    let new = NewInstallation {
        external_id: ID.to_string(),
        default: true,
        ..NewInstallation::default()
    };
    let made = world.engine.create_installation(&caller, "scl_in", new);
    made.await.unwrap();
    world
}

/// Somebody installs the app at GitHub.
async fn install_there(world: &World) {
    let page = "/apps/acme/installations/new?callback=http://x.test/&login=acme";
    let request = Request::get(page).body(Body::empty()).unwrap();
    let page = browser::send(&world.sandbox.router(), request).await;
    assert!(page.location().contains(&format!("installation_id={ID}")));
}

async fn token(world: &World) -> Result<ServedToken> {
    let caller = world.server().await;
    let asked = world.engine.token(&caller, "scl_in", app_token(None));
    world.run(asked).await
}

async fn text(world: &World) -> String {
    token(world).await.unwrap().token.expose().to_owned()
}

fn body(action: &str) -> String {
    json!({"action": action, "installation": {"id": ID, "account": {"login": "acme"}}}).to_string()
}

/// GitHub says that something became of the installation.
async fn says(world: &World, event: &str, action: &str) -> u16 {
    let body = body(action);
    let headers = github_headers("hush", event, &body);
    deliver(world, "scl_in", &headers, &body).await.status
}

async fn statuses(world: &World) -> Vec<InstallationStatus> {
    let rows = rows(world, "scl_in").await.into_iter();
    rows.map(|(_, status, _)| status).collect()
}

/// Requests that the sandbox's GitHub saw.
fn asked(world: &World) -> usize {
    let log = world.sandbox.log();
    let api = log
        .iter()
        .filter(|entry| entry.endpoint == Endpoint::Resource);
    api.count()
}

#[tokio::test]
async fn a_removed_installation_gives_no_tokens_and_one_that_is_there_after_all_does_again() {
    let world = world().await;
    let first = text(&world).await;
    world.sandbox.uninstall(ID);
    assert_eq!(says(&world, "installation", "deleted").await, 200);
    assert_eq!(statuses(&world).await, [Removed]);
    match token(&world).await {
        Err(Error::InstallationRequired(why)) => {
            assert!(why.url.unwrap().contains("/install"));
        }
        other => panic!("{:?}", other.err()),
    }
    // Nothing has ended that could not come back.
    let kinds = [EventKind::ConnectionRevoked, EventKind::InstallationDeleted];
    assert_eq!(told(&world, &kinds).await, []);
    assert_eq!(world.revocations(), 0);
    install_there(&world).await;
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(says(&world, "installation", "created").await, 200);
    assert_eq!(
        rows(&world, "scl_in").await,
        [(ID.to_string(), Active, true)]
    );
    assert_ne!(text(&world).await, first);
}

#[tokio::test]
async fn an_old_deletion_that_is_sent_again_after_a_reinstallation_changes_nothing() {
    let world = world().await;
    let first = text(&world).await;
    let old = body("deleted");
    let headers = github_headers("hush", "installation", &old);
    for _ in 0..3 {
        let answer = deliver(&world, "scl_in", &headers, &old).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            rows(&world, "scl_in").await,
            [(ID.to_string(), Active, true)]
        );
        assert!(text(&world).await.starts_with("ghs_"));
    }
    assert_ne!(
        text(&world).await,
        first,
        "but it is asked for its tokens anew"
    );
    let kinds = [EventKind::ConnectionRevoked, EventKind::InstallationDeleted];
    assert_eq!(told(&world, &kinds).await, []);
}

#[tokio::test]
async fn a_suspension_stops_tokens_and_its_end_brings_them_back() {
    let world = world().await;
    text(&world).await;
    assert_eq!(says(&world, "installation", "created").await, 200);
    let first = text(&world).await;
    world.sandbox.suspend(ID, true);
    assert_eq!(text(&world).await, first, "nobody has told yet");
    assert_eq!(says(&world, "installation", "suspend").await, 200);
    assert_eq!(statuses(&world).await, [SuspendedThere]);
    match token(&world).await {
        Err(Error::Unresolvable { reason }) => {
            assert!(reason.contains("suspended at GitHub"), "{reason}");
        }
        other => panic!("{:?}", other.err()),
    }
    world.sandbox.suspend(ID, false);
    assert_eq!(says(&world, "installation", "unsuspend").await, 200);
    assert_eq!(statuses(&world).await, [Active]);
    assert_ne!(text(&world).await, first);
}

#[tokio::test]
async fn other_repositories_and_permissions_are_seen_by_the_next_token_and_end_no_token_that_is_in_use()
 {
    let world = world().await;
    for (event, action) in [
        ("installation_repositories", "removed"),
        ("installation", "new_permissions_accepted"),
        ("installation", "created"),
    ] {
        let before = text(&world).await;
        assert_eq!(text(&world).await, before);
        assert_eq!(says(&world, event, action).await, 200);
        let after = text(&world).await;
        assert_ne!(after, before, "{action}");
        assert_eq!(text(&world).await, after, "{action}");
        world.pass(RENEWALS_APART_TIME).await;
    }
    assert_eq!(
        told(&world, &[EventKind::InstallationChanged]).await.len(),
        3
    );
    assert_eq!(world.revocations(), 0);
    // Nothing is kept: nothing is written.
    assert_eq!(says(&world, "installation", "created").await, 200);
    assert_eq!(says(&world, "installation", "created").await, 200);
    assert_eq!(
        told(&world, &[EventKind::InstallationChanged]).await.len(),
        4
    );
}

#[tokio::test]
async fn one_delivery_that_is_sent_again_and_again_has_tokens_bought_anew_once_in_a_minute() {
    let world = world().await;
    let before = text(&world).await;
    assert_eq!(says(&world, "installation", "created").await, 200);
    let bought = text(&world).await;
    assert_ne!(bought, before);
    for _ in 0..9 {
        assert_eq!(says(&world, "installation", "created").await, 200);
        assert_eq!(text(&world).await, bought);
    }
    // The last of them is not forgotten.
    world.pass(RENEWALS_APART_TIME).await;
    let after = text(&world).await;
    assert_ne!(after, bought);
    world.pass(RENEWALS_APART_TIME).await;
    assert_eq!(text(&world).await, after);
}

#[tokio::test]
async fn what_is_delivered_counts_as_requests_of_its_team() {
    let setup = Setup {
        team_requests: 2,
        ..Setup::default()
    };
    let world = world_with(setup).await;
    // What nobody signed does not.
    for _ in 0..3 {
        let forged = github_headers("guess", "installation", "{}");
        let answer = deliver(&world, "scl_in", &forged, "{}").await;
        assert_eq!(answer.status, 401);
    }
    for status in [200, 200, 429] {
        assert_eq!(says(&world, "ping", "").await, status);
    }
}

#[tokio::test]
async fn a_connector_that_github_refused_lately_asks_nothing_for_a_delivery() {
    let world = world().await;
    let now = world.engine.now();
    let fault = Fault {
        code: "invalid_client".to_owned(),
        count: 1,
        at: now,
        not_before: now.after(Duration::from_secs(60)),
    };
    let (team, connector) = ("team_1".into(), "scl_in".into());
    let noted = world.store.set_fault(&team, &connector, Some(&fault), None);
    noted.await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    let before = asked(&world);
    assert_eq!(says(&world, "installation", "deleted").await, 503);
    assert_eq!(asked(&world), before);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(says(&world, "installation", "deleted").await, 200);
    assert_eq!(asked(&world), before + 1);
}

#[tokio::test]
async fn an_installation_that_is_not_known_here_is_neither_taken_in_nor_asked_for() {
    let world = world().await;
    let body = r#"{"action":"created","installation":{"id":77,"account":{"login":"stranger"}}}"#;
    let headers = github_headers("hush", "installation", body);
    let asked_before = asked(&world);
    assert_eq!(deliver(&world, "scl_in", &headers, body).await.status, 200);
    assert_eq!(rows(&world, "scl_in").await.len(), 1);
    assert_eq!(asked(&world), asked_before);
}

#[tokio::test]
async fn while_github_does_not_answer_nothing_changes_and_the_delivery_fails() {
    let world = world().await;
    let first = text(&world).await;
    world.sandbox.uninstall(ID);
    let order = Order {
        fault: "s500".to_owned(),
        endpoint: Some(Endpoint::Resource),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    assert_eq!(says(&world, "installation", "deleted").await, 503);
    assert_eq!(statuses(&world).await, [Active]);
    assert_eq!(text(&world).await, first);
    // Delivered again.
    assert_eq!(says(&world, "installation", "deleted").await, 200);
    assert_eq!(statuses(&world).await, [Removed]);
}

#[tokio::test]
async fn what_an_admin_suspended_is_not_githubs_to_change() {
    let world = world().await;
    text(&world).await;
    let caller = world.server().await;
    let page = grantry_core::store::Page::first(1);
    let engine = &world.engine;
    let found = engine
        .installations(&caller, "scl_in", &page)
        .await
        .unwrap();
    let change = InstallationChange {
        status: Some(Suspended),
        ..InstallationChange::default()
    };
    let id = &found.data[0].installation.id;
    engine
        .update_installation(&caller, id, change)
        .await
        .unwrap();
    world.sandbox.uninstall(ID);
    for action in ["deleted", "unsuspend"] {
        assert_eq!(says(&world, "installation", action).await, 200);
        assert_eq!(statuses(&world).await, [Suspended]);
    }
}

#[tokio::test]
async fn a_flood_of_one_signed_delivery_costs_two_requests_and_no_more() {
    let world = world().await;
    let before = asked(&world);
    let flood = (0..100).map(|_| async {
        let body = body("suspend");
        let headers = github_headers("hush", "installation", &body);
        let request = headers.iter().fold(
            Request::post("/trigger/scl_in"),
            |request, (name, value)| request.header(*name, value),
        );
        let request = request.body(Body::from(body)).unwrap();
        browser::send(&world.router(), request)
            .await
            .status
            .as_u16()
    });
    let answers = world.run(join_all(flood)).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    let looks = asked(&world) - before;
    assert!((1..=2).contains(&looks), "{looks}");
}
