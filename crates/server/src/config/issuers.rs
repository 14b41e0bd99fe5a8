//! `[[workload.issuers]]`: outside issuers whose tokens prove workloads.

use grantry_core::limits::OUTSIDE_TOKEN_TIME_MAX;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grantry_engine::{Condition, KeySource, Rule, Template, TrustedIssuer};
use grantry_vault::jws::KeySet;
use toml::{Table, Value};
use url::Url;

use super::value::Read as _;

/// Keys of an issuer.
const ISSUER: &[&str] = &[
    "name",
    "issuer",
    "audiences",
    "jwks_uri",
    "jwks_file",
    "algorithms",
    "typ",
    "life_max",
    "require",
    "rules",
];
/// Keys of a rule.
const RULE: &[&str] = &["match", "team", "project", "environment"];

/// Algorithms that can be accepted: what `vault::jws` verifies. Symmetric ones are not among them.
const ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// The declared issuers. What is wrong is added to `problems`, each line beginning with `origin`.
pub fn read(tables: &[Table], origin: &str, problems: &mut Vec<String>) -> Vec<TrustedIssuer> {
    let (mut names, mut issuers) = (HashSet::new(), HashSet::new());
    let mut all = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let mut place = Place {
            table,
            at: format!("{origin}: workload.issuers[{at}]"),
            problems: &mut *problems,
        };
        let Some(trusted) = place.issuer() else {
            continue;
        };
        if !names.insert(trusted.name.clone()) {
            place.complain(
                "name",
                &format!("{:?} is another issuer's too", trusted.name),
            );
        }
        if !issuers.insert(trusted.issuer.clone()) {
            let why = format!(
                "{:?} is declared twice; put all its rules into one",
                trusted.issuer
            );
            place.complain("issuer", &why);
        }
        all.push(trusted);
    }
    all
}

/// A table on its way to become something.
struct Place<'a> {
    table: &'a Table,
    at: String,
    problems: &'a mut Vec<String>,
}

