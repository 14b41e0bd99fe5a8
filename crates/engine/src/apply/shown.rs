//! Rows as a report shows their differences: declared fields by their names, never a secret.

use std::collections::BTreeMap;

use grantry_core::Timestamp;
use grantry_core::nouns::{
    Account, Connector, Invite, Key, McpServer, NamedSecret, Project, Service, Team, User,
};
use serde_json::{Map, Value, json};

use super::report::FieldChange;

/// Fields by path. A field that is not there differs from none that is null.
pub type Fields = BTreeMap<String, Value>;

/// A row whose declared fields can be shown.
pub trait Shown {
    /// They, without those that hold secrets.
    fn fields(&self) -> Fields;
    /// What it calls itself.
    fn called(&self) -> &str;
}

/// What of `new` differs from `old`.
pub fn differences<T: Shown>(old: &T, new: &T) -> Vec<FieldChange> {
    let (old, new) = (old.fields(), new.fields());
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of = |fields: &Fields, name: &String| fields.get(name).cloned().unwrap_or(Value::Null);
    names
        .into_iter()
        .map(|name| (name, of(&old, name), of(&new, name)))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| FieldChange::shown(name, old, new))
        .collect()
}

fn fields<const N: usize>(list: [(&str, Value); N]) -> Fields {
    list.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Each entry of `map` as a field of its own.
fn spread<'a>(path: &str, map: impl IntoIterator<Item = (&'a String, Value)>) -> Fields {
    let entries = map.into_iter();
    entries
        .map(|(name, value)| (format!("{path}.{name}"), value))
        .collect()
}

fn owned(map: &Map<String, Value>) -> impl Iterator<Item = (&String, Value)> {
    map.iter().map(|(name, value)| (name, value.clone()))
}

fn text(id: Option<&impl ToString>) -> Value {
    id.map(|id| Value::from(id.to_string())).into()
}

fn instant(instant: Option<Timestamp>) -> Value {
    text(instant.as_ref())
}

impl Shown for Account {
    fn fields(&self) -> Fields {
        fields([("name", json!(self.name))])
    }

    fn called(&self) -> &str {
        &self.name
    }
}

impl Shown for Team {
    fn fields(&self) -> Fields {
        fields([
            ("slug", json!(self.slug)),
            ("name", json!(self.name)),
            ("return_origins", json!(self.return_origins)),
        ])
    }

    fn called(&self) -> &str {
        &self.slug
    }
}

impl Shown for User {
    fn fields(&self) -> Fields {
        fields([
            ("email", json!(self.email)),
            ("first_name", json!(self.first_name)),
            ("last_name", json!(self.last_name)),
        ])
    }

    fn called(&self) -> &str {
        &self.email
    }
}

impl Shown for Project {
    fn fields(&self) -> Fields {
        let mut shown = fields([
            ("name", json!(self.name)),
            ("custom_environments", json!(self.custom_environments)),
            ("provisions", json!(self.provisions)),
            ("sign_in_uris", json!(self.sign_in_uris)),
        ]);
        let urls = self.base_urls.iter();
        shown.append(&mut spread(
            "base_urls",
            urls.map(|(name, url)| (name, json!(url))),
        ));
        shown
    }

    fn called(&self) -> &str {
        &self.name
    }
}

impl Shown for Key {
    fn fields(&self) -> Fields {
        fields([
            ("name", json!(self.name)),
            ("level", json!(self.level)),
            ("account", text(self.account.as_ref())),
            ("team", text(self.team.as_ref())),
            ("user", text(self.user.as_ref())),
            ("project", text(self.project.as_ref())),
            ("environment", text(self.environment.as_ref())),
            ("role", json!(self.role)),
            ("expires_at", instant(self.expires_at)),
        ])
    }

    fn called(&self) -> &str {
        &self.name
    }
}

impl Shown for Service {
    fn fields(&self) -> Fields {
        owned(&self.data)
            .map(|(name, value)| (name.clone(), value))
            .collect()
    }

    fn called(&self) -> &str {
        self.data
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Shown for NamedSecret {
    fn fields(&self) -> Fields {
        fields([("name", json!(self.name))])
    }

    fn called(&self) -> &str {
        &self.name
    }
}

impl Shown for McpServer {
    fn fields(&self) -> Fields {
        fields([
            ("name", json!(self.name)),
            ("base_url", json!(self.base_url)),
        ])
    }

    fn called(&self) -> &str {
        &self.name
    }
}

impl Shown for Invite {
    fn fields(&self) -> Fields {
        fields([
            ("email", json!(self.email)),
            ("role", json!(self.role)),
            ("expires_at", instant(self.expires_at)),
        ])
    }

    fn called(&self) -> &str {
        &self.email
    }
}

impl Shown for Connector {
    fn fields(&self) -> Fields {
        let mut shown = fields([
            ("uid", json!(self.uid)),
            ("name", json!(self.name)),
            ("type", json!(self.kind)),
            ("service", json!(self.service)),
            ("redirect_uri", json!(self.redirect_uri)),
            ("default_installation", json!(self.default_installation)),
            ("triggers_enabled", json!(self.triggers_enabled)),
            ("events", json!(self.events)),
            ("trigger_destinations", json!(self.trigger_destinations)),
            ("icon", json!(self.icon)),
            ("background_color", json!(self.background_color)),
            ("accent_color", json!(self.accent_color)),
        ]);
        let data = owned(&self.data).map(|(name, value)| (name, without_ids(name, value)));
        shown.append(&mut spread("data", data));
        shown.append(&mut spread("metadata", owned(&self.metadata)));
        shown
    }

    fn called(&self) -> &str {
        &self.name
    }
}

/// The values of an `api-key` connector carry ids that nobody declares.
fn without_ids(name: &str, mut value: Value) -> Value {
    if name == "values" {
        let values = value.as_array_mut().into_iter().flatten();
        for fields in values.filter_map(Value::as_object_mut) {
            fields.remove("id");
        }
    }
    value
}
