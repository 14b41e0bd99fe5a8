//! GitHub Apps: the app signs for itself, and buys tokens for one installation at a time
//! (docs.github.com, "Authenticating as a GitHub App installation"; reference/vercel-connect §7).
//!
//! A token that may do more than was asked for is never a success: what an answer grants is compared with
//! what was asked, and a wider one is refused ([`Refused::Wider`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grantry_core::http::{Failure, Method, Purpose, Request, Response};
use grantry_core::{Entropy, Problem, Secret, Timestamp, limits};
use grantry_vault::jws::{SigningError, SigningKey};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::assertion::Assertion;
use crate::client::{Client, basic};
use crate::json;
use crate::retry_after::retry_after;
use crate::text::is_vschar;

mod listed;

pub use listed::{
    LISTED, Seen, installations_of_user, parse_installation, parse_list, parse_list_of_user,
};

/// The `type` of the authorization detail that narrows an installation's token.
pub const DETAIL: &str = "github_app_installation";

/// The page of an app, at the host where users sign in.
pub fn app_page(login: &Url, slug: &str) -> Option<Url> {
    login.join(&format!("/apps/{slug}")).ok()
}

/// The page on which its permissions are declared; `org` owns it, or where that is empty a person does.
pub fn permissions_page(login: &Url, slug: &str, org: &str) -> Option<Url> {
    let whose = match org {
        "" => String::new(),
        org => format!("/organizations/{org}"),
    };
    let path = format!("{whose}/settings/apps/{slug}/permissions");
    login
        .join(&path)
        .ok()
        .filter(|_| org.is_empty() || is_name(org))
}

/// The page that installs it. The browser comes back to the app's setup URL with `installation_id` and
/// `setup_action` (`install`, `update`, or `request` where an owner has to approve).
pub fn install_page(login: &Url, slug: &str) -> Option<Url> {
    login.join(&format!("/apps/{slug}/installations/new")).ok()
}

/// How much a permission allows. In this order, each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Read,
    Write,
    Admin,
}

impl Level {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// What an installation's token is asked for: all that the installation has, or less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The account whose installation it has to be, in lower case.
    org: Option<String>,
    permissions: BTreeMap<String, Level>,
    /// Names of repositories, in lower case.
    repositories: BTreeSet<String>,
}

impl Narrowing {
    /// From `authorizationDetails`, of which one at most may be there, and scopes, which are permissions
    /// (`contents:read`). What cannot be asked for is a problem and never left out: the token would be wider.
    ///
    /// # Errors
    /// Every wrong field.
    pub fn parse(details: &[Value], scopes: &[String]) -> Result<Self, Vec<Problem>> {
        let mut narrowing = Self::default();
        let mut problems = Vec::new();
        for scope in scopes {
            if let Err(message) = narrowing.permit(scope) {
                problems.push(Problem::new("scopes", message));
            }
        }
        let path = |rest: &str| format!("authorizationDetails[0]{rest}");
        if details.len() > 1 {
            let message = format!("must be one of type {DETAIL} at most");
            problems.push(Problem::new("authorizationDetails", message));
        }
        if let Some(detail) = details.first() {
            let members = detail.as_object();
            let members = members.filter(|members| members.get("type") == Some(&DETAIL.into()));
            match members {
                None => problems.push(Problem::new(
                    path(".type"),
                    format!("must be {DETAIL}: nothing else narrows this token"),
                )),
                Some(members) => narrowing.read(members, &mut |field, message| {
                    problems.push(Problem::new(path(field), message));
                }),
            }
        }
        if problems.is_empty() {
            Ok(narrowing)
        } else {
            Err(problems)
        }
    }

    fn read(&mut self, members: &Map<String, Value>, problem: &mut dyn FnMut(&str, String)) {
        for (name, value) in members {
            match name.as_str() {
                "type" => {}
                "org" => match value.as_str() {
                    Some(org) if is_name(org) => self.org = Some(org.to_lowercase()),
                    _ => problem(".org", "must be the name of an account".to_owned()),
                },
                "permissions" => self.each(value, ".permissions", problem, Self::permit),
                "repositories" => self.each(value, ".repositories", problem, Self::reach),
                _ => problem(
                    &format!(".{name}"),
                    "is not known; known are org, permissions and repositories".to_owned(),
                ),
            }
        }
        if self.repositories.len() > limits::REPOSITORIES_MAX {
            let message = format!("must be at most {}", limits::REPOSITORIES_MAX);
            problem(".repositories", message);
        }
    }

