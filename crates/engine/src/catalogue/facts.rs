//! What a row of the catalogue says, in the words of the code that uses it.

use grantry_core::Problem;
use grantry_core::nouns::Service;
use grantry_oauth::server::{ADMIN_CONSENT, API_BASE_URL, Server};
use regex::Regex;
use serde_json::{Map, Value};

/// Where problems with a connector's variables are reported.
const VARIABLES: &str = "data.variables";

/// What a variable without a pattern of its own may hold: nothing that could lead to another part of a URL.
const PLAIN: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,252}";

/// The authorization server of `row`, with `{variables}` filled in from a connector's `given`, and what is wrong
/// with those. A member whose variables are not known is left out.
///
/// A value is matched whole against its variable's pattern before it gets into a URL: a text of a user must not
/// choose the host (requirement 64).
pub fn server(row: &Service, given: Option<&Map<String, Value>>) -> (Server, Vec<Problem>) {
    let empty = Map::new();
    let declared = object(row, "variables").unwrap_or(&empty);
    let mut variables = Variables {
        declared,
        given: given.unwrap_or(&empty),
        problems: Vec::new(),
    };
    variables.check_names(&row.id);
    let mut member = |name: &str| variables.fill(row.data.get(name)?.as_str()?);
    let extra: Vec<_> = [API_BASE_URL, ADMIN_CONSENT]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), member(name)?.into())))
        .collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let scopes = row.data.get("common_scopes").and_then(Value::as_array);
    let method = row.data.get("token_endpoint_auth_method").and_then(text);
    let server = Server {
        issuer: member("issuer"),
        authorization_endpoint: member("authorization_endpoint"),
        token_endpoint: member("token_endpoint"),
        revocation_endpoint: member("revocation_endpoint"),
        introspection_endpoint: member("introspection_endpoint"),
        userinfo_endpoint: member("userinfo_endpoint"),
        user_emails_endpoint: member("user_emails_endpoint"),
        registration_endpoint: member("registration_endpoint"),
        jwks_uri: member("jwks_uri"),
        scopes_supported: scopes.map(|scopes| scopes.iter().filter_map(text).collect()),
        token_endpoint_auth_methods_supported: method.map(|method| vec![method]),
        extra: extra.into_iter().collect(),
        ..Server::default()
    };
    (server, variables.problems)
}

/// Parameters that the service's authorization requests carry unless a connector says otherwise.
pub fn authorize_params(row: Option<&Service>) -> Option<&Map<String, Value>> {
    row.and_then(|row| object(row, "authorize_params"))
}

/// What separates scopes in an authorization request, where the row says so.
pub fn scope_separator(row: &Service) -> Option<char> {
    match row.data.get("scope_separator")?.as_str()? {
        "space" => Some(' '),
        "comma" => Some(','),
        _ => None,
    }
}

fn object<'a>(row: &'a Service, name: &str) -> Option<&'a Map<String, Value>> {
    row.data.get(name).and_then(Value::as_object)
}

struct Variables<'a> {
    declared: &'a Map<String, Value>,
    given: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl Variables<'_> {
    fn check_names(&mut self, service: &str) {
        for name in self.given.keys() {
            if !self.declared.contains_key(name) {
                let known: Vec<&str> = self.declared.keys().map(String::as_str).collect();
                let message = match known.as_slice() {
                    [] => format!("is not asked for: {service} has no variables"),
                    known => format!(
                        "is not a variable of {service}; it has {}",
                        known.join(", ")
                    ),
                };
                self.problem(name, message);
            }
        }
    }

    /// `template` with its variables, unless one of them is not known. Names that are not declared come from
    /// a provider's answer, at the time of a request.
    fn fill(&mut self, template: &str) -> Option<String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        let mut complete = true;
        while let Some((before, name, after)) = split(rest) {
            filled.push_str(before);
            match self.value(name) {
                Some(value) => filled.push_str(&value),
                None => complete = false,
            }
            rest = after;
        }
        filled.push_str(rest);
        complete.then_some(filled)
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let declared = self.declared.get(name)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let pattern = declared.get("pattern").and_then(Value::as_str);
        let pattern = pattern.unwrap_or(PLAIN);
        let value = match self.given.get(name).and_then(text) {
            Some(given) => given,
            None => match declared.get("default").and_then(text) {
                Some(default) => default,
                None => {
                    self.problem(name, format!("is required: text that matches {pattern}"));
                    return None;
                }
            },
        };
        if matches_whole(pattern, &value) {
            Some(value)
        } else {
            self.problem(name, format!("must match {pattern}"));
            None
        }
    }

    /// Once per variable: several endpoints may need it.
    fn problem(&mut self, name: &str, message: String) {
        let problem = Problem::new(format!("{VARIABLES}.{name}"), message);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// What stands before, in and behind the first `{…}` of `template`.
fn split(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// A pattern that is none matches nothing.
pub(crate) fn matches_whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!(r"\A(?:{pattern})\z")).is_ok_and(|pattern| pattern.is_match(text))
}
