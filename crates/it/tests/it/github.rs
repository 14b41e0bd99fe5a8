//! What becomes of an installation of a GitHub App that its account removes or suspends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use grantry_core::nouns::{EventKind, InstallationStatus, Subject};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Error, Result};
use grantry_engine::{AskToken, InstallationChange, NewConnector, NewInstallation, ServedToken};
use serde_json::{Value, json};

use crate::types::PEM;
use crate::world::{Setup, World};

/// The account's word about installation 42.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Fine,
    Removed,
    Suspended,
    /// Another rule of the owner's refuses.
    Refuses,
    Down,
    /// What stands before the API knows no such place.
    Astray(&'static str),
}
use Says::{Astray, Down, Fine, Refuses, Removed, Suspended};

/// GitHub's API, as far as it is about installations (docs.github.com).
#[derive(Clone)]
struct Github(Arc<Mutex<(Says, usize)>>);

impl Github {
    fn router(&self) -> Router {
        let (tokens, list) = (self.clone(), self.clone());
        let token = move |Path(_): Path<String>| async move { tokens.token() };
        Router::new()
            .route("/gh/app/installations/{id}/access_tokens", post(token))
            .route(
                "/gh/app/installations",
                get(move || async move { list.list() }),
            )
    }

    fn says(&self, says: Says) {
        self.0.lock().unwrap().0 = says;
    }

    /// Tokens that were asked for.
    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn token(&self) -> Response {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        let (status, body) = match state.0 {
            Fine => {
                let token = format!("ghs_{}", state.1);
                let body = json!({"token": token, "permissions": {"contents": "read"}, "repository_selection": "all"});
                (StatusCode::CREATED, body)
            }
            Removed => (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
            Suspended => {
                let message = "This installation has been suspended";
                (StatusCode::FORBIDDEN, json!({ "message": message }))
            }
            Refuses => {
                let message = "the org has an IP allow list enabled";
                (StatusCode::FORBIDDEN, json!({ "message": message }))
            }
            Down => (StatusCode::BAD_GATEWAY, json!({})),
            Astray(page) => return (StatusCode::NOT_FOUND, page).into_response(),
        };
        (status, axum::Json(body)).into_response()
    }

    fn list(&self) -> Response {
        let account = json!({"login": "acme"});
        let at = match self.0.lock().unwrap().0 {
            Down => return StatusCode::BAD_GATEWAY.into_response(),
            Astray(page) => return (StatusCode::NOT_FOUND, page).into_response(),
            Removed => None,
            Suspended => Some(json!("2026-11-01T00:00:00Z")),
            Fine | Refuses => Some(Value::Null),
        };
        // One that nobody connected here is among them.
        let mut rows = vec![json!({"id": 7, "account": account, "suspended_at": null})];
        rows.extend(at.map(|at| json!({"id": 42, "account": account, "suspended_at": at})));
        axum::Json(rows).into_response()
    }
}

struct House {
    world: World,
    github: Github,
    connector: String,
}

impl House {
    async fn new() -> Self {
        let github = Github(Arc::new(Mutex::new((Fine, 0))));
        let world = World::with(Setup {
            beside: Some(github.router()),
            ..Setup::default()
        })
        .await;
        let data = json!({
            "appId": 1, "appSlug": "acme-app", "appName": "Acme", "clientId": "c", "privateKeyPem": PEM,
            "serverConfig": {
                "authorization_endpoint": "http://sandbox.test/authorize",
                "token_endpoint": "http://sandbox.test/token",
                "api_base_url": "http://sandbox.test/gh",
            },
        });
        let new = NewConnector {
            kind: "github".to_owned(),
            name: Some("gh".to_owned()),
            data: data.as_object().unwrap().clone(),
            ..NewConnector::default()
        };
        let caller = world.server().await;
        let made = world.engine.create_connector(&caller, new).await.unwrap();
        let connector = made.connector.id.to_string();
        let installation = NewInstallation {
            external_id: "42".to_owned(),
            default: true,
            ..NewInstallation::default()
        };
        let made = world
            .engine
            .create_installation(&caller, &connector, installation)
            .await;
        made.unwrap();
        Self {
            world,
            github,
            connector,
        }
    }

