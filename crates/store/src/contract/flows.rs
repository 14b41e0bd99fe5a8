//! What the flows of Vercel's dialect keep.

use grantry_core::Timestamp;
use grantry_core::nouns::{Connector, ConnectorType, EventKind};
use serde_json::json;

use super::World;
use super::fixtures::{HOUR, NOW, connector, map};

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
