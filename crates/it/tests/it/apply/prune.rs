//! What `--prune` takes away, and what it never touches.

use grantry_sandbox::Endpoint;

use super::*;

/// What an apply of `text` does that removes what is not declared.
pub async fn prune(world: &World, text: &str) -> ApplyReport {
    let declared = Declared::parse("more.toml", text);
    let declared = declared.unwrap_or_else(|problems| panic!("{problems:#?}"));
    let plan = world.engine.plan_apply(declared, true).await.unwrap();
    world.engine.carry_out(plan, |_| ()).await.unwrap()
}

/// Keeps what the file says, and takes away the rest of the tables and teams that it has.
#[tokio::test]
async fn pruning_takes_what_is_not_declared_and_nothing_beyond_the_file() {
    let world = World::new().await;
    world.apply(MORE).await;
    world.apply(OWNED).await;
    world.connect("u2").await;
    let other = "[[teams]]\nid = \"team_2\"\naccount = \"acc_1\"\nslug = \"other\"\n[[secrets]]\nteam = \"team_2\"\nname = \"theirs\"\nvalue = \"x\"";
    world.apply(other).await;

    // A file without teams owns none.
    let Err(Error::Invalid(problems)) = planned(&world, "secrets = []", true).await else {
        panic!("it pruned");
    };
    assert_eq!(problems[0].field, "more.toml, prune");
    // No table, no row: only the team is there.
    let team = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\n";
    let report = planned(&world, team, true).await.unwrap();
    assert!(only(&report, Change::Unchanged), "{:?}", changes(&report));

    let keep = format!(
        r#"
        secrets = []
        mcp_servers = []
        {team}
        [[keys]]
        id = "key_new"
        team = "team_1"
        role = "member"
        token = "tok_new_0123456789abcdefghij"
        [[connectors]]
        id = "scl_keys"
        team = "team_1"
        name = "Keys"
        type = "api-key"
        data = {{ values = [{{ value = "k1", scope = "read" }}, {{ value = "k2" }}] }}
        "#
    );
    let dry = planned(&world, &keep, true).await.unwrap();
    let removed = |report: &ApplyReport| {
        let rows = report.rows.iter();
        let rows = rows.filter(|row| row.change == Change::Removed);
        let mut ids: Vec<_> = rows
            .map(|row| format!("{} {}", row.table, row.id))
            .collect();
        ids.retain(|id| !id.starts_with("keys "));
        ids.sort();
        ids
    };
    let expected = ["connectors scl_1", "mcp_servers mcp_1", "secrets sec_1"];
    assert_eq!(removed(&dry), expected);
    assert!(world.live("u1").await.is_some(), "a dry run");

    let report = prune(&world, &keep).await;
    assert_eq!(removed(&report), expected);
    let gone = world.engine.caller("tok_alice", None).await;
    assert_eq!(gone, Err(Error::Unauthenticated));
    let kept = world.engine.caller("tok_new_0123456789abcdefghij", None);
    assert!(kept.await.is_ok());
    assert!(
        world.live("u1").await.is_none(),
        "it went with its connector"
    );
    let team_2 = "team_2".into();
    let theirs = world.store.secret(&team_2, "theirs").await.unwrap();
    assert!(theirs.is_some(), "another team's");
    let team_1 = "team_1".into();
    let invite = world.store.invite(&team_1, &"inv_1".into()).await.unwrap();
    assert!(invite.is_some(), "of a table that the file has not");
    // What the provider was to be told, it is told.
    world.engine.drain().await;
    let stats = world.sandbox.stats();
    let asked = stats.requests.get(&Endpoint::Revoke);
    assert!(asked.is_some_and(|asked| *asked > 0), "{stats:?}");
    let again = planned(&world, &keep, true).await.unwrap();
    assert!(only(&again, Change::Unchanged), "{:?}", changes(&again));
}

#[tokio::test]
async fn pruning_ends_what_was_taken_in_where_connections_are_declared_and_no_consent() {
    let world = World::new().await;
    world.apply(MORE).await;
    world.connect("u2").await;
    let row = |user: &str| {
        format!(
            "[[connections]]\nteam = \"team_1\"\nconnector = \"scl_1\"\nsubject = {{ type = \"user\", id = \"{user}\" }}\naccess_token = \"at_{user}\"\n"
        )
    };
    world.apply(&(row("u3") + &row("u4"))).await;
    // What was taken in and consented to since is a consent.
    world.connect("u4").await;
    let team = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\n";
    // The table is there, and has none of the sandbox's connector.
    let none = format!("connections = []\n{team}");
    let report = prune(&world, &none).await;
    assert!(only(&report, Change::Unchanged), "{:?}", changes(&report));
    assert!(world.live("u3").await.is_some());

    let one = format!(
        "{team}[[connections]]\nid = \"conn_1\"\nteam = \"team_1\"\nconnector = \"scl_1\"\nsubject = {{ type = \"user\", id = \"u1\" }}\naccess_token = \"at_1\""
    );
    let report = prune(&world, &one).await;
    let removed: Vec<_> = report.rows.iter().map(|row| row.change).collect();
    assert_eq!(
        removed,
        [Change::Unchanged, Change::Unchanged, Change::Removed]
    );
    assert!(world.live("u1").await.is_some() && world.live("u3").await.is_none());
    for consented in ["u2", "u4"] {
        assert!(world.token_text(consented).await.is_ok(), "{consented}");
    }
}

#[tokio::test]
async fn links_that_are_not_declared_go_only_when_pruning_and_only_where_links_are_declared() {
    let world = World::new().await;
    let connector = |links: &str| {
        format!(
            "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\n[[projects]]\nid = \"prj_2\"\nteam = \"team_1\"\nname = \"api\"\n[[connectors]]\nid = \"scl_x\"\nteam = \"team_1\"\nuid = \"x\"\nname = \"X\"\ntype = \"api-key\"\ndata = {{ values = [{{ value = \"k1\" }}] }}\n{links}"
        )
    };
    let both =
        "links = [{ project = \"web\", environments = [\"production\"] }, { project = \"api\" }]";
    let one = "links = [{ project = \"web\", environments = [\"production\"] }]";
    world.apply(&connector(both)).await;
    assert!(only(&world.apply(&connector(one)).await, Change::Unchanged));
    let links = async || {
        let team = "team_1".into();
        let links = world.store.links(&team, &"scl_x".into()).await.unwrap();
        links.len()
    };
    let said_nothing = planned(&world, &connector(""), true).await.unwrap();
    let of_it = said_nothing
        .rows
        .iter()
        .find(|row| row.id == "scl_x")
        .unwrap();
    assert_eq!(of_it.change, Change::Unchanged);
    let report = planned(&world, &connector(one), true).await.unwrap();
    assert_eq!(
        differences(&report),
        [r#"links.prj_2: ["production","preview","development"] -> null"#]
    );
    assert_eq!(links().await, 2);
    prune(&world, &connector(one)).await;
    assert_eq!(links().await, 1);
}