    async fn token(&self, details: &[Value]) -> Result<ServedToken> {
        let caller = self.world.server().await;
        let ask = AskToken {
            subject: Some(Subject::App),
            details: details.to_vec(),
            ..AskToken::default()
        };
        let served = self.world.engine.token(&caller, &self.connector, ask);
        self.world.run(served).await
    }

    async fn text(&self) -> String {
        self.token(&[]).await.unwrap().token.expose().to_owned()
    }

    async fn status(&self) -> InstallationStatus {
        let caller = self.world.server().await;
        let page = Page::first(9);
        let rows = self
            .world
            .engine
            .installations(&caller, &self.connector, &page)
            .await
            .unwrap();
        assert_eq!(rows.data.len(), 1, "no other became known");
        rows.data[0].installation.status
    }

    async fn sync(&self) -> Result<Vec<InstallationStatus>> {
        let caller = self.world.server().await;
        let synced = self
            .world
            .engine
            .sync_installations(&caller, &self.connector);
        let changed = self.world.run(synced).await?;
        let statuses = changed.into_iter().map(|view| view.installation.status);
        Ok(statuses.collect())
    }

    /// The statuses that the log tells of, oldest first.
    async fn told(&self) -> Vec<String> {
        let filter = EventFilter {
            kinds: vec![EventKind::InstallationPut],
            ..EventFilter::default()
        };
        let page = Page {
            oldest_first: true,
            ..Page::first(50)
        };
        let team = "team_1".into();
        let found = self.world.store.events(&team, &filter, &page);
        let found = found.await.unwrap().into_iter();
        let told = found.filter_map(|event| Some(event.data.get("status")?.as_str()?.to_owned()));
        told.collect()
    }
}

fn narrow() -> Value {
    json!({"type": "github_app_installation", "permissions": ["contents:read"]})
}

#[track_caller]
fn assert_removed(read: Result<ServedToken>) {
    match read {
        Err(Error::InstallationRequired(why)) => {
            let url = why.url.unwrap();
            assert!(
                url.contains("/acme-app/installations/new") || url.contains("/install/"),
                "{url}"
            );
        }
        other => panic!("{:?}", other.err()),
    }
}

#[track_caller]
fn assert_suspended(read: Result<ServedToken>) {
    match read {
        Err(Error::Unresolvable { reason }) => {
            assert!(reason.contains("42 is suspended at GitHub"), "{reason}");
        }
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn a_removed_installation_is_marked_ends_its_tokens_and_is_not_asked_for_without_end() {
    let house = House::new().await;
    let first = house.text().await;
    house.github.says(Removed);
    assert_eq!(house.text().await, first, "nobody has told yet");
    assert_removed(house.token(&[narrow()]).await);
    assert_eq!(house.status().await, InstallationStatus::Removed);
    // What was bought before ended with it, whatever its own end says.
    assert_removed(house.token(&[]).await);
    let asked = house.github.asked();
    for _ in 0..5 {
        assert_removed(house.token(&[narrow()]).await);
        assert_removed(house.token(&[]).await);
    }
    assert_eq!(house.github.asked(), asked);

    house.world.clock.advance(Duration::from_secs(601));
    assert_removed(house.token(&[]).await);
    assert_eq!(house.github.asked(), asked + 1, "once in ten minutes");
    assert_eq!(house.told().await, ["removed"]);

    // Installed again under its number.
    house.github.says(Fine);
    assert_removed(house.token(&[]).await);
    house.world.clock.advance(Duration::from_secs(601));
    assert_ne!(house.text().await, first);
    assert_eq!(house.status().await, InstallationStatus::Active);
    assert_eq!(house.told().await, ["removed", "active"]);
    let fresh = house.text().await;
    assert_eq!(house.text().await, fresh);
}

#[tokio::test]
async fn a_suspended_installation_says_so_and_a_sync_brings_it_back() {
    let house = House::new().await;
    let first = house.text().await;
    house.github.says(Suspended);
    assert_suspended(house.token(&[narrow()]).await);
    assert_eq!(house.status().await, InstallationStatus::SuspendedThere);
    assert_suspended(house.token(&[]).await);
    assert_eq!(house.sync().await, Ok(vec![]), "it is known");

    house.github.says(Fine);
    assert_suspended(house.token(&[]).await);
    assert_eq!(house.sync().await, Ok(vec![InstallationStatus::Active]));
    assert_eq!(house.text().await, first, "a suspension ends no token");
    assert_eq!(house.told().await, ["suspended_by_provider", "active"]);
}

#[tokio::test]
async fn a_sync_sees_what_no_token_request_has_met() {
    let house = House::new().await;
    house.text().await;
    house.github.says(Removed);
    assert_eq!(house.sync().await, Ok(vec![InstallationStatus::Removed]));
    assert_removed(house.token(&[]).await);
    house.github.says(Suspended);
    assert_eq!(
        house.sync().await,
        Ok(vec![InstallationStatus::SuspendedThere])
    );
    assert_suspended(house.token(&[]).await);
    // Nothing is known where nothing is answered.
    house.github.says(Down);
    assert!(matches!(house.sync().await, Err(Error::Provider { .. })));
    assert_eq!(house.status().await, InstallationStatus::SuspendedThere);
}

#[tokio::test]
async fn what_an_admin_suspended_no_provider_brings_back() {
    let house = House::new().await;
    let caller = house.world.server().await;
    let page = Page::first(1);
    let engine = &house.world.engine;
    let rows = engine.installations(&caller, &house.connector, &page).await;
    let id = rows.unwrap().data[0].installation.id.clone();
    let change = InstallationChange {
        status: Some(InstallationStatus::Suspended),
        ..InstallationChange::default()
    };
    engine
        .update_installation(&caller, &id, change)
        .await
        .unwrap();
    assert_eq!(house.sync().await, Ok(vec![]));
    assert_eq!(house.status().await, InstallationStatus::Suspended);
    assert!(matches!(
        house.token(&[]).await,
        Err(Error::Unresolvable { .. })
    ));
    assert_eq!(house.github.asked(), 0);
}

#[tokio::test]
async fn another_refusal_marks_nothing() {
    let house = House::new().await;
    let first = house.text().await;
    house.github.says(Refuses);
    match house.token(&[narrow()]).await {
        Err(Error::InstallationRequired(_)) => {}
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(house.status().await, InstallationStatus::Active);
    assert_eq!(house.text().await, first);
}

#[tokio::test]
async fn a_404_that_is_not_in_githubs_words_marks_nothing_and_is_asked_again() {
    for page in [
        "",
        "<html>404</html>",
        r#"{"error":"no route"}"#,
        r#"{"message":404}"#,
        "[]",
    ] {
        let house = House::new().await;
        let first = house.text().await;
        house.github.says(Astray(page));
        let asked = house.github.asked();
        for _ in 0..2 {
            let read = house.token(&[narrow()]).await;
            assert!(
                matches!(read, Err(Error::Provider { .. })),
                "{page}: {:?}",
                read.err()
            );
            house.world.pass(Duration::from_secs(60)).await;
        }
        assert_eq!(house.github.asked(), asked + 2, "{page}");
        let synced = house.sync().await;
        assert!(
            matches!(synced, Err(Error::Provider { .. })),
            "{page}: {synced:?}"
        );
        assert_eq!(house.status().await, InstallationStatus::Active, "{page}");
        assert_eq!(house.text().await, first, "{page}");
        assert_eq!(house.told().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn only_a_github_app_has_installations_to_ask_for() {
    let world = World::new().await;
    let caller = world.server().await;
    match world.engine.sync_installations(&caller, "scl_1").await {
        Err(Error::Unresolvable { reason }) => assert!(reason.contains("GitHub"), "{reason}"),
        other => panic!("{:?}", other.err()),
    }
}
