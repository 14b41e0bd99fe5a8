//! `docs/permissions.md` is the permission table beside the route table.

use grantry_core::nouns::Role;
use grantry_engine::permissions::{Act, Scope, Standing};

use crate::all_routes;
use crate::kit::route::Access;

const INTRODUCTION: &str = "\
# Permissions

Who may do what: the table of `crates/engine/src/permissions.rs` beside the routes that ask for each act (a test keeps
this page the same). What an act may be done *to* is checked where it happens: a workload reaches the connectors that
are linked to its project and environment, and connections in that environment; a person's key asks for tokens of the
app or of that person; a member sees and ends their own connections.

How a refusal is answered:

- **401** to no credential and to one that is unknown, malformed, expired or revoked; one answer for all of these.
- **404** for what is not in the caller's team or account, the same as for what does not exist, whatever the caller
  may do elsewhere: a team that is not theirs, another team's connector, connection, project or key. To a workload a
  connector that is not linked to its project and environment is as unknown. A test asks every route with an id in its
  path for both, as everybody who must not know, and compares status, headers and body byte for byte.
- **403** inside the caller's own team, where the caller knows that the team exists: their role does not include the act,
  before anything is looked up, so that it tells nothing of what there is; a person's key asking for a token that is not
  theirs to have, and a workload for another environment than its own, of a connector that they may use. Vercel's
  dialect also tells a workload that a connector is not linked, because its clients match on those words.
";

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Server => "server",
        Standing::Account(Role::Owner) => "account: owner",
        Standing::Account(Role::Admin) => "account: admin",
        Standing::Account(Role::Member) => "account: member",
        Standing::Account(Role::TokenOnly) => "account: token-only",
        Standing::Role(Role::Owner) => "owner",
        Standing::Role(Role::Admin) => "admin",
        Standing::Role(Role::Member) => "member",
        Standing::Role(Role::TokenOnly) => "token-only",
        Standing::Workload => "workload",
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Credential => "On the credential itself",
        Scope::Team => "In a team",
        Scope::Account => "On an account",
        Scope::Server => "On the server",
    }
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for place in [
        Scope::Credential,
        Scope::Team,
        Scope::Account,
        Scope::Server,
    ] {
        page.push_str(&format!(
            "\n## {}\n\n| Act | Who may | Routes |\n|---|---|---|\n",
            scope(place)
        ));
        for act in Act::ALL.iter().filter(|act| act.scope() == place) {
            let who = Standing::ALL.into_iter().filter(|who| who.may(*act));
            let who: Vec<&str> = who.map(standing).collect();
            let routes = all_routes().filter(|route| route.access == Access::Act(*act));
            let routes: Vec<String> = routes
                .map(|route| format!("`{} {}`", route.method.as_str(), route.path))
                .collect();
            page.push_str(&format!(
                "| {act:?} | {} | {} |\n",
                who.join(", "),
                routes.join("<br>")
            ));
        }
    }
    page.push_str("\n## Public\n\n| Route | Why |\n|---|---|\n");
    for route in all_routes() {
        if let Access::Public(reason) = route.access {
            page.push_str(&format!(
                "| `{} {}` | {reason} |\n",
                route.method.as_str(),
                route.path
            ));
        }
    }
    page
}

#[test]
fn the_page_is_the_tables() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let checked_in = std::fs::read_to_string(format!("{root}/docs/permissions.md"));
    let wanted = page();
    if checked_in.unwrap_or_default() != wanted {
        let right = format!("{root}/target/permissions.md");
        std::fs::write(&right, wanted).unwrap();
        panic!(
            "docs/permissions.md is not what the tables say: cp target/permissions.md docs/permissions.md"
        );
    }
}
