//! Slack makes an app of a manifest, too, which a link carries; what it makes is shown to the person, who types it in.

use grantry_core::{Error, Result};
use serde_json::{Map, Value, json};
use url::Url;

use super::SetupPage;
use crate::{Engine, SlackApp};

/// Where apps are made (docs.slack.dev, "Configuring apps with app manifests").
const MAKES: &str = "https://api.slack.com/apps?new_app=1";

/// Characters of an app's name.
const NAME_MAX: usize = 35;

/// The scope that an event is sent by (docs.slack.dev/reference/events).
const SCOPE_FOR: &[(&str, &str)] = &[
    ("app_mention", "app_mentions:read"),
    ("channel_created", "channels:read"),
    ("emoji_changed", "emoji:read"),
    ("file_shared", "files:read"),
    ("member_joined_channel", "channels:read"),
    ("message.channels", "channels:history"),
    ("message.groups", "groups:history"),
    ("message.im", "im:history"),
    ("message.mpim", "mpim:history"),
    ("reaction_added", "reactions:read"),
    ("reaction_removed", "reactions:read"),
    ("team_join", "users:read"),
];

impl Engine {
    /// The link at which Slack makes the app, with these scopes of its bot.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what Slack would not take.
    pub fn slack_link(&self, page: &SetupPage, bot_scopes: &[&str]) -> Result<Url> {
        let setup = &page.view.setup;
        let name: String = page.name.chars().take(NAME_MAX).collect();
        let mut data = Map::new();
        data.insert("botScopes".to_owned(), json!(bot_scopes));
        let manifest = self.slack_manifest(&SlackApp {
            name: &name,
            data: Some(&data),
            triggers: setup.ask.triggers.then_some(setup.connector.as_str()),
            events: &setup.ask.events,
            background_color: setup.ask.background_color.as_deref(),
            ..SlackApp::default()
        })?;
        let manifest = Value::to_string(&manifest);
        Url::parse_with_params(MAKES, [("manifest_json", manifest)]).map_err(|_| Error::Internal)
    }
}

/// The scopes of a bot that says something where it is asked, and what its events need.
pub(super) fn usual_scopes(events: &[String]) -> String {
    let of_event = |event: &String| {
        let known = SCOPE_FOR.iter().find(|(name, _)| name == event);
        known.map(|(_, scope)| *scope)
    };
    let mut scopes = vec!["chat:write"];
    for scope in events.iter().filter_map(of_event) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.join(" ")
}
