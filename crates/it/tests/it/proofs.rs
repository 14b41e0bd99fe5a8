//! What proves a workload to a service that trusts our issuer: `aws-alpha` and `snowflake-wif`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use grantry_core::error::Forbidden;
use grantry_core::nouns::EventKind;
use grantry_core::store::{ConnectionFilter, EventFilter, Page, SigningPurpose};
use grantry_core::{Clock as _, Error};
use grantry_engine::{AskSearch, AskToken, ConnectorChange, Declared, NewConnector};
use grantry_vault::jws::{self, Expected, KeySet};
use serde_json::{Map, Value, json};

use crate::world::{PUBLIC, Setup, World, app_token};

const HOUR: Duration = Duration::from_secs(3600);
const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

/// Both connectors, for the workloads of `web`.
const CONNECTORS: &str = r#"
    [[connectors]]
    id = "scl_aws"
    team = "team_1"
    name = "Deploy"
    type = "aws-alpha"
    data = { roleArn = "arn:aws:iam::123456789012:role/deploy", region = "eu-central-1" }
    links = [{ project = "prj_1" }]
    [[connectors]]
    id = "scl_wif"
    team = "team_1"
    name = "Warehouse"
    type = "snowflake-wif"
    data = { accountIdentifier = "acme-prod", defaultSessionRole = "ANALYST" }
    links = [{ project = "prj_1" }]
"#;

/// A service elsewhere, which fetches our keys.
async fn keys(world: &World) -> KeySet {
    let set = world.engine.jwks(SigningPurpose::Workload).await.unwrap();
    KeySet::new(set["keys"].as_array().unwrap())
}

/// What such a service reads in `token`, where it is for `audience`.
async fn read(world: &World, token: &str, audience: &str) -> Option<Map<String, Value>> {
    let expected = Expected {
        typ: Some("JWT"),
        issuer: PUBLIC,
        audience,
        now: world.clock.now(),
        leeway: Duration::ZERO,
    };
    jws::verify(token, &keys(world).await, &expected).ok()
}

async fn reason(world: &World, key: &str, connector: &str) -> String {
    let caller = world.caller(key).await;
    match world
        .engine
        .token(&caller, connector, app_token(None))
        .await
    {
        Err(Error::Unresolvable { reason }) => reason,
        Err(other) => panic!("{connector}: {other}"),
        Ok(_) => panic!("{connector}: a token"),
    }
}

#[tokio::test]
async fn a_workload_gets_what_proves_it_elsewhere_and_is_no_credential_here() {
    let world = World::new().await;
    world.apply(CONNECTORS).await;
    let web = world.caller("tok_web").await;
    for (connector, audience, metadata) in [
        (
            "scl_aws",
            "sts.amazonaws.com",
            json!({"roleArn": ROLE, "region": "eu-central-1"}),
        ),
        (
            "scl_wif",
            "snowflakecomputing.com",
            json!({"accountIdentifier": "acme-prod", "defaultSessionRole": "ANALYST"}),
        ),
    ] {
        // The app's: nobody else is asked for.
        let served = world
            .engine
            .token(&web, connector, AskToken::default())
            .await
            .unwrap();
        let token = served.token.expose().to_owned();
        assert_eq!(Value::Object(served.metadata), metadata, "{connector}");
        let ends = world.clock.now().after(HOUR);
        assert_eq!(
            served.expires_at.map(|at| at.as_secs()),
            Some(ends.as_secs())
        );

        let claims = read(&world, &token, audience).await.unwrap();
        assert_eq!(
            claims["sub"],
            "owner:team_1:project:prj_1:environment:production"
        );
        assert_eq!(claims["aud"], audience);
        assert_eq!(claims["exp"], ends.as_secs());
        assert_eq!(claims["iat"], world.clock.now().as_secs());
        for (claim, id) in [("owner_id", "team_1"), ("project_id", "prj_1")] {
            assert_eq!(claims[claim], id);
        }
        assert!(read(&world, &token, PUBLIC).await.is_none());
        let here = world.engine.caller(&token, None).await.err();
        assert_eq!(here, Some(Error::Unauthenticated));

        let again = world
            .engine
            .token(&web, connector, app_token(None))
            .await
            .unwrap();
        let again = read(&world, again.token.expose(), audience).await.unwrap();
        assert_ne!(again["jti"], claims["jti"], "each is of its own");
        world.clock.advance(HOUR);
        assert!(read(&world, &token, audience).await.is_none());

        // A service goes by who asks: nothing else can be chosen.
        for narrow in [
            AskToken {
                audience: vec![PUBLIC.to_owned()],
                ..app_token(None)
            },
            AskToken {
                resources: vec!["x".to_owned()],
                ..app_token(None)
            },
        ] {
            let refused = world.engine.token(&web, connector, narrow).await.err();
            assert!(matches!(refused, Some(Error::Invalid(_))), "{refused:?}");
        }
    }
    let team = "team_1".into();
    let (filter, page) = (ConnectionFilter::default(), Page::first(9));
    let stored = world.store.connections(&team, &filter, &page).await;
    assert!(stored.unwrap().is_empty(), "nothing is kept");
    let filter = EventFilter {
        kinds: vec![EventKind::TokenRead],
        ..EventFilter::default()
    };
    let told = world.store.events(&team, &filter, &page).await;
    let told = told.unwrap();
    assert_eq!(told.len(), 2, "the first read of each in its minute");
    assert!(told.iter().all(|event| event.actor == web.actor));
}

