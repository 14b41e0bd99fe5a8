//! Who gets at which connection, and in which environment (design §2).

use grantry_core::Error;
use grantry_core::error::{Forbidden, ReconnectReason};
use grantry_core::nouns::{Connection, Scopes, Subject};
use grantry_core::store::{ConnectionFilter, Page};
use grantry_engine::{AskConsent, AskToken, Which};

use crate::world::{CONNECTOR, World, token_of};

const DECLARED: &str = r#"
    [[keys]]
    team = "team_1"
    project = "prj_1"
    environment = "preview"
    token = "tok_preview"
    [[users]]
    id = "usr_bob"
    team = "team_1"
    email = "bob@example.com"
    role = "member"
    [[keys]]
    team = "team_1"
    user = "usr_bob"
    role = "member"
    token = "tok_bob"
    [[projects]]
    id = "prj_2"
    team = "team_1"
    name = "shop"
    custom_environments = [{ id = "env_qa", slug = "qa" }]
    [[teams]]
    id = "team_2"
    account = "acc_1"
    slug = "second"
    [[keys]]
    account = "acc_1"
    level = "account"
    user = "usr_bob"
    role = "admin"
    token = "tok_bobs_account"
    [[connectors]]
    id = "scl_app"
    team = "team_1"
    name = "App"
    type = "oauth"
    service = "sandbox"
    data = { clientId = "demo", clientSecret = "demo-secret", clientCredentials = { enabled = true }, refreshTokens = { enabled = false } }
    links = [{ project = "prj_1" }]
"#;

async fn world() -> World {
    let world = World::new().await;
    world.apply(DECLARED).await;
    world
}

async fn read(world: &World, key: &str, connector: &str, ask: AskToken) -> Result<(), Error> {
    let caller = world.engine.caller(key, None).await?;
    let read = world.engine.token(&caller, connector, ask);
    world.run(read).await.map(|_| ())
}

async fn end(world: &World, key: &str, connection: &Connection) -> Result<u64, Error> {
    let caller = world.engine.caller(key, None).await?;
    let end = world.engine.revoke_connection(&caller, &connection.id);
    world.run(end).await.map(|revoked| revoked.deleted)
}

/// The app's connection, which the read of its token leaves behind.
async fn app_connection(world: &World, key: &str) -> Connection {
    let ask = AskToken {
        subject: Some(Subject::App),
        ..AskToken::default()
    };
    read(world, key, "scl_app", ask).await.unwrap();
    let filter = ConnectionFilter {
        subject: Some(Subject::App),
        ..ConnectionFilter::default()
    };
    let (team, page) = ("team_1".into(), Page::first(1));
    let found = world.store.connections(&team, &filter, &page).await;
    found.unwrap().remove(0)
}

#[tokio::test]
async fn a_workload_gets_at_no_connection_of_another_environment_by_its_id() {
    let world = world().await;
    let connection = world.connect("u1").await;
    let by_id = || AskToken {
        subject: Some(Subject::Connection {
            id: connection.id.to_string(),
        }),
        ..AskToken::default()
    };
    assert_eq!(read(&world, "tok_web", CONNECTOR, by_id()).await, Ok(()));
    let refused = read(&world, "tok_preview", CONNECTOR, by_id()).await;
    let Err(Error::AuthorizationRequired(why)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(why.reason, ReconnectReason::NeverConnected);

    let refused = end(&world, "tok_preview", &connection).await;
    assert_eq!(refused, Err(Error::NotFound("connection")));
    assert_eq!(end(&world, "tok_web", &connection).await, Ok(1));
}

#[tokio::test]
async fn the_apps_connection_is_ended_by_an_admin_or_a_workload_and_by_no_member() {
    let world = world().await;
    let connection = app_connection(&world, "tok_bob").await;
    let forbidden = Err(Error::Forbidden(Forbidden::Role));
    assert_eq!(end(&world, "tok_bob", &connection).await, forbidden);
    let bob = world.engine.caller("tok_bob", None).await.unwrap();
    let which = Which {
        subject: Some(Subject::App),
        ..Which::default()
    };
    let all = world.engine.revoke(&bob, "scl_app", which);
    assert_eq!(
        world.run(all).await.map(|revoked| revoked.deleted),
        forbidden
    );
    assert_eq!(end(&world, "tok_alice", &connection).await, Ok(1));

    let connection = app_connection(&world, "tok_web").await;
    assert_eq!(end(&world, "tok_web", &connection).await, Ok(1));
}

#[tokio::test]
async fn a_persons_account_key_opens_no_team_that_the_person_is_not_in() {
    let world = world().await;
    let enter = |team| world.engine.caller("tok_bobs_account", Some(team));
    assert!(enter("team_1").await.is_ok());
    assert_eq!(enter("team_2").await.err(), Some(Error::NotFound("team")));
}

#[tokio::test]
async fn an_environment_that_nobody_can_act_in_is_refused() {
    let world = world().await;
    let server = world.server().await;
    for (environment, known) in [("preview", true), ("env_qa", true), ("nope", false)] {
        let token = AskToken {
            environment: Some(environment.into()),
            ..token_of("u1")
        };
        let ask = AskConsent {
            token: token.clone(),
            ..AskConsent::default()
        };
        let asked = world.engine.authorize(&server, CONNECTOR, ask).await;
        assert_eq!(asked.is_ok(), known, "{environment}");
        let read = world.run(world.engine.token(&server, CONNECTOR, token));
        let refused = matches!(read.await.err(), Some(Error::Invalid(problems)) if problems[0].field == "environment");
        assert_eq!(refused, !known, "{environment}");
    }
}

#[tokio::test]
async fn an_app_token_is_refused_what_its_request_cannot_say() {
    let world = world().await;
    let app = || AskToken {
        subject: Some(Subject::App),
        ..AskToken::default()
    };
    for (ask, field) in [
        (
            AskToken {
                installation: Some("T1".to_owned()),
                ..app()
            },
            "installationId",
        ),
        (
            AskToken {
                audience: vec!["a".to_owned(), "b".to_owned()],
                ..app()
            },
            "audience",
        ),
        (
            AskToken {
                scopes: Scopes::from_list(["read write".to_owned()]),
                ..app()
            },
            "scopes",
        ),
    ] {
        let refused = read(&world, "tok_web", "scl_app", ask).await;
        let Err(Error::Invalid(problems)) = refused else {
            panic!("{field}: {refused:?}");
        };
        assert_eq!(problems[0].field, field);
    }
}

#[tokio::test]
async fn a_connector_without_refresh_tokens_keeps_none() {
    let world = world().await;
    let server = world.server().await;
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&server, "scl_app", ask).await;
    world.consent(&requested.unwrap()).await;
    let live = world.live("u1").await.unwrap();
    assert!(live.sets[0].refresh.is_none());
}
