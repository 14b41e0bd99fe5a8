//! Every example of the native API is sent, in order, and answered as it says.
//!
//! An example shows ids, keys and other texts that the server mints. They are others in every run, so that a
//! minted text of an example stands for the one that came in its place, here and in all further examples.
//! Everything else is equal to the letter.
//!
//! `UPDATE_DOCS=1` writes down what was answered. In a new example `$operation.field` stands for a field of what
//! the last example of that operation was answered.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, header};
use grantry_core::http::{self, Failure, Http};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::server::{Answer, Server};
use crate::kit::dialect::Dialect;
use crate::kit::openapi::documented;
use crate::kit::route::{Route, Takes};
use crate::native::examples::{By, Example, FILES};

/// A provider that redeems any code and ends any token.
struct Provider;

#[async_trait]
impl Http for Provider {
    async fn send(&self, request: http::Request) -> Result<http::Response, Failure> {
        if request.purpose == http::Purpose::Search {
            let found = json!({"results": [{
                "id": "42", "title": "Emperor penguin", "text": "The tallest penguin.", "internal": "draft",
            }]});
            return Ok(http::Response {
                status: 200,
                headers: vec![],
                body: found.to_string().into(),
                url: request.url,
            });
        }
        // GitHub knows an app that is installed nowhere any more.
        if request.url.path() == "/app/installations" {
            return Ok(http::Response {
                status: 200,
                headers: vec![],
                body: "[]".into(),
                url: request.url,
            });
        }
        let granted = json!({
            "access_token": "access-of-tracker", "refresh_token": "refresh-of-tracker",
            "token_type": "Bearer", "expires_in": 3600, "scope": "tickets:read",
        });
        Ok(http::Response {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: granted.to_string().into(),
            url: request.url,
        })
    }
}

/// What the minted texts of the examples are in this run.
#[derive(Default)]
struct Names {
    real: HashMap<String, String>,
    shown: HashMap<String, String>,
}

/// A text as words and what separates them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| in_word(c) != in_word(first));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word);
        rest = after;
    }
    words
}

/// Whether the server made this word: long, and no word of a language.
fn is_minted(word: &str) -> bool {
    word.len() >= 40 || word.len() >= 22 && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// What an id or a key is one of.
fn kind(word: &str) -> Option<&str> {
    let (kind, rest) = word.split_once('_')?;
    let is_id = rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id || kind == "grk").then_some(kind)
}

/// Fields of short texts that the server mints.
const SHORT: [&str; 2] = ["device_code", "hint"];

impl Names {
    /// Takes down that `shown` stands for `real`; false where it stands for another already.
    fn bind(&mut self, shown: &str, real: &str) -> bool {
        let real_of = self.real.entry(shown.to_owned());
        let is_it = real_of.or_insert_with(|| real.to_owned()) == real;
        let shown_of = self.shown.entry(real.to_owned());
        is_it && shown_of.or_insert_with(|| shown.to_owned()) == shown
    }

    fn text(&mut self, shown: &str, real: &str) -> bool {
        let (shown, real) = (words(shown), words(real));
        shown.len() == real.len()
            && shown.into_iter().zip(real).all(|(shown, real)| {
                let minted = is_minted(shown) && is_minted(real);
                match minted && kind(shown) == kind(real) {
                    true => self.bind(shown, real),
                    false => shown == real,
                }
            })
    }

    /// Whether an answer is the one that is shown.
    fn same(&mut self, shown: &Value, real: &Value) -> bool {
        match (shown, real) {
            (Value::String(shown), Value::String(real)) => self.text(shown, real),
            (Value::Array(shown), Value::Array(real)) => {
                shown.len() == real.len()
                    && shown
                        .iter()
                        .zip(real)
                        .all(|(one, other)| self.same(one, other))
            }
            (Value::Object(shown), Value::Object(real)) => {
                shown.keys().eq(real.keys())
                    && shown.iter().zip(real.values()).all(|((name, one), other)| {
                        match (one.as_str(), other.as_str()) {
                            (Some(one), Some(other)) if SHORT.contains(&name.as_str()) => {
                                self.bind(one, other)
                            }
                            _ => self.same(one, other),
                        }
                    })
            }
            _ => shown == real,
        }
    }

    fn real(&self, value: &Value) -> Value {
        translated(value, &self.real)
    }
}

