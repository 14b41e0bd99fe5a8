//! What is not a caller's to see is answered as what does not exist: the same status, headers and body, byte for
//! byte, on every route with an id in its path, whoever asks. Made from the permission table and the route table.
//!
//! A role that does not include the act is refused with 403 before anything is looked up, so that it, too, tells
//! nothing of what there is (design §2; docs/permissions.md).

use std::collections::BTreeMap;
use std::time::Duration;

use grantry_core::nouns::Role;
use grantry_engine::permissions::Standing;
use serde_json::{Value, json};

use super::refusals::{code, line_with, names};
use super::server::{Answer, Server};
use crate::all_routes;
use crate::kit::dialect::Dialect;
use crate::kit::fields::{Field, Shape};
use crate::kit::route::{Access, Route, Takes};
use crate::native::examples;

/// Ids by the name that paths have for them.
type Ids = BTreeMap<&'static str, String>;

/// Somebody who asks for what is not theirs.
struct Asker {
    name: &'static str,
    /// `None` sends no key.
    key: Option<String>,
    /// `None` for who is nobody here.
    standing: Option<Standing>,
    /// What exists and is not theirs to see.
    hidden: Ids,
    /// What they may see, for the rest of a path with two ids in it.
    own: Ids,
}

/// Where a dialect's own words tell a workload that a connector of its team is not linked, and clients match on
/// them (reference/vercel-connect §1): asker, dialect, what is hidden, status and code.
const TOLD: [(&str, Dialect, &str, u16, &str); 2] = [
    (
        "workload elsewhere",
        Dialect::Vercel,
        "connector",
        403,
        "forbidden",
    ),
    (
        "workload that is not linked",
        Dialect::Vercel,
        "connector",
        403,
        "forbidden",
    ),
];

