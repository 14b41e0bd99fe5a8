//! Every row of the route table that asks for a caller refuses those who must not call it.

use grantry_core::nouns::Role;
use grantry_engine::permissions::{Scope, Standing};
use serde_json::json;

use super::server::{Answer, Server, request};
use crate::all_routes;
use crate::kit::dialect::Dialect;
use crate::kit::route::{Access, Route};

const KEYS: [(&str, Standing); 5] = [
    ("tok_account", Standing::Account(Role::Admin)),
    ("tok_admin", Standing::Role(Role::Admin)),
    ("tok_member", Standing::Role(Role::Member)),
    ("tok_token_only", Standing::Role(Role::TokenOnly)),
    ("tok_workload", Standing::Workload),
];

/// The route with things of team_1 and acc_1 in its path. `hidden` of the next test exist all, these as far as
/// `world.toml` has them.
fn line(route: &Route) -> String {
    let ids = [
        ("connector", "scl_1"),
        ("project", "prj_1"),
        ("connection", "conn_1"),
        ("authorization", "sca_1"),
        ("secret", "sec_1"),
        ("installation", "ins_1"),
        ("setup", "scr_1"),
        ("key", "key_1"),
        ("kid", "kid_1"),
        ("team", "team_1"),
        ("account", "acc_1"),
        ("user", "usr_alice"),
        ("environment", "env_qa"),
        ("service", "github"),
        ("invite", "inv_1"),
        ("server", "mcp_1"),
    ];
    line_with(route, &|name| {
        let known = ids.iter().find(|(known, _)| *known == name);
        known.map(|(_, id)| (*id).to_owned())
    })
}

/// The names in a route's path.
pub(super) fn names(route: &Route) -> Vec<&'static str> {
    let segments = route.path.split('/');
    segments
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

pub(super) fn line_with(route: &Route, id: &dyn Fn(&str) -> Option<String>) -> String {
    let mut path = route.path.to_owned();
    for name in names(route) {
        let id = id(name);
        let id = id.unwrap_or_else(|| panic!("{}: what is a {name}?", route.path));
        path = path.replace(&format!("{{{name}}}"), &id);
    }
    format!("{} {path}", route.method.as_str())
}

/// In the shape of its dialect.
pub(super) fn code(route: &Route, answer: &Answer) -> String {
    let body = answer.json();
    let code = match route.dialect() {
        Dialect::Native => &body["code"],
        Dialect::Datagrid => {
            assert_eq!(body["status_code"], answer.status.as_u16(), "{body}");
            &body["error"]
        }
        Dialect::Vercel => &body["error"]["code"],
        // They have no codes; the status tells as much.
        Dialect::Sequin | Dialect::Cohere => {
            assert!(
                body["summary"].is_string() || body["message"].is_string(),
                "{body}"
            );
            let reason = answer.status.canonical_reason().unwrap_or_default();
            return reason.to_lowercase().replace(' ', "_");
        }
    };
    code.as_str()
        .unwrap_or_else(|| panic!("no code: {body}"))
        .to_owned()
}

#[tokio::test]
async fn a_caller_without_a_valid_credential_is_refused_everywhere() {
    let server = Server::start().await;
    let mut asked = 0;
    for route in all_routes() {
        let Access::Act(_) = route.access else {
            continue;
        };
        let bad = [
            None,
            Some(""),
            Some("tok_nobody"),
            Some("a.b.c"),
            Some("tok admin"),
            Some("é"),
        ];
        for key in bad {
            let answer = server.send(request(key, &line(route), None)).await;
            assert_eq!(
                answer.status,
                401,
                "{} with {key:?}: {}",
                line(route),
                answer.text
            );
            let expected = match route.dialect() {
                Dialect::Native => "unauthenticated",
                Dialect::Vercel | Dialect::Sequin | Dialect::Cohere => "unauthorized",
                Dialect::Datagrid => "no_authentication",
            };
            assert_eq!(code(route, &answer), expected);
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn a_key_that_has_expired_or_was_revoked_is_refused_everywhere() {
    let server = Server::start().await;
    let make = async |expires_at: &str| {
        let body = json!({"role": "admin", "expires_at": expires_at});
        let made = server
            .call("tok_admin", "POST /api/v1/keys", Some(&body))
            .await
            .expect(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("key"), text("id"))
    };
    let (expired, _) = make("2026-01-01T00:01:00Z").await;
    let (revoked, id) = make("2030-01-01T00:00:00Z").await;
    for key in [&expired, &revoked] {
        server
            .call(key, "GET /api/v1/projects", None)
            .await
            .expect(200);
    }
    server.clock.advance(std::time::Duration::from_secs(60));
    let revoke = format!("DELETE /api/v1/keys/{id}");
    server.call("tok_admin", &revoke, None).await.expect(204);
    for route in all_routes() {
        let Access::Act(_) = route.access else {
            continue;
        };
        for key in [&expired, &revoked] {
            let answer = server.call(key, &line(route), None).await;
            assert_eq!(answer.status, 401, "{}: {}", line(route), answer.text);
        }
    }
}

#[tokio::test]
async fn a_caller_whose_standing_does_not_include_the_act_is_refused_whatever_the_body() {
    let server = Server::start().await;
    let mut refused = 0;
    for route in all_routes() {
        let Access::Act(act) = route.access else {
            continue;
        };
        for (key, standing) in KEYS {
            if standing.may(act) {
                continue;
            }
            let answer = server.call(key, &line(route), None).await;
            assert_eq!(
                answer.status,
                403,
                "{} with {key}: {}",
                line(route),
                answer.text
            );
            assert_eq!(code(route, &answer), "forbidden");
            refused += 1;
        }
    }
    assert!(refused > 30, "{refused}");
}

#[tokio::test]
async fn a_caller_who_names_another_team_or_account_is_refused_everywhere() {
    let server = Server::start().await;
    let mut refused = 0;
    for route in all_routes() {
        let Access::Act(act) = route.access else {
            continue;
        };
        // Where a header names it, the team of a key goes before that (`datagrid`).
        let Some((team, _)) = route.dialect().team_parameters().first() else {
            continue;
        };
        let named: &[(&str, &str)] = match act.scope() {
            Scope::Team => &[(team, "team_1"), (team, "acme")],
            Scope::Account => &[("account", "acc_1"), ("account", "acc_none")],
            Scope::Credential | Scope::Server => continue,
        };
        for (parameter, value) in named {
            let line = format!("{}?{parameter}={value}", line(route));
            for key in ["tok_stranger", "tok_far"] {
                let answer = server.call(key, &line, None).await;
                let status = answer.status.as_u16();
                assert!(
                    [403, 404].contains(&status),
                    "{line}: {status} {}",
                    answer.text
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[tokio::test]
async fn a_public_route_gives_its_reason() {
    for route in all_routes() {
        if let Access::Public(reason) = route.access {
            assert!(reason.len() > 10, "{}: {reason:?}", route.path);
        }
    }
}
