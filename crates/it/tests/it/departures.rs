//! A project that loses an environment by `apply`: what works only there ends with it, as where it is removed by itself.

use grantry_core::nouns::{Environment, TriggerDestination};
use grantry_engine::{NewConnector, NewLink};
use serde_json::json;

use crate::world::World;

const BEFORE: &str = r#"
    [[projects]]
    id = "prj_2"
    team = "team_1"
    name = "shop"
    custom_environments = [{ id = "env_qa", slug = "qa" }, { id = "env_ci", slug = "ci" }]
    base_urls = { production = "https://shop.example", env_qa = "https://qa.shop.example" }
    [[keys]]
    team = "team_1"
    project = "prj_2"
    environment = "env_qa"
    token = "tok_qa"
    [[keys]]
    team = "team_1"
    project = "prj_2"
    environment = "env_ci"
    token = "tok_ci"
"#;

const AFTER: &str = r#"
    [[projects]]
    id = "prj_2"
    team = "team_1"
    name = "shop"
    custom_environments = [{ id = "env_ci", slug = "ci" }]
"#;

#[tokio::test]
async fn an_environment_that_a_file_no_longer_names_goes_with_what_works_only_there() {
    let world = World::new().await;
    world.apply(BEFORE).await;
    let caller = world.server().await;
    let environments = |names: &[&str]| -> Vec<Environment> {
        names.iter().map(|name| Environment::from(*name)).collect()
    };
    let linked = |id: &str, names: &[&str], to: Option<TriggerDestination>| NewConnector {
        id: Some(id.into()),
        kind: "api-key".to_owned(),
        name: Some(id.to_owned()),
        data: json!({"values": [{"value": "k"}]})
            .as_object()
            .unwrap()
            .clone(),
        link: Some(NewLink {
            project: "prj_2".to_owned(),
            environments: Some(environments(names)),
        }),
        triggers_enabled: to.is_some(),
        trigger_destination: to,
        ..NewConnector::default()
    };
    let there = TriggerDestination {
        project_id: "prj_2".into(),
        branch: None,
        custom_environment_id: Some("env_qa".to_owned()),
        path: None,
    };
    for new in [
        linked("scl_both", &["production", "env_qa"], Some(there)),
        linked("scl_only", &["env_qa"], None),
        linked("scl_not", &["env_ci"], None),
    ] {
        world.engine.create_connector(&caller, new).await.unwrap();
    }
    let links = async |id: &str| {
        let links = world
            .store
            .links(&"team_1".into(), &id.into())
            .await
            .unwrap();
        links
            .into_iter()
            .map(|link| link.environments)
            .collect::<Vec<_>>()
    };

    world.apply(AFTER).await;
    assert_eq!(links("scl_both").await, [environments(&["production"])]);
    assert_eq!(links("scl_only").await, Vec::<Vec<Environment>>::new());
    assert_eq!(links("scl_not").await, [environments(&["env_ci"])]);
    assert!(world.engine.caller("tok_qa", None).await.is_err());
    assert!(world.engine.caller("tok_ci", None).await.is_ok());
    let both = world.engine.connector(&caller, "scl_both").await.unwrap();
    assert_eq!(both.connector.trigger_destinations, []);
    let project = world.store.project_by_id(&"prj_2".into()).await.unwrap();
    let urls = project.unwrap().base_urls;
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["production"]);
    // A second run finds everything as it is declared.
    let report = world.apply(AFTER).await;
    let changed = report.rows.iter().filter(|row| !row.fields.is_empty());
    assert_eq!(changed.count(), 0);
}
