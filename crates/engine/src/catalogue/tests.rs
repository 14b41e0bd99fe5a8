use std::collections::BTreeSet;

use grantry_oauth::server::Endpoint;
use serde_json::{Map, Value, json};
use url::Url;

use super::*;

fn overlay(id: &str, data: Value) -> Service {
    let Value::Object(data) = data else {
        panic!("object")
    };
    Service {
        id: id.to_owned(),
        data,
    }
}

fn given(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn every_built_in_row_is_whole_sorted_and_says_where_it_is_from() {
    let file: Value = serde_json::from_str(builtin::TEXT).unwrap();
    assert_eq!(file["gathered"], "2026-11-23");
    let rows = builtin::services();
    assert_eq!(rows.len(), file["services"].as_array().unwrap().len());
    assert!(rows.len() > 120);
    assert!(rows.is_sorted_by(|one, two| one.id < two.id));
    for row in rows {
        let id = &row.id;
        let text = |name: &str| row.data.get(name).and_then(Value::as_str);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{id}"
        );
        assert!(text("name").is_some(), "{id} has no name");
        let backed = text("confidence") == Some("verified");
        assert!(
            backed || ["sendgrid", "workday"].contains(&id.as_str()),
            "{id}"
        );
        assert!(
            !backed
                || row.data["evidence"]
                    .as_array()
                    .is_some_and(|e| !e.is_empty()),
            "{id} has no evidence"
        );
        assert!(
            text("kind") == Some("api_key") || text("token_endpoint").is_some(),
            "{id} has no token endpoint"
        );
        assert!(
            !row.data.contains_key("common_scopes"),
            "{id} would ask for samples"
        );
    }
}

#[test]
fn no_built_in_url_is_plain_and_each_variable_of_one_has_a_pattern_that_its_default_and_example_match()
 {
    for row in builtin::services() {
        let id = &row.id;
        let none = Map::new();
        let declared = row.data.get("variables").and_then(Value::as_object);
        let declared = declared.unwrap_or(&none);
        for (name, variable) in declared {
            let pattern = variable["pattern"].as_str().unwrap();
            for hostile in [
                "", "a/b", "a@b", "a?b", "a#b", "a b", "a\nb", "{x}", "a%2fb", "a\\b",
            ] {
                assert!(
                    !facts::matches_whole(pattern, hostile),
                    "{id} {name} {hostile:?}"
                );
            }
            // Whoever types one is shown one of the two.
            let usual = variable.get("default").or(variable.get("example"));
            assert!(usual.is_some() || id == "github-app", "{id} {name}");
            for fits in [variable.get("default"), variable.get("example")] {
                let Some(fits) = fits else { continue };
                assert!(
                    facts::matches_whole(pattern, fits.as_str().unwrap()),
                    "{id} {name}"
                );
            }
        }
        for (name, value) in &row.data {
            let is_url =
                name.ends_with("_endpoint") || matches!(name.as_str(), "issuer" | "api_base_url");
            let Some(url) = value.as_str().filter(|_| is_url) else {
                continue;
            };
            let known = url.replace(['{', '}'], "");
            let whole_host = url.starts_with('{');
            assert!(
                whole_host || Url::parse(&known).unwrap().scheme() == "https",
                "{id} {name} {url}"
            );
        }
    }
}

#[test]
fn a_service_without_variables_is_known_as_it_stands() {
    let (github, problems) = server(builtin::service("github").unwrap(), None);
    assert_eq!(problems, []);
    assert_eq!(
        github.url(Endpoint::Token).unwrap().as_str(),
        "https://github.com/login/oauth/access_token"
    );
}

