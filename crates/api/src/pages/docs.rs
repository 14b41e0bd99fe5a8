//! The reference of the native API for people, made from the OpenAPI document, and so from the route table.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use url::form_urlencoded;

use super::answer::rendered;
use super::look::Look;
use crate::App;
use crate::kit::made::Made;
use crate::kit::openapi::document;
use crate::native::examples::{self, Example};

/// The page.
#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    look: Look,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// Operations on one noun.
struct Group {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    verb: String,
    path: String,
    about: String,
    access: String,
    parameters: Vec<Row>,
    body: Vec<Row>,
    answers: Vec<Answer>,
    examples: Vec<Shown>,
}

/// A request as it is sent, and its answer.
struct Shown {
    about: &'static str,
    by: &'static str,
    request: String,
    body: Option<String>,
    status: u16,
    answer: Option<String>,
}

struct Row {
    name: String,
    kind: String,
    required: bool,
    about: String,
}

struct Answer {
    status: String,
    about: String,
    schema: Option<String>,
}

struct Schema {
    name: String,
    about: String,
    variants: Vec<Variant>,
}

/// One of the forms that an answer can have.
struct Variant {
    about: String,
    rows: Vec<Row>,
}

/// `GET /docs`.
pub(super) async fn show(State(app): State<App>) -> Response {
    static MADE: Made = Made::new();
    let made = MADE.of(app.engine.settings().url(""), |url| {
        // The document is plain data of ours: it always can be written as JSON.
        let document = serde_json::to_value(document(url));
        let docs = Docs::of(&document.unwrap_or_default());
        rendered(StatusCode::OK, &docs.look, "'none'", None, &docs)
    });
    made.await
}

impl Docs {
    fn of(document: &Value) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (path, item) in entries(&document["paths"]) {
            let Some(name) = group(path) else { continue };
            for (verb, operation) in entries(item) {
                let operation = Operation::of(path, verb, operation);
                match groups.iter_mut().find(|group| group.name == name) {
                    Some(group) => group.operations.push(operation),
                    None => groups.push(Group {
                        name: name.to_owned(),
                        operations: vec![operation],
                    }),
                }
            }
        }
        let schemas = entries(&document["components"]["schemas"])
            .filter(|(name, _)| !name.starts_with("Vercel") && !name.starts_with("Sequin"))
            .map(|(name, schema)| Schema::of(name, schema))
            .collect();
        Self {
            look: Look::reference(),
            groups,
            schemas,
        }
    }
}

/// The noun of a path; `None` for a path of a dialect.
fn group(path: &str) -> Option<&str> {
    match path.strip_prefix("/api/v1/") {
        Some("openapi.json" | "apply") => Some("server"),
        Some(rest) => rest.split('/').next(),
        None if ["/healthz", "/readyz"].contains(&path) => Some("server"),
        None => None,
    }
}

impl Operation {
    fn of(path: &str, verb: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array();
        let content = operation["requestBody"]["content"].as_object();
        let body = content.and_then(|content| content.iter().next());
        let id = text(&operation["operationId"]);
        Self {
            examples: examples::of(&id)
                .map(|example| Shown::of(path, verb, example))
                .collect(),
            id,
            verb: verb.to_uppercase(),
            path: path.to_owned(),
            about: marked(&operation["summary"]),
            access: marked(&operation["description"]),
            parameters: parameters
                .into_iter()
                .flatten()
                .map(Row::parameter)
                .collect(),
            body: body
                .map(|(media_type, body)| Row::body(media_type, &body["schema"]))
                .unwrap_or_default(),
            answers: entries(&operation["responses"])
                .map(|(status, answer)| Answer::of(status, answer))
                .collect(),
        }
    }
}

