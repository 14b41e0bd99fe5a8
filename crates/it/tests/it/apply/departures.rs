//! Whom `--prune` takes out of a team, and which projects, and whom never.

use grantry_core::nouns::Role;

use super::prune::prune;
use super::*;

/// Two teams of one account. Carol is in both, Dave in the second, Frank in none; Bob and Erin have keys.
const BEFORE: &str = r#"
    [[teams]]
    id = "team_2"
    account = "acc_1"
    slug = "other"
    [[users]]
    id = "usr_bob"
    team = "team_1"
    email = "bob@example.com"
    role = "admin"
    [[users]]
    id = "usr_carol"
    email = "carol@example.com"
    memberships = [{ team = "team_1", role = "member" }, { team = "team_2", role = "owner" }]
    [[users]]
    id = "usr_dave"
    team = "team_2"
    email = "dave@example.com"
    role = "member"
    [[users]]
    id = "usr_erin"
    team = "team_1"
    email = "erin@example.com"
    role = "member"
    [[users]]
    id = "usr_frank"
    account = "acc_1"
    email = "frank@example.com"
    [[projects]]
    id = "prj_old"
    team = "team_1"
    name = "old"
    [[projects]]
    id = "prj_used"
    team = "team_1"
    name = "used"
    [[projects]]
    id = "prj_theirs"
    team = "team_2"
    name = "theirs"
    [[keys]]
    team = "team_1"
    user = "usr_bob"
    role = "admin"
    token = "tok_bob_0123456789abcdefghij"
    [[keys]]
    team = "team_1"
    user = "usr_erin"
    role = "member"
    token = "tok_erin_0123456789abcdefghi"
    [[keys]]
    team = "team_1"
    project = "prj_old"
    token = "tok_old_0123456789abcdefghij"
"#;

const TEAM: &str = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\n";

/// Alice is declared, Erin and a project are only named by keys.
fn kept() -> String {
    format!(
        r#"{TEAM}
        [[users]]
        id = "usr_alice"
        team = "team_1"
        email = "alice@example.com"
        role = "owner"
        [[projects]]
        id = "prj_1"
        team = "team_1"
        name = "web"
        [[keys]]
        id = "key_alice"
        team = "team_1"
        user = "usr_alice"
        role = "admin"
        token = "tok_alice"
        [[keys]]
        team = "team_1"
        user = "usr_erin"
        role = "member"
        token = "tok_erin_0123456789abcdefghi"
        [[keys]]
        team = "team_1"
        project = "used"
        token = "tok_used_0123456789abcdefghi"
        "#
    )
}

fn removed(report: &ApplyReport) -> Vec<String> {
    let rows = report.rows.iter();
    let rows = rows.filter(|row| row.change == Change::Removed && row.table != "keys");
    let mut lines: Vec<_> = rows
        .map(|row| format!("{} {} {}", row.table, row.id, row.name))
        .collect();
    lines.sort();
    lines
}

async fn members(world: &World, team: &str) -> Vec<(String, Role)> {
    let page = grantry_core::store::Page::first(100);
    let found = world.store.members(&team.into(), None, &page).await;
    let found = found.unwrap().into_iter();
    found
        .map(|row| (row.user.id.to_string(), row.role))
        .collect()
}

