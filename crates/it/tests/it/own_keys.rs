//! Connectors of stored keys, and of keys that each user brings.

use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, ConnectionState, EventKind, Subject};
use grantry_core::store::{AuthorizationFilter, EventFilter, Page};
use grantry_core::{Error, Secret};
use grantry_engine::{AskConsent, AskToken, Which};

use crate::world::{World, subject, token_of};

const DAY: Duration = Duration::from_secs(24 * 3600);

const USERS: &str = r#"
    [[connectors]]
    id = "scl_own"
    team = "team_1"
    name = "Own keys"
    type = "api-key"
    data = { subjectType = "user", instructions = "Open **Settings**." }
    links = [{ project = "prj_1" }]
"#;

async fn read(world: &World, key: &str) -> Result<String, Error> {
    let caller = world.caller(key).await;
    let served = world.engine.token(&caller, "scl_own", token_of("u1")).await;
    Ok(served?.token.expose().to_owned())
}

async fn paste(world: &World, key: &str) {
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let requested = world
        .engine
        .authorize(&caller, "scl_own", ask)
        .await
        .unwrap();
    let ended = world
        .engine
        .paste(&requested.id, Secret::new(key))
        .await
        .unwrap();
    assert!(matches!(ended.state, AuthorizationState::Success { .. }));
}

async fn requests(world: &World) -> usize {
    let page = Page::first(100);
    let filter = AuthorizationFilter::default();
    let team = "team_1".into();
    let found = world.store.authorizations(&team, &filter, &page).await;
    found.unwrap().len()
}

#[tokio::test]
async fn a_user_without_a_key_is_told_where_to_paste_one_by_the_same_link_each_time() {
    let world = World::new().await;
    world.apply(USERS).await;
    let offered = async |key: &str| match read(&world, key).await {
        Err(Error::AuthorizationRequired(why)) => {
            assert_eq!(why.reason, ReconnectReason::NeverConnected);
            assert_eq!(why.url.is_some(), why.expires_at.is_some());
            why.url
        }
        other => panic!("{other:?}"),
    };
    let link = offered("tok_web").await.unwrap();
    assert_eq!(offered("tok_web").await.as_deref(), Some(&*link));
    assert_eq!(requests(&world).await, 1);
    // Before the link runs out, there is another one.
    world.clock.advance(Duration::from_secs(51 * 60));
    let next = offered("tok_web").await.unwrap();
    assert_ne!(link, next);

    let (_, id) = next.rsplit_once('/').unwrap();
    let pasted = world.engine.paste(&id.into(), Secret::new("sk-1")).await;
    assert!(pasted.is_ok());
    assert_eq!(read(&world, "tok_web").await.unwrap(), "sk-1");

    // Once it has been used, who has to connect anew is given a new one.
    let caller = world.server().await;
    let which = Which {
        subject: Some(subject("u1")),
        environment: None,
        installation: None,
    };
    let ended = world
        .engine
        .revoke(&caller, "scl_own", which)
        .await
        .unwrap();
    assert_eq!((ended.deleted, ended.provider_skipped), (1, 1));
    let last = offered("tok_web").await.unwrap();
    assert!(last != next && last != link);
}