impl Shown {
    fn of(path: &str, verb: &str, example: &'static Example) -> Self {
        let escaped = |value: &Value| {
            let plain = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let escaped: String = form_urlencoded::byte_serialize(plain.as_bytes()).collect();
            escaped.replace('+', "%20")
        };
        let mut request = format!("{} {path}", verb.to_uppercase());
        for (name, value) in &example.path {
            request = request.replace(&format!("{{{name}}}"), &escaped(value));
        }
        for (at, (name, value)) in example.query.iter().enumerate() {
            let sign = if at == 0 { '?' } else { '&' };
            request.push_str(&format!("{sign}{name}={}", escaped(value)));
        }
        let shown = |value: &Value| match value {
            Value::String(text) => text.trim_end().to_owned(),
            other => format!("{other:#}"),
        };
        Self {
            about: &example.about,
            by: example.by.about(),
            request,
            body: example.body.as_ref().map(shown),
            status: example.status,
            answer: example.answer.as_ref().map(shown),
        }
    }
}

impl Row {
    fn parameter(parameter: &Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            kind: format!(
                "{}, in {}",
                kind(&parameter["schema"]),
                text(&parameter["in"])
            ),
            required: parameter["required"] == true,
            about: marked(&parameter["description"]),
        }
    }

    fn body(media_type: &str, schema: &Value) -> Vec<Self> {
        if schema["type"] == "object" {
            return Self::properties(schema);
        }
        vec![Self {
            name: media_type.to_owned(),
            kind: kind(schema),
            required: true,
            about: String::new(),
        }]
    }

    fn properties(schema: &Value) -> Vec<Self> {
        let required = schema["required"].as_array();
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let row = |(name, property): (&str, &Value)| Self {
            name: name.to_owned(),
            kind: kind(property),
            required: is_required(name),
            about: marked(&property["description"]),
        };
        entries(&schema["properties"]).map(row).collect()
    }
}

impl Answer {
    fn of(status: &str, answer: &Value) -> Self {
        let content = answer["content"].as_object();
        let body = content.and_then(|content| content.values().next());
        Self {
            status: status.to_owned(),
            about: marked(&answer["description"]),
            schema: body.and_then(|body| referred(&body["schema"])),
        }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        let variants = ["oneOf", "allOf"]
            .into_iter()
            .find_map(|several| schema[several].as_array());
        let variant = |schema: &Value| Variant {
            about: match referred(schema) {
                Some(name) => format!("All of {name}, and:"),
                None => marked(&schema["description"]),
            },
            rows: Row::properties(schema),
        };
        Self {
            name: name.to_owned(),
            about: marked(&schema["description"]),
            variants: match variants {
                Some(variants) => variants.iter().map(variant).collect(),
                None if schema["properties"].is_object() => vec![Variant {
                    about: String::new(),
                    rows: Row::properties(schema),
                }],
                None => vec![Variant {
                    about: kind(schema),
                    rows: vec![],
                }],
            },
        }
    }
}

/// What a schema holds, in a word or a few.
fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return name;
    }
    let several = |all: &Vec<Value>| all.iter().map(kind).collect::<Vec<_>>().join(" or ");
    if let Some(all) = schema["oneOf"].as_array() {
        return several(all);
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return words.join(" | ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any value"],
    };
    let named = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        name => name.to_owned(),
    };
    types
        .into_iter()
        .map(named)
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The name of the schema that this one refers to.
fn referred(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(name.to_owned())
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}

/// A text for people as HTML, what stands between backticks as code.
fn marked(value: &Value) -> String {
    let parts = value.as_str().unwrap_or_default().split('`').enumerate();
    let html = parts.map(|(at, part)| {
        let part = part
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        match at % 2 {
            0 => part,
            _ => format!("<code>{part}</code>"),
        }
    });
    html.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::dialect::Dialect;
    use crate::kit::openapi::documented;

    #[test]
    fn every_native_operation_is_on_the_page_and_every_link_leads_somewhere() {
        let document = serde_json::to_value(document("http://127.0.0.1:8787")).unwrap();
        let html = Docs::of(&document).render().unwrap();
        let native = documented().filter(|route| route.dialect() == Dialect::Native);
        for route in native {
            let anchor = format!("<article id=\"{}\">", route.operation);
            assert_eq!(html.matches(&anchor).count(), 1, "{}", route.operation);
        }
        let example = "GET /api/v1/connectors/api-key%2Fmaps";
        assert!(html.contains(example), "an example's request line");
        let links = html.split("href=\"#").skip(1);
        for link in links.filter_map(|rest| rest.split('"').next()) {
            assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
        }
        for foreign in ["http-equiv", "<script", "src=", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}
