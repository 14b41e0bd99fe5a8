//! Credentials and link flows.

use grantry_core::StoreError;
use grantry_core::nouns::{
    Annotation, Authorization, AuthorizationState, CodeSwap, Connection, ConnectionState,
    Connector, Credential, Event, EventKind, HeldConsent, LinkFlow,
};
use grantry_core::store::Stays;
use serde_json::json;

use super::fixtures::{self, MINUTE, NOW, connection, digest, grant, sealed, token_set};
use super::{World, parallel, row, rows};

fn credential(connection: &Connection, kind: &str) -> Credential {
    let map = |value: serde_json::Value| value.as_object().unwrap().clone();
    Credential {
        connection: connection.id.clone(),
        team: connection.team.clone(),
        kind: kind.to_owned(),
        properties: map(json!({"kind": kind, "secret": "***"})),
        metadata: map(json!({"b": 1, "a": [null, 2.5]})),
        imported: Some(sealed("digest")),
        updated_at: NOW,
    }
}

pub async fn a_credential_is_put_renewed_and_annotated(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let other = world.connector("scl_2").await;
    let made = connection("cred_1", &world.ours, grant(&connector.id, "c1"));
    let first = token_set("stk_1", &made, "main");
    let kept = credential(&made, "linear_oauth2");
    let event = || world.event(EventKind::ConnectionImported);
    let anew = Stays::default();
    let put = store
        .put_credential(&made, Some(&first), &kept, anew, &event())
        .await;
    assert_eq!(put, Ok(()));
    let ids = [made.id.clone(), "nothing".into()];
    let found = store.credentials(&world.ours, &ids).await.unwrap();
    assert_eq!(rows(&found), [row(&kept)]);
    assert!(
        store
            .credentials(&world.ours, &[])
            .await
            .unwrap()
            .is_empty()
    );
    let foreign = store.credentials(&world.theirs, &ids).await.unwrap();
    assert!(foreign.is_empty());

    // Renewed: the pair is another, what has been presented of the old one is forgotten.
    world.begin(&first, "n1").await;
    let second = token_set("stk_2", &made, "main");
    let renamed = Connection {
        name: Some("other".to_owned()),
        ..made.clone()
    };
    // That needs to know of the one that stands.
    let put = store
        .put_credential(&renamed, Some(&second), &kept, anew, &event())
        .await;
    assert_eq!(put, Err(StoreError::Taken("connection.id")));
    let over = Stays { live: true, ..anew };
    let put = store
        .put_credential(&renamed, Some(&second), &kept, over, &event())
        .await;
    assert_eq!(put, Ok(()));
    let live = world.live(&made).await;
    assert_eq!(live.connection.name.as_deref(), Some("other"));
    assert_eq!(rows(&live.sets), [row(&second)]);

    // An ended one comes back under its id; another connector's id does not.
    world.revoke(&made).await;
    let left = store.credentials(&world.ours, &ids).await.unwrap();
    assert!(left.is_empty(), "what was said of it has ended with it");
    let put = store
        .put_credential(&made, Some(&first), &kept, anew, &event())
        .await;
    assert_eq!(put, Ok(()));
    assert_eq!(
        world.live(&made).await.connection.state,
        ConnectionState::Active
    );
    let elsewhere = connection("cred_1", &world.ours, grant(&other.id, "c1"));
    let taken = store
        .put_credential(&elsewhere, None, &kept, over, &event())
        .await;
    assert_eq!(taken, Err(StoreError::Taken("connection.id")));

    let annotation = Annotation {
        name: Some("third".to_owned()),
        properties: None,
        metadata: Some(serde_json::Map::new()),
    };
    let annotate = async |team, annotation: &Annotation| {
        let event = Event {
            at: NOW.after(MINUTE),
            ..world.event(EventKind::ConnectionUpdated)
        };
        store
            .annotate_connection(team, &made.id, annotation, &event)
            .await
    };
    assert_eq!(annotate(&world.ours, &annotation).await, Ok(()));
    let noted = Credential {
        metadata: serde_json::Map::new(),
        updated_at: NOW.after(MINUTE),
        ..kept
    };
    let found = store.credentials(&world.ours, &ids).await.unwrap();
    assert_eq!(rows(&found), [row(&noted)]);
    let live = world.live(&made).await;
    assert_eq!(live.connection.name.as_deref(), Some("third"));
    assert_eq!(rows(&live.sets), [row(&first)]);
    let missing = Err(StoreError::Missing("connection"));
    assert_eq!(annotate(&world.theirs, &annotation).await, missing);
    world.revoke(&made).await;
    assert_eq!(annotate(&world.ours, &annotation).await, missing);

    world.delete(&connector, NOW).await;
    let put = store
        .put_credential(&made, Some(&first), &noted, anew, &event())
        .await;
    assert_eq!(put, Err(StoreError::Missing("connector")));
}

