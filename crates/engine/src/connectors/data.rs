//! What the `data` of each connector type may hold: one row per field (reference/vercel-connect §5),
//! and one check that reads the rows.

mod asked;
mod aws;
mod github;
mod keys;
mod linear;
mod microsoft;
mod oauth;
mod patch;
mod salesforce;
mod schema;
mod server_config;
mod shapes;
mod slack;
mod snowflake;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use grantry_core::limits::{CONNECTOR_OBJECT_BYTES_MAX, CONNECTOR_VALUES_MAX, ITEMS_MAX};
use grantry_core::nouns::ConnectorType;
use grantry_core::{Problem, Secret};
use grantry_vault::jws::SigningAlgorithm;
use serde_json::{Map, Value};

pub use asked::{AskedField, asked_fields};
use shapes::{is_bare, is_phone, is_text, private_key, text_words};
pub use shapes::{is_web_url, text_complaint, url_words};

pub use patch::{Manner, Patched, convert, patch};
pub use schema::{schema, sealed_fields};

/// One field of a type's `data`.
struct Field {
    name: &'static str,
    shape: Shape,
    required: bool,
}

/// What a field may hold.
enum Shape {
    /// Text of 1 to so many bytes, without control characters; empty means absent.
    Text(usize),
    /// The same, with line breaks.
    Markdown(usize),
    /// Text that is sealed and never given back.
    Secret(usize),
    /// The same: a private key of this algorithm, in PEM form.
    Pem(SigningAlgorithm),
    /// Text of a form.
    Formed(&'static Form),
    /// A list of phone numbers (E.164).
    Phones,
    /// An absolute http or https URL without user name.
    Url,
    /// A list of such URLs.
    Urls,
    /// Such a URL without query and fragment.
    BareUrl,
    Bool,
    /// Whole number from so many.
    Integer(i64),
    OneOf(&'static [&'static str]),
    /// Object with these fields only.
    Object(&'static [Field]),
    /// A list of so many of them at most.
    Objects(&'static [Field], usize),
    /// List of text.
    Texts(usize),
    /// Object whose values are text.
    TextMap(usize),
    /// Object that another part of the engine checks, or that is only kept.
    Free,
    /// What is known of an authorization server.
    ServerConfig,
    /// The values of an `api-key` connector.
    Values,
}

/// What a text has to look like.
struct Form {
    /// It matches this as a whole.
    pattern: &'static str,
    /// Bytes at most.
    max: usize,
    /// The same for people: `must be …`.
    words: &'static str,
}

const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: false,
    }
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: true,
    }
}

/// What the caller wants to keep beside it, in the clear.
const EXTRAS: Field = field("extras", Shape::Free);

/// Overrides of what is known of its authorization server, for types that have one.
const SERVER_CONFIG: Field = field("serverConfig", Shape::ServerConfig);

/// Types that can be searched have this field: an endpoint that takes `{"query"}` and answers `{"results"}`
/// (reference/cohere-sequin §1.8).
const SEARCHED: Field = field("search", Shape::Object(SEARCH));

const SEARCH: &[Field] = &[
    required("url", Shape::BareUrl),
    field("description", Shape::Markdown(8192)),
    // Fields of its documents that are kept from language models.
    field("excludes", Shape::Texts(256)),
    field("active", Shape::Bool),
    field("continueOnFailure", Shape::Bool),
    // How its credential stands in `Authorization`; `bearer` when absent.
    field("scheme", Shape::OneOf(&["bearer", "basic", "noscheme"])),
];

/// One value of an `api-key` connector.
const VALUE: &[Field] = &[
    required("value", Shape::Secret(64 * 1024)),
    field("scope", Shape::Text(256)),
    field("expiresAt", Shape::Integer(0)),
];

/// A checked `data`, its secrets apart.
pub struct Checked {
    /// What is stored in the clear and given back.
    pub public: Map<String, Value>,
    /// What is sealed, as one JSON object; empty when there is nothing to seal.
    pub secrets: Vec<(String, Secret)>,
}

