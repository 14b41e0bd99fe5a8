//! Every field of every connector type, missing, wrong, too long and hostile: refused by code and name in each dialect
//! that takes `data` as it is, and nothing stored. Made from the published schemas, so that a new field is tried the day
//! it is written; `data/tests.rs` in the engine has that what is right is taken.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use grantry_core::limits::CONNECTOR_OBJECT_BYTES_MAX;
use grantry_core::nouns::ConnectorType;
use grantry_engine::input_schema;
use serde_json::{Map, Value, json};

use crate::types::{PEM, kinds};
use crate::world::World;
use crate::world::browser::{Page, send};

/// In all that is wrong and could be a secret: no answer repeats it.
const MARK: &str = "never-shown";

/// One thing that is wrong with a type's `data`.
struct Case {
    /// What has to be named.
    path: String,
    data: Map<String, Value>,
    /// A change that does not mention a field leaves it as it was.
    left_out: bool,
}

/// What a schema takes.
fn good(schema: &Value) -> Value {
    let word = |name: &str| schema[name].as_str().unwrap_or_default();
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    match (word("type"), word("format"), word("pattern")) {
        ("string", "uri", _) => json!("https://x.example/"),
        ("string", "pem", _) => json!(PEM),
        ("string", _, pattern) if pattern.starts_with("^\\+") => json!("+14155550100"),
        ("string", ..) => json!("x"),
        ("boolean", ..) => json!(true),
        ("integer", ..) => schema["minimum"].clone(),
        ("array", ..) => json!([good(&schema["items"])]),
        ("object", ..) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let names = required.filter_map(Value::as_str);
            let members = names.map(|name| (name.to_owned(), good(&schema["properties"][name])));
            members.collect::<Map<_, _>>().into()
        }
        _ => panic!("what does {schema} take?"),
    }
}

/// What it does not take. Whatever has no bound is found here.
fn bad(path: &str, schema: &Value) -> Vec<Value> {
    let bound = |name: &str| {
        let bound = schema[name].as_u64();
        let bound = bound.unwrap_or_else(|| panic!("{path} has no {name}: {schema}"));
        usize::try_from(bound).unwrap()
    };
    let long = |max: usize| MARK.repeat(max / MARK.len() + 1);
    let has = |name: &str| schema.get(name).is_some();
    match schema["type"].as_str().unwrap() {
        "string" if has("enum") => vec![json!(7), json!(MARK), json!([MARK])],
        "string" => {
            let mut bad = vec![json!(7), json!({"a": MARK})];
            bad.push(json!(format!("{MARK}\0")));
            bad.push(json!(long(bound("maxLength"))));
            if schema["contentMediaType"] != "text/markdown" {
                bad.push(json!(format!("{MARK}\r\nX-Injected: 1")));
            }
            if has("pattern") {
                bad.extend(["../x", "%2e%2e", "x;y", " ", "'--"].map(Value::from));
            }
            match schema["format"].as_str() {
                Some("uri") => bad.extend(
                    [
                        "javascript:alert(1)",
                        "file:///etc/passwd",
                        "//x.example",
                        "https://",
                        "https://x.example/\r\nX-Injected: 1",
                        &format!("https://x.example/{}", long(bound("maxLength"))),
                        &format!("https://u:{MARK}@x.example"),
                    ]
                    .map(Value::from),
                ),
                Some("pem") => {
                    let begin = "-----BEGIN PRIVATE KEY-----\n";
                    bad.push(json!(format!("{begin}{MARK}\n-----END PRIVATE KEY-----")));
                }
                _ => {}
            }
            bad
        }
        "boolean" => vec![json!("true"), json!(1), json!({})],
        "integer" => {
            let least = schema["minimum"].as_i64().unwrap();
            vec![json!(least - 1), json!("7"), json!(1.5), json!(u64::MAX)]
        }
        "array" => {
            let many = vec![good(&schema["items"]); bound("maxItems") + 1];
            vec![json!(MARK), json!({}), json!([[]]), json!(many)]
        }
        "object" if has("properties") => vec![json!(MARK), json!([])],
        "object" if has("additionalProperties") => {
            let of = &schema["additionalProperties"];
            let wrong = bad(path, of).into_iter().map(|value| json!({"a": value}));
            let names = schema["propertyNames"]["maxLength"].as_u64().unwrap();
            let many = (0..=bound("maxProperties")).map(|n| (n.to_string(), good(of)));
            wrong
                .chain([
                    json!(MARK),
                    json!([]),
                    json!({"x".repeat(usize::try_from(names).unwrap() + 1): good(of)}),
                    json!({"a\r\nb": good(of)}),
                    many.collect::<Map<_, _>>().into(),
                ])
                .collect()
        }
        // What is kept as it is has only a size.
        "object" => vec![
            json!(MARK),
            json!([]),
            json!({"a": long(CONNECTOR_OBJECT_BYTES_MAX)}),
        ],
        other => panic!("{path}: {other}"),
    }
}

