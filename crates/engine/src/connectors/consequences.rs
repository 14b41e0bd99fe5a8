//! What a change of a connector asks of people afterwards (reference/vercel-connect A8): a table, since no provider
//! is asked.

use grantry_core::Result;
use grantry_core::nouns::Connector;
use grantry_core::store::{ConnectionFilter, Page};
use serde_json::Value;

use super::{servers_of, within};
use crate::{Caller, Engine};

/// What is left to do once a change is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Users who have connected have to consent again: what they granted does not cover what is asked now.
    pub reconsent: bool,
    /// The application has to be installed again.
    pub reinstall: bool,
    /// Fields that somebody has to carry over to the provider's own settings; this server cannot.
    pub unsynced: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Reconsent,
    Reinstall,
    Sync,
}

/// Of a type, the changed fields (of [`differences`](super::update::differences)) that ask for something. Where
/// scopes are changed, only further ones do.
const AFTER: &[(&str, &[&str], After)] = &[
    (
        "oauth",
        &["data.userAuthorization", "data.clientId"],
        After::Reconsent,
    ),
    (
        "salesforce",
        &["data.consumerKey", "data.loginHost"],
        After::Reconsent,
    ),
    ("slack", &["data.userScopes"], After::Reconsent),
    ("slack", &["data.botScopes"], After::Reinstall),
    (
        "slack",
        &[
            "data.botScopes",
            "data.userScopes",
            "data.slashCommands",
            "data.shortcuts",
            "events",
            "triggers",
        ],
        After::Sync,
    ),
    ("github", &["events", "triggers"], After::Sync),
    ("linear", &["data.userScopes"], After::Reconsent),
    ("linear", &["data.appScopes"], After::Reinstall),
    ("linear", &["events", "triggers"], After::Sync),
    ("discord", &["triggers"], After::Sync),
];

/// Whether `new` asks for something that `old` did not: another text, a further scope.
fn asks_for_more(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (_, None) => false,
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            new.iter().any(|scope| !old.contains(scope))
        }
        (None, Some(Value::Array(new))) => !new.is_empty(),
        (old, Some(Value::Object(new))) => {
            let on = |member: &Value| member.get("enabled") != Some(&Value::Bool(false));
            let new = Value::Object(new.clone());
            on(&new) && asks_for_more(old.and_then(|old| old.get("scopes")), new.get("scopes"))
        }
        (old, Some(new)) => old != Some(new),
    }
}

/// What the change from `old` to `new` asks for, whoever has connected; `changed` are the fields that differ.
fn of(old: &Connector, new: &Connector, changed: &[String]) -> Consequences {
    let mut found = Consequences::default();
    for (kind, fields, after) in AFTER {
        if *kind != new.kind.as_str() {
            continue;
        }
        for field in *fields {
            if !changed.iter().any(|changed| changed == field) {
                continue;
            }
            let more = match field.strip_prefix("data.") {
                Some(name) => asks_for_more(old.data.get(name), new.data.get(name)),
                None => true,
            };
            match after {
                After::Reconsent => found.reconsent |= more,
                After::Reinstall => found.reinstall |= more,
                // Fewer scopes have to be taken out at the provider too.
                After::Sync => found.unsynced.push(field.trim_start_matches("data.")),
            }
        }
    }
    // Tokens are presented only where they came from.
    found.reconsent |= !within(&servers_of(new), &servers_of(old));
    found
}

impl Engine {
    /// What a change that is stored asks of people: of those who have connected, if anybody has.
    pub(super) async fn consequences(
        &self,
        caller: &Caller,
        old: &Connector,
        new: &Connector,
        changed: &[String],
    ) -> Result<Consequences> {
        let mut found = of(old, new, changed);
        let store = &self.ports.store;
        if found.reconsent {
            let of_users = ConnectionFilter {
                connector: Some(new.id.clone()),
                subject_kind: Some("user"),
                ..ConnectionFilter::default()
            };
            let one = Page::first(1);
            let some = store.connections(&caller.team, &of_users, &one).await?;
            found.reconsent = !some.is_empty();
        }
        if found.reinstall {
            let one = Page::first(1);
            let some = store.installations(&caller.team, &new.id, &one).await?;
            found.reinstall = !some.is_empty();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connectors::health::tests::connector;
    use crate::connectors::update::differences;

    fn with(data: Value) -> Connector {
        Connector {
            data: data.as_object().cloned().unwrap(),
            ..connector(None)
        }
    }

    #[test]
    fn only_what_was_not_granted_asks_for_a_new_consent() {
        let scopes = |scopes: &[&str]| json!({"clientId": "c", "userAuthorization": {"enabled": true, "scopes": scopes}});
        let cases = [
            (scopes(&["a", "b"]), scopes(&["b"]), false),
            (scopes(&["a"]), scopes(&["b", "a"]), true),
            (json!({"clientId": "c"}), scopes(&["a"]), true),
            (scopes(&["a"]), json!({"clientId": "c"}), false),
            (
                scopes(&["a"]),
                json!({"clientId": "c", "userAuthorization": {"enabled": false, "scopes": ["z"]}}),
                false,
            ),
            (json!({"clientId": "c"}), json!({"clientId": "d"}), true),
            (
                json!({"clientId": "c", "serverUrl": "https://a.example"}),
                json!({"clientId": "c", "serverUrl": "https://b.example"}),
                true,
            ),
            (
                json!({"clientId": "c"}),
                json!({"clientId": "c", "clientName": "n"}),
                false,
            ),
        ];
        for (old, new, expected) in cases {
            let (old, new) = (with(old), with(new));
            let changed = differences(&old, &new);
            let found = of(&old, &new, &changed);
            assert_eq!(found.reconsent, expected, "{:?} {:?}", old.data, new.data);
            assert!(!found.reinstall && found.unsynced.is_empty());
        }
    }
}
