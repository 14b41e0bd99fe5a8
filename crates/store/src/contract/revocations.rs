//! The end of connections, and the queue of what the provider has to be told.

use std::time::Duration;

use grantry_core::nouns::{
    AuthorizationState, ConnectionState, Environment, EventKind, Grant, Revocation, Subject,
    TokenSet,
};
use grantry_core::store::{Begin, ConnectionFilter, Depths, EventFilter, Page, RevocationScope};
use serde_json::json;

use super::fixtures::{ALL, HOUR, MINUTE, NOW, connection, grant, revocation, token_set};
use super::{World, parallel, row, rows, scope};

pub async fn a_scope_ends_its_connections_and_no_others(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    let make = async |id: &str, environment: &str, installation: &str| {
        let grant = Grant {
            environment: environment.into(),
            installation: Some(installation.to_owned()),
            ..grant(&connector.id, id)
        };
        let made = connection(id, &world.ours, grant);
        world
            .import(&made, &[token_set(&format!("{id} set"), &made, "main")])
            .await;
        made
    };
    let one = make("u1", "production", "T1").await;
    make("u2", "preview", "T1").await;
    make("u3", "production", "T2").await;
    make("u4", "preview", "T2").await;
    world.connection(&neighbour, "u1 there").await;

    let all = scope(&one);
    let table = [
        (
            RevocationScope {
                environment: Some(Environment::production()),
                installation: Some("T2".to_owned()),
                ..all.clone()
            },
            vec!["u3"],
        ),
        (
            RevocationScope {
                connection: Some("u1 there".into()),
                ..all.clone()
            },
            vec![],
        ),
        (
            RevocationScope {
                connection: Some("u1".into()),
                ..all.clone()
            },
            vec!["u1"],
        ),
        (
            RevocationScope {
                subject: Some(Subject::User {
                    id: "u2".to_owned(),
                    issuer: None,
                }),
                ..all.clone()
            },
            vec![],
        ),
        (
            RevocationScope {
                subject: Some(grant(&connector.id, "u2").subject),
                ..all.clone()
            },
            vec!["u2"],
        ),
        (all.clone(), vec!["u4"]),
        (all, vec![]),
    ];
    for (scope, expected) in table {
        let theirs = store.count_connections(&world.theirs, &scope).await;
        assert_eq!(theirs, Ok(0), "{scope:?}");
        let event = world.event(EventKind::ConnectionRevoked);
        let ended = store
            .revoke(&world.theirs, &scope, NOW, MINUTE, ALL, &event)
            .await;
        assert!(ended.unwrap().queued.is_empty(), "{scope:?}");
        let ours = store.count_connections(&world.ours, &scope).await;
        assert_eq!(
            ours,
            Ok(u64::try_from(expected.len()).unwrap()),
            "{scope:?}"
        );
        let event = world.event(EventKind::ConnectionRevoked);
        let ended = store
            .revoke(&world.ours, &scope, NOW, MINUTE, ALL, &event)
            .await
            .unwrap();
        let ids: Vec<_> = ended
            .queued
            .iter()
            .map(|queued| queued.connection.as_str())
            .collect();
        assert_eq!(ids, expected, "{scope:?}");
        assert_eq!(
            store.count_connections(&world.ours, &scope).await,
            Ok(0),
            "{scope:?}"
        );
    }
    let left = store
        .connections(&world.ours, &ConnectionFilter::default(), &Page::first(10))
        .await;
    let left: Vec<_> = left
        .unwrap()
        .iter()
        .map(|left| left.id.to_string())
        .collect();
    assert_eq!(left, ["u1 there"]);
    // One that has got another set since it was read stays.
    let one = scope(&make("u5", "production", "T1").await);
    make("u6", "production", "T1").await;
    let one = RevocationScope {
        connection: Some("u5".into()),
        ..one
    };
    for (set, expected) in [("u6 set", 0), ("u5 set", 1), ("u5 set", 0)] {
        let event = world.event(EventKind::ConnectionRevoked);
        let set = set.into();
        let ended = store.revoke_with_set(&world.ours, &one, &set, NOW, MINUTE, &event);
        let ended = ended.await.unwrap();
        assert_eq!(ended.connections, expected);
        assert_eq!(ended.queued.len() as u64, expected);
    }
}

