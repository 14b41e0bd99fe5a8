//! `apply` against a real store: what `grantry apply` promises (design §10).

use grantry_core::error::Problem;
use grantry_core::{Error, Result};
use grantry_engine::{ApplyReport, Change, Declared};

use crate::world::World;

/// The other rows of a file beside those of the world's house.
const MORE: &str = r#"
    [[keys]]
    team = "team_1"
    user = "usr_alice"
    role = "member"
    name = "generated"
    [[connectors]]
    id = "scl_keys"
    team = "team_1"
    name = "Keys"
    type = "api-key"
    data = { values = [{ value = "k1", scope = "read" }, { value = "k2" }] }
    [[connections]]
    id = "conn_1"
    team = "team_1"
    connector = "scl_1"
    subject = { type = "user", id = "u1" }
    access_token = "at_1"
    refresh_token = "rt_1"
    expires_in = 3600
"#;

async fn try_apply(world: &World, text: &str, dry_run: bool) -> Result<ApplyReport> {
    let declared = Declared::parse("more.toml", text);
    let declared = declared.unwrap_or_else(|problems| panic!("{problems:#?}"));
    world.engine.apply(declared, dry_run).await
}

fn changes(report: &ApplyReport) -> Vec<(&str, &str, Change)> {
    let rows = report.rows.iter();
    rows.map(|row| (row.table.as_str(), row.id.as_str(), row.change))
        .collect()
}

fn only(report: &ApplyReport, change: Change) -> bool {
    report.rows.iter().all(|row| row.change == change)
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let world = World::new().await;
    let first = world.apply(MORE).await;
    assert!(only(&first, Change::Created), "{:?}", changes(&first));
    let generated = first.rows[0].key.as_ref().unwrap();
    let caller = world.engine.caller(generated.expose(), None).await;
    assert_eq!(caller.unwrap().team, "team_1".into());

    let events = world.store.last_change().await.unwrap();
    let second = world.apply(MORE).await;
    assert!(only(&second, Change::Unchanged), "{:?}", changes(&second));
    assert!(
        second.rows.iter().all(|row| row.key.is_none()),
        "a key is shown once"
    );
    assert_eq!(world.store.last_change().await.unwrap(), events);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_writes_nothing() {
    let world = World::new().await;
    let before = world.store.last_change().await.unwrap();
    let report = try_apply(&world, MORE, true).await.unwrap();
    assert!(only(&report, Change::Created), "{:?}", changes(&report));
    assert!(report.rows.iter().all(|row| row.key.is_none()));
    assert_eq!(world.store.last_change().await.unwrap(), before);
    assert!(world.live("u1").await.is_none());
}

#[tokio::test]
async fn deleted_rows_come_back_and_changed_ones_are_mended() {
    let world = World::new().await;
    world.apply(MORE).await;
    let caller = world.server().await;
    world
        .engine
        .delete_connector(&caller, "scl_keys")
        .await
        .unwrap();
    world
        .engine
        .revoke_connection(&caller, &"conn_1".into())
        .await
        .unwrap();
    world
        .engine
        .revoke_key(&caller, &"key_alice".into())
        .await
        .unwrap();
    assert_eq!(
        world.engine.caller("tok_alice", None).await,
        Err(Error::Unauthenticated)
    );

    let report = world.apply(MORE).await;
    let expected = [
        ("keys", Change::Unchanged),
        ("connectors", Change::Restored),
        ("connections", Change::Restored),
    ];
    let found: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.table.as_str(), row.change))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(world.token_text("u1").await.unwrap(), "at_1");
    let value = world
        .engine
        .token(&caller, "scl_keys", Default::default())
        .await
        .unwrap();
    assert_eq!(value.token.expose(), "k1");

    let again = "[[keys]]\nid = \"key_alice\"\nteam = \"team_1\"\nuser = \"usr_alice\"\nrole = \"member\"\ntoken = \"tok_alice\"";
    assert_eq!(world.apply(again).await.rows[0].change, Change::Restored);
    assert!(world.engine.caller("tok_alice", None).await.is_ok());

    let renamed = MORE.replace("value = \"k2\"", "value = \"k3\"");
    let report = world.apply(&renamed).await;
    assert_eq!(report.rows[1].change, Change::Updated, "a secret changed");
    assert_eq!(
        report.rows[2].change,
        Change::Unchanged,
        "an existing connection keeps its tokens"
    );
}

#[tokio::test]
async fn rows_that_are_not_declared_stay() {
    let world = World::new().await;
    world.apply(MORE).await;
    world
        .apply("[[accounts]]\nid = \"acc_2\"\nname = \"Other\"")
        .await;
    assert_eq!(world.token_text("u1").await.unwrap(), "at_1");
    assert!(world.engine.caller("tok_alice", None).await.is_ok());
}

