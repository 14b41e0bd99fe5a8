//! The manifest of a Slack app: what its owner gives to Slack in place of filling in forms
//! (docs.slack.dev/reference/app-manifest, schema version 1; reference/vercel-connect §8).

use grantry_core::nouns::{Connector, ConnectorType};
use grantry_core::{Error, Problem, Result};
use serde_json::{Map, Value, json};

use super::install::texts;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// Characters of an app's name.
const NAME_CHARS: usize = 35;
/// Characters of its bot's name.
const BOT_NAME_CHARS: usize = 80;
/// Scopes of either kind.
const SCOPES_TAKEN: usize = 255;
/// Events that an app subscribes to.
const EVENTS_TAKEN: usize = 100;
/// What we want to know of its installations, whoever wants to know what else. Neither takes a scope.
const ENDS: [&str; 2] = ["app_uninstalled", "tokens_revoked"];

/// What a Slack app is made of, be there a connector for it already or not yet.
#[derive(Clone, Copy, Default)]
pub struct SlackApp<'a> {
    /// How it is called in Slack, at most 35 characters.
    pub name: &'a str,
    /// The `data` of a `slack` connector, or the part of it that is known: `botScopes`, `userScopes`, `slashCommands`,
    /// `shortcuts`, `tokenRotationEnabled`, `orgDeployEnabled`.
    pub data: Option<&'a Map<String, Value>>,
    /// Where users come back to; this server's `/callback` when absent.
    pub redirect_uri: Option<&'a str>,
    /// The id of the connector that takes its events in; none where it takes in none.
    pub triggers: Option<&'a str>,
    /// The events it subscribes to, where it takes any in.
    pub events: &'a [String],
    /// `#rrggbb`
    pub background_color: Option<&'a str>,
}

impl Engine {
    /// The manifest of a `slack` connector's app.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] for other types, and for an app that Slack would not take.
    pub async fn connector_manifest(&self, caller: &Caller, id_or_uid: &str) -> Result<Value> {
        caller.require(Act::ReadConnector)?;
        let entry = self.usable_connector(caller, id_or_uid).await?;
        let connector = &entry.connector;
        if connector.kind != ConnectorType::Slack {
            let reason = format!(
                "a connector of the type {} has no manifest: only slack's have one",
                connector.kind.as_str()
            );
            return Err(Error::Unresolvable { reason });
        }
        self.slack_manifest(&app_of(connector)).map_err(|error| {
            let Error::Invalid(problems) = error else {
                return error;
            };
            let problems: Vec<String> = problems
                .iter()
                .map(|problem| format!("{} {}", problem.field, problem.message))
                .collect();
            Error::Unresolvable {
                reason: format!("Slack would not take its manifest: {}", problems.join("; ")),
            }
        })
    }

    /// The manifest of an app that there need be no connector of. What Slack sends to an app (events, slash commands,
    /// shortcuts) is in it where [`SlackApp::triggers`] says who takes it in.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what exceeds a limit of Slack's.
    pub fn slack_manifest(&self, app: &SlackApp<'_>) -> Result<Value> {
        let list = |name: &str| texts(app.data.and_then(|data| data.get(name)));
        let flag = |name: &str| app.data.and_then(|data| data.get(name)?.as_bool());
        let (bot, user) = (list("botScopes"), list("userScopes"));
        check(app, &bot, &user)?;
        let callback = self.settings.url("/callback");
        let mut features = Map::new();
        let mut settings = Map::new();
        if !bot.is_empty() {
            let bot_user = json!({"display_name": bot_name(app.name), "always_online": false});
            features.insert("bot_user".to_owned(), bot_user);
        }
        if let Some(id) = app.triggers {
            let url = self.settings.url(&format!("/trigger/{id}"));
            let lists = [
                ("slash_commands", slash_commands(app.data, &url)),
                ("shortcuts", shortcuts(app.data)),
            ];
            for (name, items) in lists {
                if !items.is_empty() {
                    features.insert(name.to_owned(), items.into());
                }
            }
            let events: Vec<&str> = told(app.events).collect();
            let events = json!({"request_url": url, "bot_events": events});
            settings.insert("event_subscriptions".to_owned(), events);
            let interactivity = json!({"is_enabled": true, "request_url": url});
            settings.insert("interactivity".to_owned(), interactivity);
        }
        for (name, on) in [
            // Slack turns neither off again: rotation is what Grantry is for, an organisation its owner's choice.
            (
                "token_rotation_enabled",
                flag("tokenRotationEnabled").unwrap_or(true),
            ),
            (
                "org_deploy_enabled",
                flag("orgDeployEnabled").unwrap_or(false),
            ),
            ("socket_mode_enabled", false),
        ] {
            settings.insert(name.to_owned(), on.into());
        }
        let mut display = json!({"name": app.name});
        if let Some(color) = app.background_color {
            display["background_color"] = color.into();
        }
        let mut scopes = Map::new();
        for (name, list) in [("bot", bot), ("user", user)] {
            if !list.is_empty() {
                scopes.insert(name.to_owned(), list.into());
            }
        }
        let mut manifest = json!({
            "_metadata": {"major_version": 1, "minor_version": 1},
            "display_information": display,
            "oauth_config": {
                "redirect_urls": [app.redirect_uri.unwrap_or(&callback)],
                "scopes": scopes,
            },
            "settings": settings,
        });
        if !features.is_empty() {
            manifest["features"] = features.into();
        }
        Ok(manifest)
    }
}