pub async fn an_end_moves_the_sets_into_the_queue(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let (made, set) = world.connection(&connector, "u1").await;
    assert!(matches!(world.begin(&set, "n").await, Begin::Go { .. }));
    let at = NOW.after(HOUR);
    let event = world.event(EventKind::ConnectionRevoked);
    let queued = store
        .revoke(&world.ours, &scope(&made), at, MINUTE, ALL, &event)
        .await
        .unwrap()
        .queued;
    let expected = Revocation {
        set: set.id.clone(),
        team: world.ours.clone(),
        connector: connector.id,
        connection: made.id.clone(),
        access: set.access.clone(),
        refresh: set.refresh.clone(),
        servers: set.servers.clone(),
        tries: 0,
        created_at: at,
        not_before: at.after(MINUTE),
    };
    assert_eq!(rows(&queued), [row(&expected)]);
    let live = world.live(&made).await;
    assert_eq!(live.connection.state, ConnectionState::Revoked);
    assert_eq!(live.connection.updated_at, at);
    assert!(live.sets.is_empty());
    assert_eq!(world.begin(&set, "n").await, Begin::Moved);

    // The caller tries first; the sweep gets it once the claim has run out.
    let due = store.due_revocations(at, MINUTE, 10, &[]).await.unwrap();
    assert!(due.is_empty());
    let due = store
        .due_revocations(at.after(MINUTE), MINUTE, 10, &[])
        .await
        .unwrap();
    assert_eq!(due.len(), 1);
}

pub async fn each_end_is_a_line_of_the_log(world: &World) {
    let connector = world.connector("scl_1").await;
    let (one, _) = world.connection(&connector, "u1").await;
    world.connection(&connector, "u2").await;
    world.connection(&connector, "u3").await;
    let event = world.event(EventKind::ConnectionRevoked);
    let ended = world
        .store
        .revoke(&world.ours, &scope(&one), NOW, MINUTE, ALL, &event)
        .await;
    assert_eq!(ended.unwrap().queued.len(), 3);
    let mut lines = world.log(EventKind::ConnectionRevoked).await;
    lines.sort_by(|one, two| one.id.cmp(&two.id));
    let ids: Vec<_> = lines.iter().map(|line| line.id.to_string()).collect();
    let expected = ["", ".1", ".2"].map(|suffix| format!("{}{suffix}", event.id));
    assert_eq!(ids, expected);
    for (line, connection) in lines.into_iter().zip(["u1", "u2", "u3"]) {
        let expected = grantry_core::nouns::Event {
            id: line.id.clone(),
            connection: Some(connection.into()),
            ..event.clone()
        };
        assert_eq!(line, expected);
    }
    let again = world.event(EventKind::ConnectionRevoked);
    let ended = world
        .store
        .revoke(&world.ours, &scope(&one), NOW, MINUTE, ALL, &again)
        .await;
    assert!(ended.unwrap().queued.is_empty());
    assert_eq!(
        world.events_of(EventKind::ConnectionRevoked).await,
        3,
        "nothing ended, nothing logged"
    );
}

pub async fn what_waits_is_counted(world: &World) {
    let connector = world.connector("scl_1").await;
    let (made, _) = world.connection(&connector, "u1").await;
    let store = &world.store;
    let counted = async |now| store.depths(now).await.unwrap();
    assert_eq!(counted(NOW).await, Depths::default());
    for number in 0..3 {
        let queued = revocation(&format!("stk_{number}"), &made);
        store.queue_revocation(&queued).await.unwrap();
        world
            .authorization(&connector, &format!("sca_{number}"))
            .await;
    }
    let failed = AuthorizationState::Canceled;
    let event = world.event(EventKind::AuthorizationFailed);
    store
        .fail_authorization(&"sca_0".into(), &failed, &event)
        .await
        .unwrap();
    let waiting = |revocations_due, authorizations_pending| Depths {
        revocations_due,
        authorizations_pending,
    };
    assert_eq!(counted(NOW).await, waiting(0, 2));
    assert_eq!(counted(NOW.after(MINUTE)).await, waiting(3, 2));
    assert_eq!(
        counted(NOW.after(HOUR * 48)).await,
        waiting(3, 0),
        "what expired does not wait"
    );
}