impl Place<'_> {
    fn complain(&mut self, key: &str, what: &str) {
        let at = &self.at;
        self.problems.push(match key {
            "" => format!("{at} {what}"),
            key => format!("{at}.{key}: {what}"),
        });
    }

    /// Every key has to be one of `known`.
    fn only(&mut self, known: &[&str]) {
        let unknown: Vec<&String> = self
            .table
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .collect();
        for key in unknown {
            let nearest = nearest(key, known);
            self.complain("", &format!("has no key {key}; {nearest}"));
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            other => {
                let what = format!("{other} is no text, or an empty one");
                self.complain(key, &what);
                None
            }
        }
    }

    fn required(&mut self, key: &str) -> Option<String> {
        if !self.table.contains_key(key) {
            self.complain(key, "is required");
        }
        self.text(key)
    }

    /// A text or a list of texts.
    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.table.get(key)?;
        let read = texts(value);
        if read.is_none() {
            let what = format!("{value} is neither a text nor a list of texts");
            self.complain(key, &what);
        }
        read
    }

    fn issuer(&mut self) -> Option<TrustedIssuer> {
        self.only(ISSUER);
        let (name, issuer) = (self.required("name"), self.required("issuer"));
        let audiences = self.texts("audiences");
        if audiences.as_ref().is_some_and(Vec::is_empty) {
            self.complain(
                "audiences",
                "is empty; leave it out to accept this server's public URL",
            );
        }
        let keys = self.keys(issuer.as_deref());
        let algorithms = self.algorithms();
        let typ = self.text("typ");
        let life_max = match self.table.get("life_max").map(Duration::read) {
            None => OUTSIDE_TOKEN_TIME_MAX,
            Some(Some(time)) => time,
            Some(None) => {
                self.complain("life_max", "is no time; \"1h\" or \"24h\" would be right");
                OUTSIDE_TOKEN_TIME_MAX
            }
        };
        let require = match self.table.get("require") {
            None => vec![],
            Some(value) => self.conditions("require", value),
        };
        let rules = self.rules();
        Some(TrustedIssuer {
            name: name?,
            issuer: issuer?,
            audiences: audiences.unwrap_or_default(),
            keys: keys?,
            algorithms,
            typ,
            life_max,
            require,
            rules,
        })
    }

    fn keys(&mut self, issuer: Option<&str>) -> Option<KeySource> {
        let (url, file) = (self.text("jwks_uri"), self.text("jwks_file"));
        match (url, file) {
            (Some(_), Some(_)) => {
                self.complain(
                    "jwks_file",
                    "stands beside jwks_uri; the keys are in one place",
                );
                None
            }
            (Some(url), None) => match Url::parse(&url) {
                Ok(url) => Some(KeySource::Url(url)),
                Err(error) => {
                    self.complain("jwks_uri", &format!("{url:?} is no URL: {error}"));
                    None
                }
            },
            (None, Some(file)) => match key_file(Path::new(&file)) {
                Ok(keys) => Some(KeySource::Fixed(Arc::new(keys))),
                Err(why) => {
                    self.complain("jwks_file", &format!("{file}: {why}"));
                    None
                }
            },
            (None, None) => {
                if issuer.is_some_and(|issuer| Url::parse(issuer).is_err()) {
                    self.complain(
                        "issuer",
                        "is no URL, so its keys cannot be discovered; name jwks_uri or jwks_file",
                    );
                }
                Some(KeySource::Discover)
            }
        }
    }

    fn algorithms(&mut self) -> Vec<String> {
        let Some(named) = self.texts("algorithms") else {
            return ALGORITHMS.iter().map(|name| (*name).to_owned()).collect();
        };
        if named.is_empty() {
            self.complain("algorithms", "is empty, so no token could be accepted");
        }
        for name in &named {
            if !ALGORITHMS.contains(&name.as_str()) {
                let nearest = nearest(name, ALGORITHMS);
                self.complain(
                    "algorithms",
                    &format!("{name:?} cannot be accepted; {nearest}"),
                );
            }
        }
        named
    }

    fn rules(&mut self) -> Vec<Rule> {
        let tables = match self.table.get("rules") {
            Some(Value::Array(rules)) => rules.iter().map(Value::as_table).collect(),
            _ => None,
        };
        let Some(tables) = tables.filter(|tables: &Vec<&Table>| !tables.is_empty()) else {
            self.complain(
                "rules",
                "is required: [[workload.issuers.rules]] with match, team, project, environment",
            );
            return vec![];
        };
        let rules = tables
            .into_iter()
            .enumerate()
            .filter_map(|(number, table)| {
                let mut place = Place {
                    table,
                    at: format!("{}.rules[{number}]", self.at),
                    problems: &mut *self.problems,
                };
                place.rule()
            });
        rules.collect()
    }

    fn rule(&mut self) -> Option<Rule> {
        self.only(RULE);
        let claims = match self.table.get("match") {
            Some(value) => self.conditions("match", value),
            None => vec![],
        };
        if claims.is_empty() {
            self.complain(
                "match",
                "is required; { sub = \"*\" } would match every token of this issuer",
            );
        }
        let team = self.required("team");
        if team.as_ref().is_some_and(|team| team.contains(['{', '*'])) {
            self.complain("team", "has to name one team: no claim may choose it");
        }
        let (project, environment) = (self.template("project"), self.template("environment"));
        Some(Rule {
            claims,
            team: team?,
            project: project?,
            environment: environment?,
        })
    }

    fn template(&mut self, key: &str) -> Option<Template> {
        let text = self.required(key)?;
        match Template::new(&text) {
            Ok(template) => Some(template),
            Err(why) => {
                self.complain(key, &format!("{text:?}: {why}"));
                None
            }
        }
    }

    fn conditions(&mut self, key: &str, value: &Value) -> Vec<Condition> {
        let Some(table) = value.as_table() else {
            let what = "is no table of claims; { repository = \"acme/web\" } would be right";
            self.complain(key, what);
            return vec![];
        };
        let mut conditions = Vec::new();
        for (claim, patterns) in table {
            let condition = match texts(patterns) {
                Some(patterns) => Condition::new(claim, patterns),
                None => Err(format!("{patterns} is neither a text nor a list of texts")),
            };
            match condition {
                Ok(condition) => conditions.push(condition),
                Err(why) => self.complain(key, &format!("{claim}: {why}")),
            }
        }
        conditions
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// The public keys in a JWK set (RFC 7517 §5).
fn key_file(path: &Path) -> Result<KeySet, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let set: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| format!("no JSON: {error}"))?;
    let members = set.get("keys").and_then(serde_json::Value::as_array);
    let keys = KeySet::new(members.ok_or("no JWK set: it has no list of keys")?);
    match keys.is_empty() {
        true => Err("none of its keys is a public key that signs".to_owned()),
        false => Ok(keys),
    }
}