pub async fn what_is_not_named_stays_whoever_writes_meanwhile(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let made = connection("cred_1", &world.ours, grant(&connector.id, "c1"));
    let first = token_set("stk_1", &made, "main");
    let kept = credential(&made, "linear_oauth2");
    let event = || world.event(EventKind::ConnectionImported);
    let anew = Stays::default();
    let put = store
        .put_credential(&made, Some(&first), &kept, anew, &event())
        .await;
    assert_eq!(put, Ok(()));
    let ids = [made.id.clone()];
    let map = |value: serde_json::Value| value.as_object().unwrap().clone();
    let annotation = |name: Option<&str>, metadata| Annotation {
        name: name.map(str::to_owned),
        properties: None,
        metadata,
    };
    let annotate = async |annotation: Annotation| {
        let event = world.event(EventKind::ConnectionUpdated);
        store
            .annotate_connection(&world.ours, &made.id, &annotation, &event)
            .await
    };
    assert_eq!(annotate(annotation(Some("named"), None)).await, Ok(()));
    let metadata = map(json!({"by": "another"}));
    assert_eq!(
        annotate(annotation(None, Some(metadata.clone()))).await,
        Ok(())
    );
    // An import that was read before: it says nothing of either.
    let second = token_set("stk_2", &made, "main");
    let again = Credential {
        imported: Some(sealed("another digest")),
        ..kept.clone()
    };
    let stays = Stays {
        live: true,
        name: true,
        metadata: true,
    };
    let put = store
        .put_credential(&made, Some(&second), &again, stays, &event())
        .await;
    assert_eq!(put, Ok(()));
    let live = world.live(&made).await;
    assert_eq!(live.connection.name.as_deref(), Some("named"));
    assert_eq!(rows(&live.sets), [row(&second)]);
    let found = store.credentials(&world.ours, &ids).await.unwrap();
    let expected = Credential { metadata, ..again };
    assert_eq!(rows(&found), [row(&expected)]);
    // An annotation keeps what was taken in last, and of another dialect's connection there is nothing yet.
    assert_eq!(annotate(annotation(Some("again"), None)).await, Ok(()));
    let found = store.credentials(&world.ours, &ids).await.unwrap();
    assert_eq!(found[0].imported, expected.imported);
    let (other, _) = world.connection(&connector, "conn_1").await;
    let event = world.event(EventKind::ConnectionUpdated);
    let noted = annotation(None, Some(map(json!({"a": 1}))));
    let annotated = store.annotate_connection(&world.ours, &other.id, &noted, &event);
    assert_eq!(annotated.await, Ok(()));
    let found = store.credentials(&world.ours, &[other.id]).await.unwrap();
    assert_eq!((found[0].kind.as_str(), &found[0].imported), ("", &None));
}

/// A link flow that waits for its browser.
async fn link(world: &World, connector: &Connector, id: &str) -> (Authorization, LinkFlow) {
    let asked = fixtures::authorization(id, &connector.team, &connector.id);
    let link = LinkFlow {
        authorization: asked.id.clone(),
        team: asked.team.clone(),
        kind: "linear_oauth2".to_owned(),
        state: json!({"user": 7}),
        started_at: None,
        expires_at: NOW.after(5 * MINUTE),
    };
    let event = world.event(EventKind::AuthorizationRequested);
    let made = world.store.create_link_flow(&asked, &link, &event).await;
    assert_eq!(made, Ok(()));
    (asked, link)
}

async fn held(world: &World, asked: &Authorization, code: &str) -> (HeldConsent, Connection) {
    let id = format!("conn of {}", asked.id);
    let made = connection(&id, &asked.team, asked.grant.clone());
    let set = token_set(&format!("stk of {}", asked.id), &made, "main");
    let held = fixtures::held(asked, &set, code);
    let event = world.event(EventKind::AuthorizationHeld);
    assert_eq!(world.store.hold_consent(&held, &event).await, Ok(()));
    (held, made)
}

