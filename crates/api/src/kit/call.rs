//! A request on its way to a handler: bearer, standing, query, body, in this order, so that nobody
//! without standing makes the server read a body.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{MethodRouter, on};
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use grantry_core::error;
use grantry_core::ids::TeamId;
use grantry_core::limits::{self, Bound};
use grantry_core::nouns::Actor;
use grantry_core::{Error, Result};
use grantry_engine::permissions::{Act, Scope};
use grantry_engine::{Bucket, Caller, Engine, Principal, PrincipalKind, Repeater, Steward};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::counted::Counted;
use super::dialect::Dialect;
use super::edge::{Failed, Visit};
use super::fields::{self, Fields};
use super::repeat::Keyed;
use super::route::{Access, Method, Route, Takes};
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
    /// The body of a route that takes a file.
    pub bytes: Bytes,
    /// The request's headers.
    pub headers: HeaderMap,
    who: Who,
    path: RawPathParams,
}

/// A route's handler around `handle`, which gets what the row promises and speaks `grantry_core::Error`.
pub fn call<F, Fut>(route: &'static Route, handle: F) -> MethodRouter<App>
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response>> + Send + 'static,
{
    let dialect = route.dialect();
    on(
        route.method.filter(),
        async move |State(app): State<App>, request: Request| {
            let logged = request
                .extensions()
                .get::<Visit>()
                .is_some_and(|visit| visit.logged);
            let (mut asker, mut counted) = (None, Counted::default());
            let accepted = Call::accept(&app, route, dialect, request, &mut counted).await;
            let answered = match accepted {
                Ok((call, keyed)) => {
                    asker = Some(Asker(call.who.clone()));
                    let answered = match keyed {
                        None => handle(call).await,
                        Some(keyed) => keyed.once(call, handle.clone()).await,
                    };
                    answered.map_err(|error| dialect.respell(error))
                }
                Err(error) => Err(error),
            };
            let mut answer = answered.unwrap_or_else(|error| {
                let mut answer = dialect.refuse(&error);
                if answer.status().is_server_error() {
                    answer.extensions_mut().insert(Failed(error));
                }
                answer
            });
            counted.tell(&app.engine, route, &mut answer);
            debug_assert!(
                dialect != Dialect::Native || route.tells_of(answer.status().as_u16()),
                "{} answers {}, of which its row does not tell: see Route::refuses",
                route.operation,
                answer.status(),
            );
            if let Some(asker) = asker.filter(|_| logged || answer.status().is_server_error()) {
                answer.extensions_mut().insert(asker);
            }
            answer
        },
    )
}

impl Call {
    async fn accept(
        app: &App,
        route: &'static Route,
        dialect: Dialect,
        request: Request,
        counted: &mut Counted,
    ) -> Result<(Self, Option<Keyed>)> {
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().map(Fields::of_query).unwrap_or_default();
        let (who, path) = match route.access {
            Access::Public(_) => (Who::Anybody, path_of(&mut parts).await?),
            Access::Act(act) => {
                let path = path_of(&mut parts).await;
                let asked = Asked {
                    engine: &app.engine,
                    act,
                    dialect,
                    query: &query,
                    headers: &parts.headers,
                    path: path.as_ref().ok(),
                };
                let who = asked.who(Credential::of(app, &parts.headers)?).await?;
                // What is refused counts, too.
                counted.admit(&app.engine, route, || who.bucket())?;
                if let Who::InTeam(caller) = &who {
                    app.engine.admit(&caller.team)?;
                }
                who.require(act)?;
                // What is wrong with the path is said to those only who are let in.
                (who, path?)
            }
        };
        if dialect == Dialect::Native && route.method != Method::Get {
            fields::refuse_unknown(route.query, PLACES, &query)?;
        }
        let query = fields::check_query(route.query, query)?;
        let limits = &app.engine.settings().limits;
        let mut keyed = Keyed::of(route, &parts)?;
        let read = async |limit: Bound| {
            let bytes = read(&app.engine, &parts.headers, body, limit).await?;
            if let Some(keyed) = &mut keyed {
                keyed.with_body(&bytes);
            }
            Ok::<_, Error>(bytes)
        };
        let (mut fields, mut text, mut file) = (Fields::default(), String::new(), Bytes::new());
        match route.takes {
            Takes::Nothing | Takes::Page => {}
            Takes::Json(rows) => {
                require_type(&parts.headers, JSON)?;
                fields = fields::check(rows, parse(&read(limits.body_bytes_max()).await?)?)?;
            }
            Takes::SomeJson(rows) => {
                require_type(&parts.headers, JSON)?;
                let mut body = parse(&read(limits.body_bytes_max()).await?)?;
                fields::known(rows, &mut body);
                fields = fields::check(rows, body)?;
            }
            Takes::OptionalJson(rows) => {
                let bytes = read(limits.body_bytes_max()).await?;
                if !bytes.is_empty() {
                    require_type(&parts.headers, JSON)?;
                    fields = fields::check(rows, parse(&bytes)?)?;
                }
            }
            Takes::Bytes(limit) => file = read(limit(limits)).await?,
            Takes::Text(media_type, limit) => {
                require_type(&parts.headers, media_type)?;
                let bytes = read(limit(limits)).await?;
                text = String::from_utf8(bytes.into()).map_err(|_| malformed("UTF-8", "text"))?;
            }
        }
        let call = Self {
            engine: Arc::clone(&app.engine),
            query,
            body: fields,
            text,
            bytes: file,
            headers: parts.headers,
            who,
            path,
        };
        Ok((call, keyed))
    }

    /// Who calls, in their team. [`Error::Unauthenticated`] on a route whose act is in no team.
    pub fn caller(&self) -> Result<&Caller> {
        match &self.who {
            Who::InTeam(caller) => Ok(caller),
            _ => Err(Error::Unauthenticated),
        }
    }

    /// Who calls, above teams. [`Error::Unauthenticated`] on a route whose act is not on an account or the server.
    pub fn steward(&self) -> Result<&Steward> {
        match &self.who {
            Who::Above(steward) => Ok(steward),
            _ => Err(Error::Unauthenticated),
        }
    }

    /// Who calls, wherever. [`Error::Unauthenticated`] on a route whose act is on more than the credential.
    pub fn principal(&self) -> Result<&Principal> {
        match &self.who {
            Who::Anywhere(principal) => Ok(principal),
            _ => Err(Error::Unauthenticated),
        }
    }

    /// Who may repeat this call. [`Error::Unauthenticated`] on a public route.
    pub fn repeater(&self) -> Result<Repeater<'_>> {
        let (team, actor, standing) = match &self.who {
            Who::Anybody => return Err(Error::Unauthenticated),
            Who::Anywhere(principal) => (None, Cow::Owned(principal.actor()), principal.standing()),
            Who::InTeam(caller) => (
                Some(&caller.team),
                Cow::Borrowed(&caller.actor),
                caller.standing,
            ),
            Who::Above(steward) => (None, Cow::Borrowed(&steward.actor), steward.standing),
        };
        Ok(Repeater {
            team,
            actor,
            standing,
        })
    }

    /// The percent-decoded path parameter `name`; empty when the route has none of that name.
    pub fn path(&self, name: &str) -> &str {
        parameter(&self.path, name).unwrap_or_default()
    }
}

