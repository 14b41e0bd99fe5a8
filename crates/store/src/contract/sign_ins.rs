//! Sign-ins, their codes and refresh tokens.

use grantry_core::nouns::{
    AskedSignIn, Authorization, AuthorizationState, Connection, Connector, Event, EventKind, Link,
    Session, SignIn, SignInGrant, SignedIn,
};
use grantry_core::{StoreError, Timestamp};

use super::fixtures::{
    self, HOUR, MINUTE, NOW, authorization, connection, digest, flow, link, sealed, token_set,
};
use super::{World, parallel, row};

const GRANT: Result<(), StoreError> = Err(StoreError::Missing("grant"));

/// A sign-in whose browser is at the provider.
async fn started(world: &World, id: &str) -> (SignIn, Authorization) {
    let connector = world.connector(&format!("scl of {id}")).await;
    let asked = authorization(&format!("scs of {id}"), &world.ours, &connector.id);
    let sign_in = SignIn {
        id: id.into(),
        team: world.ours.clone(),
        connector: connector.id.clone(),
        authorization: asked.id.clone(),
        asked: AskedSignIn {
            client_id: connector.uid,
            redirect_uri: "https://app.example/cb".to_owned(),
            state: Some("s".to_owned()),
            nonce: None,
            scopes: vec!["openid".to_owned()],
            challenge: "c".to_owned(),
            max_age: None,
        },
        identity: None,
        session: None,
        created_at: NOW,
        expires_at: NOW.after(HOUR),
        ended_at: None,
    };
    let flow = flow(&format!("state of {id}"), &asked);
    let made = world.store.start_sign_in(&sign_in, &asked, &flow);
    assert_eq!(made.await, Ok(()));
    (sign_in, asked)
}

fn grant(sign_in: &SignIn, secret: &str, refresh: bool) -> SignInGrant {
    SignInGrant {
        hash: digest(secret),
        sign_in: sign_in.id.clone(),
        team: sign_in.team.clone(),
        refresh,
        expires_at: NOW.after(MINUTE),
        used_at: None,
    }
}

/// The same, come back from there.
async fn answered(world: &World, id: &str) -> (SignIn, SignedIn, Connection) {
    let (sign_in, asked) = started(world, id).await;
    let linked = link(&world.ours, &sign_in.connector, &"prj_ours".into());
    let put = world.event(EventKind::LinkPut);
    world.store.put_link(&linked, &put).await.unwrap();
    let made = connection(&format!("conn of {id}"), &asked.team, asked.grant.clone());
    let set = token_set(&format!("stk of {id}"), &made, "main");
    let code = format!("code of {id}");
    let answer = SignedIn {
        held: fixtures::held(&asked, &set, &code),
        identity: sealed("person"),
        code: grant(&sign_in, &code, false),
    };
    let event = || world.event(EventKind::AuthorizationHeld);
    assert_eq!(world.store.answer_sign_in(&answer, &event()).await, Ok(()));
    let again = world.store.answer_sign_in(&answer, &event()).await;
    assert_eq!(again, Err(StoreError::Missing("authorization")));
    let session = Some(Session {
        project: "prj_ours".into(),
        environment: "production".into(),
        connection: made.id.clone(),
    });
    let identity = Some(sealed("person"));
    (
        SignIn {
            identity,
            session,
            ..sign_in
        },
        answer,
        made,
    )
}

pub async fn a_sign_in_is_found_by_its_consent_and_by_its_team(world: &World) {
    let store = &world.store;
    let (sign_in, asked) = started(world, "sgn_1").await;
    for found in [
        store.sign_in_of(&asked.id).await,
        store.sign_in(&world.ours, &sign_in.id).await,
    ] {
        assert_eq!(row(&found.unwrap().unwrap()), row(&sign_in));
    }
    let theirs = store.sign_in(&world.theirs, &sign_in.id).await.unwrap();
    assert!(theirs.is_none());
    let flow = store.flow(&digest("state of sgn_1")).await.unwrap();
    assert_eq!(flow.unwrap().authorization, asked.id);
    // A connector that is gone has none.
    let connector = store
        .connector(&world.ours, sign_in.connector.as_str())
        .await;
    world.delete(&connector.unwrap().unwrap(), NOW).await;
    let (next, consent) = (
        SignIn {
            id: "sgn_2".into(),
            authorization: "scs_2".into(),
            ..sign_in.clone()
        },
        authorization("scs_2", &world.ours, &sign_in.connector),
    );
    let flow = fixtures::flow("state 2", &consent);
    let refused = store.start_sign_in(&next, &consent, &flow).await;
    assert_eq!(refused, Err(StoreError::Missing("connector")));
}

