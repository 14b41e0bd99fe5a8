//! Keys of the vault, events, leases, the sweep.

use std::time::Duration;

use grantry_core::nouns::{Actor, AuthorizationState, Event, EventKind, OutsideIdentity};
use grantry_core::store::{
    Author, DataKey, EventFilter, KeyStatus, Page, SigningKey, SigningPurpose,
};
use grantry_core::{Clock as _, StoreError, Timestamp};
use serde_json::json;

use super::fixtures::{HOUR, MINUTE, NOW, digest, flow, map, sealed};
use super::{World, parallel};

pub async fn the_database_answers(world: &World) {
    assert_eq!(world.store.ping().await, Ok(()));
}

pub async fn the_first_key_check_stands(world: &World) {
    assert_eq!(world.store.read_key_check().await, Ok(None));
    let answers = parallel(
        20,
        |store, number| async move {
            store
                .key_check(&sealed(&format!("{number}")))
                .await
                .unwrap()
        },
        world,
    )
    .await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(
        world.store.read_key_check().await,
        Ok(Some(answers[0].clone()))
    );
}

pub async fn a_team_has_one_active_data_key(world: &World) {
    let key = |id: &str| DataKey {
        id: id.to_owned(),
        team: world.ours.clone(),
        status: KeyStatus::Active,
        sealed: sealed(id),
        created_at: NOW,
    };
    let answers = parallel(
        20,
        |store, number| {
            let key = key(&format!("dk_{number}"));
            async move { store.add_data_key(&key).await.unwrap() }
        },
        world,
    )
    .await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(answers[0], key(&answers[0].id));
    assert_eq!(
        world.store.data_keys(&world.ours).await,
        Ok(vec![answers[0].clone()])
    );

    assert_eq!(world.store.data_keys(&world.theirs).await, Ok(vec![]));
    let theirs = DataKey {
        team: world.theirs.clone(),
        ..key("dk_theirs")
    };
    assert_eq!(world.store.add_data_key(&theirs).await, Ok(theirs.clone()));
    let same_id = DataKey {
        team: "".into(),
        ..theirs
    };
    let taken = Err(StoreError::Taken("data_key.id"));
    assert_eq!(world.store.add_data_key(&same_id).await, taken);
}

pub(super) fn signing_key(kid: &str, signs_from: Timestamp) -> SigningKey {
    SigningKey {
        kid: kid.to_owned(),
        purpose: SigningPurpose::Workload,
        public_jwk: json!({"kty": "EC", "crv": "P-256"}),
        sealed: sealed(kid),
        created_at: NOW,
        signs_from,
        retired_at: None,
    }
}

pub async fn one_of_many_signing_keys_is_added_behind_the_newest(world: &World) {
    assert_eq!(
        world.store.signing_keys(SigningPurpose::Workload).await,
        Ok(vec![])
    );
    let mut standing: Vec<SigningKey> = vec![];
    for round in 1..=2 {
        let newest = standing.last().map(|key| key.kid.clone());
        let rivals: Vec<(SigningKey, Event)> = (0..20)
            .map(|number| {
                let key = signing_key(&format!("kid_{number}_{round}"), NOW.after(MINUTE * round));
                (key, world.event(EventKind::SigningKeyAdded))
            })
            .collect();
        let added = parallel(
            20,
            |store, number| {
                let ((key, event), newest) = (rivals[number].clone(), newest.clone());
                async move {
                    let added = store.add_signing_key(&key, newest.as_deref(), HOUR, &event);
                    added.await.unwrap()
                }
            },
            world,
        )
        .await;
        let mut winners = rivals.iter().zip(added).filter(|(_, added)| *added);
        let ((winner, _), _) = winners.next().unwrap();
        assert_eq!(winners.count(), 0, "round {round}");
        standing.push(winner.clone());
        assert_eq!(
            world
                .store
                .signing_keys(SigningPurpose::Workload)
                .await
                .as_ref(),
            Ok(&standing)
        );
    }
    assert_eq!(world.events_of(EventKind::SigningKeyAdded).await, 2);
    let again = world.event(EventKind::SigningKeyAdded);
    let newest = Some(standing[1].kid.as_str());
    assert_eq!(
        world
            .store
            .add_signing_key(&standing[0], newest, HOUR, &again)
            .await,
        Err(StoreError::Taken("signing_key.kid"))
    );
}

