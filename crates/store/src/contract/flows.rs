//! What the flows of Vercel's dialect keep.

use std::time::Duration;

use grantry_core::nouns::{
    Authorization, AuthorizationState, Connector, ConnectorType, EventKind, Installation,
    WebhookSecret,
};
use grantry_core::{StoreError, Timestamp};
use serde_json::json;

use super::World;
use super::fixtures::{
    HOUR, MINUTE, NOW, connection, connector, installation, map, sealed, token_set,
};

/// A connector with stored keys that run out so long from now.
fn keys(id: &str, expiries: &[Option<Timestamp>], world: &World) -> Connector {
    let values = expiries.iter().enumerate().map(|(index, expires)| {
        let id = format!("stk_{id}_{index}");
        match expires {
            Some(expires) => json!({"id": id, "expiresAt": expires.as_millis()}),
            None => json!({ "id": id }),
        }
    });
    Connector {
        kind: ConnectorType::ApiKey,
        data: map(json!({ "values": values.collect::<Vec<_>>() })),
        ..connector(id, &world.ours)
    }
}

pub async fn connectors_are_found_before_their_keys_run_out(world: &World) {
    let store = &world.store;
    let soon = NOW.after(HOUR);
    let made = [
        keys("scl_b", &[Some(soon)], world),
        keys("scl_a", &[None, Some(soon.after(HOUR)), Some(soon)], world),
        keys("scl_c", &[Some(NOW)], world),
        keys("scl_late", &[Some(soon.after(9 * HOUR))], world),
        keys("scl_never", &[None], world),
    ];
    for connector in &made {
        let event = world.event(EventKind::ConnectorCreated);
        store
            .create_connector(connector, &[], &event)
            .await
            .unwrap();
    }
    let gone = keys("scl_gone", &[Some(soon)], world);
    let event = world.event(EventKind::ConnectorCreated);
    store.create_connector(&gone, &[], &event).await.unwrap();
    world.delete(&gone, NOW).await;
    world.connector("scl_oauth").await;

    let until = soon.after(HOUR);
    let found = async |after: Option<(Timestamp, &str)>, limit| {
        let after = after.map(|(first, id)| (first, id.into()));
        let found = store.expiring_connectors(until, after.as_ref(), limit);
        let ids = found
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(found(None, 10).await, ["scl_c", "scl_a", "scl_b"]);
    assert_eq!(found(None, 2).await, ["scl_c", "scl_a"]);
    assert_eq!(found(Some((soon, "scl_a")), 10).await, ["scl_b"]);
    // What is not in time is not found, whatever else the connector stores.
    let none = store.expiring_connectors(NOW, None, 10).await;
    assert_eq!(none.map(|found| found.len()), Ok(0));

    // The time follows the keys.
    let rotated = Connector {
        updated_at: NOW.after(2 * HOUR),
        ..keys("scl_a", &[Some(until.after(HOUR))], world)
    };
    let event = world.event(EventKind::ConnectorUpdated);
    let read = made[1].updated_at;
    store
        .update_connector(&rotated, read, false, &[], &event)
        .await
        .unwrap();
    assert_eq!(found(None, 10).await, ["scl_c", "scl_b"]);
}

pub async fn a_webhook_is_due_when_its_request_ends_and_is_taken_once(world: &World) {
    let store = &world.store;
    let made = world.connector("scl_1").await;
    let open = world.authorization(&made, "sca_open").await;
    let ended = world.authorization(&made, "sca_ended").await;
    let due = async |now| {
        let due = store.due_webhooks(now, 10).await.unwrap();
        let short = |due: grantry_core::nouns::DueWebhook| {
            (due.authorization.id.to_string(), due.due, due.tries)
        };
        due.into_iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(due(NOW.after(MINUTE)).await, []);
    // The fixture's event happens at `NOW`.
    let event = world.event(EventKind::AuthorizationFailed);
    let canceled = AuthorizationState::Canceled;
    store
        .fail_authorization(&ended.id, &canceled, &event)
        .await
        .unwrap();
    assert_eq!(due(event.at).await, [("sca_ended".to_owned(), event.at, 0)]);
    let told = store.due_webhooks(event.at, 10).await.unwrap().remove(0);
    assert_eq!(told.ended_at, event.at);
    assert_eq!(
        told.authorization,
        Authorization {
            state: canceled,
            ..ended.clone()
        }
    );
    // One that nobody ends is due when it has run out.
    let late = open.expires_at;
    assert_eq!(due(late).await.len(), 2);

    let next = NOW.after(HOUR / 2);
    let moved = async |from, to, tries| store.move_webhook(&ended.id, from, to, tries).await;
    assert_eq!(moved(event.at, Some(next), 1).await, Ok(true));
    assert_eq!(moved(event.at, Some(next), 1).await, Ok(false));
    assert_eq!(due(event.at).await, []);
    assert_eq!(due(next).await[0], ("sca_ended".to_owned(), next, 1));
    assert_eq!(moved(next, None, 2).await, Ok(true));
    assert_eq!(moved(next, None, 3).await, Ok(false));
    world.delete(&made, NOW.after(Duration::from_secs(9))).await;
    let canceled = NOW.after(Duration::from_secs(9));
    assert_eq!(due(canceled).await, [("sca_open".to_owned(), canceled, 0)]);
}

pub async fn a_webhook_secret_takes_the_place_of_the_one_that_was_read(world: &World) {
    let store = &world.store;
    let first = WebhookSecret {
        team: world.ours.clone(),
        secret: sealed("first"),
        previous: None,
        previous_until: None,
        made_at: NOW,
    };
    let second = WebhookSecret {
        secret: sealed("second"),
        previous: Some(first.secret.clone()),
        previous_until: Some(NOW.after(HOUR)),
        made_at: NOW.after(MINUTE),
        ..first.clone()
    };
    let put = async |secret, expected| {
        let event = world.event(EventKind::WebhookSecretRotated);
        store.put_webhook_secret(secret, expected, &event).await
    };
    assert_eq!(store.webhook_secret(&world.ours).await, Ok(None));
    assert_eq!(put(&second, Some(NOW)).await, Ok(false));
    assert_eq!(put(&first, None).await, Ok(true));
    assert_eq!(put(&second, None).await, Ok(false));
    assert_eq!(
        store.webhook_secret(&world.ours).await,
        Ok(Some(first.clone()))
    );
    assert_eq!(put(&second, Some(first.made_at)).await, Ok(true));
    assert_eq!(put(&second, Some(first.made_at)).await, Ok(false));
    assert_eq!(
        store.webhook_secret(&world.ours).await,
        Ok(Some(second.clone()))
    );
    assert_eq!(store.webhook_secret(&world.theirs).await, Ok(None));
    assert_eq!(world.events_of(EventKind::WebhookSecretRotated).await, 2);
    let nobody = WebhookSecret {
        team: "team_nobody".into(),
        ..first.clone()
    };
    assert_eq!(put(&nobody, None).await, Err(StoreError::Missing("team")));
}

pub async fn an_installation_comes_with_its_tokens_and_is_the_first_default(world: &World) {
    let store = &world.store;
    let event = world.event(EventKind::ConnectorCreated);
    let of_nothing = Connector {
        default_installation: None,
        ..connector("scl_1", &world.ours)
    };
    store
        .create_connector(&of_nothing, &[], &event)
        .await
        .unwrap();
    let default = async || {
        let found = store.connector(&world.ours, "scl_1").await.unwrap();
        found.unwrap().default_installation
    };
    let known = async |external_id: &str| {
        let found = store.installation_by_external_id(&world.ours, &of_nothing.id, external_id);
        found.await.unwrap()
    };
    let complete = async |request: &str, row: &Installation| {
        let pending = world.authorization(&of_nothing, request).await;
        let id = format!("conn_{request}");
        let made = connection(
            &id,
            &world.ours,
            grantry_core::nouns::Grant {
                installation: Some(row.external_id.clone()),
                ..pending.grant.clone()
            },
        );
        let set = token_set(&format!("stk_{request}"), &made, "main");
        let event = world.event(EventKind::AuthorizationCompleted);
        let done = store
            .complete_installation(
                &pending.id,
                row,
                row.external_id != "T0",
                &made,
                &[set],
                &event,
            )
            .await;
        (done, pending.id, made)
    };
    // One that may not be the default leaves that to the next.
    let beside = Installation {
        external_id: "T0".to_owned(),
        ..installation("ins_0", &of_nothing)
    };
    assert_eq!(complete("sci_0", &beside).await.0, Ok(()));
    assert_eq!(default().await, None);
    assert_eq!(known("T1").await, None);
    let first = Installation {
        external_id: "T1".to_owned(),
        ..installation("ins_1", &of_nothing)
    };
    let (done, id, made) = complete("sci_1", &first).await;
    assert_eq!(done, Ok(()));
    assert_eq!(
        (known("T1").await, default().await),
        (Some(first.clone()), Some("T1".to_owned()))
    );
    assert_eq!(world.live(&made).await.sets.len(), 1);
    let ended = store.authorization(&id).await.unwrap().unwrap();
    assert_eq!(
        ended.state,
        AuthorizationState::Success {
            connection: made.id
        }
    );
    let theirs = store.installation_by_external_id(&world.theirs, &of_nothing.id, "T1");
    assert_eq!(theirs.await, Ok(None));

    // Another one is not the default; the same one again keeps its row.
    let second = Installation {
        external_id: "T2".to_owned(),
        ..installation("ins_2", &of_nothing)
    };
    assert_eq!(complete("sci_2", &second).await.0, Ok(()));
    assert_eq!(default().await.as_deref(), Some("T1"));
    let renamed = Installation {
        name: Some("Other".to_owned()),
        ..second.clone()
    };
    let (again, request, _) = complete("sci_3", &renamed).await;
    // The grant has a live connection under another id.
    assert_eq!(again, Err(StoreError::Taken("connection.grant")));
    assert_eq!(known("T2").await, Some(second));
    let kept = store.authorization(&request).await.unwrap().unwrap();
    assert_eq!(kept.state, AuthorizationState::Pending);
    let squatting = Installation {
        external_id: "T1".to_owned(),
        ..installation("ins_9", &of_nothing)
    };
    assert!(complete("sci_4", &squatting).await.0.is_err());
}