/// All cases of an object at `path`, `whole` being the data of the type when this is its value there.
fn walk(
    path: &str,
    schema: &Value,
    base: &Map<String, Value>,
    whole: &dyn Fn(Value) -> Map<String, Value>,
    cases: &mut Vec<Case>,
) {
    let mut case = |path: &str, data, left_out| {
        let path = path.to_owned();
        cases.push(Case {
            path,
            data,
            left_out,
        });
    };
    for name in ["__proto__", "constructor"] {
        let mut strange = base.clone();
        strange.insert(name.to_owned(), json!({"a": MARK}));
        case(&format!("{path}.{name}"), whole(strange.into()), false);
    }
    for (name, field) in schema["properties"].as_object().unwrap() {
        let path = format!("{path}.{name}");
        let with = |value: Value| {
            let mut object = base.clone();
            object.insert(name.clone(), value);
            whole(object.into())
        };
        let required = schema["required"].as_array().unwrap();
        if required.contains(&json!(name)) {
            let mut without = base.clone();
            without.remove(name);
            case(&path, whole(without.into()), true);
            case(&path, with(Value::Null), false);
            case(&path, with(json!("")), false);
        }
        for wrong in bad(&path, field) {
            case(&path, with(wrong), false);
        }
    }
    for (name, field) in schema["properties"].as_object().unwrap() {
        let path = format!("{path}.{name}");
        let with = |value: Value| {
            let mut object = base.clone();
            object.insert(name.clone(), value);
            whole(object.into())
        };
        let base_of = |schema: &Value, standing: Option<&Value>| {
            let mut base = good(schema).as_object().cloned().unwrap();
            base.extend(
                standing
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default(),
            );
            base
        };
        let items = &field["items"];
        if field.get("properties").is_some() {
            walk(&path, field, &base_of(field, base.get(name)), &with, cases);
        } else if items.get("properties").is_some() {
            let first = |value: Value| with(json!([value]));
            walk(
                &format!("{path}[0]"),
                items,
                &base_of(items, None),
                &first,
                cases,
            );
        } else if field["type"] == "array" {
            for wrong in bad(&path, items) {
                let data = with(json!([good(items), wrong]));
                let path = format!("{path}[1]");
                cases.push(Case {
                    path,
                    data,
                    left_out: false,
                });
            }
        }
    }
}

fn cases(kind: &str, data: &Value) -> Vec<Case> {
    let kind = ConnectorType::from_word(kind).unwrap();
    let whole = |value: Value| value.as_object().cloned().unwrap();
    let mut cases = Vec::new();
    let base = data.as_object().unwrap();
    walk("data", &input_schema(kind), base, &whole, &mut cases);
    cases
}

/// A server, and what it refused.
struct Refusing {
    world: World,
    router: Router,
    refused: BTreeMap<&'static str, usize>,
}

impl Refusing {
    async fn new() -> Self {
        let world = World::new().await;
        Self {
            router: world.router(),
            world,
            refused: BTreeMap::new(),
        }
    }

    async fn call(&self, route: &str, body: &Value) -> Page {
        let (method, path) = route.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer tok_alice")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        send(&self.router, request.unwrap()).await
    }

    /// What is stored of connectors, and where the feed of changes stands.
    async fn stored(&self) -> (String, i64) {
        let listed = self
            .call("GET /api/v1/connectors?limit=100", &Value::Null)
            .await;
        assert_eq!(listed.status, 200, "{}", listed.body);
        (listed.body, self.world.store.last_change().await.unwrap())
    }