    /// One text, or a list of texts that is not empty.
    fn each(
        &mut self,
        value: &Value,
        field: &str,
        problem: &mut dyn FnMut(&str, String),
        take: fn(&mut Self, &str) -> Result<(), String>,
    ) {
        let texts: Option<Vec<&str>> = match value {
            Value::String(text) => Some(vec![text]),
            Value::Array(items) if !items.is_empty() => items.iter().map(Value::as_str).collect(),
            _ => None,
        };
        match texts {
            None => problem(field, "must be a text or a list of texts".to_owned()),
            Some(texts) => {
                for text in texts {
                    if let Err(message) = take(self, text) {
                        problem(field, message);
                    }
                }
            }
        }
    }

    /// Takes in `contents:read`.
    fn permit(&mut self, text: &str) -> Result<(), String> {
        let wrong =
            || format!("{text:?} must be a permission with its level, such as contents:read");
        let (name, level) = text.split_once(':').ok_or_else(wrong)?;
        let word = |c: u8| c.is_ascii_lowercase() || c == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
            return Err(wrong());
        }
        let level = Level::parse(level).ok_or_else(wrong)?;
        match self.permissions.insert(name.to_owned(), level) {
            Some(other) if other != level => Err(format!("{name} is asked for at two levels")),
            _ => Ok(()),
        }
    }

    /// Takes in `owner/name`, or the name alone.
    fn reach(&mut self, text: &str) -> Result<(), String> {
        let wrong = || format!("{text:?} must be a repository: owner/name");
        let name = match text.split_once('/') {
            None => text,
            Some((owner, name)) => {
                if !is_name(owner) {
                    return Err(wrong());
                }
                let owner = owner.to_lowercase();
                match &self.org {
                    // The request names repositories without their owner: two owners would be mixed up.
                    Some(org) if *org != owner => {
                        return Err(format!("{text:?} is not of {org}, as the rest is"));
                    }
                    _ => self.org = Some(owner),
                }
                name
            }
        };
        if !is_name(name) {
            return Err(wrong());
        }
        self.repositories.insert(name.to_lowercase());
        Ok(())
    }

    /// The account whose installation it has to be.
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// The same narrowing as details, in one spelling for all that mean the same: equal narrowings are one
    /// stored token. Empty when nothing is narrowed.
    pub fn details(&self) -> Vec<Value> {
        let mut detail = json!({ "type": DETAIL });
        if let Some(org) = &self.org {
            detail["org"] = org.as_str().into();
        }
        if !self.permissions.is_empty() {
            let texts = self.permissions.iter();
            let texts: Vec<String> = texts
                .map(|(name, level)| format!("{name}:{}", level.as_str()))
                .collect();
            detail["permissions"] = texts.into();
        }
        if !self.repositories.is_empty() {
            detail["repositories"] = self.repositories.iter().cloned().collect::<Vec<_>>().into();
        }
        if *self == Self::default() {
            return vec![];
        }
        vec![detail]
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        if !self.permissions.is_empty() {
            let levels = self.permissions.iter();
            let levels: Map<String, Value> = levels
                .map(|(name, level)| (name.clone(), level.as_str().into()))
                .collect();
            body.insert("permissions".to_owned(), levels.into());
        }
        if !self.repositories.is_empty() {
            let names: Vec<String> = self.repositories.iter().cloned().collect();
            body.insert("repositories".to_owned(), names.into());
        }
        Value::Object(body)
    }

    /// What `granted` has that was not asked for. GitHub adds `metadata:read` to whatever is asked.
    fn wider(&self, granted: &Map<String, Value>) -> bool {
        let Some(permissions) = granted.get("permissions").and_then(Value::as_object) else {
            return !self.permissions.is_empty();
        };
        let too_much = |(name, level): (&String, &Value)| {
            let level = level.as_str().and_then(Level::parse);
            let implied = name == "metadata" && level == Some(Level::Read);
            match (self.permissions.get(name), level) {
                _ if implied => false,
                (Some(asked), Some(level)) => level > *asked,
                _ => true,
            }
        };
        if !self.permissions.is_empty() && permissions.iter().any(too_much) {
            return true;
        }
        !self.repositories.is_empty() && self.reaches_further(granted)
    }

    fn reaches_further(&self, granted: &Map<String, Value>) -> bool {
        if granted.get("repository_selection").and_then(Value::as_str) == Some("all") {
            return true;
        }
        let Some(repositories) = granted.get("repositories").and_then(Value::as_array) else {
            // Without a list there is only the word `selected`, which is what was asked for.
            return granted.get("repository_selection").and_then(Value::as_str) != Some("selected");
        };
        repositories.iter().any(|repository| {
            let full = repository.get("full_name").and_then(Value::as_str);
            let full = full.unwrap_or_default().to_lowercase();
            let (owner, name) = full.split_once('/').unwrap_or(("", &full));
            let foreign = self.org.as_ref().is_some_and(|org| *org != owner);
            foreign || !self.repositories.contains(name)
        })
    }
}

