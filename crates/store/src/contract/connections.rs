//! Connections: finding and importing.

use grantry_core::StoreError;
use grantry_core::error::ReconnectReason;
use grantry_core::ids::{ConnectorId, TeamId};
use grantry_core::nouns::{
    Connection, ConnectionState, Connector, EventKind, Grant, Subject, TokenSet,
};
use grantry_core::store::{Completion, Usage};

use super::fixtures::{ALL, HOUR, NOW, connection, grant, token_set};
use super::{World, row, rows};

async fn import(world: &World, connection: &Connection, set: &str) -> Result<bool, StoreError> {
    let sets = [token_set(set, connection, "main")];
    let event = world.event(EventKind::ConnectionImported);
    world
        .store
        .import_connection(connection, &sets, &event)
        .await
}

pub async fn a_connection_is_found_by_grant_and_by_id(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let subjects = [
        Subject::App,
        Subject::JwtBearer {
            sub: None,
            iss: None,
            aud: None,
            claims: None,
        },
        Subject::JwtBearer {
            sub: Some(String::new()),
            iss: Some("i".to_owned()),
            aud: Some("a".to_owned()),
            claims: Some(r#"{"b":1}"#.to_owned()),
        },
        Subject::Connection {
            id: "conn_1".to_owned(),
        },
        Subject::User {
            id: "u".to_owned(),
            issuer: None,
        },
    ];
    for (number, subject) in subjects.into_iter().enumerate() {
        let grant = Grant {
            subject,
            installation: None,
            ..grant(&connector.id, "u")
        };
        let made = connection(&format!("conn_{number}"), &world.ours, grant);
        let set = |kind: &str| token_set(&format!("stk {number} {kind}"), &made, kind);
        let bare = TokenSet {
            access_expires_at: None,
            refresh: None,
            scope: None,
            servers: None,
            ..set("user")
        };
        let sets = [bare, set("bot")];
        world.import(&made, &sets).await;
        let by_kind = [row(&sets[1]), row(&sets[0])];

        let by_grant = store
            .connection_by_grant(&world.ours, &made.grant)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (by_grant.connection, rows(&by_grant.sets)),
            (made.clone(), by_kind.to_vec())
        );
        let by_id = world.live(&made).await;
        assert_eq!(
            (by_id.connection, rows(&by_id.sets)),
            (made.clone(), by_kind.to_vec())
        );
        let other = super::fixtures::grant(&made.grant.connector, "somebody");
        let by_grants = store
            .connections_by_grants(&world.ours, &[other, made.grant.clone()])
            .await
            .unwrap();
        let [one] = &by_grants[..] else {
            panic!("{} of one", by_grants.len())
        };
        assert_eq!(
            (&one.connection, rows(&one.sets)),
            (&made, by_kind.to_vec())
        );
        let theirs = store
            .connections_by_grants(&world.theirs, std::slice::from_ref(&made.grant))
            .await
            .unwrap();
        assert!(theirs.is_empty());
        let none = store.connections_by_grants(&world.ours, &[]).await;
        assert!(none.unwrap().is_empty());
        let theirs = store
            .connection_by_grant(&world.theirs, &made.grant)
            .await
            .unwrap();
        assert!(theirs.is_none());
        assert!(
            store
                .connection(&world.theirs, &made.id)
                .await
                .unwrap()
                .is_none()
        );

        if number == 0 {
            let scope = super::scope(&made);
            let event = world.event(EventKind::ConnectionRevoked);
            let ended = store
                .revoke(&world.ours, &scope, NOW, HOUR, ALL, &event)
                .await;
            assert_eq!(ended.unwrap().queued.len(), 2);
            let gone = store
                .connection_by_grant(&world.ours, &made.grant)
                .await
                .unwrap();
            assert!(gone.is_none(), "a revoked one is not found by its grant");
            let revoked = world.live(&made).await;
            assert_eq!(revoked.connection.state, ConnectionState::Revoked);
            assert!(revoked.sets.is_empty());
        }
    }
}

pub async fn an_import_never_overwrites(world: &World) {
    let connector = world.connector("scl_1").await;
    let (standing, set) = world.connection(&connector, "u1").await;
    let before = world.store.last_change().await;
    let same_id = connection("u1", &world.ours, grant(&connector.id, "u2"));
    let same_grant = connection("conn_2", &world.ours, grant(&connector.id, "u1"));
    for again in [&standing, &same_id, &same_grant] {
        assert_eq!(
            import(world, again, "stk_new").await,
            Ok(false),
            "{again:?}"
        );
    }
    let live = world.live(&standing).await;
    assert_eq!(live.connection, standing);
    assert_eq!(rows(&live.sets), [row(&set)]);
    assert_eq!(world.events_of(EventKind::ConnectionImported).await, 1);
    assert_eq!(world.store.last_change().await, before);
}