#[tokio::test]
async fn who_is_no_workload_of_a_project_that_is_linked_has_no_such_token() {
    let world = World::new().await;
    world.apply(CONNECTORS).await;
    world
        .apply(
            r#"
        [[projects]]
        id = "prj_2"
        team = "team_1"
        name = "shop"
        [[keys]]
        team = "team_1"
        project = "prj_2"
        token = "tok_shop"
    "#,
        )
        .await;
    for connector in ["scl_aws", "scl_wif"] {
        for key in ["tok_alice", "tok_member"] {
            let said = reason(&world, key, connector).await;
            assert!(said.contains("only a workload"), "{said}");
        }
        let shop = world.caller("tok_shop").await;
        let refused = world
            .engine
            .token(&shop, connector, app_token(None))
            .await
            .err();
        assert_eq!(refused, Some(Error::Forbidden(Forbidden::NotLinked)));
    }
    let operator = world.server().await;
    let refused = world
        .engine
        .token(&operator, "scl_aws", app_token(None))
        .await
        .err();
    assert!(matches!(refused, Some(Error::Unresolvable { .. })));
}

#[tokio::test]
async fn what_the_service_needs_is_named_where_it_is_missing() {
    let world = World::new().await;
    world.apply(CONNECTORS).await;
    let admin = world.caller("tok_alice").await;
    for (connector, needed) in [("scl_aws", "roleArn"), ("scl_wif", "accountIdentifier")] {
        let data = Map::from_iter([(needed.to_owned(), Value::Null)]);
        let change = ConnectorChange {
            data: Some(data),
            ..ConnectorChange::default()
        };
        let changed = world.engine.update_connector(&admin, connector, change);
        changed.await.unwrap();
        let said = reason(&world, "tok_web", connector).await;
        assert!(
            said.contains(&format!("data.{needed} is required")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_audience_is_the_connectors_and_never_this_server() {
    let world = World::new().await;
    world.apply(CONNECTORS).await;
    let (admin, web) = (
        world.caller("tok_alice").await,
        world.caller("tok_web").await,
    );
    let change = |audience: &str| ConnectorChange {
        data: Some(Map::from_iter([("audience".to_owned(), audience.into())])),
        ..ConnectorChange::default()
    };
    let engine = &world.engine;
    for connector in ["scl_aws", "scl_wif"] {
        for own in [
            PUBLIC,
            &format!("{PUBLIC}/"),
            &format!("{PUBLIC}/acme"),
            &format!("{PUBLIC}/other"),
            &format!("{PUBLIC}/oauth"),
            "HTTP://127.0.0.1:8787/acme",
        ] {
            let refused = engine.update_connector(&admin, connector, change(own));
            let Err(Error::Invalid(problems)) = refused.await else {
                panic!("{connector} {own}: taken");
            };
            assert_eq!(problems[0].field, "data.audience", "{own}");
            let declared =
                CONNECTORS.replace("data = {", &format!("data = {{ audience = \"{own}\","));
            let declared = Declared::parse("x.toml", &declared).unwrap();
            let refused = engine.plan_apply(declared, false).await.err();
            assert!(matches!(refused, Some(Error::Invalid(_))), "{own}");
        }
        let elsewhere = format!("{PUBLIC}.example");
        let changed = engine.update_connector(&admin, connector, change(&elsewhere));
        changed.await.unwrap();
        let served = engine
            .token(&web, connector, app_token(None))
            .await
            .unwrap();
        let token = served.token.expose();
        assert!(read(&world, token, &elsewhere).await.is_some());
        assert!(!served.metadata.contains_key("audience"));
    }
    let new = NewConnector {
        kind: "aws-alpha".to_owned(),
        name: Some("Own".to_owned()),
        data: Map::from_iter([("audience".to_owned(), format!("{PUBLIC}/acme").into())]),
        ..NewConnector::default()
    };
    let refused = engine.create_connector(&admin, new).await.err();
    assert!(
        matches!(&refused, Some(Error::Invalid(problems)) if problems[0].field == "data.audience"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_name_that_is_given_up_takes_no_trust_with_it() {
    let world = World::new().await;
    world.apply(CONNECTORS).await;
    let sub = async || {
        let web = world.caller("tok_web").await;
        let served = world
            .engine
            .token(&web, "scl_aws", app_token(None))
            .await
            .unwrap();
        let claims = read(&world, served.token.expose(), "sts.amazonaws.com").await;
        claims.unwrap()["sub"].clone()
    };
    let before = sub().await;
    world
        .apply(
            r#"
            [[projects]]
            id = "prj_1"
            team = "team_1"
            name = "renamed"
        "#,
        )
        .await;
    assert_eq!(sub().await, before);
}

#[tokio::test]
async fn a_search_endpoint_is_not_shown_what_is_for_another_service() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    let endpoint = post(async move |headers: HeaderMap| {
        seen.lock()
            .unwrap()
            .push(headers.contains_key("authorization"));
        r#"{"results":[{"id":"1"}]}"#
    });
    let world = World::with(Setup {
        beside: Some(Router::new().route("/documents", endpoint)),
        ..Setup::default()
    })
    .await;
    let search = "data = { search = { url = \"http://sandbox.test/documents\" },";
    world.apply(&CONNECTORS.replace("data = {", search)).await;
    let web = world.caller("tok_web").await;
    for connector in ["scl_aws", "scl_wif"] {
        let ask = AskSearch {
            query: "x".to_owned(),
            token: app_token(None),
            own_token: None,
            continue_on_failure: None,
        };
        let searched = world.run(world.engine.search(&web, connector, ask)).await;
        assert_eq!(searched.unwrap().results.unwrap().len(), 1);
    }
    assert_eq!(*shown.lock().unwrap(), [false, false]);
}
