//! What providers deliver on their own (requirements 109, 110 and 114): believed by its signature alone, and acted upon by
//! what the provider says when it is asked.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Request;
use grantry_core::nouns::{Event, EventKind, InstallationStatus};
use grantry_core::store::{EventFilter, Page};
use grantry_vault::hash::hmac_sha256;
use serde_json::Value;

use crate::world::{World, browser};

mod github;
mod signatures;
mod slack;

/// What a delivery is answered with.
struct Answered {
    status: u16,
    body: Value,
}

/// Delivers `body` to a connector as it is.
async fn deliver(
    world: &World,
    connector: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answered {
    let request = headers.iter().fold(
        Request::post(format!("/trigger/{connector}")),
        |request, (name, value)| request.header(*name, value),
    );
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let page = world.run(browser::send(&world.router(), request)).await;
    Answered {
        status: page.status.as_u16(),
        body: serde_json::from_str(&page.body).unwrap_or_default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The headers with which GitHub delivers an event, by an app's secret.
fn github_headers(secret: &str, event: &str, body: &str) -> Vec<(&'static str, String)> {
    let tag = hmac_sha256(secret.as_bytes(), &[body.as_bytes()]);
    vec![
        ("x-github-event", event.to_owned()),
        ("x-hub-signature-256", format!("sha256={}", hex(&tag))),
        ("content-type", "application/json".to_owned()),
    ]
}

/// Those of Slack, `off` seconds from now.
fn slack_headers(world: &World, secret: &str, off: i64, body: &str) -> Vec<(&'static str, String)> {
    let at = (world.engine.now().as_secs() + off).to_string();
    let parts = [b"v0:", at.as_bytes(), b":", body.as_bytes()];
    let tag = hmac_sha256(secret.as_bytes(), &parts);
    vec![
        ("x-slack-request-timestamp", at),
        ("x-slack-signature", format!("v0={}", hex(&tag))),
    ]
}

/// What is stored of a connector's installations.
async fn rows(world: &World, connector: &str) -> Vec<(String, InstallationStatus, bool)> {
    let caller = world.server().await;
    let page = Page::first(9);
    let rows = world.engine.installations(&caller, connector, &page).await;
    let rows = rows.unwrap().data.into_iter();
    rows.map(|view| {
        let row = view.installation;
        (row.external_id, row.status, view.default)
    })
    .collect()
}

/// The log's lines of these kinds that tell of a provider, oldest first.
async fn told(world: &World, kinds: &[EventKind]) -> Vec<Event> {
    let filter = EventFilter {
        kinds: kinds.to_vec(),
        ..EventFilter::default()
    };
    let page = Page {
        oldest_first: true,
        ..Page::first(50)
    };
    let team = "team_1".into();
    let found = world.store.events(&team, &filter, &page).await.unwrap();
    let by_provider = |event: &Event| event.data.get("by") == Some(&"provider".into());
    found.into_iter().filter(by_provider).collect()
}