/// A login or a repository's name: nothing that could lead to another part of a URL.
fn is_name(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (1..=100).contains(&text.len()) && text.bytes().all(fits) && !text.bytes().all(|c| c == b'.')
}

/// Who asks for tokens of an installation.
pub struct App<'a> {
    /// Where the API is: `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise Server.
    pub api: &'a Url,
    /// The app's id, or its client id.
    pub id: &'a str,
    /// Its private key (RSA).
    pub key: &'a SigningKey,
}

impl App<'_> {
    /// The JWT by which the app speaks for itself: short-lived and set back, for GitHub refuses one of more
    /// than ten minutes or of the future (requirement 28).
    fn jwt(&self, entropy: &dyn Entropy, now: Timestamp) -> Result<Secret, SigningError> {
        let assertion = Assertion {
            issuer: self.id,
            subject: "",
            audience: "",
            lifetime: limits::ASSERTION_TIME_MAX,
            extra: &Map::new(),
        };
        assertion.sign(self.key, entropy, now)
    }

    /// Asks whose an installation is, and how it does.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn installation(
        &self,
        installation: &str,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Option<Request>, SigningError> {
        let jwt = self.jwt(entropy, now)?;
        let url = at(self.api, &["app", "installations", installation]);
        Ok(url.map(|url| request(Method::Get, url, bearer(&jwt), None)))
    }

    /// Asks for a token of `installation`, a number in decimal digits; `None` where it is none.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn token(
        &self,
        installation: &str,
        narrowing: &Narrowing,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Option<Request>, SigningError> {
        let jwt = self.jwt(entropy, now)?;
        let path = ["app", "installations", installation, "access_tokens"];
        let url = at(self.api, &path).filter(|_| is_installation(installation));
        Ok(url.map(|url| request(Method::Post, url, bearer(&jwt), Some(&narrowing.body()))))
    }
}

/// Whether `id` can be an installation's.
pub fn is_installation(id: &str) -> bool {
    (1..=20).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_digit())
}

/// What tokens of installations begin with (github.blog, "Behind GitHub's new authentication token formats").
const INSTALLATION_TOKEN: &str = "ghs_";

/// Ends an access token: an installation's by itself, a user's as the client that it was given to.
pub fn revoke(api: &Url, client: &Client, token: &Secret) -> Option<Request> {
    if token.expose().starts_with(INSTALLATION_TOKEN) {
        let url = at(api, &["installation", "token"])?;
        return Some(request(Method::Delete, url, bearer(token), None));
    }
    let url = at(api, &["applications", &client.id, "token"])?;
    let secret = client.secret.as_ref()?;
    let body = json!({ "access_token": token.expose() });
    let basic = basic(&client.id, secret.expose());
    Some(request(Method::Delete, url, basic, Some(&body)))
}

fn bearer(token: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {}", token.expose()))
}