#[tokio::test]
async fn people_and_projects_that_are_not_declared_leave_the_files_own_teams() {
    let world = World::new().await;
    world.apply(BEFORE).await;
    let expected = [
        "memberships team_1/usr_bob bob@example.com",
        "memberships team_1/usr_carol carol@example.com",
        "projects prj_old old",
        "users usr_bob bob@example.com",
    ];
    let dry = planned(&world, &kept(), true).await.unwrap();
    assert_eq!(removed(&dry), expected);
    assert_eq!(members(&world, "team_1").await.len(), 4, "a dry run");

    let report = prune(&world, &kept()).await;
    assert_eq!(removed(&report), expected);
    let left = members(&world, "team_1").await;
    let left: Vec<&str> = left.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(left, ["usr_alice", "usr_erin"], "whom a key names stays");
    for (user, there) in [
        ("usr_bob", false),
        ("usr_carol", true),
        ("usr_dave", true),
        ("usr_frank", true),
    ] {
        let found = world.store.user(&user.into()).await.unwrap();
        assert_eq!(found.is_some(), there, "{user}");
    }
    let theirs = members(&world, "team_2").await;
    assert_eq!(theirs.len(), 2, "nothing of another team: {theirs:?}");
    for (team, project, there) in [
        ("team_1", "prj_1", true),
        ("team_1", "prj_used", true),
        ("team_1", "prj_old", false),
        ("team_2", "prj_theirs", true),
    ] {
        let found = world.store.project(&team.into(), project).await.unwrap();
        assert_eq!(found.is_some(), there, "{project}");
    }
    for (key, opens) in [
        ("tok_alice", true),
        ("tok_erin_0123456789abcdefghi", true),
        ("tok_bob_0123456789abcdefghij", false),
        ("tok_old_0123456789abcdefghij", false),
    ] {
        let caller = world.engine.caller(key, None).await;
        assert_eq!(caller.is_ok(), opens, "{key}");
    }
    let again = planned(&world, &kept(), true).await.unwrap();
    assert!(only(&again, Change::Unchanged), "{:?}", changes(&again));
}

#[tokio::test]
async fn a_team_keeps_who_can_run_it_and_a_row_without_teams_says_nothing_of_them() {
    let world = World::new().await;
    world.apply(BEFORE).await;
    // Nobody is declared an owner, so the owner stays; Carol's row names no team.
    let file = |rest: &str| {
        format!(
            "{TEAM}[[users]]\nid = \"usr_carol\"\naccount = \"acc_1\"\nemail = \"carol@example.com\"\n{rest}"
        )
    };
    let report = prune(&world, &file("")).await;
    assert_eq!(
        removed(&report),
        [
            "memberships team_1/usr_bob bob@example.com",
            "memberships team_1/usr_erin erin@example.com",
            "users usr_bob bob@example.com",
            "users usr_erin erin@example.com",
        ]
    );
    let left = members(&world, "team_1").await;
    let carol = ("usr_carol".to_owned(), Role::Member);
    assert_eq!(left, [("usr_alice".to_owned(), Role::Owner), carol]);

    // Once the file says who owns the team, the other one goes, and Carol with a row that names another team.
    let owned = format!(
        "{TEAM}[[users]]\nid = \"usr_carol\"\nteam = \"team_2\"\nrole = \"owner\"\nemail = \"carol@example.com\"\n\
         [[users]]\nid = \"usr_new\"\nteam = \"team_1\"\nrole = \"owner\"\nemail = \"new@example.com\""
    );
    let report = prune(&world, &owned).await;
    assert_eq!(
        removed(&report),
        [
            "memberships team_1/usr_alice alice@example.com",
            "memberships team_1/usr_carol carol@example.com",
            "users usr_alice alice@example.com",
        ]
    );
    let left = members(&world, "team_1").await;
    assert_eq!(left, [("usr_new".to_owned(), Role::Owner)]);
}

#[tokio::test]
async fn a_team_without_an_owner_keeps_its_admins() {
    let world = World::new().await;
    let team = "[[teams]]\nid = \"team_3\"\naccount = \"acc_1\"\nslug = \"third\"\n";
    let person = |id: &str, role: &str| {
        format!(
            "[[users]]\nid = \"usr_{id}\"\nteam = \"team_3\"\nrole = \"{role}\"\nemail = \"{id}@example.com\"\n"
        )
    };
    world
        .apply(&format!(
            "{team}{}{}{}",
            person("x", "admin"),
            person("y", "member"),
            person("z", "member")
        ))
        .await;
    let keep = format!("{team}{}", person("z", "member"));
    let report = prune(&world, &keep).await;
    assert_eq!(
        removed(&report),
        [
            "memberships team_3/usr_y y@example.com",
            "users usr_y y@example.com"
        ]
    );
    let empty = format!("users = []\n{team}");
    let report = prune(&world, &empty).await;
    assert_eq!(removed(&report).len(), 2, "z goes, x stays");
    let left = members(&world, "team_3").await;
    assert_eq!(left, [("usr_x".to_owned(), Role::Admin)]);
}