pub async fn an_import_needs_a_connector_and_a_free_id(world: &World) {
    let connector = world.connector("scl_1").await;
    let gone = world.connector("scl_gone").await;
    world.delete(&gone, NOW).await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let (of_theirs, set) = world.connection(&theirs, "conn_theirs").await;
    let missing = Err(StoreError::Missing("connector"));
    let of = |id: &str, connector| connection(id, &world.ours, grant(connector, "u1"));
    let table = [
        (of("conn_1", &gone.id), "stk_1", missing.clone()),
        (of("conn_1", &theirs.id), "stk_1", missing.clone()),
        (of("conn_1", &"scl_nowhere".into()), "stk_1", missing),
        (of("conn_theirs", &connector.id), "stk_1", Ok(false)),
        (
            of("conn_1", &connector.id),
            set.id.as_str(),
            Err(StoreError::Taken("token_set.id")),
        ),
    ];
    for (connection, set, expected) in table {
        assert_eq!(
            import(world, &connection, set).await,
            expected,
            "{connection:?}"
        );
    }
    assert_eq!(world.live(&of_theirs).await.connection, of_theirs);
    let found = world.store.connection(&world.ours, &"conn_1".into()).await;
    assert!(found.unwrap().is_none(), "a refused import leaves nothing");
}

pub async fn a_revoked_connection_can_be_imported_again(world: &World) {
    let connector = world.connector("scl_1").await;
    let (old, _) = world.connection(&connector, "u1").await;
    world.revoke(&old).await;
    let new = Connection {
        name: None,
        created_at: NOW.after(HOUR),
        ..old
    };
    let of_another = Connection {
        grant: grant(&connector.id, "u2"),
        ..new.clone()
    };
    assert_eq!(import(world, &of_another, "stk_other").await, Ok(false));
    assert_eq!(import(world, &new, "stk_new").await, Ok(true));
    let live = world.live(&new).await;
    assert_eq!(live.connection, new);
    assert_eq!(live.sets.len(), 1);
}

pub async fn an_old_flight_never_overwrites_what_was_made_anew(world: &World) {
    let connector = world.connector("scl_1").await;
    let (old, presented) = world.connection(&connector, "u1").await;
    world.begin(&presented, "n").await;
    world.revoke(&old).await;
    assert_eq!(import(world, &old, "stk_new").await, Ok(true));
    let next = token_set("stk_late", &old, "main");
    let event = world.event(EventKind::TokenRefreshed);
    let late = world
        .store
        .complete(&world.ours, &presented.id, &next, &event)
        .await;
    assert_eq!(late, Ok(Completion::Superseded));
    let sets = world.live(&old).await.sets;
    assert_eq!(rows(&sets), [row(&token_set("stk_new", &old, "main"))]);
    assert_eq!(world.events_of(EventKind::TokenRefreshed).await, 0);
}

pub async fn the_newest_connections_tell_how_a_connector_does(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    world.connection(&neighbour, "elsewhere").await;
    let usage_in = async |team: &TeamId, connector: &Connector| {
        let ids = [connector.id.clone()];
        store.usages(team, &ids).await.unwrap().remove(0)
    };
    let usage = async |connector: &Connector| usage_in(&world.ours, connector).await;
    assert_eq!(usage(&connector).await, Usage::default());

    let (gone, _) = world.connection(&connector, "gone").await;
    world.revoke(&gone).await;
    world.connection(&connector, "fine").await;
    let unanswered = connection("silent", &world.ours, grant(&connector.id, "silent"));
    let set = TokenSet {
        failures: 2,
        received_at: NOW.after(HOUR),
        ..token_set("silent set", &unanswered, "main")
    };
    world.import(&unanswered, &[set]).await;
    let refused = Connection {
        state: ConnectionState::NeedsReauth(ReconnectReason::Rejected),
        ..connection("refused", &world.ours, grant(&connector.id, "refused"))
    };
    let set = TokenSet {
        failures: 0,
        ..token_set("refused set", &refused, "main")
    };
    world.import(&refused, &[set]).await;

    let fine_fails = u64::from(token_set("fine set", &unanswered, "main").failures > 0);
    let expected = Usage {
        live: 3,
        needs_reauth: 1,
        unanswered: 1 + fine_fails,
        last_received: Some(NOW.after(HOUR)),
    };
    assert_eq!(usage(&connector).await, expected);
    let theirs = usage_in(&world.theirs, &connector).await;
    assert_eq!(theirs, Usage::default());

    // Many at once, more than one query asks for, in the order asked for.
    let nobody = ConnectorId::from("nobody's");
    let mut many = vec![nobody; 600];
    many[555] = connector.id.clone();
    let usages = store.usages(&world.ours, &many).await.unwrap();
    let mut wanted = vec![Usage::default(); 600];
    wanted[555] = expected;
    assert_eq!(usages, wanted);
    assert_eq!(store.usages(&world.ours, &[]).await.unwrap(), []);
}

pub async fn a_connection_is_renamed_while_it_lives(world: &World) {
    let connector = world.connector("scl_1").await;
    let (made, _) = world.connection(&connector, "u1").await;
    let event = || grantry_core::nouns::Event {
        at: NOW.after(HOUR),
        ..world.event(EventKind::ConnectionUpdated)
    };
    let rename = async |team, name| {
        world
            .store
            .rename_connection(team, &made.id, name, &event())
            .await
    };
    let missing = Err(StoreError::Missing("connection"));
    assert_eq!(rename(&world.theirs, Some("theirs")).await, missing);
    for name in [Some("Ada's"), None] {
        assert_eq!(rename(&world.ours, name).await, Ok(()));
        let now = world.live(&made).await.connection;
        let expected = Connection {
            name: name.map(str::to_owned),
            updated_at: NOW.after(HOUR),
            ..made.clone()
        };
        assert_eq!(now, expected);
    }
    world.revoke(&made).await;
    assert_eq!(rename(&world.ours, Some("late")).await, missing);
}
