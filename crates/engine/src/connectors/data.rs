//! What the `data` of each connector type may hold: one row per field (reference/vercel-connect §5),
//! and one check that reads the rows.

use grantry_core::limits::CONNECTOR_VALUES_MAX;
use grantry_core::nouns::ConnectorType;
use grantry_core::{Problem, Secret};
use serde_json::{Map, Value};
use url::Url;

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
    /// List of text.
    Texts(usize),
    /// Object whose values are text.
    TextMap(usize),
    /// Object that another part of the engine checks, or that is only kept.
    Free,
    /// The values of an `api-key` connector.
    Values,
    /// Nothing: the field is the dialect's, and taking it in without acting on it would be a lie.
    NotOffered,
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

const OAUTH: &[Field] = &[
    field("serverUrl", Shape::Url),
    field("serverConfig", Shape::Free),
    // What the catalogue's endpoints leave open: a shop's name, a tenant.
    field("variables", Shape::TextMap(256)),
    required("clientId", Shape::Text(2048)),
    field("clientName", Shape::Text(256)),
    field("clientSecret", Shape::Secret(8192)),
    field(
        "tokenEndpointAuthMethod",
        Shape::OneOf(&["client_secret_post", "client_secret_basic", "none"]),
    ),
    field("responseType", Shape::OneOf(&["code"])),
    // Satisfied either way: every authorization request carries an S256 challenge.
    field("pkceRequired", Shape::Bool),
    field("codeChallengeMethod", Shape::OneOf(&["S256"])),
    field("userAuthorization", Shape::Object(GRANT)),
    field(
        "refreshTokens",
        Shape::Object(&[required("enabled", Shape::Bool)]),
    ),
    field("clientCredentials", Shape::Object(GRANT)),
    field("jwtBearer", Shape::NotOffered),
    field("forwardedClaims", Shape::NotOffered),
    field("defaultAudience", Shape::Text(2048)),
    field("defaultTokenExpiresIn", Shape::Integer(60)),
    field("authorizationUrlParams", Shape::TextMap(2048)),
    SEARCHED,
];

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

const GRANT: &[Field] = &[
    required("enabled", Shape::Bool),
    field("scopes", Shape::Texts(256)),
];

const API_KEY: &[Field] = &[
    field("subjectType", Shape::OneOf(&["app", "user"])),
    field("values", Shape::Values),
    field("serviceUrls", Shape::Urls),
    field("instructions", Shape::Markdown(8192)),
    SEARCHED,
];

/// Nothing that would be taken in without being acted on.
const CUSTOM: &[Field] = &[SEARCHED];

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
        mint_value_id,
    };
    let public = check.object("data", rows, data);
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
        ConnectorType::Oauth => OAUTH,
        ConnectorType::ApiKey => API_KEY,
        ConnectorType::Custom => CUSTOM,
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
    mint_value_id: &'a dyn Fn() -> String,
}