pub async fn a_signing_key_is_retired_once_and_its_private_half_destroyed(world: &World) {
    let (first, second) = (signing_key("a", NOW), signing_key("b", NOW.after(HOUR)));
    let event = || world.event(EventKind::SigningKeyAdded);
    let add = |key: SigningKey, newest: Option<&'static str>| async move {
        world
            .store
            .add_signing_key(&key, newest, HOUR, &event())
            .await
    };
    assert_eq!(add(first.clone(), None).await, Ok(true));
    assert_eq!(add(second.clone(), Some("a")).await, Ok(true));
    let at = NOW.after(HOUR);
    for (kid, retired) in [("b", true), ("b", false), ("none", false)] {
        let event = world.event(EventKind::SigningKeyRetired);
        let answer = world.store.retire_signing_key(kid, at, None, &event).await;
        assert_eq!(answer, Ok(retired), "{kid}");
    }
    assert_eq!(world.events_of(EventKind::SigningKeyRetired).await, 1);
    assert_eq!(
        world.store.signing_keys(SigningPurpose::Workload).await,
        Ok(vec![first])
    );
    // The next one stands behind what is left.
    assert_eq!(add(signing_key("c", at), Some("b")).await, Ok(false));
    assert_eq!(add(signing_key("c", at), Some("a")).await, Ok(true));
}

pub async fn signing_keys_of_one_purpose_are_none_of_another(world: &World) {
    let workload = signing_key("a", NOW.after(MINUTE));
    let sign_in = SigningKey {
        purpose: SigningPurpose::SignIn,
        ..signing_key("b", NOW)
    };
    for key in [&workload, &sign_in] {
        let event = world.event(EventKind::SigningKeyAdded);
        let added = world.store.add_signing_key(key, None, HOUR, &event);
        assert_eq!(added.await, Ok(true), "each is the first of its purpose");
    }
    for key in [workload, sign_in] {
        let kept = world.store.signing_keys(key.purpose).await;
        assert_eq!(kept, Ok(vec![key]));
    }
}

pub async fn a_wrong_clock_puts_no_signing_key_far_ahead_and_ends_none_too_early(world: &World) {
    let add = async |kid: &str, signs_from| {
        let event = world.event(EventKind::SigningKeyAdded);
        let key = signing_key(kid, signs_from);
        let added = world.store.add_signing_key(&key, None, MINUTE, &event);
        added.await
    };
    let now = world.clock.now();
    let ahead = Err(StoreError::InUse("database.clock"));
    assert_eq!(add("far", now.after(2 * MINUTE)).await, ahead);
    assert_eq!(add("near", now.after(MINUTE / 2)).await, Ok(true));

    let until = now.after(HOUR);
    let retire = async || {
        let event = world.event(EventKind::SigningKeyRetired);
        let retired = world
            .store
            .retire_signing_key("near", until, Some(until), &event);
        retired.await
    };
    assert_eq!(retire().await, Ok(false));
    assert_eq!(
        world
            .store
            .signing_keys(SigningPurpose::Workload)
            .await
            .unwrap()
            .len(),
        1
    );
    world.clock.advance(HOUR);
    assert_eq!(retire().await, Ok(true));
    assert_eq!(
        world.store.signing_keys(SigningPurpose::Workload).await,
        Ok(vec![])
    );
}

pub async fn events_are_kept_once_and_read_back(world: &World) {
    let (everything, page) = (EventFilter::default(), Page::first(2));
    let list = || world.store.events(&world.ours, &everything, &page);
    let before = list().await.unwrap();
    let mut event = Event {
        at: NOW.after(MINUTE),
        actor: Actor::Project {
            id: "prj_ours".to_owned(),
            environment: "preview".into(),
            identity: Some(OutsideIdentity {
                issuer: "https://idp.example".to_owned(),
                subject: "repo:acme/web".to_owned(),
            }),
        },
        connector: Some("scl_1".into()),
        connection: Some("conn_1".into()),
        ..world.event(EventKind::TokenRead)
    };
    assert_eq!(world.store.append_events(&[]).await, Ok(()));
    let written = [
        event.clone(),
        Event {
            team: None,
            ..world.event(EventKind::Applied)
        },
    ];
    assert_eq!(world.store.append_events(&written).await, Ok(()));
    let found = list().await.unwrap();
    assert_eq!(found[0], event);
    assert_eq!(
        found[1], before[0],
        "an event of no team is in nobody's log"
    );

    // A batch with a line that is there already is refused whole.
    event.data = map(json!({"why": "another"}));
    let batch = [world.event(EventKind::TokenRead), event];
    let taken = Err(StoreError::Taken("event.id"));
    assert_eq!(world.store.append_events(&batch).await, taken);
    assert_eq!(list().await, Ok(found));
}