pub async fn a_link_flow_is_started_once_and_its_code_exchanged_once(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let (asked, flow) = link(world, &connector, "sca_1").await;
    assert_eq!(store.link_flow(&asked.id).await, Ok(Some(flow.clone())));
    assert_eq!(store.link_flow(&"sca_none".into()).await, Ok(None));
    let answers = parallel(
        10,
        |store, number| {
            let flow = fixtures::flow(&format!("state {number}"), &asked);
            async move { store.start_link_flow(&flow).await }
        },
        world,
    )
    .await;
    let started = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(started, 1, "{answers:?}");
    assert!(answers.contains(&Err(StoreError::Missing("link_flow"))));
    let (late, _) = link(world, &connector, "sca_2").await;
    let flow = grantry_core::nouns::Flow {
        created_at: flow.expires_at,
        ..fixtures::flow("late", &late)
    };
    let refused = store.start_link_flow(&flow).await;
    assert_eq!(refused, Err(StoreError::Missing("link_flow")));

    let (held, _) = held(world, &asked, "code").await;
    let found = store.held_by_code(&digest("code")).await.unwrap().unwrap();
    assert_eq!(row(&found), row(&held));
    assert!(
        store
            .held_by_code(&digest("other"))
            .await
            .unwrap()
            .is_none()
    );
    let swap = |old: &str| CodeSwap {
        authorization: asked.id.clone(),
        connector: connector.id.clone(),
        old: digest(old),
        new: digest("handle"),
        expires_at: NOW.after(9 * MINUTE),
    };
    let event = || world.event(EventKind::LinkExchanged);
    let wrong = Err(StoreError::Missing("held_consent"));
    assert_eq!(store.swap_code(&swap("other"), &event()).await, wrong);
    let late = Event {
        at: held.expires_at,
        ..event()
    };
    assert_eq!(store.swap_code(&swap("code"), &late).await, wrong);
    let elsewhere = CodeSwap {
        connector: "scl_none".into(),
        ..swap("code")
    };
    let missing = Err(StoreError::Missing("connector"));
    assert_eq!(store.swap_code(&elsewhere, &event()).await, missing);
    let answers = parallel(
        10,
        |store, _| {
            let (swap, event) = (swap("code"), event());
            async move { store.swap_code(&swap, &event).await }
        },
        world,
    )
    .await;
    let swapped = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(swapped, 1, "{answers:?}");
    assert!(store.held_by_code(&digest("code")).await.unwrap().is_none());
    let found = store.held_by_code(&digest("handle")).await.unwrap();
    assert_eq!(found.unwrap().expires_at, NOW.after(9 * MINUTE));
}

pub async fn what_a_link_flow_brought_becomes_a_credential_or_is_handed_out(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let state = async |asked: &Authorization| {
        let found = store.authorization(&asked.id).await;
        found.unwrap().unwrap().state
    };
    let (asked, _) = link(world, &connector, "sca_1").await;
    let (kept_back, _) = held(world, &asked, "one").await;
    let made = connection("cred_1", &world.ours, grant(&connector.id, "c1"));
    let set = grantry_core::nouns::TokenSet {
        connection: made.id.clone(),
        ..kept_back.set.clone()
    };
    let credential = credential(&made, "linear_oauth2");
    let confirm = async |held: &HeldConsent| {
        let event = world.event(EventKind::AuthorizationCompleted);
        store
            .confirm_credential(held, &made, &set, &credential, Stays::default(), &event)
            .await
    };
    let wrong = HeldConsent {
        code: digest("another"),
        ..kept_back.clone()
    };
    let missing = Err(StoreError::Missing("held_consent"));
    assert_eq!(confirm(&wrong).await, missing);
    assert_eq!(confirm(&kept_back).await, Ok(()));
    assert_eq!(confirm(&kept_back).await, missing);
    let success = AuthorizationState::Success {
        connection: made.id.clone(),
    };
    assert_eq!(state(&asked).await, success);
    assert_eq!(rows(&world.live(&made).await.sets), [row(&set)]);

    let (asked, _) = link(world, &connector, "sca_2").await;
    let (given, _) = held(world, &asked, "two").await;
    let over = AuthorizationState::Error {
        code: "handed_out".to_owned(),
    };
    let hand_out = async || {
        let event = world.event(EventKind::ConnectionRevealed);
        store.hand_out_consent(&given, &over, &event).await
    };
    assert_eq!(hand_out().await, Ok(()));
    assert_eq!(hand_out().await, missing);
    assert_eq!(state(&asked).await, over);
    let due = store
        .due_revocations(NOW.after(fixtures::HOUR), MINUTE, 10, &[])
        .await;
    assert!(due.unwrap().is_empty(), "what is handed out is not revoked");
}
