//! A stored row that makes no sense is an error that names it, never a default.

use grantry_core::StoreError;
use grantry_core::nouns::EventKind;
use grantry_core::store::{ConnectionStore, ConnectorStore, KeyStore};

use super::*;
use crate::contract::World;
use crate::contract::fixtures::{connection, connector, digest, event, grant, key, token_set};

#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    let db = Arc::new(temporary(ManualClock::default()).await);
    World::new(db.clone(), ManualClock::default()).await;
    let team = "team_ours".into();
    let event = |id: &str| event(id, &team, EventKind::Applied);
    let ours = connector("scl_1", &team);
    assert_eq!(db.create_connector(&ours, &[], &event("e1")).await, Ok(()));
    let live = connection("conn_1", &team, grant(&ours.id, "u"));
    let sets = [token_set("stk_1", &live, "main")];
    assert_eq!(
        db.import_connection(&live, &sets, &event("e2")).await,
        Ok(true)
    );
    let workload = key("key_1", "acc_ours", &team);
    assert_eq!(db.put_key(&workload, &event("e3")).await, Ok(true));

    let table = [
        (
            "UPDATE connectors SET kind = 'nonsense'",
            "connectors",
            "kind",
            "scl_1",
        ),
        (
            "UPDATE connectors SET kind = 'oauth', data = '{'",
            "connectors",
            "data",
            "scl_1",
        ),
        (
            "UPDATE connectors SET data = '{}', fault_count = NULL",
            "connectors",
            "fault_count",
            "scl_1",
        ),
        (
            "UPDATE token_sets SET failures = -1",
            "token_sets",
            "failures",
            "stk_1",
        ),
        (
            "UPDATE connections SET state = 'odd'",
            "connections",
            "state",
            "conn_1",
        ),
        (
            "UPDATE connections SET state = 'needs_reauth', state_reason = NULL",
            "connections",
            "state_reason",
            "conn_1",
        ),
        (
            "UPDATE keys SET level = 'server'",
            "keys",
            "account",
            "key_1",
        ),
        ("UPDATE keys SET level = 'account'", "keys", "team", "key_1"),
        (
            "UPDATE keys SET level = 'team', user_id = 'u'",
            "keys",
            "user_id",
            "key_1",
        ),
        (
            "UPDATE keys SET user_id = NULL, environment = NULL",
            "keys",
            "environment",
            "key_1",
        ),
    ];
    for (sql, table, column, row) in table {
        run(&db, sql).await;
        let error = match table {
            "connectors" => db.connector(&team, "scl_1").await.err(),
            "keys" => db.key_by_hash(&digest("key_1")).await.err(),
            _ => db.connection(&team, &live.id).await.err(),
        };
        let expected = StoreError::Inconsistent {
            table,
            column,
            row: row.to_owned(),
        };
        assert_eq!(error, Some(expected), "{sql}");
    }
}