const KINDS: [EventKind; 2] = [EventKind::TokenRead, EventKind::TokenRefreshed];

pub async fn events_are_filtered(world: &World) {
    let about = |kind, connector: &str, connection: &str| Event {
        connector: Some(connector.into()),
        connection: Some(connection.into()),
        ..world.event(kind)
    };
    let [read, refreshed] = KINDS;
    let a = about(read, "scl_1", "conn_1");
    let b = Event {
        at: NOW.after(MINUTE),
        actor: Actor::User {
            id: "usr_\"1".to_owned(),
        },
        ..about(read, "scl_1", "conn_2")
    };
    let c = Event {
        at: NOW.after(2 * MINUTE),
        actor: Actor::Project {
            id: "prj_1".to_owned(),
            environment: "preview".into(),
            identity: None,
        },
        ..about(refreshed, "scl_2", "conn_3")
    };
    let theirs = Event {
        team: Some(world.theirs.clone()),
        ..about(EventKind::TokenRead, "scl_1", "conn_1")
    };
    let lines = [a.clone(), b.clone(), c.clone(), theirs];
    assert_eq!(world.store.append_events(&lines).await, Ok(()));
    let all = EventFilter::default;
    let of = |kinds: &[EventKind], connector: Option<&str>, connection: Option<&str>| EventFilter {
        kinds: kinds.to_vec(),
        connector: connector.map(Into::into),
        connection: connection.map(Into::into),
        ..all()
    };
    let by = |actor| EventFilter {
        kinds: KINDS.to_vec(),
        actor: Some(actor),
        ..all()
    };
    let id = |id: &str| by(Author::Id(id.to_owned()));
    let span = |since: Duration, until: Duration| EventFilter {
        kinds: KINDS.to_vec(),
        since: Some(NOW.after(since)),
        until: Some(NOW.after(until)),
        ..all()
    };
    let table = [
        (of(&[read], None, None), vec![&b, &a]),
        (of(&KINDS, None, None), vec![&c, &b, &a]),
        (of(&[], Some("scl_1"), None), vec![&b, &a]),
        (of(&[], None, Some("conn_3")), vec![&c]),
        (of(&[refreshed], Some("scl_1"), None), vec![]),
        (of(&[read], Some("scl_1"), Some("conn_2")), vec![&b]),
        (id("key_1"), vec![&a]),
        (id("usr_\"1"), vec![&b]),
        (id("prj_1"), vec![&c]),
        (id("prj_"), vec![]),
        (id("preview"), vec![]),
        (by(Author::Is(Actor::System)), vec![]),
        (span(Duration::ZERO, HOUR), vec![&c, &b, &a]),
        (span(MINUTE, HOUR), vec![&c, &b]),
        (span(Duration::ZERO, MINUTE), vec![&a]),
    ];
    for (filter, expected) in table {
        let found = world
            .store
            .events(&world.ours, &filter, &Page::first(10))
            .await
            .unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        let oldest_first = Page {
            oldest_first: true,
            ..Page::first(10)
        };
        let found = world.store.events(&world.ours, &filter, &oldest_first);
        let found = found.await.unwrap();
        assert_eq!(
            found.iter().rev().collect::<Vec<_>>(),
            expected,
            "{filter:?}"
        );
    }
}