fn nearest(unknown: &str, known: &[&str]) -> String {
    let likeness = |name: &&&str| strsim::normalized_damerau_levenshtein(name, unknown);
    let best = known
        .iter()
        .max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
    match best.filter(|name| likeness(name) >= 0.5) {
        Some(name) => format!("is {name} meant?"),
        None => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[issuers]]
        name = "github"
        issuer = "https://token.actions.githubusercontent.com"
        audiences = "https://grantry.example"
        algorithms = ["RS256"]
        life_max = "10m"
        require = { repository_owner = "acme" }
        [[issuers.rules]]
        match = { repository = ["acme/web", "acme/web-*"], ref = "refs/heads/main" }
        team = "acme"
        project = "web"
        environment = "production"
        [[issuers]]
        name = "cluster"
        issuer = "https://kubernetes.default.svc"
        jwks_uri = "https://10.0.0.1/openid/v1/jwks"
        [[issuers.rules]]
        match = { "/kubernetes.io/namespace" = "*" }
        team = "acme"
        project = "{/kubernetes.io/namespace}"
        environment = "production"
    "#;

    fn problems(text: &str) -> Vec<String> {
        let table: Table = text.parse().unwrap();
        let tables: Vec<Table> = table["issuers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_table().unwrap().clone())
            .collect();
        let mut problems = Vec::new();
        read(&tables, "grantry.toml, line 3", &mut problems);
        problems
    }

    #[test]
    fn a_good_declaration_has_no_problem() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands_with_what_would_be_right() {
        for (good, bad, complaint) in [
            (
                "audiences =",
                "audience =",
                "issuers[0] has no key audience; is audiences meant?",
            ),
            (
                "life_max = \"10m\"",
                "life_max = 10",
                "issuers[0].life_max: is no time",
            ),
            (
                "\"RS256\"",
                "\"HS256\"",
                "issuers[0].algorithms: \"HS256\" cannot be accepted; is ES256 meant?",
            ),
            (
                "\"RS256\"",
                "\"none\"",
                "\"none\" cannot be accepted; there are RS256",
            ),
            ("[\"RS256\"]", "[]", "issuers[0].algorithms: is empty"),
            (
                "\"https://grantry.example\"",
                "[]",
                "issuers[0].audiences: is empty",
            ),
            (
                "name = \"cluster\"",
                "name = \"github\"",
                "issuers[1].name: \"github\" is another issuer's too",
            ),
            (
                "https://kubernetes.default.svc",
                "https://token.actions.githubusercontent.com",
                "issuers[1].issuer: \"https://token.actions.githubusercontent.com\" is declared twice",
            ),
            (
                "issuer = \"https://kubernetes",
                "iss = \"https://kubernetes",
                "issuers[1].issuer: is required",
            ),
            (
                "jwks_uri = \"https://10",
                "jwks_uri = \"10",
                "issuers[1].jwks_uri: \"10.0.0.1/openid",
            ),
            (
                "jwks_uri = \"https://10.0.0.1/openid/v1/jwks\"",
                "jwks_file = \"/none\"",
                "issuers[1].jwks_file: /none: No such file",
            ),
            (
                "match = { \"/kubernetes.io/namespace\" = \"*\" }",
                "",
                "issuers[1].rules[0].match: is required; { sub = \"*\" }",
            ),
            (
                "{ repository_owner = \"acme\" }",
                "\"acme\"",
                "issuers[0].require: is no table of claims",
            ),
            (
                "\"refs/heads/main\"",
                "7",
                "rules[0].match: ref: 7 is neither a text",
            ),
            (
                "\"refs/heads/main\"",
                "\"\"",
                "rules[0].match: ref: an empty text",
            ),
            (
                "team = \"acme\"\n        project = \"web\"",
                "team = \"{owner}\"\n        project = \"web\"",
                "rules[0].team: has to name one team",
            ),
            (
                "project = \"web\"",
                "projekt = \"web\"",
                "rules[0] has no key projekt; is project meant?",
            ),
            (
                "project = \"web\"",
                "projekt = \"web\"",
                "rules[0].project: is required",
            ),
            (
                "{/kubernetes.io/namespace}",
                "{/kubernetes",
                "issuers[1].rules[0].project: \"{/kubernetes\": a { without its }",
            ),
        ] {
            assert!(GOOD.contains(good), "{good}");
            let found = problems(&GOOD.replacen(good, bad, 1));
            let said = found.iter().any(|problem| problem.contains(complaint));
            assert!(said, "{bad}: {complaint}: {found:#?}");
            assert!(
                found
                    .iter()
                    .all(|problem| problem.starts_with("grantry.toml, line 3: workload.issuers["))
            );
        }
    }
}