#[tokio::test]
async fn a_wrong_row_keeps_every_row_from_being_written_and_all_are_told_of() {
    let world = World::new().await;
    let cases: &[(&str, &[(&str, &str)])] = &[
        (
            "[[teams]]\nid = \"team_2\"\naccount = \"acc_9\"\nslug = \"acme\"",
            &[
                (
                    "more.toml: [[teams]] row 1 (team_2), slug",
                    "is taken by another team",
                ),
                (
                    "more.toml: [[teams]] row 1 (team_2), account",
                    "\"acc_9\" is no account, in this file or on the server",
                ),
            ],
        ),
        (
            "[[accounts]]\nid = \"acc_2\"\nname = \"B\"\n[[teams]]\nid = \"team_1\"\naccount = \"acc_2\"\nslug = \"acme\"",
            &[(
                "more.toml: [[teams]] row 1 (team_1), account",
                "must stay acc_1: a team does not change its account",
            )],
        ),
        (
            "[[projects]]\nteam = \"team_1\"\nname = \"api\"\nbase_urls = { staging = \"https://x.example\" }\n[[keys]]\nteam = \"acme\"\nproject = \"apy\"",
            &[
                (
                    "more.toml: [[projects]] row 1 (api), base_urls.staging",
                    "is not an environment of the project",
                ),
                (
                    "more.toml: [[keys]] row 1, project",
                    "\"apy\" is no project of team_1, in this file or on the server; did you mean api?",
                ),
            ],
        ),
        (
            "[[keys]]\nteam = \"team_1\"\nuser = \"usr_bob\"\nrole = \"admin\"\ntoken = \"t\"\n[[keys]]\nid = \"key_x\"\nteam = \"team_1\"\nrole = \"admin\"\ntoken = \"tok_alice\"",
            &[
                (
                    "more.toml: [[keys]] row 1, user",
                    "\"usr_bob\" is no person, in this file or on the server",
                ),
                (
                    "more.toml: [[keys]] row 2 (key_x), id",
                    "must be key_alice: the key with this token has that id",
                ),
            ],
        ),
        (
            "[[connectors]]\nteam = \"team_1\"\nuid = \"sandbox/acme\"\nid = \"scl_2\"\nname = \"n\"\ntype = \"oaut\"\ndata = {}\n[[connectors]]\nid = \"scl_3\"\nteam = \"team_1\"\nuid = \"sandbox/acme2\"\nname = \"n\"\ntype = \"oauth\"\ndata = { clientId = 7, clientSecret = \"s\" }",
            &[
                (
                    "more.toml: [[connectors]] row 1 (scl_2), type",
                    "\"oaut\" is not a connector type this server offers; it offers oauth, api-key",
                ),
                (
                    "more.toml: [[connectors]] row 2 (scl_3), data.clientId",
                    "must be a string",
                ),
            ],
        ),
        (
            "[[connectors]]\nteam = \"team_1\"\nuid = \"sandbox/acme\"\nid = \"scl_2\"\nname = \"n\"\ntype = \"oauth\"\nservice = \"sandbox\"\ndata = { clientId = \"c\" }\nlinks = [{ project = \"web\", environments = [\"qa\"] }]",
            &[
                (
                    "more.toml: [[connectors]] row 1 (scl_2), uid",
                    "is already used by connector scl_1",
                ),
                (
                    "more.toml: [[connectors]] row 1 (scl_2), links[0].environments[0]",
                    "is not an environment of the project; it has production, preview, development",
                ),
            ],
        ),
        (
            "[[connectors]]\nid = \"scl_2\"\nteam = \"team_1\"\nname = \"n\"\ntype = \"oauth\"\ndata = { clientId = \"c\" }",
            &[
                (
                    "more.toml: [[connectors]] row 1 (scl_2), data.serverConfig.token_endpoint",
                    "is required: there is no serverUrl to discover it from, and the service is not in the catalogue",
                ),
                (
                    "more.toml: [[connectors]] row 1 (scl_2), data.serverConfig.authorization_endpoint",
                    "is required: there is no serverUrl to discover it from, and the service is not in the catalogue",
                ),
            ],
        ),
        (
            "[[connections]]\nconnector = \"scl_9\"\nteam = \"team_1\"\naccess_token = \"a\"\n[[connections]]\nconnector = \"scl_1\"\nteam = \"team_1\"\nsubject = { type = \"app\" }\naccess_token = \"a\"",
            &[
                (
                    "more.toml: [[connections]] row 1, connector",
                    "\"scl_9\" is no connector of team_1, in this file or on the server",
                ),
                (
                    "more.toml: [[connections]] row 2, subject",
                    "this connector has no tokens for the subject type app",
                ),
            ],
        ),
    ];
    let before = world.store.last_change().await.unwrap();
    for (text, expected) in cases {
        let expected = expected
            .iter()
            .map(|(field, message)| Problem::new(*field, *message));
        match try_apply(&world, text, false).await {
            Err(Error::Invalid(problems)) => {
                assert_eq!(problems, expected.collect::<Vec<_>>(), "{text}")
            }
            Err(other) => panic!("{other}: {text}"),
            Ok(report) => panic!("{:?}: {text}", changes(&report)),
        }
    }
    assert_eq!(
        world.store.last_change().await.unwrap(),
        before,
        "something was written"
    );
}

#[tokio::test]
async fn a_thousand_rows_are_written_in_shared_commits() {
    let world = World::new().await;
    let mut text = String::new();
    for number in 0..1000 {
        text.push_str(&format!(
            "[[connections]]\nconnector = \"scl_1\"\nteam = \"team_1\"\nsubject = {{ type = \"user\", id = \"u{number}\" }}\naccess_token = \"at_{number}\"\n"
        ));
    }
    let report = world.apply(&text).await;
    assert!(report.rows.len() == 1000 && only(&report, Change::Created));
    assert_eq!(world.token_text("u999").await.unwrap(), "at_999");
    assert!(only(&world.apply(&text).await, Change::Unchanged));
}