#[tokio::test]
async fn who_may_only_read_tokens_is_offered_no_link() {
    let world = World::new().await;
    world.apply(USERS).await;
    let only = r#"
        [[keys]]
        id = "key_only"
        team = "team_1"
        user = "usr_alice"
        role = "token-only"
        token = "tok_only"
    "#;
    world.apply(only).await;
    let caller = world.caller("tok_only").await;
    let own = AskToken {
        subject: Some(subject("usr_alice")),
        ..AskToken::default()
    };
    match world.engine.token(&caller, "scl_own", own).await {
        Err(Error::AuthorizationRequired(why)) => assert_eq!(why.url, None),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(requests(&world).await, 0);
}

#[tokio::test]
async fn a_second_pasted_key_takes_the_place_of_the_first_and_only_the_sealed_one_is_kept() {
    let world = World::new().await;
    world.apply(USERS).await;
    paste(&world, "sk-first-4242").await;
    let first = world.live("u1").await.unwrap();
    paste(&world, "  sk-second-4242\n").await;
    let second = world.live("u1").await.unwrap();
    assert_eq!(first.connection.id, second.connection.id);
    assert_eq!(second.connection.state, ConnectionState::Active);
    assert_ne!(first.sets[0].id, second.sets[0].id);
    assert_eq!(read(&world, "tok_web").await.unwrap(), "sk-second-4242");
    for file in std::fs::read_dir(world.directory()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let leaked = bytes
                .windows(10)
                .any(|window| window == b"first-4242" || window == b"second-424");
            assert!(!leaked, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_is_not_taken_and_the_link_stays() {
    let world = World::new().await;
    world.apply(USERS).await;
    let caller = world.server().await;
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let requested = world
        .engine
        .authorize(&caller, "scl_own", ask)
        .await
        .unwrap();
    let long = "x".repeat(64 * 1024 + 1);
    for bad in ["", "  ", "two words", "a\r\nb", "clé", long.as_str()] {
        let taken = world.engine.paste(&requested.id, Secret::new(bad)).await;
        assert!(matches!(taken, Err(Error::Invalid(_))), "{bad:.20}");
    }
    assert!(world.live("u1").await.is_none());
    let taken = world.engine.paste(&requested.id, Secret::new("sk")).await;
    assert!(taken.is_ok());
}

#[tokio::test]
async fn stored_keys_are_handed_out_by_scope_until_they_run_out_and_warned_of_before() {
    let world = World::new().await;
    let now = world.engine.now();
    let at = |days: u32| now.after(DAY * days).as_millis();
    let declared = format!(
        r#"
        [[connectors]]
        id = "scl_keys"
        team = "team_1"
        name = "Keys"
        type = "api-key"
        data = {{ values = [
            {{ value = "sk-read", scope = "read", expiresAt = {} }},
            {{ value = "sk-write", scope = "write" }},
            {{ value = "sk-late", scope = "late", expiresAt = {} }},
        ] }}
        "#,
        at(10),
        at(30),
    );
    world.apply(&declared).await;
    world.engine.start().await.unwrap();
    let caller = world.server().await;
    let served = async |scope: &str| {
        let ask = AskToken {
            subject: Some(Subject::App),
            scopes: grantry_core::nouns::Scopes::from_list([scope.to_owned()]),
            ..AskToken::default()
        };
        let served = world
            .run(world.engine.token(&caller, "scl_keys", ask))
            .await;
        served.map(|served| (served.token.expose().to_owned(), served.expires_at))
    };
    let warnings = async || {
        let filter = EventFilter {
            kinds: vec![EventKind::ConnectorKeyExpiring],
            ..EventFilter::default()
        };
        let page = Page {
            oldest_first: true,
            ..Page::first(10)
        };
        let found = world.store.events(&"team_1".into(), &filter, &page).await;
        let found = found.unwrap().into_iter();
        found
            .map(|event| event.data["days"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(served("read").await.unwrap().0, "sk-read");
    assert_eq!(
        served("write").await.unwrap(),
        ("sk-write".to_owned(), None)
    );
    // At once, and then the time until the background has looked.
    let pass = async |duration| {
        world.clock.advance(duration);
        world.pass(Duration::from_secs(700)).await;
    };
    pass(DAY).await;
    assert_eq!(warnings().await, [0; 0]);
    pass(DAY * 3).await;
    assert_eq!(warnings().await, [7]);
    pass(DAY * 5 + DAY / 2).await;
    assert_eq!(warnings().await, [7, 1]);
    assert_eq!(served("read").await.unwrap().0, "sk-read");
    pass(DAY).await;
    assert!(matches!(
        served("read").await,
        Err(Error::Unresolvable { .. })
    ));
    assert_eq!(served("late").await.unwrap().0, "sk-late");
    assert_eq!(warnings().await, [7, 1]);
    world.run(world.engine.drain()).await;
}
