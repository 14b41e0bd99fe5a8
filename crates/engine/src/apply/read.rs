//! Reading a TOML table by the rows of `schema.rs`.

use grantry_core::Timestamp;
use serde_json::{Map, Value};
use toml::Value as Toml;
use url::Url;

use super::problem::{ApplyProblem, Place, suggestion};
use super::schema::{Field, Shape};

/// Reads one row; what is wrong with it is added to `problems`.
pub struct Reader<'a> {
    /// The row.
    pub place: &'a Place,
    /// What was found so far.
    pub problems: &'a mut Vec<ApplyProblem>,
}

impl Reader<'_> {
    /// The table's fields as JSON, without those that are wrong. `path` is empty or ends with a dot.
    pub fn table(
        &mut self,
        path: &str,
        fields: &[Field],
        table: &toml::Table,
    ) -> Map<String, Value> {
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        for name in table.keys().filter(|name| !known(name)) {
            let message = match name.strip_suffix("_env").filter(|stem| known(stem)) {
                Some(_) => "names an environment variable and was not resolved".to_owned(),
                None => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                    let hint = suggestion(name, names.iter().copied());
                    format!("is not a known field; known are {}{hint}", names.join(", "))
                }
            };
            self.problem(format!("{path}{name}"), message);
        }
        let mut read = Map::new();
        for field in fields {
            let path = format!("{path}{}", field.name);
            match table.get(field.name) {
                Some(value) => {
                    if let Some(value) = self.value(&path, &field.shape, value) {
                        read.insert(field.name.to_owned(), value);
                    }
                }
                None if field.required => {
                    self.problem(path, format!("is required: {}", field.shape.expected()));
                }
                None => {}
            }
        }
        read
    }

    fn value(&mut self, path: &str, shape: &Shape, value: &Toml) -> Option<Value> {
        match (shape, value) {
            (Shape::Object(fields), Toml::Table(table)) => Some(Value::Object(self.table(
                &format!("{path}."),
                fields,
                table,
            ))),
            (Shape::List(shape), Toml::Array(items)) => Some(Value::Array(
                items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| {
                        self.value(&format!("{path}[{index}]"), shape, item)
                    })
                    .collect(),
            )),
            (Shape::Map(shape), Toml::Table(table)) => {
                let values = table.iter().filter_map(|(name, item)| {
                    let item = self.value(&format!("{path}.{name}"), shape, item)?;
                    Some((name.clone(), item))
                });
                Some(Value::Object(values.collect()))
            }
            (Shape::Free, Toml::Table(_)) | (Shape::Json, _) => self.json(path, value),
            (Shape::Truth, Toml::Boolean(truth)) => Some((*truth).into()),
            (Shape::Instant, Toml::Datetime(instant)) if fits(shape, &instant.to_string()) => {
                Some(instant.to_string().into())
            }
            (Shape::Seconds, Toml::Integer(seconds)) if *seconds >= 0 => Some((*seconds).into()),
            (shape, Toml::String(text)) if is_text(shape) => {
                if fits(shape, text) {
                    return Some(text.as_str().into());
                }
                // Words are no secrets; everything else could be one in the wrong place.
                let given = match shape {
                    Shape::OneOf(words) => {
                        let hint = suggestion(text, words.iter().copied());
                        format!(", not {text:?}{hint}")
                    }
                    _ => String::new(),
                };
                self.problem(path, format!("must be {}{given}", shape.expected()));
                None
            }
            (Shape::Seconds, Toml::Integer(_)) | (Shape::Instant, Toml::Datetime(_)) => {
                self.problem(path, format!("must be {}", shape.expected()));
                None
            }
            (shape, other) => {
                let (expected, given) = (shape.expected(), other.type_str());
                let article = if matches!(given, "array" | "integer") {
                    "an"
                } else {
                    "a"
                };
                self.problem(path, format!("must be {expected}, not {article} {given}"));
                None
            }
        }
    }

    fn json(&mut self, path: &str, value: &Toml) -> Option<Value> {
        match value {
            Toml::String(text) => Some(text.as_str().into()),
            Toml::Integer(number) => Some((*number).into()),
            Toml::Boolean(truth) => Some((*truth).into()),
            Toml::Float(number) if number.is_finite() => Some((*number).into()),
            Toml::Array(items) => {
                self.value(path, &Shape::List(&Shape::Json), value)
                    .filter(|read| {
                        read.as_array()
                            .is_some_and(|read| read.len() == items.len())
                    })
            }
            Toml::Table(_) => self.value(path, &Shape::Map(&Shape::Json), value),
            Toml::Float(_) | Toml::Datetime(_) => {
                self.problem(path, format!("must be {}", Shape::Json.expected()));
                None
            }
        }
    }

    fn problem(&mut self, field: impl Into<String>, message: String) {
        self.problems.push(self.place.problem(field, message));
    }
}

const fn is_text(shape: &Shape) -> bool {
    !matches!(
        shape,
        Shape::Seconds
            | Shape::Truth
            | Shape::List(_)
            | Shape::Map(_)
            | Shape::Object(_)
            | Shape::Free
    )
}

/// Whether `text` is what a shape of text takes.
pub fn fits(shape: &Shape, text: &str) -> bool {
    let visible = |max: usize| {
        (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match shape {
        Shape::Id => visible(256) && !text.contains(['/', '?', '#', '%']),
        Shape::Slug => {
            (1..=64).contains(&text.len())
                && text.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || matches!(byte, b'-' | b'_')
                })
        }
        Shape::Text(max) => text.len() <= *max && !text.contains(char::is_control),
        Shape::Name(max) => !text.trim().is_empty() && fits(&Shape::Text(*max), text),
        Shape::Email => {
            visible(320)
                && text.split_once('@').is_some_and(|(name, host)| {
                    !name.is_empty() && !host.is_empty() && !host.contains('@')
                })
        }
        Shape::Token(max) => visible(*max),
        Shape::Origin => web_url(text).is_some_and(|url| {
            url.path() == "/" && url.query().is_none() && url.fragment().is_none()
        }),
        Shape::Url => web_url(text).is_some(),
        // A variable may be the whole host; any letter will do to see the rest.
        Shape::Template => web_url(&text.replace(['{', '}'], "")).is_some(),
        Shape::OneOf(words) => words.contains(&text),
        Shape::Value(max) => (1..=*max).contains(&text.len()),
        Shape::Instant => Timestamp::from_rfc3339(text).is_some(),
        Shape::Json => true,
        Shape::Seconds
        | Shape::Truth
        | Shape::List(_)
        | Shape::Map(_)
        | Shape::Object(_)
        | Shape::Free => false,
    }
}

fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}
