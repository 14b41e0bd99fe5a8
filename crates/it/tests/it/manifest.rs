//! The manifest of a Slack app: what Slack's published schema takes, whole, with this server's URLs in it.

use grantry_core::Error;
use grantry_engine::{ConnectorChange, NewConnector, SlackApp};
use serde_json::{Map, Value, json};

use crate::world::{CALLBACK, World};

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn slack(data: &Value) -> NewConnector {
    let mut all = json!({
        "appId": "A1", "appName": "Acme Bot", "clientId": "c", "clientSecret": "never-shown",
        "signingSecret": "never-shown",
    });
    all.as_object_mut().unwrap().extend(object(data));
    NewConnector {
        kind: "slack".to_owned(),
        data: object(&all),
        name: Some("helper".to_owned()),
        ..NewConnector::default()
    }
}

/// Members that Slack's schema (docs.slack.dev/reference/app-manifest) has where a manifest of ours can have any; it
/// takes no others.
const MEMBERS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "_metadata",
            "display_information",
            "features",
            "oauth_config",
            "settings",
        ],
    ),
    ("/_metadata", &["major_version", "minor_version"]),
    (
        "/display_information",
        &[
            "background_color",
            "description",
            "long_description",
            "name",
        ],
    ),
    (
        "/features",
        &[
            "app_home",
            "bot_user",
            "shortcuts",
            "slash_commands",
            "unfurl_domains",
            "workflow_steps",
        ],
    ),
    ("/features/bot_user", &["always_online", "display_name"]),
    (
        "/features/slash_commands/0",
        &[
            "command",
            "description",
            "should_escape",
            "url",
            "usage_hint",
        ],
    ),
    (
        "/features/shortcuts/0",
        &["callback_id", "description", "name", "type"],
    ),
    ("/oauth_config", &["redirect_urls", "scopes"]),
    ("/oauth_config/scopes", &["bot", "user"]),
    (
        "/settings",
        &[
            "allowed_ip_address_ranges",
            "event_subscriptions",
            "interactivity",
            "org_deploy_enabled",
            "socket_mode_enabled",
            "token_rotation_enabled",
        ],
    ),
    (
        "/settings/event_subscriptions",
        &["bot_events", "request_url", "user_events"],
    ),
    (
        "/settings/interactivity",
        &["is_enabled", "message_menu_options_url", "request_url"],
    ),
];

