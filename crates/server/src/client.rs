//! The native API, as the commands use it: found, called, and its refusals put into words.

mod find;
mod lines;

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http;
use grantry_core::Secret;
use grantry_core::http::Method;
use grantry_core::limits::LOCAL_ANSWER_BYTES_MAX;
use grantry_egress::{Local, LocalError, Reply};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;

use crate::control::Reach;
use crate::data_dir::CONTROL_SOCKET;
use crate::failure::{Exit, Failure, chain};
use crate::out;

pub use find::{DEV_DIR, Flags, PROFILE_PATH, Place};

/// What a person reads while an answer takes long.
const WAITS: &str = "Waiting for the server";

/// A key, and what to call the place that it came from.
pub struct Key {
    text: Secret,
    from: &'static str,
}

impl Key {
    /// The key `text` that was found in `from`.
    pub const fn new(text: Secret, from: &'static str) -> Self {
        Self { text, from }
    }
}

/// A server and the team to act in.
pub struct Client {
    transport: Transport,
    key: Option<Key>,
    team: Option<String>,
    /// The account to act in, for the server's operator.
    account: Option<String>,
    /// What a person reads while an answer takes long.
    waits: &'static str,
}

enum Transport {
    /// Another process, and the open directory that its socket is reached through.
    Wire { local: Local, _reach: Option<Reach> },
    /// A router in this process.
    Here(Router),
}

/// What a request carries.
pub enum Content {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// TOML.
    Toml(String),
}

/// A refusal of the native API (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// Status of the answer.
    #[serde(skip)]
    pub http_status: u16,
    /// What the refused key came from.
    #[serde(skip)]
    pub key_from: Option<&'static str>,
    /// Stable word.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Wrong fields.
    pub errors: Vec<WrongField>,
    /// Where the subject can connect.
    pub authorization_url: Option<String>,
    /// Why the subject has to.
    pub reason: Option<String>,
}

/// One wrong field of a [`Refusal`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WrongField {
    field: String,
    message: String,
}

/// What a call came to.
pub type Answer = Result<Value, Box<Refusal>>;

impl Client {
    /// The server at `url`; `extra_ca_pem` is trusted beside the system's authorities.
    pub fn at_url(
        url: &Url,
        key: Key,
        team: Option<String>,
        extra_ca_pem: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let local =
            Local::http(url, extra_ca_pem).map_err(|error| Failure::usage(chain(&error)))?;
        Ok(Self {
            transport: Transport::Wire {
                local,
                _reach: None,
            },
            key: Some(key),
            team,
            account: None,
            waits: WAITS,
        })
    }

    /// The server that holds `directory`; `None` when none does.
    pub fn at_socket(directory: &Path, team: Option<String>) -> Result<Option<Self>, Failure> {
        let socket = directory.join(CONTROL_SOCKET);
        if !socket.exists() {
            return Ok(None);
        }
        let unusable =
            |error: String| Failure::new(Exit::NoServer, format!("{}: {error}", socket.display()));
        let reach = Reach::of(&socket).map_err(|error| unusable(error.to_string()))?;
        let local = Local::unix(reach.path()).map_err(|error| unusable(chain(&error)))?;
        Ok(Some(Self {
            transport: Transport::Wire {
                local,
                _reach: Some(reach),
            },
            key: None,
            team,
            account: None,
            waits: WAITS,
        }))
    }

    /// A server in this process.
    pub const fn here(router: Router) -> Self {
        Self {
            transport: Transport::Here(router),
            key: None,
            team: None,
            account: None,
            waits: WAITS,
        }
    }

    /// The same, in `account`.
    #[must_use]
    pub fn in_account(self, account: Option<String>) -> Self {
        Self { account, ..self }
    }

    /// The same, which says `waits` while an answer takes long.
    #[must_use]
    pub fn waiting(self, waits: &'static str) -> Self {
        Self { waits, ..self }
    }

    /// Calls `path` (without `/api/v1`) with `query`; a refusal is an answer too.
    ///
    /// # Errors
    /// [`Exit::NoServer`] when there is no whole answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content,
    ) -> Result<Answer, Failure> {
        let path = self.path(path, query);
        self.send(method, &path, content.body()).await
    }

    /// Whether the server can serve: its store answers.
    ///
    /// # Errors
    /// When it cannot, or does not answer.
    pub async fn ready(&self) -> Result<(), Failure> {
        let answer = self.send(Method::Get, "/readyz", None).await?;
        answer.map(drop).map_err(|refusal| refusal.failure())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Answer, Failure> {
        let reply = match &self.transport {
            Transport::Wire { local, .. } => {
                let verb = format!("{method:?}").to_uppercase();
                out::detail(&format!("> {verb} {path}"));
                let key = self.key.as_ref().map(|key| &key.text);
                let sent = local.send_content(method, path, key, body);
                let sent = out::progress::during(self.waits, sent).await;
                sent.map_err(no_answer)?
            }
            Transport::Here(router) => {
                let answer = oneshot(router.clone(), method, path, "application/json", body);
                let answer = answer.await?;
                let status = answer.status().as_u16();
                let body = to_bytes(answer.into_body(), LOCAL_ANSWER_BYTES_MAX).await;
                let body = body.map_err(|error| broken(chain(&error)))?;
                Reply { status, body }
            }
        };
        Ok(self.answer(&reply))
    }

    /// The path of the request, with its query.
    fn path(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        if let Some(team) = &self.team {
            pairs.append_pair("team", team);
        }
        if let Some(account) = &self.account {
            pairs.append_pair("account", account);
        }
        match pairs.finish() {
            query if query.is_empty() => format!("/api/v1{path}"),
            query => format!("/api/v1{path}?{query}"),
        }
    }

    fn answer(&self, reply: &Reply) -> Answer {
        out::detail(&format!("< {}", reply.status));
        read(reply).map_err(|refusal| {
            Box::new(Refusal {
                key_from: self.key.as_ref().map(|key| key.from),
                ..*refusal
            })
        })
    }

    /// [`Client::call`] where a refusal is a failure.
    pub async fn demand(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content,
    ) -> Result<Value, Failure> {
        let answer = self.call(method, path, query, content).await?;
        answer.map_err(|refusal| refusal.failure())
    }
}