#[test]
fn variables_are_filled_in_and_cannot_lead_elsewhere() {
    let shopify = builtin::service("shopify").unwrap();
    let (server_of_acme, problems) = server(shopify, Some(&given(json!({"shop": "acme"}))));
    assert_eq!(problems, []);
    let token = server_of_acme.url(Endpoint::Token).unwrap();
    assert_eq!(token.host_str(), Some("acme.myshopify.com"));

    let fields = |value: Value| -> (bool, BTreeSet<String>) {
        let (server, problems) = server(shopify, Some(&given(value)));
        let fields = problems.into_iter().map(|problem| problem.field).collect();
        (server.url(Endpoint::Token).is_ok(), fields)
    };
    let shop = BTreeSet::from(["data.variables.shop".to_owned()]);
    for hostile in [
        "evil.example/",
        "a@evil.example",
        "127.0.0.1:8080#",
        "a\n",
        "",
    ] {
        assert_eq!(
            fields(json!({"shop": hostile})),
            (false, shop.clone()),
            "{hostile:?}"
        );
    }
    assert_eq!(fields(json!({})), (false, shop));
    assert_eq!(
        fields(json!({"shop": "acme", "shoop": "x"})),
        (true, BTreeSet::from(["data.variables.shoop".to_owned()]))
    );
}

#[test]
fn an_overlay_replaces_fields_and_leaves_the_rest() {
    let catalogue = Catalogue::of_overlays(vec![
        overlay(
            "github",
            json!({"name": "GitHub Enterprise", "token_endpoint": "https://git.acme.example/token"}),
        ),
        overlay("acme-crm", json!({"name": "Acme CRM"})),
    ]);
    let github = catalogue.service("github").unwrap();
    assert_eq!(github.data["name"], "GitHub Enterprise");
    assert_eq!(
        github.data["token_endpoint"],
        "https://git.acme.example/token"
    );
    assert_eq!(
        github.data["authorization_endpoint"],
        "https://github.com/login/oauth/authorize"
    );
    // Not where its tokens would be shown to another server: they are this one's.
    for shown in grantry_oauth::server::SHOWN_TOKENS {
        assert!(!github.data.contains_key(shown), "{shown}");
    }
    assert_eq!(
        catalogue.service("acme-crm").unwrap().data["name"],
        "Acme CRM"
    );
}

#[test]
fn an_overlay_that_says_the_whole_of_another_server_has_the_whole() {
    let github = |fields: Value| {
        let overlays = [overlay("github", fields)];
        let row = row_of(&overlays, "github").unwrap();
        let [overlay] = overlays;
        let catalogue = Catalogue::of_overlays(vec![overlay]);
        assert_eq!(
            catalogue.service("github").unwrap().data,
            row.data,
            "both ways to a row"
        );
        server(&row, None).0
    };
    let token = "https://git.acme.example/token";
    let api = "https://git.acme.example/api/v3";
    let whole = github(json!({"token_endpoint": token, "api_base_url": api}));
    assert_eq!(whole.api().unwrap().as_str(), api);
    assert_eq!(whole.userinfo_endpoint, None);
    // The server that the built-in row knows, under another path: it is still the one that gave the tokens.
    let same = github(json!({"token_endpoint": "https://github.com/another/way"}));
    let user = same.userinfo_endpoint.as_deref();
    assert_eq!(user, Some("https://api.github.com/user"));
    let named = github(json!({"name": "GitHub, ours"}));
    assert_eq!(named.userinfo_endpoint, same.userinfo_endpoint);
}

#[test]
fn what_a_row_says_of_requests_is_taken_up() {
    let google = builtin::service("google").unwrap();
    assert_eq!(
        authorize_params(Some(google)).unwrap()["access_type"],
        "offline"
    );
    let comma = overlay("x", json!({"scope_separator": "comma"}));
    assert_eq!(
        (scope_separator(&comma), scope_separator(google)),
        (Some(','), Some(' '))
    );
    let basic = overlay(
        "x",
        json!({"token_endpoint_auth_method": "client_secret_basic"}),
    );
    let methods = server(&basic, None).0.token_endpoint_auth_methods_supported;
    assert_eq!(methods, Some(vec!["client_secret_basic".to_owned()]));
}