/// Reads `data` by the rows of `kind`. Every wrong field is a problem, named by its path under `data`; so is a
/// missing one, but for an OAuth client's own, where the connector may be `incomplete`.
pub fn check(
    kind: ConnectorType,
    data: &Map<String, Value>,
    incomplete: bool,
    mint_value_id: &dyn Fn() -> String,
) -> Result<Checked, Vec<Problem>> {
    let rows = rows(kind);
    let mut check = Check {
        problems: Vec::new(),
        secrets: Vec::new(),
        may_lack: may_lack(kind, incomplete),
        kept: HashSet::new(),
        mint_value_id,
    };
    let public = check.object("data", rows, data);
    if !incomplete {
        check.require_client(kind, &public);
    }
    check.require_values(kind, &public);
    if check.problems.is_empty() {
        Ok(Checked {
            public,
            secrets: check.secrets,
        })
    } else {
        Err(check.problems)
    }
}

const fn rows(kind: ConnectorType) -> &'static [Field] {
    match kind {
        ConnectorType::ApiKey => keys::API_KEY,
        ConnectorType::AwsAlpha => aws::AWS,
        ConnectorType::Custom => oauth::CUSTOM,
        ConnectorType::Discord => keys::DISCORD,
        ConnectorType::Github => github::GITHUB,
        ConnectorType::Linear => linear::LINEAR,
        ConnectorType::Linq => keys::LINQ,
        ConnectorType::MicrosoftEntra => microsoft::ENTRA,
        ConnectorType::MicrosoftTeams => microsoft::TEAMS,
        ConnectorType::Oauth => oauth::OAUTH,
        ConnectorType::Photon => keys::PHOTON,
        ConnectorType::Salesforce => salesforce::SALESFORCE,
        ConnectorType::Sendblue => keys::SENDBLUE,
        ConnectorType::Slack => slack::SLACK,
        ConnectorType::Snowflake => snowflake::SNOWFLAKE,
        ConnectorType::SnowflakeWif => snowflake::SNOWFLAKE_WIF,
    }
}

/// Where fields may be missing: an OAuth client may be filled in step by step. Whatever is said of anything else
/// (a key, a search, a grant) is said whole.
fn may_lack(kind: ConnectorType, incomplete: bool) -> Option<&'static str> {
    (incomplete && kind == ConnectorType::Oauth).then_some("data")
}

struct Check<'a> {
    problems: Vec<Problem>,
    secrets: Vec<(String, Secret)>,
    /// The object that may lack required fields.
    may_lack: Option<&'static str>,
    /// Required secrets that are stored already.
    kept: HashSet<&'static str>,
    mint_value_id: &'a dyn Fn() -> String,
}