    /// `route` refuses `body` for what is at `path`, in its dialect's shape.
    async fn refuses(&mut self, dialect: &'static str, route: &str, body: &Value, path: &str) {
        let page = self.call(route, body).await;
        let shown = body.to_string();
        let shown: String = shown.chars().take(300).collect();
        let name = format!("{route} {path}: {shown}");
        assert_eq!(page.status, 400, "{name}: {}", page.body);
        let answer: Value = serde_json::from_str(&page.body).unwrap();
        let message = match dialect {
            "native" => {
                assert_eq!(answer["code"], "invalid", "{name}");
                let named = answer["errors"].as_array().unwrap().iter();
                let mut named = named.map(|error| error["field"].as_str().unwrap());
                let below = |field: &str| {
                    let rest = field.strip_prefix(path);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                assert!(named.any(below), "{name}: {answer}");
                answer["detail"].as_str()
            }
            _ => {
                assert_eq!(answer["error"]["code"], "bad_request", "{name}");
                answer["error"]["message"].as_str()
            }
        };
        let message = message.unwrap();
        assert!(message.contains(path), "{name}: {message}");
        assert!(!page.body.contains(MARK), "{name}: {}", page.body);
        *self.refused.entry(dialect).or_default() += 1;
    }

    /// As many in each dialect, and enough to mean something.
    fn done(&self, least: usize) {
        for dialect in ["native", "vercel"] {
            let refused = self.refused[dialect];
            assert!(
                refused > least,
                "{dialect}: {refused} refusals prove little"
            );
        }
    }
}

#[tokio::test]
async fn every_field_of_every_type_is_refused_by_name_in_both_dialects_and_nothing_is_stored() {
    let mut server = Refusing::new().await;
    let before = server.stored().await;
    for (kind, data, ..) in kinds() {
        for Case { path, data, .. } in cases(kind, &data) {
            let body = json!({"type": kind, "name": kind, "data": data});
            for (dialect, route) in [
                ("native", "POST /api/v1/connectors"),
                ("vercel", "POST /v1/connect/connectors"),
            ] {
                server.refuses(dialect, route, &body, &path).await;
            }
        }
        assert_eq!(server.stored().await, before, "{kind}");
    }
    server.done(1500);
}

#[tokio::test]
async fn every_field_of_every_type_is_refused_by_name_in_a_change_too() {
    let mut server = Refusing::new().await;
    let mut turn = 0;
    for (kind, data, ..) in kinds() {
        let body = json!({"type": kind, "name": kind, "data": data});
        let made = server.call("POST /api/v1/connectors", &body).await;
        assert_eq!(made.status, 201, "{kind}: {}", made.body);
        let made: Value = serde_json::from_str(&made.body).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        let before = server.stored().await;
        for case in cases(kind, &data).into_iter().filter(|case| !case.left_out) {
            // The rest of the data is as it was, and is not said again.
            let names = case.path.strip_prefix("data.").unwrap();
            let top = names.split(['.', '[']).next().unwrap();
            let body = json!({"data": {top: case.data[top]}});
            // By turns: every field has several cases, and what is checked is the same.
            turn += 1;
            let (dialect, route) = match turn % 2 {
                0 => ("native", format!("PATCH /api/v1/connectors/{id}")),
                _ => ("vercel", format!("PATCH /v1/connect/connectors/{id}")),
            };
            server.refuses(dialect, &route, &body, &case.path).await;
        }
        assert_eq!(server.stored().await, before, "{kind}");
    }
    server.done(800);
}

#[tokio::test]
async fn a_wrong_member_of_a_server_config_is_refused_by_its_name() {
    let mut server = Refusing::new().await;
    let before = server.stored().await;
    let strange = [
        json!(7),
        json!("x"),
        json!("javascript:alert(1)"),
        json!(format!("https://u:{MARK}@x.example")),
        json!("https://x.example/\r\nX-Injected: 1"),
        json!(format!("https://x.example/{}", "x".repeat(2048))),
    ];
    let texts = [
        json!(7),
        json!(["x"]),
        json!(format!("{MARK}\n")),
        json!("x".repeat(2049)),
    ];
    let lists = [json!(7), json!([7]), json!(MARK), json!({})];
    let flags = [json!(MARK), json!(1), json!([true])];
    let members: [(&str, &[Value]); 8] = [
        ("authorization_endpoint", &strange),
        ("token_endpoint", &strange),
        ("jwks_uri", &strange),
        ("api_base_url", &strange),
        ("issuer", &texts),
        ("code_challenge_methods_supported", &lists),
        ("token_endpoint_auth_methods_supported", &lists),
        ("authorization_response_iss_parameter_supported", &flags),
    ];
    for (kind, data, ..) in kinds() {
        let kind_of = ConnectorType::from_word(kind).unwrap();
        if input_schema(kind_of)["properties"]
            .get("serverConfig")
            .is_none()
        {
            continue;
        }
        for (member, wrong) in members {
            for value in wrong {
                let mut data = data.clone();
                if kind == "custom" {
                    data["clientId"] = json!("c");
                }
                data["serverConfig"][member] = value.clone();
                let body = json!({"type": kind, "name": kind, "data": data});
                let path = format!("data.serverConfig.{member}");
                server
                    .refuses("native", "POST /api/v1/connectors", &body, &path)
                    .await;
                server
                    .refuses("vercel", "POST /v1/connect/connectors", &body, &path)
                    .await;
            }
        }
    }
    assert_eq!(server.stored().await, before);
    server.done(300);
}