#[tokio::test]
async fn a_slack_connectors_manifest_is_one_that_slack_takes() {
    let world = World::new().await;
    let caller = world.server().await;
    let data = json!({
        "botScopes": ["app_mentions:read", "chat:write", "commands"],
        "userScopes": ["search:read"],
        "slashCommands": [
            {"command": "/acme", "description": "Asks", "usageHint": "a question", "shouldEscape": true},
        ],
        "shortcuts": [{"type": "global", "name": "Ask", "callbackId": "ask", "description": "Asks"}],
        "orgDeployEnabled": true,
    });
    let made = world
        .engine
        .create_connector(
            &caller,
            NewConnector {
                triggers_enabled: true,
                events: vec!["app_mention".to_owned(), "message.im".to_owned()],
                background_color: Some("#4a154b".to_owned()),
                ..slack(&data)
            },
        )
        .await
        .unwrap();
    let id = made.connector.id.as_str();
    let manifest = world.engine.connector_manifest(&caller, id).await.unwrap();
    let trigger = format!("http://127.0.0.1:8787/trigger/{id}");
    assert_eq!(
        manifest,
        json!({
            "_metadata": {"major_version": 1, "minor_version": 1},
            "display_information": {"name": "Acme Bot", "background_color": "#4a154b"},
            "features": {
                "bot_user": {"display_name": "acme-bot", "always_online": false},
                "slash_commands": [{
                    "command": "/acme", "description": "Asks", "usage_hint": "a question",
                    "should_escape": true, "url": trigger,
                }],
                "shortcuts": [
                    {"type": "global", "name": "Ask", "callback_id": "ask", "description": "Asks"},
                ],
            },
            "oauth_config": {
                "redirect_urls": [CALLBACK],
                "scopes": {
                    "bot": ["app_mentions:read", "chat:write", "commands"],
                    "user": ["search:read"],
                },
            },
            "settings": {
                "event_subscriptions": {
                    "request_url": trigger,
                    "bot_events": ["app_mention", "message.im", "app_uninstalled", "tokens_revoked"],
                },
                "interactivity": {"is_enabled": true, "request_url": trigger},
                "org_deploy_enabled": true,
                "socket_mode_enabled": false,
                "token_rotation_enabled": true,
            },
        })
    );
    for (place, members) in MEMBERS {
        let found = manifest.pointer(place).unwrap().as_object().unwrap();
        let strange = found.keys().find(|name| !members.contains(&name.as_str()));
        assert_eq!(strange, None, "{place}");
    }
    // Without a place that takes them in, nothing is sent to the app.
    let off = ConnectorChange {
        triggers_enabled: Some(false),
        data: Some(object(&json!({"tokenRotationEnabled": false}))),
        ..ConnectorChange::default()
    };
    world
        .engine
        .update_connector(&caller, id, off)
        .await
        .unwrap();
    let quiet = world.engine.connector_manifest(&caller, id).await.unwrap();
    assert_eq!(quiet["settings"].as_object().unwrap().len(), 3);
    assert_eq!(quiet["settings"]["token_rotation_enabled"], false);
    assert_eq!(quiet["features"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn an_app_without_a_connector_has_a_manifest_too_and_slacks_limits_are_named() {
    let world = World::new().await;
    let data = object(&json!({"userScopes": ["search:read"]}));
    let app = SlackApp {
        name: "Acme",
        data: Some(&data),
        ..SlackApp::default()
    };
    let manifest = world.engine.slack_manifest(&app).unwrap();
    assert_eq!(manifest["display_information"]["name"], "Acme");
    assert_eq!(manifest["oauth_config"]["redirect_urls"], json!([CALLBACK]));
    assert_eq!(manifest.get("features"), None);
    let many: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    for (name, data, field) in [
        ("", json!({"botScopes": ["a"]}), "data.appName"),
        (
            &*"x".repeat(36),
            json!({"botScopes": ["a"]}),
            "data.appName",
        ),
        ("x", json!({}), "data.botScopes"),
        ("x", json!({"userScopes": many}), "data.userScopes"),
        (
            "x",
            json!({"botScopes": ["a"], "slashCommands": [{"command": "acme", "description": "d"}]}),
            "data.slashCommands[0].command",
        ),
    ] {
        let data = object(&data);
        let app = SlackApp {
            name,
            data: Some(&data),
            ..SlackApp::default()
        };
        let Err(Error::Invalid(problems)) = world.engine.slack_manifest(&app) else {
            panic!("{field}: taken");
        };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, field);
    }
    // Events count where they are sent: 98 of others, with the two that are always among them.
    let events: Vec<String> = (0..99).map(|n| format!("e{n}")).collect();
    let mut named = events[..98].to_vec();
    named.extend(["app_uninstalled".to_owned(), "tokens_revoked".to_owned()]);
    for (triggers, events, taken) in [
        (Some("scl_1"), &events[..98], true),
        (Some("scl_1"), &named[..], true),
        (Some("scl_1"), &events[..], false),
        (None, &events[..], true),
    ] {
        let app = SlackApp {
            triggers,
            events,
            ..app
        };
        let made = world.engine.slack_manifest(&app);
        assert_eq!(made.is_ok(), taken, "{triggers:?} {}", events.len());
    }
}

#[tokio::test]
async fn only_a_slack_app_that_can_be_has_a_manifest() {
    let world = World::new().await;
    let caller = world.server().await;
    let refused = world
        .engine
        .connector_manifest(&caller, crate::world::CONNECTOR)
        .await;
    let Err(Error::Unresolvable { reason }) = refused else {
        panic!("an oauth connector has a manifest");
    };
    assert_eq!(
        reason,
        "a connector of the type oauth has no manifest: only slack's have one"
    );
    let long =
        json!({"appName": "An app with a name that Slack has no room for", "botScopes": ["a"]});
    let made = world
        .engine
        .create_connector(&caller, slack(&long))
        .await
        .unwrap();
    let id = made.connector.id.as_str();
    let refused = world.engine.connector_manifest(&caller, id).await;
    let Err(Error::Unresolvable { reason }) = refused else {
        panic!("a name of 45 characters is taken");
    };
    assert_eq!(
        reason,
        "Slack would not take its manifest: data.appName is 45 characters, and Slack takes 35 at most"
    );
}
