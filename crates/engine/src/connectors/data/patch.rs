//! Changes of a stored `data` (reference/vercel-connect A8): the shape of a new one with every field
//! optional. `null` or `""` takes a field away; stored keys are edited one by one, or replaced together.
//! A connector that becomes of another type keeps of its data what all types have.

use std::collections::HashSet;

use super::*;

/// A stored `data` with a change laid over it.
pub struct Patched {
    /// What is stored in the clear and given back.
    pub public: Map<String, Value>,
    /// Secrets that are new or have another value, by name.
    pub secrets: Vec<(String, Secret)>,
    /// Names of secrets that go.
    pub dropped: HashSet<String>,
}

/// The fields that edit an `api-key` connector's values, beside those of [`API_KEY`].
const EDITS: &[Field] = &[
    field("toDelete", Shape::Texts(128)),
    field("toUpdate", Shape::Free),
    field("toAdd", Shape::Values),
];

const UPDATE: &[Field] = &[
    required("id", Shape::Text(128)),
    field("value", Shape::Secret(64 * 1024)),
    field("scope", Shape::Text(256)),
    field("expiresAt", Shape::Integer(0)),
];

/// How a change is laid over what is stored.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// What is missing afterwards is asked for when somebody wants to connect, not now.
    pub incomplete: bool,
    /// Objects are changed field by field too; else they are replaced.
    pub nested: bool,
}

/// What the overrides of a server become: each one is laid over for itself, and an empty one takes a stored one away
/// (reference/vercel-connect §5).
fn overrides(stored: Option<&Value>, value: &Value) -> Value {
    let (Some(Value::Object(stored)), Value::Object(value)) = (stored, value) else {
        return value.clone();
    };
    let mut merged = stored.clone();
    for (name, value) in &server_config::spelled(value) {
        if value.is_null() || *value == "" {
            merged.remove(name);
        } else {
            merged.insert(name.clone(), value.clone());
        }
    }
    Value::Object(merged)
}

/// What `value` becomes in the place of `stored`.
fn laid_over(stored: Option<&Value>, value: &Value, manner: Manner) -> Value {
    match (stored, value) {
        (Some(Value::Object(stored)), Value::Object(value)) if manner.nested => {
            let mut merged = stored.clone();
            merged.extend(value.clone());
            Value::Object(merged)
        }
        _ => value.clone(),
    }
}

/// The data of a connector that becomes one of type `kind`: `change`, and of `stored` what every type has.
/// All of its secrets are new.
pub fn convert(
    kind: ConnectorType,
    stored: &Map<String, Value>,
    change: &Map<String, Value>,
    manner: Manner,
    mint_value_id: &dyn Fn() -> String,
) -> Result<Patched, Vec<Problem>> {
    let mut data = change.clone();
    let search = match (stored.get(SEARCHED.name), change.get(SEARCHED.name)) {
        (stored, Some(change)) => Some(laid_over(stored, change, manner)),
        (stored, None) => stored.cloned(),
    };
    data.extend(search.map(|search| (SEARCHED.name.to_owned(), search)));
    let Checked { public, secrets } = check(kind, &data, manner.incomplete, mint_value_id)?;
    Ok(Patched {
        public,
        secrets,
        dropped: HashSet::new(),
    })
}