impl Check<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
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
                let offered = rows
                    .iter()
                    .filter(|row| !matches!(row.shape, Shape::NotOffered));
                let known: Vec<&str> = offered.map(|row| row.name).collect();
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
                None if row.required && !may_lack => self.problem(&path, "is required"),
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
            (Shape::Text(_) | Shape::Markdown(_) | Shape::Secret(_), _) => {
                "must be a string".to_owned()
            }
            (Shape::Url, Value::String(text)) if is_web_url(text) => return Some(value.clone()),
            (Shape::Url, _) => {
                "must be an absolute http(s) URL without user name or password".to_owned()
            }
            (Shape::BareUrl, Value::String(text)) if is_bare(text) => return Some(value.clone()),
            (Shape::BareUrl, _) => {
                "must be an absolute http(s) URL without user name, query and fragment".to_owned()
            }
            (Shape::Urls, Value::Array(items))
                if items
                    .iter()
                    .all(|item| item.as_str().is_some_and(is_web_url)) =>
            {
                return Some(value.clone());
            }
            (Shape::Urls, _) => "must be a list of absolute http(s) URLs".to_owned(),
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
            (Shape::Texts(max), Value::Array(items))
                if items.iter().all(|item| is_text(item, *max)) =>
            {
                return Some(value.clone());
            }
            (Shape::Texts(max), _) => format!("must be a list of strings of at most {max} bytes"),
            (Shape::TextMap(max), Value::Object(object))
                if object.values().all(|item| is_text(item, *max)) =>
            {
                return Some(value.clone());
            }
            (Shape::TextMap(max), _) => {
                format!("must be an object whose values are strings of at most {max} bytes")
            }
            (Shape::Free, Value::Object(_)) => return Some(value.clone()),
            (Shape::Object(_) | Shape::Free, _) => "must be an object".to_owned(),
            (Shape::Values, Value::Array(items)) if items.len() <= CONNECTOR_VALUES_MAX => {
                return Some(self.values(path, items));
            }
            (Shape::NotOffered, _) => "is not offered by this version".to_owned(),
            (Shape::Values, _) => {
                format!("must be a list of at most {CONNECTOR_VALUES_MAX} objects with a value")
            }
        };
        self.problem(path, complaint);
        None
    }

    /// Each value becomes a secret under an id of its own; scope and expiry stay in the clear.
    fn values(&mut self, path: &str, items: &[Value]) -> Value {
        const ROWS: &[Field] = &[
            required("value", Shape::Secret(64 * 1024)),
            field("scope", Shape::Text(256)),
            field("expiresAt", Shape::Integer(0)),
        ];
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Value::Object(object) = item else {
                self.problem(&path, "must be an object with a value");
                continue;
            };
            let secrets_before = self.secrets.len();
            let mut public = self.object(&path, ROWS, object);
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

fn text_complaint(text: &str, max: usize, line_breaks: bool) -> Option<String> {
    let unwanted = |c: char| c.is_control() && !(line_breaks && matches!(c, '\n' | '\r' | '\t'));
    if text.len() > max {
        Some(format!("is longer than {max} bytes"))
    } else if text.chars().any(unwanted) {
        Some("must not contain control characters".to_owned())
    } else {
        None
    }
}

fn is_text(value: &Value, max: usize) -> bool {
    value
        .as_str()
        .is_some_and(|text| text_complaint(text, max, false).is_none())
}

/// Absolute, http or https, with a host and without user name or password.
fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn is_bare(text: &str) -> bool {
    is_web_url(text)
        && Url::parse(text).is_ok_and(|url| url.query().is_none() && url.fragment().is_none())
}

mod patch;

pub use patch::{Manner, Patched, convert, patch};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(kind: ConnectorType, data: Value) -> Result<Checked, Vec<String>> {
        let Value::Object(data) = data else {
            panic!("object")
        };
        check(kind, &data, false, &|| "stk_1".to_owned())
            .map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
    }

    #[test]
    fn secrets_are_taken_out_of_what_is_stored_in_the_clear() {
        let checked = run(
            ConnectorType::Oauth,
            json!({"clientId": "c", "clientSecret": "s"}),
        )
        .ok()
        .unwrap();
        assert_eq!(Value::Object(checked.public), json!({"clientId": "c"}));
        let secrets: Vec<_> = checked
            .secrets
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.expose()))
            .collect();
        assert_eq!(secrets, [("clientSecret", "s")]);

        let checked = run(
            ConnectorType::ApiKey,
            json!({"values": [{"value": "k", "scope": "read"}]}),
        )
        .ok()
        .unwrap();
        assert_eq!(
            Value::Object(checked.public),
            json!({"values": [{"scope": "read", "id": "stk_1"}]})
        );
        assert_eq!(checked.secrets[0].0, "stk_1");
        assert_eq!(checked.secrets[0].1.expose(), "k");
    }

    #[test]
    fn each_wrong_field_is_named() {
        let long = "x".repeat(9000);
        let cases = [
            (ConnectorType::Oauth, json!({}), vec!["data.clientId"]),
            (
                ConnectorType::Oauth,
                json!({"clientId": 7, "bogus": 1}),
                vec!["data.bogus", "data.clientId"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "clientSecret": long}),
                vec!["data.clientSecret"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "jwtBearer": {"enabled": true}, "forwardedClaims": {}}),
                vec!["data.jwtBearer", "data.forwardedClaims"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c\u{0}"}),
                vec!["data.clientId"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "serverUrl": "ftp://x"}),
                vec!["data.serverUrl"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "serverUrl": "https://u@x"}),
                vec!["data.serverUrl"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "codeChallengeMethod": "plain"}),
                vec!["data.codeChallengeMethod"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "userAuthorization": {}}),
                vec!["data.userAuthorization.enabled"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "userAuthorization": {"enabled": 1}}),
                vec!["data.userAuthorization.enabled"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "defaultTokenExpiresIn": 59}),
                vec!["data.defaultTokenExpiresIn"],
            ),
            (
                ConnectorType::Oauth,
                json!({"clientId": "c", "authorizationUrlParams": {"a": 1}}),
                vec!["data.authorizationUrlParams"],
            ),
            (ConnectorType::ApiKey, json!({}), vec!["data.values"]),
            (
                ConnectorType::ApiKey,
                json!({"values": []}),
                vec!["data.values"],
            ),
            (
                ConnectorType::ApiKey,
                json!({"values": [{}]}),
                vec!["data.values[0].value"],
            ),
            (
                ConnectorType::ApiKey,
                json!({"values": "k"}),
                vec!["data.values"],
            ),
        ];
        for (kind, data, expected) in cases {
            assert_eq!(run(kind, data.clone()).err().unwrap(), expected, "{data}");
        }
    }

    #[test]
    fn only_an_oauth_client_may_lack_anything() {
        let run = |kind, data: Value| {
            let data = data.as_object().unwrap();
            let checked = check(kind, data, true, &|| "stk_1".to_owned());
            let problems = checked.err().unwrap_or_default();
            problems.into_iter().map(|problem| problem.field).next()
        };
        for (kind, data, lacks) in [
            (ConnectorType::Oauth, json!({}), None),
            (
                ConnectorType::Oauth,
                json!({"search": {"description": "d"}}),
                Some("data.search.url"),
            ),
            (
                ConnectorType::Oauth,
                json!({"userAuthorization": {}}),
                Some("data.userAuthorization.enabled"),
            ),
            (ConnectorType::ApiKey, json!({}), Some("data.values")),
            (
                ConnectorType::ApiKey,
                json!({"values": [{"value": ""}]}),
                Some("data.values[0].value"),
            ),
            (
                ConnectorType::Custom,
                json!({"search": {"url": ""}}),
                Some("data.search.url"),
            ),
        ] {
            assert_eq!(run(kind, data.clone()).as_deref(), lacks, "{data}");
        }
    }

    #[test]
    fn an_empty_string_is_absence() {
        let checked = run(
            ConnectorType::Oauth,
            json!({"clientId": "c", "clientSecret": "", "serverUrl": ""}),
        )
        .ok()
        .unwrap();
        assert_eq!(Value::Object(checked.public), json!({"clientId": "c"}));
        assert!(checked.secrets.is_empty());
    }
}
