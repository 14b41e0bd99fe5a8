//! `apply` against a real store: what `grantry apply` promises (design §10).

use grantry_core::error::Problem;
use grantry_core::{Error, Result};
use grantry_engine::{ApplyReport, Change, Declared, Difference, FieldChange};

use crate::world::World;

mod departures;
mod prune;
mod races;

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

/// What differs, as text.
fn differences(report: &ApplyReport) -> Vec<String> {
    let fields = report.rows.iter().flat_map(|row| &row.fields);
    let line = |change: &FieldChange| match &change.difference {
        Difference::Shown(old, new) => format!("{}: {old} -> {new}", change.field),
        Difference::Secret => format!("{}: changed", change.field),
    };
    fields.map(line).collect()
}

/// What an apply of `text` would do.
async fn planned(world: &World, text: &str, prune: bool) -> Result<ApplyReport> {
    let declared = Declared::parse("more.toml", text);
    let declared = declared.unwrap_or_else(|problems| panic!("{problems:#?}"));
    let plan = world.engine.plan_apply(declared, prune).await?;
    Ok(plan.report())
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
    let report = planned(&world, MORE, false).await.unwrap();
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
        .revoke_key(&*caller, &"key_alice".into())
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
            "[[keys]]\nteam = \"team_1\"\nuser = \"usr_nobody\"\nrole = \"admin\"\ntoken = \"t\"\n[[keys]]\nid = \"key_x\"\nteam = \"team_1\"\nrole = \"admin\"\ntoken = \"tok_alice\"",
            &[
                (
                    "more.toml: [[keys]] row 1, user",
                    "\"usr_nobody\" is no person, in this file or on the server",
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
                    "\"oaut\" is not a connector type this server offers; it offers api-key, aws-alpha, custom, discord, github, linear, linq, microsoft-entra, microsoft-teams, oauth, photon, salesforce, sendblue, slack, snowflake, snowflake-wif",
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
                    "\"scl_9\" is no connector of team_1, in this file or on the server; did you mean scl_1?",
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
        match planned(&world, text, false).await {
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

/// A team of its own, with a row of each kind that can be pruned, and what belongs to it.
const OWNED: &str = r#"
    [[teams]]
    id = "team_1"
    account = "acc_1"
    slug = "acme"
    [[secrets]]
    id = "sec_1"
    team = "team_1"
    name = "hook"
    value = "s3cret"
    [[mcp_servers]]
    id = "mcp_1"
    team = "team_1"
    name = "docs"
    base_url = "https://example.com"
    [[invites]]
    id = "inv_1"
    team = "acme"
    email = "bob@example.com"
    role = "member"
"#;

#[tokio::test]
async fn what_a_team_keeps_is_made_changed_and_made_again() {
    let world = World::new().await;
    let first = world.apply(OWNED).await;
    let made = &first.rows[1..];
    assert!(
        made.iter().all(|row| row.change == Change::Created),
        "{:?}",
        changes(&first)
    );
    let before = world.store.last_change().await.unwrap();
    let second = world.apply(OWNED).await;
    assert!(only(&second, Change::Unchanged), "{:?}", changes(&second));
    assert_eq!(world.store.last_change().await.unwrap(), before);

    let edited = OWNED
        .replace("s3cret", "other")
        .replace("https://example.com", "https://docs.example.com")
        .replace("\"member\"", "\"admin\"\nexpires_at = 2027-01-31T12:00:00Z");
    let report = planned(&world, &edited, false).await.unwrap();
    let expected = [
        "value: changed",
        "base_url: \"https://example.com\" -> \"https://docs.example.com\"",
        "expires_at: null -> \"2027-01-31T12:00:00Z\"",
        "role: \"member\" -> \"admin\"",
    ];
    assert_eq!(differences(&report), expected);
    assert_eq!(differences(&world.apply(&edited).await), expected);
    assert!(only(&world.apply(&edited).await, Change::Unchanged));
    // By their names, rows without ids are the same rows.
    let nameless = edited
        .replace("id = \"sec_1\"", "")
        .replace("id = \"mcp_1\"", "")
        .replace("id = \"inv_1\"", "");
    let report = world.apply(&nameless).await;
    assert!(only(&report, Change::Unchanged), "{:?}", changes(&report));

    let team = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"";
    prune::prune(&world, &format!("secrets = []\n{team}")).await;
    assert_eq!(world.apply(&edited).await.rows[1].change, Change::Created);
    // A value that is sealed under a name of its own is found by nobody else.
    let other = "[[secrets]]\nid = \"sec_2\"\nteam = \"team_1\"\nname = \"hook\"\nvalue = \"x\"";
    let Err(Error::Invalid(problems)) = planned(&world, other, false).await else {
        panic!("a name is taken twice");
    };
    assert_eq!(problems[0].message, "is the name of secret sec_1");
}

#[tokio::test]
async fn a_field_that_a_row_leaves_out_stays_and_an_empty_one_empties() {
    let world = World::new().await;
    let named = |rest: &str| {
        format!(
            "[[connectors]]\nid = \"scl_x\"\nteam = \"team_1\"\nuid = \"x\"\nname = \"X\"\ntype = \"api-key\"\ndata = {{ values = [{{ value = \"k1\" }}] }}\n{rest}"
        )
    };
    world
        .apply(&named(
            "background_color = \"#0a84ff\"\nredirect = \"team\"\nmetadata = { plan = \"gold\" }\ntriggers_enabled = true\nevents = [\"push\"]\ntrigger_destinations = [{ project = \"web\", path = \"/hook\" }]",
        ))
        .await;
    let row = async || {
        let team = "team_1".into();
        world
            .store
            .connector(&team, "scl_x")
            .await
            .unwrap()
            .unwrap()
    };
    let full = row().await;
    assert!(full.redirect_uri.ends_with("/callback/team_1"));
    assert_eq!(full.background_color.as_deref(), Some("#0a84ff"));
    assert_eq!(full.trigger_destinations.len(), 1);
    assert!(only(&world.apply(&named("")).await, Change::Unchanged));

    let report = world
        .apply(&named(
            "background_color = \"\"\nredirect = \"server\"\nmetadata = {}\nevents = []",
        ))
        .await;
    let mut fields: Vec<_> = report.rows[0].fields.iter().map(|one| &one.field).collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "background_color",
            "events",
            "metadata.plan",
            "redirect_uri"
        ]
    );
    assert_eq!(row().await.background_color, None);
    assert_eq!(row().await.trigger_destinations.len(), 1);

    let bad = named(
        "accent_color = \"red\"\ntriggers_enabled = true\ntrigger_destinations = [{ project = \"wep\" }, { project = \"web\", path = \"hook\", custom_environment = \"qa\" }]",
    );
    let Err(Error::Invalid(problems)) = planned(&world, &bad, false).await else {
        panic!("a wrong row is taken");
    };
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.field.as_str(), problem.message.as_str()))
        .collect();
    let at = "more.toml: [[connectors]] row 1 (scl_x)";
    assert_eq!(
        found,
        [
            (
                format!("{at}, trigger_destinations[0].project").as_str(),
                "\"wep\" is no project of team_1, in this file or on the server; did you mean web?"
            ),
            (
                format!("{at}, trigger_destinations[1].custom_environment").as_str(),
                "\"qa\" is no custom environment of web"
            ),
            (
                format!("{at}, trigger_destinations[1].path").as_str(),
                "must begin with /"
            ),
            (
                format!("{at}, accent_color").as_str(),
                "must be a six-digit hex colour such as #0a84ff"
            ),
        ]
    );
}