/// Lays `change` over `stored`, which [`check`] passed once. Every wrong field is a problem, named by its
/// path under `data`. Of an `incomplete` connector may go on missing what it misses, and nothing else.
pub fn patch(
    kind: ConnectorType,
    stored: &Map<String, Value>,
    change: &Map<String, Value>,
    manner: Manner,
    mint_value_id: &dyn Fn() -> String,
) -> Result<Patched, Vec<Problem>> {
    let mut check = Check {
        problems: Vec::new(),
        secrets: Vec::new(),
        may_lack: may_lack(kind, manner.incomplete),
        kept: kept(kind, change),
        mint_value_id,
    };
    let mut merged = stored.clone();
    // An earlier version kept what it was sent: what it means is read, and the rest would stand in every change's way.
    let config = merged.get_mut(SERVER_CONFIG.name);
    if let Some(config) = config.and_then(Value::as_object_mut) {
        *config = server_config::spelled(config);
        config.retain(|name, _| server_config::is_known(name));
    }
    let mut edits = Map::new();
    for (name, value) in change {
        if kind == ConnectorType::ApiKey && EDITS.iter().any(|row| row.name == name) {
            edits.insert(name.clone(), value.clone());
        } else {
            let value = match name.as_str() {
                "serverConfig" => overrides(merged.get(name), value),
                _ => laid_over(stored.get(name), value, manner),
            };
            merged.insert(name.clone(), value);
        }
    }
    let named = |row: &&Field| is_secret(row) && change.contains_key(row.name);
    let dropped = rows(kind).iter().filter(named);
    let mut dropped: HashSet<String> = dropped.map(|row| row.name.to_owned()).collect();
    let standing = match merged.remove("values") {
        // Stored values have no secrets beside them, so they are kept out of the check.
        Some(Value::Array(values)) if !change.contains_key("values") => values,
        Some(new) => {
            merged.insert("values".to_owned(), new);
            dropped.extend(ids(stored.get("values")));
            Vec::new()
        }
        None => Vec::new(),
    };
    let mut public = check.object("data", rows(kind), &merged);
    let replaced = public.remove("values");
    if replaced.is_some() && !edits.is_empty() {
        check.problem(
            "data.values",
            "replaces all values: it excludes toAdd, toUpdate and toDelete",
        );
    }
    let mut values = match replaced {
        Some(Value::Array(values)) => values,
        _ => standing,
    };
    check.edit(&mut values, &edits, &mut dropped);
    if values.len() > CONNECTOR_VALUES_MAX {
        check.problem(
            "data.toAdd",
            format!("makes more than {CONNECTOR_VALUES_MAX} values"),
        );
    }
    if kind == ConnectorType::ApiKey && !values.is_empty() {
        public.insert("values".to_owned(), Value::Array(values));
    }
    check.require_client(kind, &public);
    check.require_values(kind, &public);
    let taken = |name: &str| stored.contains_key(name) && !public.contains_key(name);
    let needs_client = kind == ConnectorType::Oauth && !public.contains_key("serverUrl");
    for row in rows(kind)
        .iter()
        .filter(|row| row.required || (row.name == "clientId" && needs_client))
        .filter(|row| manner.incomplete && taken(row.name))
    {
        check.problem(&format!("data.{}", row.name), "is required");
    }
    if !check.problems.is_empty() {
        return Err(check.problems);
    }
    dropped.retain(|name| check.secrets.iter().all(|(new, _)| new != name));
    Ok(Patched {
        public,
        secrets: check.secrets,
        dropped,
    })
}

const fn is_secret(row: &Field) -> bool {
    matches!(row.shape, Shape::Secret(_) | Shape::Pem(_))
}

/// The secrets that a change does not name: they stay as they are.
fn kept(kind: ConnectorType, change: &Map<String, Value>) -> HashSet<&'static str> {
    let secrets = rows(kind).iter().filter(|row| is_secret(row));
    let names = secrets.map(|row| row.name);
    names.filter(|name| !change.contains_key(*name)).collect()
}

fn ids(values: Option<&Value>) -> impl Iterator<Item = String> {
    let values = values.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(|value| value.get("id")?.as_str().map(str::to_owned))
}