fn parameter<'a>(path: &'a RawPathParams, name: &str) -> Option<&'a str> {
    let found = path.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value)
}

/// Who calls, as far as the route's act asks for it ([`Scope`]).
#[derive(Clone)]
enum Who {
    Anybody,
    Anywhere(Principal),
    InTeam(Arc<Caller>),
    Above(Steward),
}

impl Who {
    /// Whether their standing includes the act.
    fn require(&self, act: Act) -> Result<()> {
        match self {
            Self::Anybody => Ok(()),
            Self::Anywhere(principal) => principal.require(act),
            Self::InTeam(caller) => caller.require(act),
            Self::Above(steward) => steward.require(act),
        }
    }

    /// Whose requests theirs are counted with.
    fn bucket(&self) -> Bucket {
        match self {
            Self::InTeam(caller) => Bucket::Team(caller.team.clone()),
            Self::Anywhere(principal) => match &principal.kind {
                PrincipalKind::Team { team, .. } | PrincipalKind::Workload { team, .. } => {
                    Bucket::Team(team.clone())
                }
                _ => Bucket::Actor(actor_word(&principal.actor())),
            },
            Self::Above(steward) => Bucket::Actor(actor_word(&steward.actor)),
            Self::Anybody => Bucket::Actor(actor_word(&Actor::EndUser)),
        }
    }
}