fn app_of(connector: &Connector) -> SlackApp<'_> {
    let name = connector.data.get("appName").and_then(Value::as_str);
    SlackApp {
        name: name.unwrap_or(&connector.name),
        data: Some(&connector.data),
        redirect_uri: Some(&connector.redirect_uri),
        triggers: connector.triggers_enabled.then_some(connector.id.as_str()),
        events: &connector.events,
        background_color: connector.background_color.as_deref(),
    }
}

/// What Slack is to tell of: what is asked for, and what ends here.
fn told(events: &[String]) -> impl Iterator<Item = &str> {
    let ends = ENDS.iter().copied();
    let besides = ends.filter(|end| !events.iter().any(|event| event == end));
    events.iter().map(String::as_str).chain(besides)
}

fn check(app: &SlackApp<'_>, bot: &[String], user: &[String]) -> Result<()> {
    let mut problems = Vec::new();
    let mut limit = |field: &str, count: usize, max: usize, what: &str| {
        if count > max {
            let message = format!("is {count} {what}, and Slack takes {max} at most");
            problems.push(Problem::new(field, message));
        }
    };
    limit(
        "data.appName",
        app.name.chars().count(),
        NAME_CHARS,
        "characters",
    );
    limit("data.botScopes", bot.len(), SCOPES_TAKEN, "scopes");
    limit("data.userScopes", user.len(), SCOPES_TAKEN, "scopes");
    // Without triggers none of them is sent.
    if app.triggers.is_some() {
        let told = told(app.events).count();
        let what = "events, with those that tell of its end";
        limit("events", told, EVENTS_TAKEN, what);
    }
    if app.name.is_empty() {
        problems.push(Problem::new("data.appName", "is required"));
    }
    if bot.is_empty() && user.is_empty() {
        let message = "is required, unless there are userScopes: an app that asks for nothing cannot be installed";
        problems.push(Problem::new("data.botScopes", message));
    }
    for (index, command) in objects(app.data, "slashCommands").enumerate() {
        let text = command.get("command").and_then(Value::as_str);
        if text.is_some_and(|text| !text.starts_with('/')) {
            let field = format!("data.slashCommands[{index}].command");
            problems.push(Problem::new(field, "must begin with /"));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid(problems)),
    }
}

/// An app's name in the letters that a bot's may have: `a-z`, `0-9`, `-`, `_` and `.`.
fn bot_name(name: &str) -> String {
    let mut bot = String::with_capacity(name.len());
    for letter in name.chars().map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' | '_' | '.' => bot.push(letter),
            _ if bot.ends_with('-') || bot.is_empty() => {}
            _ => bot.push('-'),
        }
        if bot.len() == BOT_NAME_CHARS {
            break;
        }
    }
    let bot = bot.trim_end_matches('-');
    if bot.is_empty() { "app" } else { bot }.to_owned()
}

fn objects<'a>(
    data: Option<&'a Map<String, Value>>,
    name: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    let items = data.and_then(|data| data.get(name)?.as_array());
    items.into_iter().flatten().filter_map(Value::as_object)
}

fn slash_commands(data: Option<&Map<String, Value>>, url: &str) -> Vec<Value> {
    let named = &[
        ("command", "command"),
        ("description", "description"),
        ("usageHint", "usage_hint"),
        ("shouldEscape", "should_escape"),
    ];
    let commands = objects(data, "slashCommands").map(|ours| {
        let mut theirs = renamed(ours, named);
        theirs.insert("url".to_owned(), url.into());
        theirs.into()
    });
    commands.collect()
}

fn shortcuts(data: Option<&Map<String, Value>>) -> Vec<Value> {
    let named = &[
        ("type", "type"),
        ("name", "name"),
        ("callbackId", "callback_id"),
        ("description", "description"),
    ];
    let shortcuts = objects(data, "shortcuts").map(|ours| renamed(ours, named).into());
    shortcuts.collect()
}

fn renamed(ours: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    let kept = names
        .iter()
        .filter_map(|(our, their)| Some(((*their).to_owned(), ours.get(*our)?.clone())));
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bots_name_has_the_letters_that_slack_takes() {
        for (name, expected) in [
            ("Acme Bot", "acme-bot"),
            ("ACME -- (test)", "acme-test"),
            ("v1.2_x", "v1.2_x"),
            ("日本", "app"),
            ("!", "app"),
        ] {
            assert_eq!(bot_name(name), expected, "{name}");
        }
        assert_eq!(bot_name(&"a".repeat(200)).len(), BOT_NAME_CHARS);
    }
}