pub async fn a_lease_is_held_renewed_and_taken_over(world: &World) {
    let take = |owner| world.store.lease("sealer", owner, MINUTE);
    assert_eq!(take("a").await, Ok(true));
    assert_eq!(take("b").await, Ok(false));
    world.pass(MINUTE - Duration::from_secs(1));
    assert_eq!(take("a").await, Ok(true), "its owner renews it");
    world.pass(MINUTE - Duration::from_secs(1));
    assert_eq!(take("b").await, Ok(false), "the renewal counts");
    world.pass(Duration::from_secs(1));
    assert_eq!(take("b").await, Ok(true), "it has run out");
    assert_eq!(take("a").await, Ok(false));
    assert_eq!(world.store.lease("sweep", "a", MINUTE).await, Ok(true));

    world.pass(HOUR);
    let winners = parallel(
        50,
        |store, number| async move { store.lease("sealer", &format!("{number}"), MINUTE).await },
        world,
    )
    .await;
    assert_eq!(winners.iter().filter(|won| **won == Ok(true)).count(), 1);
}

pub async fn a_sweep_takes_only_what_nothing_can_need_again(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let [pending, ended] = [
        world.authorization(&connector, "sca_pending").await,
        world.authorization(&connector, "sca_ended").await,
    ];
    for (state, authorization) in [("unused", &pending), ("used", &pending)] {
        assert_eq!(store.start_flow(&flow(state, authorization)).await, Ok(()));
    }
    assert_eq!(
        store.take_flow(&digest("used"), NOW.after(MINUTE)).await,
        Ok(true)
    );
    let canceled = (
        AuthorizationState::Canceled,
        world.event(EventKind::AuthorizationFailed),
    );
    let fail = store.fail_authorization(&ended.id, &canceled.0, &canceled.1);
    assert_eq!(fail.await, Ok(()));
    assert_eq!(store.lease("short", "a", MINUTE).await, Ok(true));

    // What is there at each moment: used flow, unused flow, ended authorization, pending authorization.
    let there = async || {
        [
            store.flow(&digest("used")).await.unwrap().is_some(),
            store.flow(&digest("unused")).await.unwrap().is_some(),
            store.authorization(&ended.id).await.unwrap().is_some(),
            store.authorization(&pending.id).await.unwrap().is_some(),
        ]
    };
    let second = Duration::from_secs(1);
    let table = [
        (NOW, [true, true, true, true]),
        (NOW.after(second), [true, true, false, true]),
        (NOW.after(MINUTE + second), [false, true, false, true]),
        (NOW.after(10 * MINUTE + second), [false, false, false, true]),
        (NOW.after(HOUR + second), [false, false, false, false]),
    ];
    for (before, expected) in table {
        let gone = there()
            .await
            .iter()
            .zip(expected)
            .filter(|(was, is)| **was != *is)
            .count();
        let swept = store.sweep(before, 1000).await.unwrap();
        assert_eq!(there().await, expected, "{before}");
        assert!(swept >= u64::try_from(gone).unwrap(), "{before}: {swept}");
    }
    assert_eq!(
        store.lease("short", "b", MINUTE).await,
        Ok(false),
        "a live lease stays"
    );
    world.pass(MINUTE);
    assert_eq!(
        store.sweep(NOW, 1000).await,
        Ok(1),
        "only the lease had run out"
    );
}

pub async fn a_sweep_takes_its_time(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let authorization = world.authorization(&connector, "sca_1").await;
    for number in 0..5 {
        let flow = flow(&format!("state {number}"), &authorization);
        assert_eq!(store.start_flow(&flow).await, Ok(()));
    }
    world.pass(2 * HOUR);
    let newest = world.connector("scl_2").await;
    let before = NOW.after(HOUR + Duration::from_secs(1));
    let mut rounds = 0;
    loop {
        let gone = store.sweep(before, 2).await.unwrap();
        assert!(gone <= 6, "two of each of three kinds: {gone}");
        rounds += 1;
        if gone < 2 {
            break;
        }
    }
    assert!(rounds > 2, "{rounds}");
    assert_eq!(store.authorization(&authorization.id).await, Ok(None));
    for number in 0..5 {
        let state = digest(&format!("state {number}"));
        assert!(store.flow(&state).await.unwrap().is_none());
    }
    let left = store.changes(0).await.unwrap();
    let left: Vec<_> = left.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(left, [newest.id.as_str()], "only what is old went");
}
