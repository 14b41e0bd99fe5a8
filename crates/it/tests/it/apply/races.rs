//! What happens between plan and write.

use grantry_core::store::{KeyFilter, KeyOwner, Page};
use grantry_engine::{ConnectorChange, Plan};
use serde_json::json;

use super::*;

async fn plan(world: &World, text: &str) -> Plan {
    let declared = Declared::parse("more.toml", text);
    let declared = declared.unwrap_or_else(|problems| panic!("{problems:#?}"));
    world.engine.plan_apply(declared, false).await.unwrap()
}

fn connector(id: &str, more: &str) -> String {
    format!(
        "[[connectors]]\nid = \"{id}\"\nuid = \"of/{id}\"\nteam = \"team_1\"\nname = \"X\"\ntype = \"api-key\"\ndata = {{ values = [{{ value = \"k1\" }}] }}\n{more}\n"
    )
}

/// Only the report has its text: it is not made when the report will not be.
#[tokio::test]
async fn a_generated_key_is_not_lost_with_an_apply_that_fails() {
    let world = World::new().await;
    let file = format!(
        "[[keys]]\nteam = \"team_1\"\nname = \"ci\"\nrole = \"member\"\n{}",
        connector("scl_x", "")
    );
    let planned = plan(&world, &file).await;
    world
        .apply(&connector("scl_y", "").replace("of/scl_y", "of/scl_x"))
        .await;
    let failed = world.engine.carry_out(planned, |_| ()).await;
    assert!(
        matches!(failed, Err(Error::Invalid(_))),
        "{:?}",
        failed.err()
    );
    let (owner, all, page) = (
        KeyOwner::Team("team_1".into()),
        KeyFilter::default(),
        Page::first(100),
    );
    let keys = world.store.keys(&owner, &all, &page).await.unwrap();
    assert!(keys.iter().all(|key| key.name != "ci"));

    let right = file.replace("of/scl_x", "own/scl_x");
    let report = world.apply(&right).await;
    let tables: Vec<_> = report.rows.iter().map(|row| row.table.as_str()).collect();
    assert_eq!(tables, ["keys", "connectors"]);
    assert!(report.rows[0].key.is_some());
}

#[tokio::test]
async fn a_secret_that_was_rotated_meanwhile_is_not_put_back() {
    let world = World::new().await;
    world.apply(&connector("scl_x", "")).await;
    let planned = plan(&world, &connector("scl_x", "metadata = { a = \"b\" }")).await;
    let caller = world.server().await;
    let serde_json::Value::Object(data) = json!({"values": [{"value": "rotated"}]}) else {
        unreachable!();
    };
    let change = ConnectorChange {
        data: Some(data),
        ..ConnectorChange::default()
    };
    let updated = world.engine.update_connector(&caller, "scl_x", change);
    assert!(updated.await.is_ok());
    let stored = async || {
        let stored = world.store.connector(&caller.team, "scl_x").await;
        stored.unwrap().unwrap().secrets
    };
    let rotated = stored().await;
    let Err(Error::Invalid(problems)) = world.engine.carry_out(planned, |_| ()).await else {
        panic!("it was applied");
    };
    assert!(
        problems[0].message.contains("apply it again"),
        "{problems:?}"
    );
    assert!(stored().await == rotated);
}

#[tokio::test]
async fn what_somebody_else_removed_meanwhile_is_removed() {
    let world = World::new().await;
    world.apply(&connector("scl_x", "")).await;
    let team = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\n";
    let none = format!("connectors = []\n{team}");
    let declared = Declared::parse("more.toml", &none).unwrap();
    let planned = world.engine.plan_apply(declared, true).await.unwrap();
    let caller = world.server().await;
    let deleted = world.engine.delete_connector(&caller, "scl_x");
    assert_eq!(deleted.await, Ok(()));
    assert!(world.engine.carry_out(planned, |_| ()).await.is_ok());
    let gone = world.store.connector(&caller.team, "scl_1").await.unwrap();
    assert!(gone.unwrap().deleted_at.is_some());
}

#[tokio::test]
async fn equal_rows_are_as_many_keys_and_stay_so() {
    let world = World::new().await;
    let row = "[[keys]]\nteam = \"team_1\"\nname = \"ci\"\nrole = \"member\"\n";
    let two = row.repeat(2);
    let report = world.apply(&two).await;
    assert!(only(&report, Change::Created));
    let ids = |report: &ApplyReport| {
        let ids = report.rows.iter().map(|row| row.id.clone());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    let made = ids(&report);
    assert_eq!(made.len(), 2);
    let again = world.apply(&two).await;
    assert!(only(&again, Change::Unchanged));
    assert_eq!(ids(&again), made);
}