fn texts(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(items) => items.iter().map(|item| texts(item, change)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (name.clone(), texts(value, change)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

fn translated(value: &Value, dictionary: &HashMap<String, String>) -> Value {
    texts(value, &|text| {
        let words = words(text).into_iter();
        words
            .map(|word| dictionary.get(word).map_or(word, String::as_str))
            .collect()
    })
}

fn route_of(example: &Example) -> &'static Route {
    documented()
        .find(|route| route.operation == example.operation)
        .unwrap_or_else(|| panic!("no operation {}", example.operation))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn request(route: &Route, example: &Example, names: &Names) -> Request<Body> {
    let mut path = route.path.to_owned();
    for (name, value) in &example.path {
        let value = plain(&names.real(value));
        let escaped: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let named = format!("{{{name}}}");
        assert!(path.contains(&named), "{}: {name}", example.operation);
        path = path.replace(&named, &escaped.replace('+', "%20"));
    }
    assert!(!path.contains('{'), "{}: {path}", example.operation);
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &example.query {
        query.append_pair(name, &plain(&names.real(value)));
    }
    let mut request = Request::builder()
        .method(route.method.as_str())
        .uri(format!("{path}?{}", query.finish()));
    let key = match example.by {
        By::Server | By::Anybody => None,
        By::Account => Some("tok_account"),
        By::Admin => Some("tok_admin"),
        By::Member => Some("tok_member"),
        By::Workload => Some("tok_workload"),
    };
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let body = match (&example.body, route.takes) {
        (Some(text), Takes::Text(media_type, _)) => {
            request = request.header(header::CONTENT_TYPE, media_type);
            Body::from(plain(text))
        }
        (Some(body), Takes::Json(_) | Takes::OptionalJson(_)) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(names.real(body).to_string())
        }
        (Some(_), _) => panic!("{} takes no body", example.operation),
        (None, _) => Body::empty(),
    };
    request.body(body).unwrap()
}

/// The user that `url` was made for consents in a browser: the code that their application receives.
async fn consent(server: &Server, url: &str) -> String {
    let path = |url: &Url| url[url::Position::BeforePath..].to_owned();
    let link = path(&Url::parse(url).unwrap());
    let press = Request::post(&link)
        .header("host", "connect.example")
        .header("sec-fetch-site", "same-origin")
        .body(Body::from("action=connect"));
    let pressed = server.send(press.unwrap()).await;
    let location = |answer: &Answer| {
        let location = answer.headers.get("location");
        let location = location.unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text));
        Url::parse(location.to_str().unwrap()).unwrap()
    };
    let sent: HashMap<_, _> = location(&pressed).query_pairs().into_owned().collect();
    let cookie = pressed.headers["set-cookie"].to_str().unwrap();
    let arrival = Request::get(format!(
        "/callback?code=a-code&state={}&iss=https%3A%2F%2Ftracker.example",
        sent["state"]
    ))
    .header("host", "connect.example")
    .header("cookie", cookie.split(';').next().unwrap())
    .body(Body::empty());
    let back = location(&server.send(arrival.unwrap()).await);
    let mut pairs = back.query_pairs();
    let code = pairs.find(|(name, _)| name == "grantry_code");
    code.unwrap_or_else(|| panic!("{back}")).1.into_owned()
}

/// The examples, with `$operation.field` resolved where they are written anew.
struct Told {
    update: bool,
    names: Names,
    answers: HashMap<String, Value>,
}

impl Told {
    fn resolved(&self, value: &Value) -> Value {
        texts(value, &|text| {
            let named = text
                .strip_prefix('$')
                .and_then(|named| named.split_once('.'));
            let Some((operation, field)) = named else {
                return text.to_owned();
            };
            let answer = self.answers.get(operation);
            let answer = answer.unwrap_or_else(|| panic!("nothing of {operation} yet"));
            plain(&answer[field])
        })
    }

