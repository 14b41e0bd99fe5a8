//! Workloads that make their connectors by themselves. That clients do so is `acceptance/provision.test.mjs`.

use grantry_core::error::Forbidden;
use grantry_core::{Error, Result};

use crate::enrol::{RESOURCE, registrations};
use crate::world::World;

const UID: &str = "mcp/sandbox";

async fn may(world: &World, provisions: bool) {
    let project = format!(
        "[[projects]]\nid = \"prj_1\"\nteam = \"team_1\"\nname = \"web\"\nprovisions = {provisions}\n"
    );
    world.apply(&project).await;
}

async fn provision(world: &World, url: &str) -> Result<String> {
    let caller = world.caller("tok_web").await;
    let made = world.engine.provision_connector(&caller, UID, url);
    Ok(world.run(made).await?.connector.id.to_string())
}

#[tokio::test]
async fn a_connector_of_another_origin_is_not_what_a_workload_names() {
    let world = World::new().await;
    may(&world, true).await;
    let made = provision(&world, RESOURCE).await.unwrap();
    let elsewhere = "http://elsewhere.test/api/me";
    match provision(&world, elsewhere).await {
        Err(Error::Conflict { message, .. }) => {
            assert!(message.contains("is of another server"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    // Also for who may make none: what is there is answered with where it is of that origin, on whatever path.
    may(&world, false).await;
    assert_eq!(provision(&world, RESOURCE).await.as_ref(), Ok(&made));
    assert_eq!(
        provision(&world, "http://SANDBOX.test:80/other").await,
        Ok(made)
    );
    for other in [
        elsewhere,
        "https://sandbox.test/api/me",
        "http://sandbox.test:81/api/me",
        "not a URL",
    ] {
        let refused = provision(&world, other).await;
        assert_eq!(
            refused,
            Err(Error::Forbidden(Forbidden::Provisioning)),
            "{other}"
        );
    }
    assert_eq!(registrations(&world), 1);
    assert_eq!(world.hosts_asked(), ["sandbox.test"]);
}