impl Check<'_> {
    fn edit(
        &mut self,
        values: &mut Vec<Value>,
        edits: &Map<String, Value>,
        dropped: &mut HashSet<String>,
    ) {
        let list = |name: &str| edits.get(name).filter(|value| !value.is_null());
        let wrong = |name: &str| list(name).is_some_and(|value| !value.is_array());
        for name in ["toDelete", "toUpdate", "toAdd"]
            .into_iter()
            .filter(|name| wrong(name))
        {
            self.problem(&format!("data.{name}"), "must be a list");
        }
        let items = |name: &str| list(name).and_then(Value::as_array).into_iter().flatten();
        for (index, id) in items("toDelete").enumerate() {
            let at = values.iter().position(|value| value.get("id") == Some(id));
            match (at, id.as_str()) {
                (Some(at), Some(id)) => {
                    values.remove(at);
                    dropped.insert(id.to_owned());
                }
                _ => self.unknown_value(&format!("data.toDelete[{index}]")),
            }
        }
        for (index, change) in items("toUpdate").enumerate() {
            let path = format!("data.toUpdate[{index}]");
            let Value::Object(change) = change else {
                self.problem(&path, "must be an object with the id of a value");
                continue;
            };
            let secrets_before = self.secrets.len();
            let checked = self.object(&path, UPDATE, change);
            let found = values
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .find(|value| {
                    checked
                        .get("id")
                        .is_some_and(|id| value.get("id") == Some(id))
                });
            let Some(value) = found else {
                if checked.contains_key("id") {
                    self.unknown_value(&format!("{path}.id"));
                }
                continue;
            };
            if let (Some((name, _)), Some(id)) = (
                self.secrets.get_mut(secrets_before),
                checked.get("id").and_then(Value::as_str),
            ) {
                id.clone_into(name);
            }
            for name in ["scope", "expiresAt"]
                .into_iter()
                .filter(|name| change.contains_key(*name))
            {
                match checked.get(name) {
                    Some(new) => value.insert(name.to_owned(), new.clone()),
                    None => value.remove(name),
                };
            }
        }
        if let Some(Value::Array(new)) = list("toAdd")
            && let Value::Array(new) = self.values("data.toAdd", new)
        {
            values.extend(new);
        }
    }

    fn unknown_value(&mut self, path: &str) {
        self.problem(path, "is not the id of one of the connector's values");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Public data, secrets by name, and dropped names.
    type Run = (Value, Vec<(String, String)>, Vec<String>);

    fn run(kind: ConnectorType, stored: &Value, change: &Value) -> Result<Run, Vec<String>> {
        let map = |value: &Value| value.as_object().cloned().unwrap();
        let (stored, change) = (map(stored), map(change));
        let mint = || "stk_new".to_owned();
        let patched = patch(kind, &stored, &change, Manner::default(), &mint);
        let patched = patched.map_err(|problems| {
            problems
                .into_iter()
                .map(|problem| problem.field)
                .collect::<Vec<_>>()
        })?;
        let secret = |(name, secret): &(String, Secret)| (name.clone(), secret.expose().to_owned());
        let mut dropped: Vec<_> = patched.dropped.into_iter().collect();
        dropped.sort_unstable();
        let secrets = patched.secrets.iter().map(secret).collect();
        Ok((Value::Object(patched.public), secrets, dropped))
    }

    #[test]
    fn fields_are_changed_taken_away_and_kept() {
        let stored = json!({"clientId": "c", "serverUrl": "https://as.example", "clientName": "n"});
        let change =
            json!({"clientId": "d", "serverUrl": "", "clientName": null, "clientSecret": "s"});
        let (public, secrets, dropped) = run(ConnectorType::Oauth, &stored, &change).unwrap();
        assert_eq!(public, json!({"clientId": "d"}));
        assert_eq!(secrets, [("clientSecret".to_owned(), "s".to_owned())]);
        assert!(dropped.is_empty());
        let (public, secrets, dropped) =
            run(ConnectorType::Oauth, &stored, &json!({"clientSecret": ""})).unwrap();
        assert_eq!((public, secrets), (stored, vec![]));
        assert_eq!(dropped, ["clientSecret"]);
    }

    #[test]
    fn stored_keys_are_edited_one_by_one_or_replaced() {
        let stored =
            json!({"values": [{"id": "a", "scope": "read"}, {"id": "b"}], "instructions": "i"});
        let change = json!({
            "toDelete": ["b"],
            "toUpdate": [{"id": "a", "value": "new", "scope": "", "expiresAt": 7}],
            "toAdd": [{"value": "third"}],
        });
        let (public, secrets, dropped) = run(ConnectorType::ApiKey, &stored, &change).unwrap();
        let values = json!([{"id": "a", "expiresAt": 7}, {"id": "stk_new"}]);
        assert_eq!(public, json!({"values": values, "instructions": "i"}));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(secrets, [pair("a", "new"), pair("stk_new", "third")]);
        assert_eq!(dropped, ["b"]);

        let change = json!({"values": [{"value": "only"}]});
        let (public, secrets, dropped) = run(ConnectorType::ApiKey, &stored, &change).unwrap();
        assert_eq!(public["values"], json!([{"id": "stk_new"}]));
        assert_eq!(secrets, [pair("stk_new", "only")]);
        assert_eq!(dropped, ["a", "b"]);
        let user = json!({"subjectType": "user", "toDelete": ["a", "b"]});
        let (public, _, _) = run(ConnectorType::ApiKey, &stored, &user).unwrap();
        assert_eq!(public, json!({"subjectType": "user", "instructions": "i"}));
    }

    #[test]
    fn objects_are_replaced_or_changed_field_by_field() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let stored = map(json!({
            "clientId": "c", "search": {"url": "https://a.example/search", "active": true},
        }));
        let change = map(json!({"search": {"active": false, "description": "d"}}));
        let run = |nested| {
            let manner = Manner {
                incomplete: false,
                nested,
            };
            patch(ConnectorType::Oauth, &stored, &change, manner, &String::new)
        };
        assert_eq!(
            run(true).ok().unwrap().public["search"],
            json!({"url": "https://a.example/search", "active": false, "description": "d"})
        );
        let refused = run(false).err().unwrap();
        assert_eq!(refused[0].field, "data.search.url");
    }

    #[test]
    fn another_type_keeps_only_what_every_type_has() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let stored = map(json!({
            "clientId": "c", "serverUrl": "https://as.example",
            "search": {"url": "https://a.example/search"},
        }));
        let change = map(json!({"values": [{"value": "k"}], "search": {"scheme": "basic"}}));
        let manner = Manner {
            incomplete: false,
            nested: true,
        };
        let mint = || "stk_new".to_owned();
        let converted = convert(ConnectorType::ApiKey, &stored, &change, manner, &mint);
        let converted = converted.ok().unwrap();
        assert_eq!(
            Value::Object(converted.public),
            json!({
                "values": [{"id": "stk_new"}],
                "search": {"url": "https://a.example/search", "scheme": "basic"},
            })
        );
        assert_eq!(converted.secrets[0].1.expose(), "k");
    }

    #[test]
    fn each_wrong_change_is_named() {
        let oauth = json!({"clientId": "c"});
        let keys = json!({"values": [{"id": "a"}]});
        for (kind, stored, change, expected) in [
            (
                ConnectorType::Oauth,
                &oauth,
                json!({"clientId": ""}),
                "data.clientId",
            ),
            (
                ConnectorType::Oauth,
                &oauth,
                json!({"bogus": ""}),
                "data.bogus",
            ),
            (
                ConnectorType::Oauth,
                &oauth,
                json!({"toDelete": []}),
                "data.toDelete",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toDelete": ["z"]}),
                "data.toDelete[0]",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toDelete": "a"}),
                "data.toDelete",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toDelete": ["a"]}),
                "data.values",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toUpdate": [{"id": "z"}]}),
                "data.toUpdate[0].id",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toUpdate": [{}]}),
                "data.toUpdate[0].id",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toUpdate": [{"id": "a", "value": 7}]}),
                "data.toUpdate[0].value",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toAdd": [{}]}),
                "data.toAdd[0].value",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"toAdd": vec![json!({"value": "v"}); 100]}),
                "data.toAdd",
            ),
            (
                ConnectorType::ApiKey,
                &keys,
                json!({"values": [{"value": "v"}], "toDelete": ["a"]}),
                "data.values",
            ),
        ] {
            let refused = run(kind, stored, &change).err().unwrap_or_default();
            assert_eq!(
                refused.first().map(String::as_str),
                Some(expected),
                "{change}"
            );
        }
    }
}