#[tokio::test]
async fn a_connector_of_several_teams_is_named_with_its_team() {
    let world = World::new().await;
    let text = |team: &str| {
        format!(
            r#"
            [[teams]]
            id = "team_2"
            account = "acc_1"
            slug = "other"
            [[connectors]]
            team = "team_1"
            uid = "x"
            name = "X"
            type = "api-key"
            data = {{ values = [{{ value = "k1" }}] }}
            [[connectors]]
            team = "team_2"
            uid = "x"
            name = "X"
            type = "api-key"
            data = {{ values = [{{ value = "k2" }}] }}
            [[connections]]
            connector = "x"
            {team}
            subject = {{ type = "user", id = "u" }}
            access_token = "a"
            "#
        )
    };
    let Err(Error::Invalid(problems)) = planned(&world, &text(""), false).await else {
        panic!("a connection went to one of two teams");
    };
    assert_eq!(
        problems[0].message,
        "\"x\" is a connector of several teams: give its team too"
    );
}

#[tokio::test]
async fn an_import_never_takes_the_place_of_refreshed_tokens() {
    let world = World::new().await;
    world.connect("u1").await;
    let first = world.token_text("u1").await.unwrap();
    world.expire().await;
    let refreshed = world.token_text("u1").await.unwrap();
    assert_ne!(first, refreshed);
    let declared = "[[connections]]\nteam = \"team_1\"\nconnector = \"scl_1\"\nsubject = { type = \"user\", id = \"u1\" }\naccess_token = \"at_old\"\nrefresh_token = \"rt_old\"\nexpires_in = 3600";
    assert!(only(&world.apply(declared).await, Change::Unchanged));
    assert_eq!(world.token_text("u1").await.unwrap(), refreshed);
}
