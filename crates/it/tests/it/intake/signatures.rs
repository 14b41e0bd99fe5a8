//! Who is believed.

use serde_json::json;

use super::{deliver, github_headers, hex, slack_headers};
use crate::world::World;
use grantry_vault::hash::hmac_sha256;

const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_hub"
    team = "team_1"
    name = "Code"
    type = "github"
    data = { appId = 7, appSlug = "acme", appName = "Acme", clientId = "c", webhookSecret = "hush" }
    [[connectors]]
    id = "scl_other"
    team = "team_1"
    name = "Other"
    type = "github"
    data = { appId = 8, appSlug = "other", appName = "Other", clientId = "c", webhookSecret = "another" }
    [[connectors]]
    id = "scl_mute"
    team = "team_1"
    name = "Mute"
    type = "github"
    data = { appId = 9, appSlug = "mute", appName = "Mute", clientId = "c" }
    [[connectors]]
    id = "scl_slack"
    team = "team_1"
    name = "Bot"
    type = "slack"
    data = { appId = "A1", appName = "Bot", clientId = "demo", clientSecret = "s", signingSecret = "hush" }
    [[connectors]]
    id = "scl_linear"
    team = "team_1"
    name = "Issues"
    type = "linear"
    data = { clientId = "c", clientSecret = "s", webhookSecret = "hush" }
    [[connectors]]
    id = "scl_wanted"
    team = "team_1"
    name = "Wanted"
    type = "github"
    data = { appId = 9, appSlug = "wanted", appName = "Wanted", clientId = "c", webhookSecret = "hush" }
    triggers_enabled = true
    events = ["push"]
    trigger_destinations = [{ project = "prj_1" }]
    links = [{ project = "prj_1" }]
"#;

async fn world() -> World {
    let world = World::new().await;
    world.apply(DECLARED).await;
    world
}

const PING: &str = r#"{"zen":"Design for failure.","hook_id":1}"#;

#[tokio::test]
async fn requirement_109_only_the_whole_signature_of_the_right_secret_is_believed_and_nobody_learns_what_there_is()
 {
    let world = world().await;
    let good = github_headers("hush", "ping", PING);
    assert_eq!(deliver(&world, "scl_hub", &good, PING).await.status, 200);

    let signed = good[1].1.clone();
    let with = |signature: &str| {
        let mut headers = good.clone();
        headers[1].1 = signature.to_owned();
        headers
    };
    let twice = [good.clone(), vec![good[1].clone()]].concat();
    let mut refused = vec![
        ("scl_hub", github_headers("another", "ping", PING), PING),
        ("scl_hub", github_headers("", "ping", PING), PING),
        ("scl_hub", vec![good[0].clone()], PING),
        ("scl_hub", with(""), PING),
        ("scl_hub", with(&signed[..signed.len() - 1]), PING),
        ("scl_hub", with(&signed[7..]), PING),
        ("scl_hub", with(&signed.replace("sha256", "sha1")), PING),
        ("scl_hub", with(&format!("{signed}00")), PING),
        ("scl_hub", twice, PING),
        ("scl_hub", good.clone(), "{}"),
        // Of another connector, of none, of one without a secret, of a type that delivers nothing.
        ("scl_other", good.clone(), PING),
        ("scl_nobody", good.clone(), PING),
        ("scl_mute", github_headers("", "ping", PING), PING),
        ("scl_1", good.clone(), PING),
        ("scl_slack", good.clone(), PING),
    ];
    let caller = world.server().await;
    world
        .engine
        .delete_connector(&caller, "scl_other")
        .await
        .unwrap();
    let deleted = github_headers("another", "ping", PING);
    refused.push(("scl_other", deleted, PING));
    for (connector, headers, body) in refused {
        let answer = deliver(&world, connector, &headers, body).await;
        let said = json!({"error": {"code": "unauthorized", "message": "Invalid signature"}});
        assert_eq!(
            (answer.status, answer.body),
            (401, said),
            "{connector} {headers:?}"
        );
    }
}

#[tokio::test]
async fn requirement_110_a_time_is_signed_and_five_minutes_off_at_most() {
    let world = world().await;
    let body = r#"{"type":"event_callback","team_id":"T1","event":{"type":"app_mention"}}"#;
    for (off, status) in [(0, 200), (299, 200), (-299, 200), (302, 401), (-302, 401)] {
        let headers = slack_headers(&world, "hush", off, body);
        let answer = deliver(&world, "scl_slack", &headers, body).await;
        assert_eq!(answer.status, status, "{off}");
        let at = (world.engine.now().as_secs() + off) * 1000;
        let body = json!({"type": "Issue", "webhookTimestamp": at}).to_string();
        let tag = hex(&hmac_sha256(b"hush", &[body.as_bytes()]));
        let headers = [("linear-signature", tag)];
        let answer = deliver(&world, "scl_linear", &headers, &body).await;
        assert_eq!(answer.status, status, "{off}");
    }
    let mut moved = slack_headers(&world, "hush", -400, body);
    moved[0].1 = world.engine.now().as_secs().to_string();
    let answer = deliver(&world, "scl_slack", &moved, body).await;
    assert_eq!(answer.status, 401, "the time is signed, too");
    let without = slack_headers(&world, "hush", 0, body).split_off(1);
    assert_eq!(
        deliver(&world, "scl_slack", &without, body).await.status,
        401
    );
}

#[tokio::test]
async fn requirement_114_slacks_challenge_is_answered_to_slack_alone() {
    let world = world().await;
    let body = r#"{"type":"url_verification","token":"t","challenge":"3eZbrw1a"}"#;
    let forged = slack_headers(&world, "guess", 0, body);
    assert_eq!(
        deliver(&world, "scl_slack", &forged, body).await.status,
        401
    );
    let signed = slack_headers(&world, "hush", 0, body);
    let answer = deliver(&world, "scl_slack", &signed, body).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"challenge": "3eZbrw1a"}))
    );
}

#[tokio::test]
async fn an_event_that_somebody_wants_forwarded_is_never_taken_for_delivered() {
    let world = world().await;
    for (connector, event, status) in [
        ("scl_hub", "push", 200),
        ("scl_wanted", "push", 501),
        ("scl_wanted", "ping", 200),
        // GitHub tells every app; nobody asked for it here.
        ("scl_wanted", "installation", 200),
    ] {
        let body = r#"{"installation":{"id":42}}"#;
        let headers = github_headers("hush", event, body);
        let answer = deliver(&world, connector, &headers, body).await;
        assert_eq!(answer.status, status, "{connector} {event}");
        if status == 501 {
            assert_eq!(answer.body["error"]["code"], "not_implemented");
        }
    }
}

#[tokio::test]
async fn a_delivery_beyond_the_limit_is_413_whosever_it_is() {
    let world = world().await;
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(1024 * 1024));
    for connector in ["scl_hub", "scl_nobody"] {
        let headers = github_headers("hush", "push", &body);
        let answer = deliver(&world, connector, &headers, &body).await;
        assert_eq!(answer.status, 413, "{connector}");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains("limits.event_bytes_max"), "{message}");
    }
}
