//! Lists: filters and pages.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::StoreError;
use grantry_core::nouns::{
    Authorization, Connection, Connector, ConnectorType, EventKind, Installation, Key,
    KeyedRequest, Project, Subject, Team,
};
use grantry_core::store::{
    AuthorizationFilter, ConnectionFilter, ConnectionStatus, ConnectorFilter, ConnectorSort,
    EventFilter, KeyFilter, KeyOwner, Page, RevocationScope, TeamFilter,
};

use super::World;
use super::fixtures::{self, NOW, connection, digest, grant, key, link, numbered, project, team};

pub async fn connectors_are_filtered(world: &World) {
    let store = &world.store;
    let create = async |id: &str, kind, service: &str, name: &str| {
        let connector = Connector {
            kind,
            service: service.to_owned(),
            name: name.to_owned(),
            ..fixtures::connector(id, &world.ours)
        };
        let event = world.event(EventKind::ConnectorCreated);
        assert_eq!(
            store.create_connector(&connector, &[], &event).await,
            Ok(())
        );
        connector
    };
    create("scl_1", ConnectorType::Oauth, "github.com", "Code").await;
    create("scl_2", ConnectorType::Oauth, "slack", "100% Chat_É").await;
    create("scl_3", ConnectorType::ApiKey, "slack", "!").await;
    let gone = create("scl_4", ConnectorType::ApiKey, "slack", "Gone").await;
    world.delete(&gone, NOW).await;
    world.connector_of("scl_theirs", &world.theirs).await;
    let ids = ["prj_ours", "prj_theirs", "prj_none"].map(Into::into);
    let ours = store.projects_of(&world.ours, &ids).await;
    assert_eq!(ours, Ok(vec![project("prj_ours", &world.ours)]));
    assert_eq!(store.projects_of(&world.ours, &[]).await, Ok(vec![]));
    let linked = link(&world.ours, &"scl_2".into(), &"prj_ours".into());
    store
        .put_link(&linked, &world.event(EventKind::LinkPut))
        .await
        .unwrap();

    let by_text = |text: &str| ConnectorFilter {
        search: Some(text.to_owned()),
        ..ConnectorFilter::default()
    };
    let by_kinds = |kinds: &[ConnectorType]| ConnectorFilter {
        kinds: kinds.to_vec(),
        ..ConnectorFilter::default()
    };
    let by_services = |services: &[&str]| ConnectorFilter {
        services: services
            .iter()
            .map(|service| (*service).to_owned())
            .collect(),
        ..ConnectorFilter::default()
    };
    let made = |since, until| ConnectorFilter {
        since: Some(since),
        until: Some(until),
        ..ConnectorFilter::default()
    };
    let skipping = |skip| ConnectorFilter {
        skip,
        ..ConnectorFilter::default()
    };
    assert_eq!(store.count_connectors(&world.ours).await, Ok(3));
    assert_eq!(store.count_connectors(&world.theirs).await, Ok(1));
    let by_project = |project: &str| ConnectorFilter {
        project: Some(project.into()),
        ..ConnectorFilter::default()
    };
    let table = [
        (ConnectorFilter::default(), vec!["scl_3", "scl_2", "scl_1"]),
        (by_kinds(&[ConnectorType::ApiKey]), vec!["scl_3"]),
        (
            by_kinds(ConnectorType::ALL),
            vec!["scl_3", "scl_2", "scl_1"],
        ),
        (by_services(&["slack"]), vec!["scl_3", "scl_2"]),
        (
            by_services(&["slack", "github.com"]),
            vec!["scl_3", "scl_2", "scl_1"],
        ),
        (by_services(&["nothing"]), vec![]),
        (by_project("prj_ours"), vec!["scl_2"]),
        (by_project("prj_theirs"), vec![]),
        (by_text("CODE"), vec!["scl_1"]),
        (by_text("GitHub"), vec!["scl_1"]),
        (by_text("scl_3/u"), vec!["scl_3"]),
        (by_text("chat_É"), vec!["scl_2"]),
        (by_text("0%"), vec!["scl_2"]),
        (by_text("1%t"), vec![]),
        (by_text("c_d"), vec![]),
        (by_text("!"), vec!["scl_3"]),
        (
            made(NOW, NOW.after(fixtures::HOUR)),
            vec!["scl_3", "scl_2", "scl_1"],
        ),
        (made(NOW.before(fixtures::HOUR), NOW), vec![]),
        (skipping(1), vec!["scl_2", "scl_1"]),
        (skipping(3), vec![]),
        (
            ConnectorFilter {
                project: Some("prj_ours".into()),
                kinds: vec![ConnectorType::Oauth],
                services: vec!["slack".to_owned()],
                search: Some("chat".to_owned()),
                ..ConnectorFilter::default()
            },
            vec!["scl_2"],
        ),
    ];
    for (filter, expected) in table {
        let found = store
            .connectors(&world.ours, &filter, &Page::first(10))
            .await
            .unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|connector| connector.id.as_str())
            .collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub async fn connectors_are_sorted(world: &World) {
    for (id, name, made, changed) in [
        ("scl_1", "b", 1, 9),
        ("scl_2", "a", 2, 7),
        ("scl_3", "b", 3, 8),
    ] {
        let connector = Connector {
            name: name.to_owned(),
            created_at: NOW.after(Duration::from_secs(made)),
            updated_at: NOW.after(Duration::from_secs(changed)),
            ..fixtures::connector(id, &world.ours)
        };
        let event = world.event(EventKind::ConnectorCreated);
        let created = world.store.create_connector(&connector, &[], &event).await;
        assert_eq!(created, Ok(()));
    }
    for (sort, expected) in [
        (ConnectorSort::Created, ["scl_3", "scl_2", "scl_1"]),
        (ConnectorSort::Updated, ["scl_1", "scl_3", "scl_2"]),
        (ConnectorSort::Name, ["scl_2", "scl_1", "scl_3"]),
    ] {
        let filter = ConnectorFilter {
            sort,
            ..ConnectorFilter::default()
        };
        for turned in [false, true] {
            let (mut seen, mut page) = (Vec::new(), Page::first(1));
            page.oldest_first = turned;
            loop {
                let found = world.store.connectors(&world.ours, &filter, &page).await;
                let found = found.unwrap();
                let Some(first) = found.first() else { break };
                let sort = match sort {
                    ConnectorSort::Created => first.created_at.0.to_string(),
                    ConnectorSort::Updated => first.updated_at.0.to_string(),
                    ConnectorSort::Name => first.name.clone(),
                };
                page.after = Some((sort, first.id.to_string()));
                seen.push(first.id.to_string());
            }
            if turned {
                seen.reverse();
            }
            assert_eq!(seen, expected, "{sort:?}, turned: {turned}");
        }
    }
}

pub async fn connections_are_filtered(world: &World) {
    let one = world.connector("scl_1").await;
    let two = world.connector("scl_2").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let make = async |connector: &Connector, id: &str, subject: &Subject| {
        let grant = fixtures::grant(&connector.id, id);
        let grant = grantry_core::nouns::Grant {
            subject: subject.clone(),
            ..grant
        };
        let connection = connection(id, &connector.team, grant);
        world.import(&connection, &[]).await;
        connection
    };
    let user = |issuer: Option<&str>| Subject::User {
        id: "u".to_owned(),
        issuer: issuer.map(str::to_owned),
    };
    make(&one, "conn_1", &Subject::App).await;
    make(&one, "conn_2", &user(None)).await;
    make(&one, "conn_3", &user(Some("i"))).await;
    make(&two, "conn_4", &user(None)).await;
    make(&theirs, "conn_5", &user(None)).await;
    let revoked = make(&two, "conn_6", &Subject::App).await;
    let scope = RevocationScope {
        connection: Some(revoked.id.clone()),
        ..super::scope(&revoked)
    };
    let event = world.event(EventKind::ConnectionRevoked);
    let ended = world
        .store
        .revoke(
            &world.ours,
            &scope,
            NOW,
            fixtures::MINUTE,
            fixtures::ALL,
            &event,
        )
        .await;
    assert!(ended.is_ok());

    let of = |connector: Option<&Connector>, subject: Option<Subject>, include_revoked| {
        ConnectionFilter {
            connector: connector.map(|connector| connector.id.clone()),
            subject,
            include_revoked,
            ..ConnectionFilter::default()
        }
    };
    let all = ConnectionFilter::default;
    let search = |text: &str| ConnectionFilter {
        search: Some(text.to_owned()),
        ..all()
    };
    let status = |status| ConnectionFilter {
        status: Some(status),
        ..all()
    };
    let table = [
        (
            of(None, None, false),
            vec!["conn_4", "conn_3", "conn_2", "conn_1"],
        ),
        (
            of(None, None, true),
            vec!["conn_6", "conn_4", "conn_3", "conn_2", "conn_1"],
        ),
        (
            of(Some(&one), None, false),
            vec!["conn_3", "conn_2", "conn_1"],
        ),
        (of(Some(&two), None, true), vec!["conn_6", "conn_4"]),
        (of(Some(&theirs), None, true), vec![]),
        (of(None, Some(user(None)), false), vec!["conn_4", "conn_2"]),
        (of(None, Some(user(Some("i"))), false), vec!["conn_3"]),
        (of(None, Some(Subject::App), true), vec!["conn_6", "conn_1"]),
        (of(Some(&two), Some(user(None)), false), vec!["conn_4"]),
        (
            ConnectionFilter {
                subject_kind: Some("app"),
                ..all()
            },
            vec!["conn_1"],
        ),
        (status(ConnectionStatus::Revoked), vec!["conn_6"]),
        (status(ConnectionStatus::NeedsReauth), vec![]),
        (
            status(ConnectionStatus::Active),
            vec!["conn_4", "conn_3", "conn_2", "conn_1"],
        ),
        (
            ConnectionFilter {
                environment: Some("preview".into()),
                installation: Some("T1".to_owned()),
                ..all()
            },
            vec!["conn_4", "conn_3", "conn_2", "conn_1"],
        ),
        (
            ConnectionFilter {
                environment: Some("production".into()),
                ..all()
            },
            vec![],
        ),
        (
            ConnectionFilter {
                installation: Some("T2".to_owned()),
                ..all()
            },
            vec![],
        ),
        (search("CONN_3 N"), vec!["conn_3"]),
        (search("47"), vec!["conn_4", "conn_3", "conn_2", "conn_1"]),
        (search("U"), vec!["conn_4", "conn_3", "conn_2"]),
        (search("%"), vec![]),
        (
            ConnectionFilter {
                since: Some(NOW),
                until: Some(NOW.after(fixtures::HOUR)),
                ..all()
            },
            vec!["conn_4", "conn_3", "conn_2", "conn_1"],
        ),
        (
            ConnectionFilter {
                until: Some(NOW),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, expected) in table {
        let found = world
            .store
            .connections(&world.ours, &filter, &Page::first(10))
            .await
            .unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|connection| connection.id.as_str())
            .collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

/// Rows of one instant, whose order the id alone decides, in pages of three, each page's last row
/// deleted before the next is asked for.
pub async fn pages_are_complete_while_rows_go(world: &World) {
    let connector = world.connector("scl_0").await;
    let mut expected = BTreeSet::new();
    for number in 0..20 {
        let id = numbered(number);
        world.connection(&connector, id.as_str()).await;
        let id = format!("scl_{:02}", number + 1);
        world.connector(&id).await;
        expected.insert(id);
    }
    expected.insert("scl_0".to_owned());
    let mut seen = BTreeSet::new();
    let mut page = Page::first(3);
    loop {
        let everything = ConnectorFilter::default();
        let found = world
            .store
            .connectors(&world.ours, &everything, &page)
            .await
            .unwrap();
        let full = found.len() == 4;
        for connector in found.iter().take(3) {
            assert!(
                seen.insert(connector.id.to_string()),
                "{} twice",
                connector.id
            );
        }
        if !full {
            break;
        }
        let last = &found[2];
        page.after = Some((last.created_at.0.to_string(), last.id.to_string()));
        world.delete(last, NOW).await;
    }
    assert_eq!(seen, expected);
}

/// Walks a list of ten in pages of three; the list has to be the same as in one piece. A list by time is
/// walked from its other end too, and then is the same from behind.
macro_rules! walk {
    ($list:expr, $sort:expr) => {{
        let newest_first = walk!(false, $list, $sort);
        let mut oldest_first = walk!(true, $list, $sort);
        oldest_first.reverse();
        assert_eq!(newest_first, oldest_first);
    }};
    ($oldest_first:expr, $list:expr, $sort:expr) => {{
        let first = |limit| Page {
            oldest_first: $oldest_first,
            ..Page::first(limit)
        };
        let whole = $list(first(100)).await.unwrap();
        assert!(whole.len() >= 10);
        let (mut pieces, mut page) = (Vec::new(), first(3));
        loop {
            let mut found = $list(page.clone()).await.unwrap();
            let full = found.len() == 4;
            found.truncate(3);
            pieces.extend(found);
            if !full {
                break;
            }
            page.after = pieces.last().map(|row| ($sort(row), row.id.to_string()));
        }
        assert_eq!(pieces, whole);
        pieces
    }};
}

/// What a link is listed by.
#[derive(Clone, Debug, PartialEq)]
struct OnlyId {
    id: String,
}

pub async fn every_list_continues_after_its_last_row(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::Applied);
    let connector = world.connector("scl_1").await;
    for number in 0..10 {
        // Pairs of one instant, so that both the time and the id decide.
        let at = NOW.after(Duration::from_secs(number / 2));
        let team = team(&format!("team_{number}"), "acc_ours");
        store.put_team(&team, &event()).await.unwrap();
        let project = project(&format!("prj_{number}"), &world.ours);
        store.put_project(&project, &event()).await.unwrap();
        let id = format!("key_{number}");
        let key = Key {
            created_at: at,
            hash: digest(&id),
            ..key(&id, "acc_ours", &world.ours)
        };
        store.put_key(&key, &event()).await.unwrap();
        let id = format!("conn_{number}");
        let connection = Connection {
            created_at: at,
            ..connection(&id, &world.ours, grant(&connector.id, &id))
        };
        world.import(&connection, &[]).await;
    }
    let of_account = TeamFilter {
        account: Some("acc_ours".into()),
        ..TeamFilter::default()
    };
    let owner = KeyOwner::Team(world.ours.clone());
    let every_key = KeyFilter::default();
    let team = &world.ours;
    walk!(
        false,
        async |page| store.teams(&TeamFilter::default(), &page).await,
        |row: &Team| row.id.to_string()
    );
    walk!(
        false,
        async |page| store.teams(&of_account, &page).await,
        |row: &Team| row.id.to_string()
    );
    walk!(
        false,
        async |page| store.projects(team, None, &page).await,
        |row: &Project| row.name.clone()
    );
    walk!(
        async |page| store.keys(&owner, &every_key, &page).await,
        |row: &Key| row.created_at.0.to_string()
    );
    for number in 0..10 {
        let id = format!("scl_link_{number}");
        let linked = world.connector(&id).await;
        let link = link(team, &linked.id, &"prj_ours".into());
        store.put_link(&link, &event()).await.unwrap();
        let made = fixtures::installation(&format!("ins_{number}"), &connector);
        store.create_installation(&made, &event()).await.unwrap();
        world
            .authorization(&connector, &format!("sca_{number}"))
            .await;
    }
    let project = "prj_ours".into();
    let ids = async |page| {
        let links = store.project_links(team, &project, &page).await?;
        let id = |link: grantry_core::nouns::Link| OnlyId {
            id: link.connector.to_string(),
        };
        Ok::<_, grantry_core::StoreError>(links.into_iter().map(id).collect::<Vec<_>>())
    };
    walk!(false, ids, |row: &OnlyId| row.id.clone());
    walk!(
        async |page| store.installations(team, &connector.id, &page).await,
        |row: &Installation| row.created_at.0.to_string()
    );
    let everything = AuthorizationFilter::default();
    walk!(
        async |page| store.authorizations(team, &everything, &page).await,
        |row: &Authorization| row.created_at.0.to_string()
    );
    let everything = ConnectionFilter::default();
    walk!(
        async |page| store.connections(team, &everything, &page).await,
        |row: &Connection| row.created_at.0.to_string()
    );
    let everything = EventFilter::default();
    walk!(
        async |page| store.events(team, &everything, &page).await,
        |row: &grantry_core::nouns::Event| row.at.0.to_string()
    );
}

pub async fn a_forged_cursor_finds_nothing(world: &World) {
    world.connector("scl_1").await;
    for oldest_first in [false, true] {
        let page = Page {
            after: Some(("1' OR '1'='1".to_owned(), "zzz".to_owned())),
            oldest_first,
            ..Page::first(10)
        };
        let everything = ConnectorFilter::default();
        let found = world
            .store
            .connectors(&world.ours, &everything, &page)
            .await;
        assert!(found.unwrap().is_empty());
    }
}

/// PostgreSQL has no text with NUL. That is the asker's fault, and none of the database's.
pub async fn what_no_text_can_be_finds_nothing(world: &World) {
    let store = &world.store;
    assert_eq!(store.authorization(&"\0".into()).await, Ok(None));
    let found = store.connection(&world.ours, &"conn_1\0".into()).await;
    assert_eq!(found.map(|found| found.is_some()), Ok(false));
    let page = Page {
        after: Some(("7".to_owned(), "a\0b".to_owned())),
        ..Page::first(10)
    };
    let everything = ConnectorFilter::default();
    let found = store.connectors(&world.ours, &everything, &page).await;
    assert_eq!(found.map(|found| found.len()), Ok(0));
    let absent = KeyedRequest {
        id: "\0".to_owned(),
        request: [7; 32],
        answer: None,
        created_at: NOW,
        expires_at: NOW,
    };
    let released = store.release_request(&absent).await;
    assert_ne!(released, Err(StoreError::Unavailable));
}