/// `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

impl Content {
    fn body(self) -> Option<(&'static str, Vec<u8>)> {
        match self {
            Self::None => None,
            Self::Json(value) => Some(("application/json", value.to_string().into_bytes())),
            Self::Toml(text) => Some(("application/toml", text.into_bytes())),
        }
    }
}

fn no_answer(error: LocalError) -> Failure {
    if matches!(error, LocalError::TooLarge { .. }) {
        return broken(chain(&error));
    }
    let failure = Failure::new(Exit::NoServer, chain(&error));
    if error.is_absent() {
        failure.hint("Does it run? `grantry serve` or `grantry dev` starts one.")
    } else {
        failure
    }
}

fn broken(error: String) -> Failure {
    Failure::new(Exit::Failed, error)
}

async fn oneshot(
    router: Router,
    method: Method,
    path: &str,
    accept: &'static str,
    body: Option<(&'static str, Vec<u8>)>,
) -> Result<http::Response<Body>, Failure> {
    let (media_type, bytes) = body.unwrap_or_default();
    let request = http::Request::builder()
        .method(match method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        })
        .uri(path)
        .header(http::header::ACCEPT, accept)
        .header(http::header::CONTENT_TYPE, media_type)
        .body(Body::from(bytes))
        .map_err(|error| broken(chain(&error)))?;
    let Ok(answer) = router.oneshot(request).await;
    Ok(answer)
}

fn read(reply: &Reply) -> Answer {
    if (200..300).contains(&reply.status) {
        return Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null));
    }
    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
    Err(Box::new(Refusal {
        http_status: reply.status,
        ..refusal
    }))
}

impl Refusal {
    /// The refusal as a failed command.
    pub fn failure(&self) -> Failure {
        let mut words = match self.errors.as_slice() {
            [] if self.detail.is_empty() => {
                format!("the server answered with status {}", self.http_status)
            }
            [] => self.detail.clone(),
            errors => {
                let lines: Vec<String> = errors.iter().map(WrongField::line).collect();
                lines.join("\n       ")
            }
        };
        if self.errors.is_empty() && !self.code.is_empty() {
            words = format!("{words} ({})", self.code);
        }
        let failure = Failure::new(Exit::Failed, words.trim_end());
        match self.code.as_str() {
            "unauthenticated" => failure.hint(format!(
                "Is the key of {} one of this server, not revoked, not expired? A server's or account's key\n\
                 needs --team or GRANTRY_TEAM as well.",
                self.key_from.unwrap_or("this command")
            )),
            "invalid" if self.errors.iter().any(|error| error.field == "team") => {
                failure.hint("Give --team, or set GRANTRY_TEAM.")
            }
            _ => failure,
        }
    }
}

impl WrongField {
    fn line(&self) -> String {
        match self.field.as_str() {
            "" => self.message.clone(),
            field => format!("{field}: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;

    fn refused(status: u16, body: &str) -> Failure {
        let reply = Reply {
            status,
            body: body.to_owned().into(),
        };
        read(&reply).err().unwrap().failure()
    }

    #[test]
    fn refusals_are_put_into_words() {
        let detailed = refused(409, r#"{"code":"conflict","detail":"uid is taken"}"#);
        assert_eq!(detailed.message, "uid is taken (conflict)");
        let fields = refused(
            400,
            r#"{"code":"invalid","detail":"x","errors":[{"field":"name","message":"is missing"},{"field":"","message":"odd"}]}"#,
        );
        assert_eq!(fields.message, "name: is missing\n       odd");
        assert!(refused(401, r#"{"code":"unauthenticated"}"#).hint.is_some());
        let team = r#"{"code":"invalid","errors":[{"field":"team","message":"is required"}]}"#;
        assert!(refused(400, team).hint.unwrap().contains("--team"));
        let foreign = refused(502, "<html>bad gateway</html>");
        assert_eq!(foreign.message, "the server answered with status 502");
    }

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("oauth/acme é?#%"), "oauth%2Facme%20%C3%A9%3F%23%25");
        assert_eq!(segment("scl_1-a.b~c"), "scl_1-a.b~c");
    }

    #[tokio::test]
    async fn a_server_in_this_process_is_called_like_any_other() {
        let echo = |uri: http::Uri, headers: http::HeaderMap, body: String| async move {
            let media_type = headers[http::header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .to_owned();
            axum::Json(serde_json::json!([uri.to_string(), media_type, body]))
        };
        let router = Router::new().route("/api/v1/apply", post(echo)).route(
            "/api/v1/none",
            get(|| async { http::StatusCode::NO_CONTENT }),
        );
        let client = Client::here(router);
        let content = Content::Toml("[a]".to_owned());
        let answer = client.demand(Method::Post, "/apply", &[("file", "a b.toml")], content);
        assert_eq!(
            answer.await.unwrap(),
            serde_json::json!(["/api/v1/apply?file=a+b.toml", "application/toml", "[a]"])
        );
        let empty = client.demand(Method::Get, "/none", &[], Content::None);
        assert_eq!(empty.await.unwrap(), Value::Null);
        let missing = client.demand(Method::Get, "/nowhere", &[], Content::None);
        assert_eq!(missing.await.err().unwrap().exit, Exit::Failed);
    }
}