fn at(api: &Url, path: &[&str]) -> Option<Url> {
    let mut url = api.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

fn request(
    method: Method,
    url: Url,
    authorization: Zeroizing<String>,
    body: Option<&Value>,
) -> Request {
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    let mut headers = vec![
        ("accept", plain("application/vnd.github+json")),
        ("x-github-api-version", plain("2022-11-28")),
        ("authorization", authorization),
    ];
    if body.is_some() {
        headers.push(("content-type", plain("application/json")));
    }
    let body = body.map(|body| body.to_string().into_bytes());
    Request {
        method,
        url,
        headers,
        body: Zeroizing::new(body.unwrap_or_default()),
        purpose: Purpose::Token,
    }
}

/// A token of an installation.
pub struct Granted {
    /// The token.
    pub token: Secret,
    /// When it ends.
    pub expires_in: Duration,
    /// `permissions` and `repository_selection`, as GitHub said.
    pub metadata: Map<String, Value>,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The installation is not there any more (404).
    Gone,
    /// It is suspended: 403, "This installation has been suspended".
    Suspended,
    /// It does not have what was asked for, or not from here: its owner has to grant it (422, or another 403).
    NotGranted,
    /// GitHub does not know the app by its id and key (401).
    App,
    /// It has to be asked again later.
    Busy(Option<Duration>),
    /// The answer grants more than was asked for. Whoever gets this may revoke the token.
    Wider,
    /// No usable answer.
    Unusable,
}

/// Reads what came of [`App::token`]. A token that is wider than asked comes back beside its refusal, to be ended.
pub fn parse_token(
    result: Result<Response, Failure>,
    narrowing: &Narrowing,
    now: Timestamp,
) -> Result<Granted, (Refused, Option<Secret>)> {
    let members = answer(result, now).map_err(|refused| (refused, None))?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let token = text("token").filter(|token| is_vschar(token, limits::TOKEN_BYTES_MAX));
    let token = Secret::new(token.ok_or((Refused::Unusable, None))?);
    if narrowing.wider(&members) {
        return Err((Refused::Wider, Some(token)));
    }
    let ends = text("expires_at").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    // An hour, as documented, where the answer does not say.
    let expires_in = ends.map_or(Duration::from_secs(3600), |ends| {
        Timestamp(ends.as_microsecond()).since(now)
    });
    let metadata = ["permissions", "repository_selection"];
    let metadata = metadata
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), members.get(name)?.clone())));
    Ok(Granted {
        token,
        expires_in,
        metadata: metadata.collect(),
    })
}

/// Reads what came of [`App::installation`]: the account's login, in lower case.
pub fn parse_account(result: Result<Response, Failure>, now: Timestamp) -> Result<String, Refused> {
    let members = answer(result, now)?;
    let login = members
        .get("account")
        .and_then(|account| account.get("login"));
    let login = login.and_then(Value::as_str).ok_or(Refused::Unusable)?;
    Ok(login.to_lowercase())
}

fn says_suspended(response: &Response) -> bool {
    message(response).is_some_and(|message| message.to_ascii_lowercase().contains("suspended"))
}

/// GitHub's own words (docs.github.com, "Troubleshooting the REST API"). What stands before it has others, or none.
fn message(response: &Response) -> Option<String> {
    let members = json::object(&response.body)?;
    Some(members.get("message")?.as_str()?.to_owned())
}

fn answer(
    result: Result<Response, Failure>,
    now: Timestamp,
) -> Result<Map<String, Value>, Refused> {
    let response = taken(result, now)?;
    json::object(&response.body).ok_or(Refused::Unusable)
}

/// The answer, where it is none of the refusals.
fn taken(result: Result<Response, Failure>, now: Timestamp) -> Result<Response, Refused> {
    let response = match result {
        Ok(response) => response,
        Err(Failure::Refused) => return Err(Refused::Unusable),
        Err(_) => return Err(Refused::Busy(None)),
    };
    let wait = retry_after(&response, now);
    // Primary limits come as 403 without Retry-After (docs.github.com, rate limits).
    let spent = response.header("x-ratelimit-remaining") == Some("0");
    match response.status {
        200..=299 => Ok(response),
        401 => Err(Refused::App),
        403 | 429 if spent || wait.is_some() => Err(Refused::Busy(wait)),
        // Other rules of the owner's refuse with it too (a list of addresses, say).
        403 if says_suspended(&response) => Err(Refused::Suspended),
        403 => Err(Refused::NotGranted),
        // Word for word: of an app that it does not know it says "Integration not found".
        404 => match message(&response).as_deref() {
            Some("Not Found") => Err(Refused::Gone),
            Some(_) => Err(Refused::App),
            None => Err(Refused::Unusable),
        },
        422 => Err(Refused::NotGranted),
        408 | 425 | 429 | 500.. => Err(Refused::Busy(wait)),
        _ => Err(Refused::Unusable),
    }
}

#[cfg(test)]
mod tests;
