//! A request on its way to a handler: bearer, standing, query, body, in this order, so that nobody
//! without standing makes the server read a body.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{MethodRouter, on};
use grantry_core::error::{self, Forbidden};
use grantry_core::limits::BODY_BYTES_MAX;
use grantry_core::{Error, Result};
use grantry_engine::permissions::{Act, Standing};
use grantry_engine::{Caller, Engine, PrincipalKind};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::dialect::Dialect;
use super::edge::Failed;
use super::fields::{self, Fields};
use super::route::{Access, Route, Takes};
use crate::App;

/// A request that passed every check its route's row names.
pub struct Call {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The query, typed by the route's rows.
    pub query: Fields,
    /// The body, checked against the route's rows.
    pub body: Fields,
    /// The body of a route that takes text.
    pub text: String,
    /// The request's headers.
    pub headers: HeaderMap,
    caller: Option<Arc<Caller>>,
    path: Vec<(String, String)>,
}

/// A route's handler around `handle`, which gets what the row promises and speaks `grantry_core::Error`.
pub fn call<F, Fut>(route: &'static Route, handle: F) -> MethodRouter<App>
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response>> + Send,
{
    let dialect = route.dialect();
    on(
        route.method.filter(),
        async move |State(app): State<App>, request: Request| {
            let answered = match Call::accept(&app, route, dialect, request).await {
                Ok(call) => handle(call).await,
                Err(error) => Err(error),
            };
            answered.unwrap_or_else(|error| {
                let mut answer = dialect.refuse(&error);
                if answer.status().is_server_error() {
                    answer.extensions_mut().insert(Failed(error));
                }
                answer
            })
        },
    )
}

impl Call {
    async fn accept(
        app: &App,
        route: &'static Route,
        dialect: Dialect,
        request: Request,
    ) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().map(Fields::of_query).unwrap_or_default();
        let caller = match route.access {
            Access::Public(_) => None,
            Access::Act(act) => {
                authenticate(app, act, &parts.headers, dialect.team(&query)).await?
            }
        };
        let path = path_of(&mut parts).await?;
        let query = fields::check_query(route.query, query)?;
        let (mut fields, mut text) = (Fields::default(), String::new());
        match route.takes {
            Takes::Nothing | Takes::Page => {}
            Takes::Json(rows) => {
                require_type(&parts.headers, JSON)?;
                fields = fields::check(rows, parse(&read(&parts.headers, body).await?)?)?;
            }
            Takes::OptionalJson(rows) => {
                let bytes = read(&parts.headers, body).await?;
                if !bytes.is_empty() {
                    require_type(&parts.headers, JSON)?;
                    fields = fields::check(rows, parse(&bytes)?)?;
                }
            }
            Takes::Text(media_type) => {
                require_type(&parts.headers, media_type)?;
                let bytes = read(&parts.headers, body).await?;
                text = String::from_utf8(bytes.into()).map_err(|_| malformed("UTF-8", "text"))?;
            }
        }
        Ok(Self {
            engine: Arc::clone(&app.engine),
            query,
            body: fields,
            text,
            headers: parts.headers,
            caller,
            path,
        })
    }

    /// Who calls. [`Error::Unauthenticated`] on a route that does not ask, and on one above teams.
    pub fn caller(&self) -> Result<&Caller> {
        self.caller.as_deref().ok_or(Error::Unauthenticated)
    }

    /// The percent-decoded path parameter `name`; empty when the route has none of that name.
    pub fn path(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Who calls, in which team, if their standing includes `act`. No caller for [`Act::Apply`], which is above teams.
async fn authenticate(
    app: &App,
    act: Act,
    headers: &HeaderMap,
    team: Result<Option<&str>>,
) -> Result<Option<Arc<Caller>>> {
    let engine = &app.engine;
    let bearer = if app.local {
        None
    } else {
        Some(bearer(headers)?)
    };
    let caller = match (act, bearer) {
        (Act::Apply, None) => return Ok(None),
        (Act::Apply, Some(bearer)) => {
            let server = engine.principal(bearer).await?.kind == PrincipalKind::Server;
            debug_assert!(Standing::Server.may(Act::Apply));
            return if server {
                Ok(None)
            } else {
                Err(Error::Forbidden(Forbidden::Role))
            };
        }
        (_, None) => engine.server_caller(team?).await?,
        (_, Some(bearer)) => engine.caller(bearer, team?).await?,
    };
    caller.require(act)?;
    Ok(Some(caller))
}

/// The credential of `Authorization: Bearer …` (RFC 6750 §2.1; the scheme's case does not matter).
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Error::Unauthenticated);
    };
    let text = value.to_str().map_err(|_| Error::Unauthenticated)?;
    match text.split_once(' ') {
        Some((scheme, credential))
            if scheme.eq_ignore_ascii_case("bearer") && !credential.trim().is_empty() =>
        {
            Ok(credential.trim())
        }
        _ => Err(Error::Unauthenticated),
    }
}

/// The path's parameters. The router matched the raw path, so `%2F` stayed within its segment.
async fn path_of(parts: &mut Parts) -> Result<Vec<(String, String)>> {
    let path = parts.uri.path().as_bytes();
    let broken = |at: usize| {
        let digits = path.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if (0..path.len()).any(|at| path[at] == b'%' && broken(at)) {
        return Err(Error::invalid("path", "has a broken percent escape"));
    }
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Error::invalid("path", "is not UTF-8 once decoded"))?;
    Ok(params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

const JSON: &str = "application/json";

fn require_type(headers: &HeaderMap, expected: &'static str) -> Result<()> {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes());
    let sent = sent.unwrap_or_default().split(|byte| *byte == b';').next();
    let matches =
        sent.is_some_and(|sent| sent.trim_ascii().eq_ignore_ascii_case(expected.as_bytes()));
    if matches {
        Ok(())
    } else {
        Err(Error::Body(error::Body::MediaType { expected }))
    }
}

/// The whole body, if it is small enough: by its declared length before anything is read, else by what
/// has arrived (requirement 102).
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    let too_large = || {
        Error::Body(error::Body::TooLarge {
            limit_bytes: BODY_BYTES_MAX,
        })
    };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if declared
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|n| n > BODY_BYTES_MAX as u64)
    {
        return Err(too_large());
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(malformed("HTTP", "the body did not arrive whole")),
    }
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(malformed("JSON", "the top level must be an object")),
        // The parser's words name a place and what it expected there, never a value.
        Err(error) => Err(malformed("JSON", error.to_string())),
    }
}

fn malformed(format: &'static str, detail: impl Into<String>) -> Error {
    Error::Body(error::Body::Malformed {
        format,
        detail: detail.into(),
    })
}