fn ids(pairs: &[(&'static str, &str)]) -> Ids {
    let pairs = pairs.iter();
    pairs.map(|(name, id)| (*name, (*id).to_owned())).collect()
}

/// Makes what `world.toml` cannot say.
async fn make(server: &Server, key: &str, route: &str, body: Value) -> Value {
    server.call(key, route, Some(&body)).await.expect(201)
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

/// Everything that a path can name, of team_1 and acc_1.
async fn of_team_1(server: &Server) -> Ids {
    let secret = json!({"name": "s", "value": "v"});
    let secret = make(server, "tok_admin", "POST /api/v1/secrets", secret).await;
    let installation = json!({"external_id": "T1"});
    let installations = "POST /api/v1/connectors/scl_1/installations";
    let installation = make(server, "tok_admin", installations, installation).await;
    let consent = json!({"connector": "scl_1", "subject": {"type": "user", "id": "usr_alice"}});
    let consent = make(server, "tok_admin", "POST /api/v1/authorizations", consent).await;
    let setup = json!({"service": "slack", "name": "s"});
    let setup = make(server, "tok_admin", "POST /api/v1/setups", setup).await;
    let key = make(server, "tok_admin", "POST /api/v1/keys", json!({})).await;
    let invites = "POST /datagrid/v1/organization/teamspaces/team_1/invites";
    let somebody = json!({"email": "somebody@example.com"});
    let invite = make(server, "tok_account", invites, somebody).await;
    let mcp_servers = "POST /datagrid/v1/organization/mcp-servers";
    let mcp = json!({"name": "m", "base_url": "https://mcp.example"});
    let mcp = make(server, "tok_admin", mcp_servers, mcp).await;
    let signing = server
        .local("POST /api/v1/signing-keys", None)
        .await
        .expect(201);
    let mut all = ids(&[
        ("account", "acc_1"),
        ("team", "team_1"),
        ("user", "usr_alice"),
        ("project", "prj_1"),
        ("environment", "env_qa"),
        ("connector", "scl_1"),
        ("connection", "conn_1"),
        ("service", "github"),
    ]);
    all.extend([
        ("secret", id(&secret)),
        ("installation", id(&installation)),
        ("setup", id(&setup)),
        ("authorization", id(&consent)),
        ("key", id(&key)),
        ("invite", id(&invite)),
        ("server", id(&mcp)),
        ("kid", signing["kid"].as_str().unwrap().to_owned()),
    ]);
    all
}

/// A connector and a project with an environment, made with `key`.
async fn own(server: &Server, key: &str, rest: &[(&'static str, &str)]) -> Ids {
    let connector = json!({"type": "api-key", "name": "Own", "data": {"values": [{"value": "v"}]}});
    let connector = make(server, key, "POST /api/v1/connectors", connector).await;
    let project = json!({"name": "own", "custom_environments": ["qa"]});
    let project = make(server, key, "POST /api/v1/projects", project).await;
    let mut own = ids(rest);
    own.extend([
        ("connector", id(&connector)),
        ("project", id(&project)),
        ("environment", id(&project["custom_environments"][0])),
    ]);
    own
}

async fn askers(server: &Server) -> Vec<Asker> {
    let hidden = of_team_1(server).await;
    let with = |changes: &[(&'static str, &str)]| {
        let mut hidden = hidden.clone();
        hidden.extend(ids(changes));
        hidden
    };
    let expiring = json!({"role": "admin", "expires_at": "2026-01-01T00:01:00Z"});
    let expiring = make(server, "tok_admin", "POST /api/v1/keys", expiring).await;
    let elsewhere = json!({
        "connector": "scl_preview", "environment": "preview",
        "subject": {"type": "user", "id": "u2"}, "access_token": "at_2",
    });
    let elsewhere = make(server, "tok_admin", "POST /api/v1/connections", elsewhere).await;
    let account_key = "POST /api/v1/accounts/acc_1/keys";
    let account_key = make(server, "tok_account", account_key, json!({})).await;
    let far_key = "POST /api/v1/accounts/acc_2/keys";
    let far_key = make(server, "tok_far", far_key, json!({})).await;
    let stranger = own(
        server,
        "tok_stranger",
        &[("team", "team_2"), ("user", "usr_eve")],
    )
    .await;
    let far = [
        ("team", "team_far"),
        ("account", "acc_2"),
        ("user", "usr_far"),
        ("key", &id(&far_key)),
    ];
    let far = own(server, "tok_far", &far).await;
    let one_of_team = ids(&[("team", "team_1"), ("account", "acc_1")]);
    let only = |names: &[&str]| {
        let kept = hidden.iter().filter(|(name, _)| names.contains(name));
        kept.map(|(name, id)| (*name, id.clone())).collect::<Ids>()
    };
    let asker = |name, key: &str, standing, hidden: Ids, own: &Ids| Asker {
        name,
        key: Some(key.to_owned()),
        standing: Some(standing),
        hidden,
        own: own.clone(),
    };
    let (admin, member) = (Standing::Role(Role::Admin), Standing::Role(Role::Member));
    let account = Standing::Account(Role::Admin);
    vec![
        Asker {
            name: "no key",
            key: None,
            standing: None,
            hidden: hidden.clone(),
            own: Ids::new(),
        },
        Asker {
            name: "expired key",
            key: Some(expiring["key"].as_str().unwrap().to_owned()),
            standing: None,
            hidden: hidden.clone(),
            own: Ids::new(),
        },
        asker(
            "wrong team",
            "tok_stranger",
            admin,
            hidden.clone(),
            &stranger,
        ),
        asker("wrong account", "tok_far", account, hidden.clone(), &far),
        asker(
            "wrong account's key",
            "tok_far",
            account,
            with(&[("key", &id(&account_key))]),
            &far,
        ),
        // Of their own team they see what others connected or asked for as little as what is not there.
        asker(
            "wrong role",
            "tok_member",
            member,
            only(&["connection", "authorization"]),
            &one_of_team,
        ),
        asker(
            "token-only",
            "tok_token_only",
            Standing::Role(Role::TokenOnly),
            Ids::new(),
            &one_of_team,
        ),
        asker(
            "workload elsewhere",
            "tok_workload",
            Standing::Workload,
            ids(&[
                ("connector", "scl_preview"),
                ("connection", &id(&elsewhere)),
            ]),
            &one_of_team,
        ),
        asker(
            "workload that is not linked",
            "tok_workload",
            Standing::Workload,
            ids(&[("connector", "scl_unlinked")]),
            &one_of_team,
        ),
    ]
}

/// A body that the route takes.
fn body(route: &Route) -> Option<Value> {
    match route.operation {
        "upsertConnectorProjectConnection" => Some(json!({"environments": ["production"]})),
        // Somebody's, so that a workload gets as far as the connector.
        "revoke_connections"
        | "revokeConnectorTokens"
        | "createConnectorAuthorizationRequest"
        | "getConnectorToken" => Some(json!({"subject": {"type": "user", "id": "u2"}})),
        operation => {
            let example = examples::of(operation).find_map(|example| example.body.clone());
            example.or(match route.takes {
                Takes::Json(rows) | Takes::SomeJson(rows) => Some(least(rows)),
                _ => None,
            })
        }
    }
}

/// The least that these fields let through.
fn least(rows: &[Field]) -> Value {
    let value = |shape: &Shape| match shape {
        Shape::Text(_) | Shape::Filled(_) | Shape::Lines(_) | Shape::Prose(_) => json!("x"),
        Shape::Word(words) => json!(words[0]),
        Shape::Time => json!("2030-01-01T00:00:00Z"),
        Shape::Bool | Shape::Switch => json!(true),
        Shape::Integer(least, _) | Shape::Whole(least, _) => json!(least),
        Shape::Texts(_) => json!(["x"]),
        Shape::Object(rows) | Shape::Typed(rows, _) => least(rows),
        Shape::Free | Shape::Any => json!({}),
        Shape::Objects(_) | Shape::FreeList => json!([]),
    };
    let rows = rows.iter().filter(|row| row.required);
    rows.map(|row| (row.name.to_owned(), value(&row.shape)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Everything in an answer but the id of its request, and how often one has asked; an id that it was `asked` for
/// stands for itself, as some answers repeat it.
fn shown(
    answer: &Answer,
    asked: &[(&str, Option<String>)],
) -> (u16, Vec<(String, Vec<u8>)>, String) {
    let headers = answer.headers.iter();
    let of_the_request = |name: &str| {
        ["x-request-id", "content-length"].contains(&name) || name.starts_with("x-ratelimit-")
    };
    let headers = headers.filter(|(name, _)| !of_the_request(name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    headers.sort();
    let mut text = answer.text.clone();
    for (name, id) in asked {
        if let Some(id) = id {
            text = text.replace(&format!("'{id}'"), name);
        }
    }
    (answer.status.as_u16(), headers, text)
}

async fn ask(server: &Server, asker: &Asker, route: &Route, line: &str) -> Answer {
    let body = body(route);
    server
        .send(super::server::request(
            asker.key.as_deref(),
            line,
            body.as_ref(),
        ))
        .await
}

/// All choices of at least one of `names`.
fn choices<'a>(names: &[&'a str]) -> Vec<Vec<&'a str>> {
    let all = 1..1_usize << names.len();
    let chosen = |bits: usize| {
        let names = names.iter().enumerate();
        let names = names.filter(move |(at, _)| bits >> at & 1 == 1);
        names.map(|(_, name)| *name).collect()
    };
    all.map(chosen).collect()
}

#[tokio::test]
async fn what_is_not_theirs_to_see_is_answered_as_what_does_not_exist() {
    let server = Server::start().await;
    let askers = askers(&server).await;
    server.clock.advance(Duration::from_secs(60));
    let everything = &askers[0].hidden;
    let mut wrong = Vec::new();
    let mut asked: BTreeMap<(&str, u16), u32> = BTreeMap::new();
    for route in all_routes() {
        let Access::Act(act) = route.access else {
            continue;
        };
        for asker in &askers {
            let may = asker.standing.is_some_and(|standing| standing.may(act));
            // Who may not act at all must not learn of anything; who may, of what is hidden from them.
            let hidden = if may { &asker.hidden } else { everything };
            let names = names(route);
            let secret: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| hidden.contains_key(name))
                .filter(|name| {
                    may || !asker.own.contains_key(name) || asker.hidden.contains_key(name)
                })
                .filter(|name| !may || *name != "service")
                .collect();
            for secret in choices(&secret) {
                let id = |missing: bool| {
                    let secret = &secret;
                    move |name: &str| match secret.contains(&name) {
                        true if missing => Some(format!("{name}_none")),
                        true => hidden.get(name).cloned(),
                        false => asker
                            .own
                            .get(name)
                            .or_else(|| everything.get(name))
                            .cloned(),
                    }
                };
                let there = ask(&server, asker, route, &line_with(route, &id(false))).await;
                let nowhere = ask(&server, asker, route, &line_with(route, &id(true))).await;
                let asked_for = |missing| -> Vec<_> {
                    secret
                        .iter()
                        .map(|name| (*name, id(missing)(name)))
                        .collect()
                };
                let there_shown = shown(&there, &asked_for(false));
                let same = there_shown == shown(&nowhere, &asked_for(true));
                let status = there.status.as_u16();
                *asked.entry((asker.name, status)).or_default() += 1;
                let told = TOLD.iter().find(|(who, dialect, what, ..)| {
                    *who == asker.name && *dialect == route.dialect() && secret == [*what]
                });
                let right = match (told, asker.standing, may) {
                    (Some((.., told, word)), _, true) => {
                        status == *told && code(route, &there) == *word && nowhere.status == 404
                    }
                    (_, None, _) => status == 401 && same,
                    // Datagrid's connections are a workload's to look at only, there or not.
                    (_, Some(_), true) if route.dialect() == Dialect::Datagrid => {
                        [403, 404].contains(&status) && same
                    }
                    (_, Some(_), true) => status == 404 && same,
                    (_, Some(_), false) => [403, 404].contains(&status) && same,
                };
                if !right {
                    wrong.push(format!(
                        "{} of {} by {} ({secret:?}): {:?} and {:?}",
                        route.method.as_str(),
                        route.path,
                        asker.name,
                        (status, &there.text),
                        (nowhere.status.as_u16(), &nowhere.text),
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Everybody was asked for, and met what the table of permissions says.
    for (who, status, least) in [
        ("no key", 401, 50),
        ("expired key", 401, 50),
        ("wrong team", 404, 30),
        ("wrong account", 404, 40),
        ("wrong account's key", 404, 3),
        ("wrong role", 403, 20),
        ("wrong role", 404, 3),
        ("token-only", 403, 40),
        ("workload elsewhere", 404, 3),
        ("workload that is not linked", 404, 1),
    ] {
        let count = asked.get(&(who, status)).copied().unwrap_or_default();
        assert!(count >= least, "{who} {status}: {count} of {asked:?}");
    }
}