/// The text of a header that is there and says something.
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

/// The text of a header that decides where a request acts: one line, readable, or none.
///
/// # Errors
/// [`Error::Invalid`] names the header.
pub fn deciding_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return match headers.contains_key(name) {
            true => Err(Error::invalid(name, "is sent more than once")),
            false => Ok(None),
        };
    };
    let text = line.to_str();
    let text = text.map_err(|_| Error::invalid(name, "holds more than visible ASCII"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// Who asked, as an extension of the answer: for the log.
#[derive(Clone)]
pub struct Asker(Who);

impl Asker {
    /// The team acted in.
    pub fn team(&self) -> Option<&str> {
        match &self.0 {
            Who::InTeam(caller) => Some(caller.team.as_str()),
            _ => None,
        }
    }

    /// Kind and id of the actor: `key:key_1`, `user:user_1`, `project:prj_1`, `server`.
    pub fn actor(&self) -> String {
        match &self.0 {
            Who::Anybody => actor_word(&Actor::EndUser),
            Who::Anywhere(principal) => actor_word(&principal.actor()),
            Who::InTeam(caller) => actor_word(&caller.actor),
            Who::Above(steward) => actor_word(&steward.actor),
        }
    }
}

fn actor_word(actor: &Actor) -> String {
    match actor {
        Actor::Server => "server".to_owned(),
        Actor::Key { id } => format!("key:{id}"),
        Actor::User { id } => format!("user:{id}"),
        Actor::Project {
            id, environment, ..
        } => format!("project:{id}:{}", environment.as_str()),
        Actor::EndUser => "anybody".to_owned(),
        Actor::System => "grantry".to_owned(),
    }
}

/// What a request proves itself with.
enum Credential<'a> {
    /// The control socket: whoever may open it is the operator.
    Local,
    /// A key or a token.
    Bearer(&'a str),
}

impl<'a> Credential<'a> {
    fn of(app: &App, headers: &'a HeaderMap) -> Result<Self> {
        if app.local {
            Ok(Self::Local)
        } else {
            bearer(headers).map(Self::Bearer)
        }
    }
}

/// What a request asks for, before it is known whose it is.
struct Asked<'a> {
    engine: &'a Engine,
    act: Act,
    dialect: Dialect,
    query: &'a Fields,
    headers: &'a HeaderMap,
    /// `None` for one that cannot be read.
    path: Option<&'a RawPathParams>,
}

impl Asked<'_> {
    /// Who calls; whether they may, [`Who::require`] says. The path names the team or the account where it has
    /// a parameter of that name, else the query does.
    async fn who(&self, credential: Credential<'_>) -> Result<Who> {
        let Self { engine, act, .. } = *self;
        if act.scope() == Scope::Team && self.path.is_some() {
            let header = self.dialect.team_header();
            let (team, at_home) = match (self.named("team"), header) {
                (Some(team), _) => (Some(team), false),
                (None, Some(name)) => (deciding_header(self.headers, name)?, true),
                (None, None) => (self.dialect.team(self.query)?, false),
            };
            let caller = match credential {
                Credential::Local => self.operator(team).await?,
                Credential::Bearer(bearer) if at_home => {
                    engine.caller_at_home(bearer, team).await?
                }
                Credential::Bearer(bearer) => match engine.caller(bearer, team).await {
                    // Who may do this in no team is not asked for which.
                    Err(unnamed @ Error::Invalid(_)) => {
                        engine.principal(bearer).await?.require(act)?;
                        return Err(unnamed);
                    }
                    caller => caller?,
                },
            };
            return Ok(Who::InTeam(caller));
        }
        let principal = match credential {
            Credential::Local => Principal::OPERATOR,
            Credential::Bearer(bearer) => engine.principal(bearer).await?,
        };
        match act.scope() {
            Scope::Account | Scope::Server if principal.require(act).is_ok() => {
                let asked = self.query.text("account").filter(|id| !id.is_empty());
                let account = self.named("account").or(asked);
                let steward = engine.steward(&principal, act, account).await?;
                Ok(Who::Above(steward))
            }
            _ => Ok(Who::Anywhere(principal)),
        }
    }

    /// The operator at the control socket, who may name a project in place of a team.
    async fn operator(&self, team: Option<&str>) -> Result<Arc<Caller>> {
        let of_project = match (team, self.query.text("project")) {
            (None, Some(project)) => self.engine.team_of_project(&project.into()).await?,
            _ => None,
        };
        let team = team.or(of_project.as_ref().map(TeamId::as_str));
        self.engine.server_caller(team).await
    }

    fn named(&self, name: &str) -> Option<&str> {
        self.path.and_then(|path| parameter(path, name))
    }
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
async fn path_of(parts: &mut Parts) -> Result<RawPathParams> {
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
    // No name or id has one, and PostgreSQL has no text with NUL.
    if params
        .iter()
        .any(|(_, value)| value.chars().any(char::is_control))
    {
        return Err(Error::invalid(
            "path",
            "must not contain control characters",
        ));
    }
    Ok(params)
}

const JSON: &str = "application/json";

/// Parameters of the native API that say where, on every route.
const PLACES: &[&str] = &["team", "account", "project"];

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

/// The whole body, if it is small enough, by its declared length before anything is read, else by what
/// has arrived (requirement 102), and if it arrives in time
/// (requirement 101): `limits.body_time_max`, and a second for each MiB that it may have beyond the first.
///
/// # Errors
/// [`Error::Body`].
pub async fn read(engine: &Engine, headers: &HeaderMap, body: Body, limit: Bound) -> Result<Bytes> {
    let bytes_max = limit.number();
    let time = engine.settings().limits.body_time_max;
    let too_large = || Error::Body(error::Body::TooLarge { limit });
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > bytes_max) {
        let late = engine.clock().sleep(time);
        tokio::spawn(async move {
            let _drained_or_late = select(pin!(drain(body)), late).await;
        });
        return Err(too_large());
    }
    let further = Duration::from_secs((bytes_max.saturating_sub(1) >> 20) as u64);
    let arriving = pin!(Limited::new(body, bytes_max).collect());
    // Lazy: a body that is there already starts no timer.
    let late = pin!(async { engine.clock().sleep(time + further).await });
    match select(arriving, late).await {
        Either::Left((Ok(whole), _)) => Ok(whole.to_bytes()),
        Either::Left((Err(error), _)) if error.is::<LengthLimitError>() => Err(too_large()),
        Either::Left((Err(_), _)) => Err(malformed("HTTP", "it broke off")),
        Either::Right(_) => Err(malformed("HTTP", "it took too long to arrive")),
    }
}

/// Takes in what a client goes on sending and throws it away, up to a point: a connection that is closed
/// on unread bytes is reset, and the client may never see the answer that tells it why.
async fn drain(body: Body) {
    let mut frames = body.into_data_stream();
    let mut drained = 0;
    while let Some(Ok(frame)) = frames.next().await {
        drained += frame.len();
        if drained > limits::DRAINED_BYTES_MAX {
            break;
        }
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