impl Check<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// What is of an OAuth client has a client id beside it, unless a server is named that may give it one.
    fn require_client(&mut self, kind: ConnectorType, public: &Map<String, Value>) {
        let told = |problem: &Problem| {
            ["data.clientId", "data.serverUrl"].contains(&problem.field.as_str())
        };
        if kind == ConnectorType::Oauth
            && self.may_lack.is_none()
            && !["clientId", "serverUrl"]
                .iter()
                .any(|name| public.contains_key(*name))
            && !self.problems.iter().any(told)
        {
            self.problem(
                "data.clientId",
                "is required, unless serverUrl names a server that registers clients by itself",
            );
        }
        let client = public.keys().find(|name| oauth::is_of_a_client(name));
        if let (ConnectorType::Custom, Some(field), false) =
            (kind, client, public.contains_key("clientId"))
        {
            let message = format!("is required: {field} is of an OAuth client");
            self.problem("data.clientId", message);
        }
    }

    /// A connector that hands stored keys out has one at least.
    fn require_values(&mut self, kind: ConnectorType, public: &Map<String, Value>) {
        let hands_out = public
            .get("subjectType")
            .is_none_or(|subject| subject == "app");
        let values = public.get("values").and_then(Value::as_array);
        let none = values.is_none_or(Vec::is_empty);
        if kind == ConnectorType::ApiKey && hands_out && none && self.problems.is_empty() {
            self.problem(
                "data.values",
                "is required: at least one {\"value\": …}, unless subjectType is \"user\"",
            );
        }
    }

    fn object(
        &mut self,
        path: &str,
        rows: &[Field],
        object: &Map<String, Value>,
    ) -> Map<String, Value> {
        for name in object.keys() {
            if !rows.iter().any(|row| row.name == name) {
                let known: Vec<&str> = rows.iter().map(|row| row.name).collect();
                self.problem(
                    &format!("{path}.{name}"),
                    format!("is not a known field; known are {}", known.join(", ")),
                );
            }
        }
        let may_lack = self.may_lack == Some(path);
        let mut out = Map::new();
        for row in rows {
            let path = format!("{path}.{}", row.name);
            // An empty string clears a field on the wire, so it is absence everywhere.
            match object
                .get(row.name)
                .filter(|value| !value.is_null() && *value != "")
            {
                Some(value) => {
                    if let Some(kept) = self.value(&path, row, value) {
                        out.insert(row.name.to_owned(), kept);
                    }
                }
                None if row.required && !may_lack && !self.kept.contains(row.name) => {
                    self.problem(&path, "is required");
                }
                None => {}
            }
        }
        out
    }

    /// What to store in the clear for `value`; `None` for a secret or a wrong value.
    fn value(&mut self, path: &str, row: &Field, value: &Value) -> Option<Value> {
        let complaint = match (&row.shape, value) {
            (Shape::Text(max), Value::String(text)) => match text_complaint(text, *max, false) {
                None => return Some(value.clone()),
                Some(complaint) => complaint,
            },
            (Shape::Markdown(max), Value::String(text)) => match text_complaint(text, *max, true) {
                None => return Some(value.clone()),
                Some(complaint) => complaint,
            },
            (Shape::Secret(max), Value::String(text)) => match text_complaint(text, *max, false) {
                None => {
                    self.secrets
                        .push((row.name.to_owned(), Secret::new(text.as_str())));
                    return None;
                }
                Some(complaint) => complaint,
            },
            (Shape::Pem(algorithm), Value::String(text)) => match private_key(text, *algorithm) {
                Ok(pem) => {
                    self.secrets.push((row.name.to_owned(), pem));
                    return None;
                }
                Err(complaint) => complaint,
            },
            (Shape::Formed(form), Value::String(text)) if form.takes(text) => {
                return Some(value.clone());
            }
            (Shape::Formed(form), _) => format!("must be {}", form.words),
            (Shape::Phones, Value::Array(items)) => {
                let what = "a phone number in E.164 form, such as +14155550100";
                return self.list(path, items, what, is_phone);
            }
            (Shape::Phones, _) => "must be a list of phone numbers".to_owned(),
            (Shape::Objects(rows, max), Value::Array(items)) if items.len() <= *max => {
                return Some(self.objects(path, rows, items));
            }
            (Shape::Objects(_, max), _) => format!("must be a list of at most {max} objects"),
            (Shape::Text(_) | Shape::Markdown(_) | Shape::Secret(_) | Shape::Pem(_), _) => {
                "must be a string".to_owned()
            }
            (Shape::Url, Value::String(text)) if is_web_url(text) => return Some(value.clone()),
            (Shape::Url, _) => format!("must be {}", url_words()),
            (Shape::BareUrl, Value::String(text)) if is_bare(text) => return Some(value.clone()),
            (Shape::BareUrl, _) => format!("must be {}, query and fragment", url_words()),
            (Shape::Urls, Value::Array(items)) => {
                let good = |item: &Value| item.as_str().is_some_and(is_web_url);
                return self.list(path, items, &url_words(), good);
            }
            (Shape::Urls, _) => "must be a list of URLs".to_owned(),
            (Shape::Bool, Value::Bool(_)) => return Some(value.clone()),
            (Shape::Bool, _) => "must be true or false".to_owned(),
            (Shape::Integer(min), _) if value.as_i64().is_some_and(|number| number >= *min) => {
                return Some(value.clone());
            }
            (Shape::Integer(min), _) => format!("must be a whole number of at least {min}"),
            (Shape::OneOf(words), Value::String(text)) if words.contains(&text.as_str()) => {
                return Some(value.clone());
            }
            (Shape::OneOf(words), _) => format!("must be one of {}", words.join(", ")),
            (Shape::Object(rows), Value::Object(object)) => {
                return Some(Value::Object(self.object(path, rows, object)));
            }
            (Shape::Texts(max), Value::Array(items)) => {
                return self.list(path, items, &text_words(*max), |item| is_text(item, *max));
            }
            (Shape::Texts(_), _) => "must be a list of strings".to_owned(),
            (Shape::TextMap(max), Value::Object(object)) => {
                return self.texts_by_name(path, object, *max);
            }
            (Shape::TextMap(_), _) => "must be an object whose values are strings".to_owned(),
            (Shape::Free, Value::Object(_)) => {
                if value.to_string().len() <= CONNECTOR_OBJECT_BYTES_MAX {
                    return Some(value.clone());
                }
                format!("is longer than {CONNECTOR_OBJECT_BYTES_MAX} bytes as JSON")
            }
            (Shape::ServerConfig, Value::Object(config)) => {
                if value.to_string().len() <= CONNECTOR_OBJECT_BYTES_MAX {
                    return Some(self.server_config(path, config));
                }
                format!("is longer than {CONNECTOR_OBJECT_BYTES_MAX} bytes as JSON")
            }
            (Shape::Object(_) | Shape::Free | Shape::ServerConfig, _) => {
                "must be an object".to_owned()
            }
            (Shape::Values, Value::Array(items)) if items.len() <= CONNECTOR_VALUES_MAX => {
                return Some(self.values(path, items));
            }
            (Shape::Values, _) => {
                format!("must be a list of at most {CONNECTOR_VALUES_MAX} objects with a value")
            }
        };
        self.problem(path, complaint);
        None
    }

    /// A list of what is `good`; each item that is none is named by its place.
    fn list(
        &mut self,
        path: &str,
        items: &[Value],
        what: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        if items.len() > ITEMS_MAX {
            self.problem(path, format!("must have at most {ITEMS_MAX} items"));
            return None;
        }
        let wrong: Vec<usize> = (0..items.len()).filter(|at| !good(&items[*at])).collect();
        for at in &wrong {
            self.problem(&format!("{path}[{at}]"), format!("must be {what}"));
        }
        wrong.is_empty().then(|| Value::Array(items.to_vec()))
    }

    /// An object of texts; names are held to what values are held to.
    fn texts_by_name(
        &mut self,
        path: &str,
        object: &Map<String, Value>,
        max: usize,
    ) -> Option<Value> {
        let before = self.problems.len();
        if object.len() > ITEMS_MAX {
            self.problem(path, format!("must have at most {ITEMS_MAX} members"));
        } else if let Some(complaint) = object
            .keys()
            .find_map(|name| text_complaint(name, max, false))
        {
            self.problem(path, format!("has a name that {complaint}"));
        } else {
            for (name, _) in object.iter().filter(|(_, value)| !is_text(value, max)) {
                let message = format!("must be {}", text_words(max));
                self.problem(&format!("{path}.{name}"), message);
            }
        }
        (self.problems.len() == before).then(|| Value::Object(object.clone()))
    }

    fn objects(&mut self, path: &str, rows: &[Field], items: &[Value]) -> Value {
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                Value::Object(object) => out.push(self.object(&path, rows, object).into()),
                _ => self.problem(&path, "must be an object"),
            }
        }
        Value::Array(out)
    }

    /// Each value becomes a secret under an id of its own; scope and expiry stay in the clear.
    fn values(&mut self, path: &str, items: &[Value]) -> Value {
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Value::Object(object) = item else {
                self.problem(&path, "must be an object with a value");
                continue;
            };
            let secrets_before = self.secrets.len();
            let mut public = self.object(&path, VALUE, object);
            if let Some((name, _)) = self.secrets.get_mut(secrets_before) {
                let id = (self.mint_value_id)();
                name.clone_from(&id);
                public.insert("id".to_owned(), Value::String(id));
            }
            out.push(Value::Object(public));
        }
        Value::Array(out)
    }
}