pub async fn connectors_are_found_by_what_they_are_called_in_any_team(world: &World) {
    let ours = world.connector("scl_1").await;
    let called = async |uid: &str| {
        let found = world.store.connectors_called(uid, 2).await.unwrap();
        found
            .iter()
            .map(|row| row.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(called(&ours.uid).await, ["scl_1"]);
    for (id, team) in [("scl_2", "team_3"), ("scl_3", "team_4")] {
        let team = fixtures::team(team, "acc_ours");
        let put = world.event(EventKind::Applied);
        assert_eq!(world.store.put_team(&team, &put).await, Ok(true));
        let namesake = Connector {
            uid: ours.uid.clone(),
            ..fixtures::connector(id, &team.id)
        };
        let made = world.event(EventKind::ConnectorCreated);
        let made = world.store.create_connector(&namesake, &[], &made).await;
        assert_eq!(made, Ok(()));
    }
    assert_eq!(called(&ours.uid).await, ["scl_1", "scl_2"]);
    assert!(called("none").await.is_empty());
    world.delete(&ours, NOW).await;
    assert_eq!(called(&ours.uid).await, ["scl_2", "scl_3"]);
}

pub async fn a_code_is_redeemed_once_and_its_refresh_token_rotates(world: &World) {
    let store = &world.store;
    let (sign_in, answer, made) = answered(world, "sgn_1").await;
    let code = answer.code.hash;
    let first = grant(&sign_in, "refresh 1", true);
    let event = || world.event(EventKind::SignedIn);
    let late = Event {
        at: NOW.after(MINUTE),
        ..event()
    };
    let set = &answer.held.set;
    let redeemed = store
        .redeem_code(&code, &sign_in, Some(&first), &made, set, &late)
        .await;
    assert_eq!(redeemed, GRANT);
    let answers = parallel(
        10,
        |store, _| {
            let (sign_in, made, event) = (sign_in.clone(), made.clone(), event());
            let (first, set) = (first.clone(), answer.held.set.clone());
            async move {
                store
                    .redeem_code(&code, &sign_in, Some(&first), &made, &set, &event)
                    .await
            }
        },
        world,
    )
    .await;
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((good, answers.contains(&GRANT)), (1, true), "{answers:?}");
    let stored = store
        .sign_in(&world.ours, &sign_in.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row(&stored), row(&sign_in));
    let used = store.sign_in_grant(&code).await.unwrap().unwrap();
    assert!(used.used_at.is_some() && !used.refresh);
    let consent = store
        .authorization(&sign_in.authorization)
        .await
        .unwrap()
        .unwrap();
    let success = AuthorizationState::Success {
        connection: made.id.clone(),
    };
    assert_eq!(consent.state, success);
    assert!(
        store
            .held_consent(&sign_in.authorization)
            .await
            .unwrap()
            .is_none()
    );
    let live = store
        .connection(&world.ours, &made.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(live.connection.grant, made.grant);

    // A code is no refresh token, nor the other way round.
    let next = SignInGrant {
        expires_at: NOW.after(2 * HOUR),
        ..grant(&sign_in, "refresh 2", true)
    };
    let rotated = || world.event(EventKind::SignInRefreshed);
    assert_eq!(store.rotate_refresh(&code, &next, &rotated()).await, GRANT);
    assert_eq!(
        store.rotate_refresh(&first.hash, &next, &rotated()).await,
        Ok(())
    );
    assert_eq!(
        store.rotate_refresh(&first.hash, &next, &rotated()).await,
        GRANT
    );
    let moved = store
        .sign_in(&world.ours, &sign_in.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(moved.expires_at, next.expires_at);
}

pub async fn nothing_of_an_ended_sign_in_works(world: &World) {
    let store = &world.store;
    let (sign_in, answer, made) = answered(world, "sgn_1").await;
    let first = grant(&sign_in, "refresh 1", true);
    let event = || world.event(EventKind::SignedIn);
    let set = &answer.held.set;
    let hash = answer.code.hash;
    let redeemed = store
        .redeem_code(&hash, &sign_in, Some(&first), &made, set, &event())
        .await;
    assert_eq!(redeemed, Ok(()));
    let ended = || world.event(EventKind::SignInEnded);
    let end = async |team| store.end_sign_in(team, &sign_in.id, NOW, &ended()).await;
    assert_eq!(end(&world.theirs).await, Ok(false));
    assert_eq!(end(&world.ours).await, Ok(true));
    assert_eq!(end(&world.ours).await, Ok(false));
    assert_eq!(world.events_of(EventKind::SignInEnded).await, 1);
    let next = grant(&sign_in, "refresh 2", true);
    let rotated = world.event(EventKind::SignInRefreshed);
    assert_eq!(
        store.rotate_refresh(&first.hash, &next, &rotated).await,
        GRANT
    );
    let over = store
        .sign_in(&world.ours, &sign_in.id)
        .await
        .unwrap()
        .unwrap();
    assert!(over.identity.is_none() && over.ended_at == Some(NOW));
}

/// The same with a session, and a refresh token.
async fn redeemed(world: &World, id: &str) -> (SignIn, SignInGrant, Connection) {
    let (sign_in, answer, made) = answered(world, id).await;
    let first = grant(&sign_in, &format!("refresh of {id}"), true);
    let event = world.event(EventKind::SignedIn);
    let (code, set) = (answer.code.hash, &answer.held.set);
    let redeemed = world
        .store
        .redeem_code(&code, &sign_in, Some(&first), &made, set, &event)
        .await;
    assert_eq!(redeemed, Ok(()));
    (sign_in, first, made)
}

/// One after the other, as if there were many.
async fn end_lost(world: &World, now: Timestamp) {
    let mut behind = None;
    let mut looks = 0;
    loop {
        let looked = world.store.end_lost_sign_ins(now, behind.as_ref(), 1).await;
        let looked = looked.unwrap();
        looks += 1;
        assert!(looks < 50 && looked.as_ref().is_none_or(|id| behind.as_ref() < Some(id)));
        match looked {
            Some(_) => behind = looked,
            None => break,
        }
    }
}

async fn is_known(world: &World, sign_in: &SignIn) -> bool {
    let found = world.store.sign_in(&world.ours, &sign_in.id).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.identity.is_none(), found.ended_at.is_some());
    found.identity.is_some()
}

pub async fn a_session_ends_with_whatever_it_rests_on(world: &World) {
    let store = &world.store;
    let project = "prj_ours".into();
    for way in [
        "connection",
        "link",
        "environment",
        "connector",
        "time",
        "project",
    ] {
        let (sign_in, first, made) = redeemed(world, &format!("sgn {way}")).await;
        let (other, ..) = redeemed(world, &format!("sgn beside {way}")).await;
        let works = async |sign_in: &SignIn, at| {
            let found = store.session(&world.ours, &sign_in.id, at).await.unwrap();
            found.is_some()
        };
        assert!(works(&sign_in, NOW).await, "{way}");
        let theirs = store.session(&world.theirs, &sign_in.id, NOW).await;
        assert!(theirs.unwrap().is_none());
        end_lost(world, NOW).await;
        assert!(is_known(world, &sign_in).await, "{way}");
        let mut now = NOW;
        match way {
            "connection" => world.revoke(&made).await,
            "link" => {
                let event = world.event(EventKind::LinkDeleted);
                let gone = store.delete_link(&world.ours, &sign_in.connector, &project, &event);
                assert_eq!(gone.await, Ok(()));
            }
            "environment" => {
                let elsewhere = Link {
                    environments: vec!["preview".into(), "not-production".into()],
                    ..link(&world.ours, &sign_in.connector, &project)
                };
                let event = world.event(EventKind::LinkPut);
                store.put_link(&elsewhere, &event).await.unwrap();
            }
            "connector" => {
                let found = store
                    .connector(&world.ours, sign_in.connector.as_str())
                    .await;
                world.delete(&found.unwrap().unwrap(), NOW).await;
            }
            "time" => now = sign_in.expires_at,
            _ => {
                let event = world.event(EventKind::ProjectDeleted);
                let gone = store.delete_project(&world.ours, &project, NOW, &event);
                assert_eq!(gone.await, Ok(()));
            }
        }
        assert!(!works(&sign_in, now).await, "{way}");
        let next = grant(&sign_in, &format!("next of {way}"), true);
        let rotated = Event {
            at: now,
            ..world.event(EventKind::SignInRefreshed)
        };
        let refused = store.rotate_refresh(&first.hash, &next, &rotated).await;
        assert_eq!(refused, GRANT, "{way}");
        assert!(is_known(world, &sign_in).await, "{way}");
        let shared = ["time", "project"].contains(&way);
        end_lost(world, now).await;
        assert!(!is_known(world, &sign_in).await, "{way}");
        assert_eq!(is_known(world, &other).await, !shared, "{way}");
    }
}

pub async fn a_sign_in_that_nobody_redeems_leaves_nothing(world: &World) {
    let store = &world.store;
    let (begun, asked) = started(world, "sgn_begun").await;
    let (held, answer, _) = answered(world, "sgn_held").await;
    let (redeemed, ..) = redeemed(world, "sgn_redeemed").await;
    assert_eq!(world.events_of(EventKind::AuthorizationRequested).await, 0);
    let state = digest("state of sgn_begun");
    let over = begun.expires_at;
    let there = async || {
        let authorization = store.authorization(&asked.id).await.unwrap().is_some();
        let flow = store.flow(&state).await.unwrap().is_some();
        let sign_in = store.sign_in_of(&asked.id).await.unwrap().is_some();
        assert!(authorization == flow && flow == sign_in);
        sign_in
    };
    assert_eq!(store.drop_unredeemed_sign_ins(over, 100).await, Ok(0));
    assert!(there().await);
    let before = over.after(MINUTE);
    assert_eq!(store.drop_unredeemed_sign_ins(before, 100).await, Ok(1));
    assert!(!there().await);
    // What it brought has to be revoked first.
    assert!(is_known(world, &held).await && is_known(world, &redeemed).await);
    let denied = AuthorizationState::Error {
        code: "expired".to_owned(),
    };
    let id = &answer.held.authorization;
    let event = world.event(EventKind::AuthorizationFailed);
    assert_eq!(store.drop_consent(id, &denied, &event).await, Ok(()));
    assert_eq!(store.drop_unredeemed_sign_ins(before, 100).await, Ok(1));
    let gone = store.sign_in(&world.ours, &held.id).await.unwrap();
    assert!(gone.is_none());
    assert!(is_known(world, &redeemed).await);
}