    async fn send(&mut self, server: &Server, example: &mut Example) {
        let route = route_of(example);
        if self.update {
            let object = |map: &Map<String, Value>| match self.resolved(&map.clone().into()) {
                Value::Object(map) => map,
                _ => Map::new(),
            };
            example.path = object(&example.path);
            example.query = object(&example.query);
            if !matches!(route.takes, Takes::Text(..)) {
                example.body = example.body.as_ref().map(|body| self.resolved(body));
            }
        }
        if example.operation == "confirm_authorization" {
            let url = self
                .names
                .real(&self.answers["create_authorization"]["url"]);
            let code = consent(server, url.as_str().unwrap()).await;
            let shown = example.body.as_mut().unwrap();
            if self.update && !is_minted(shown["code"].as_str().unwrap()) {
                shown["code"] = code.clone().into();
            }
            assert!(self.names.bind(shown["code"].as_str().unwrap(), &code));
        }
        let request = request(route, example, &self.names);
        let answer = match example.by {
            By::Server => server.send_local(request).await,
            _ => server.send(request).await,
        };
        let told = format!("{} ({})", example.operation, example.about);
        assert_eq!(
            answer.status.as_u16(),
            example.status,
            "{told}: {}",
            answer.text
        );
        let good = [Some(route.gives.status), route.or.map(|(status, _)| status)];
        assert!(good.contains(&Some(example.status)), "{told}: no success");
        let real = match answer.text.as_str() {
            "" => None,
            text => Some(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        };
        if self.update {
            if let (Some(shown), Some(real)) = (&example.answer, &real) {
                self.names.same(shown, real);
            }
            example.answer = real
                .as_ref()
                .map(|real| translated(real, &self.names.shown));
        }
        let same = match (&example.answer, &real) {
            (Some(shown), Some(real)) => self.names.same(shown, real),
            (shown, real) => shown.is_none() && real.is_none(),
        };
        let as_sent = |value: &Option<Value>| value.as_ref().map(|value| format!("{value:#}"));
        assert!(
            same,
            "{told} is not answered as it says (UPDATE_DOCS=1 writes it anew)\nshown: {}\nreal: {}",
            as_sent(&example.answer).unwrap_or_default(),
            as_sent(&real).unwrap_or_default(),
        );
        let shown = example.answer.clone().unwrap_or_default();
        self.answers.insert(example.operation.clone(), shown);
    }
}

#[tokio::test]
async fn every_example_is_answered_as_it_says() {
    #[expect(clippy::disallowed_methods, reason = "the developer's wish")]
    let update = std::env::var("UPDATE_DOCS").is_ok();
    let key = include_str!("../../../vault/testdata/keys/rsa-pkcs1.pem");
    let world = include_str!("examples.toml").replace("PRIVATE_KEY", &key.replace('\n', "\\n"));
    let world = ("examples.toml", world.as_str());
    let server = Server::start_in(world, Arc::new(Provider), |_| ()).await;
    let mut told = Told {
        update,
        names: Names::default(),
        answers: HashMap::new(),
    };
    for (name, text) in FILES {
        let examples: Result<Vec<Example>, _> = serde_json::from_str(text);
        let mut examples = examples.unwrap_or_else(|error| panic!("{name}.json: {error}"));
        for example in &mut examples {
            // So that what is made one after the other shows it.
            server.clock.advance(Duration::from_secs(1));
            told.send(&server, example).await;
        }
        if update {
            let file = format!("src/native/examples/{name}.json");
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let text = serde_json::to_string_pretty(&examples).unwrap();
            std::fs::write(file, text + "\n").unwrap();
        }
    }
}

#[test]
fn every_native_operation_has_an_example() {
    for route in documented().filter(|route| route.dialect() == Dialect::Native) {
        let mut examples = crate::native::examples::of(route.operation).peekable();
        // The document would hold itself.
        let needs_none = route.operation == "openapi";
        assert!(
            needs_none || examples.peek().is_some(),
            "{}",
            route.operation
        );
        let takes_body = !matches!(route.takes, Takes::Nothing | Takes::Page);
        let with_body = examples.any(|example| example.body.is_some());
        assert_eq!(
            with_body, takes_body,
            "{}: a body in its examples",
            route.operation
        );
    }
}

#[test]
fn what_is_minted_stands_for_one_thing_and_everything_else_for_itself() {
    let mut names = Names::default();
    let shown = "prj_0192f3c4d5e6f708192a3b4c5d6e7f80";
    let real = "prj_11111111111111111111111111111111";
    let other = "prj_22222222222222222222222222222222";
    assert!(names.text(
        &format!("https://a.example/{shown}?x"),
        &format!("https://a.example/{real}?x")
    ));
    assert!(names.text(shown, real));
    assert!(!names.text(shown, other), "it stands for another");
    assert!(
        !names.text("prj_0000000000000000000000000000000f", real),
        "two for one"
    );
    assert!(
        !names.text("scl_33333333333333333333333333333333", other),
        "of another kind"
    );
    assert!(!names.same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    assert!(!names.same(&json!([1]), &json!([2])));
    assert!(!names.same(&json!("active"), &json!("revoked")));
    assert_eq!(names.real(&json!({"id": shown})), json!({"id": real}));
}