pub async fn a_due_revocation_is_claimed_by_one(world: &World) {
    let connector = world.connector("scl_1").await;
    let (made, _) = world.connection(&connector, "u1").await;
    for number in 0..30 {
        let queued = revocation(&format!("stk_{number:02}"), &made);
        assert_eq!(world.store.queue_revocation(&queued).await, Ok(()));
    }
    let now = NOW.after(MINUTE);
    let early = world
        .store
        .due_revocations(NOW, HOUR, 100, &[])
        .await
        .unwrap();
    assert!(early.is_empty());
    let claimed = parallel(
        10,
        |store, _| async move { store.due_revocations(now, HOUR, 4, &[]).await.unwrap() },
        world,
    )
    .await;
    assert!(claimed.iter().all(|claim| claim.len() <= 4));
    let mut sets: Vec<_> = claimed
        .concat()
        .iter()
        .map(|claim| claim.set.clone())
        .collect();
    sets.sort();
    sets.dedup();
    assert_eq!(sets.len(), 30, "each is claimed by one worker");
    assert!(
        claimed
            .concat()
            .iter()
            .all(|claim| claim.not_before == now.after(HOUR))
    );
    let next = world
        .store
        .due_revocations(now.after(HOUR), HOUR, 100, &[])
        .await
        .unwrap();
    assert_eq!(next.len(), 30, "a claim that led to nothing runs out");

    // Those of a connector that rests are left for others.
    let neighbour = world.connector("scl_2").await;
    let (there, _) = world.connection(&neighbour, "u2").await;
    let queued = revocation("stk_there", &there);
    assert_eq!(world.store.queue_revocation(&queued).await, Ok(()));
    let later = now.after(3 * HOUR);
    let resting = [connector.id.clone(), "scl_3".into()];
    let due = world.store.due_revocations(later, HOUR, 100, &resting);
    let due: Vec<_> = due.await.unwrap().into_iter().map(|due| due.set).collect();
    assert_eq!(due, [queued.set]);
}

pub async fn a_late_pair_is_queued_once_and_finished_once(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let (made, _) = world.connection(&connector, "u1").await;
    let late = revocation("stk_late", &made);
    assert_eq!(store.queue_revocation(&late).await, Ok(()));
    assert_eq!(
        store.queue_revocation(&late).await,
        Ok(()),
        "the first answer may be lost"
    );
    let due = async |at| {
        store
            .due_revocations(at, Duration::ZERO, 10, &[])
            .await
            .unwrap()
    };
    let found = due(late.not_before).await;
    assert_eq!(rows(&found), [row(&late)]);

    let later = NOW.after(HOUR);
    assert_eq!(store.retry_revocation(&late.set, later).await, Ok(()));
    assert!(due(late.not_before).await.is_empty());
    let tried = Revocation {
        tries: late.tries + 1,
        not_before: later,
        ..late.clone()
    };
    assert_eq!(rows(&due(later).await), [row(&tried)]);
    for _ in 0..2 {
        let event = world.event(EventKind::ProviderRevoked);
        assert_eq!(store.finish_revocation(&late.set, &event).await, Ok(()));
    }
    assert_eq!(world.events_of(EventKind::ProviderRevoked).await, 1);
    assert!(due(later).await.is_empty());
    assert_eq!(
        store.retry_revocation(&late.set, later).await,
        Ok(()),
        "it is gone, and stays so"
    );
    assert!(due(later).await.is_empty());
}

pub async fn many_connections_are_ended_in_batches(world: &World) {
    let connector = world.connector("scl_1").await;
    for number in 0..5 {
        world.connection(&connector, &format!("u{number}")).await;
    }
    // One without any token counts as well.
    let bare = connection("u5", &world.ours, grant(&connector.id, "u5"));
    world.import(&bare, &[]).await;
    let batch = async || {
        let event = world.event(EventKind::ConnectionRevoked);
        let ended = world
            .store
            .revoke(&world.ours, &scope(&bare), NOW, MINUTE, 2, &event)
            .await
            .unwrap();
        let ids = ended.queued.iter().map(|one| one.connection.to_string());
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        (ended.connections, ids)
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(batch().await, (2, ids(&["u0", "u1"])));
    assert_eq!(batch().await, (2, ids(&["u2", "u3"])));
    assert_eq!(batch().await, (2, ids(&["u4"])));
    assert_eq!(batch().await, (0, vec![]));
    assert_eq!(world.events_of(EventKind::ConnectionRevoked).await, 6);
}

/// What is minted is fetched anew; what renews itself is not ended by a word.
pub async fn minted_tokens_of_a_scope_are_expired_and_no_others(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let make = async |id: &str, installation: &str, refresh: bool| {
        let grant = Grant {
            installation: Some(installation.to_owned()),
            ..grant(&connector.id, id)
        };
        let made = connection(id, &world.ours, grant);
        let set = token_set(&format!("{id} set"), &made, "main");
        let refresh = set.refresh.clone().filter(|_| refresh);
        let set = TokenSet { refresh, ..set };
        world.import(&made, &[set]).await;
        made
    };
    let one = make("u1", "T1", false).await;
    make("u2", "T1", true).await;
    make("u3", "T2", false).await;
    let of = RevocationScope {
        installation: Some("T1".to_owned()),
        ..scope(&one)
    };
    let event = || world.event(EventKind::InstallationChanged);
    let theirs = store.expire_tokens(&world.theirs, &of, &event()).await;
    assert_eq!(theirs, Ok(vec![]));
    let kinds = vec![EventKind::InstallationChanged];
    let lines = async || {
        let filter = EventFilter {
            kinds: kinds.clone(),
            ..EventFilter::default()
        };
        let found = store.events(&world.ours, &filter, &Page::first(10)).await;
        found.unwrap().len()
    };
    assert_eq!(lines().await, 0);
    let expired = store.expire_tokens(&world.ours, &of, &event()).await;
    assert_eq!(expired, Ok(vec!["u1".into()]));
    assert_eq!(lines().await, 1);
    for (id, ends) in [
        ("u1", NOW),
        ("u2", NOW.after(HOUR)),
        ("u3", NOW.after(HOUR)),
    ] {
        let live = store.connection(&world.ours, &id.into()).await;
        let live = live.unwrap().unwrap();
        assert_eq!(live.sets[0].access_expires_at, Some(ends), "{id}");
        assert_eq!(live.connection.state, ConnectionState::Active);
    }
    let again = store.expire_tokens(&world.ours, &of, &event()).await;
    assert_eq!(again, Ok(vec![]));
    assert_eq!(lines().await, 1, "nothing happened");
}

/// Live connections are found by what their tokens came with, page by page.
pub async fn connections_are_found_by_what_their_tokens_were_told(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    for (id, of, metadata) in [
        (
            "u1",
            &connector,
            json!({"team": {"id": "T1"}, "user": "U1"}),
        ),
        (
            "u2",
            &connector,
            json!({"team": {"id": "T1"}, "user": "U2"}),
        ),
        (
            "u3",
            &connector,
            json!({"team": {"id": "T12"}, "user": "U1"}),
        ),
        ("u4", &connector, json!({"team": {"id": "T_"}})),
        (
            "u5",
            &neighbour,
            json!({"team": {"id": "T1"}, "user": "U1"}),
        ),
        (
            "u6",
            &connector,
            json!({"team": {"id": "T1"}, "user": "U3"}),
        ),
    ] {
        let made = connection(id, &world.ours, grant(&of.id, id));
        let metadata = metadata.as_object().unwrap().clone();
        let set = token_set(&format!("{id} set"), &made, "main");
        let set = TokenSet { metadata, ..set };
        world.import(&made, &[set]).await;
    }
    let found = async |words: &[&str], after: Option<&str>, limit| {
        let after = after.map(Into::into);
        let found = store
            .connections_told_of(&world.ours, &connector.id, words, after.as_ref(), limit)
            .await;
        let found = found.unwrap().into_iter();
        let found = found.map(|live| {
            assert_eq!(live.sets.len(), 1);
            live.connection.id.to_string()
        });
        found.collect::<Vec<_>>()
    };
    assert_eq!(found(&["\"T1\""], None, 10).await, ["u1", "u2", "u6"]);
    assert_eq!(found(&["\"T1\""], None, 2).await, ["u1", "u2"]);
    assert_eq!(found(&["\"T1\""], Some("u2"), 2).await, ["u6"]);
    assert_eq!(found(&["\"T1\"", "\"U2\""], None, 10).await, ["u2"]);
    assert_eq!(found(&["\"T_\""], None, 10).await, ["u4"], "no pattern");
    assert_eq!(found(&["\"T9\""], None, 10).await, [""; 0]);
    let event = world.event(EventKind::ConnectionRevoked);
    let of = RevocationScope {
        connection: Some("u2".into()),
        ..scope(&connection("u2", &world.ours, grant(&connector.id, "u2")))
    };
    let ended = store.revoke(&world.ours, &of, NOW, MINUTE, ALL, &event);
    assert_eq!(ended.await.unwrap().connections, 1);
    assert_eq!(found(&["\"T1\""], None, 10).await, ["u1", "u6"]);
    let theirs = store
        .connections_told_of(&world.theirs, &connector.id, &["T1"], None, 10)
        .await;
    assert!(theirs.unwrap().is_empty());
}
