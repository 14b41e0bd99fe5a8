//! Issuers elsewhere whose tokens prove workloads, as the deployment declares them, and which workload
//! the claims of such a token mean. Pure: the declaration and the claims decide.

use grantry_core::limits::WORKLOAD_CLAIM_BYTES_MAX;
use std::time::Duration;

use grantry_vault::jws::KeySet;
use serde_json::Value;
use url::Url;

/// An issuer that is trusted.
pub struct TrustedIssuer {
    /// For people and the log.
    pub name: String,
    /// `iss`, byte for byte.
    pub issuer: String,
    /// Audiences of which a token has to name one; this server's own issuer when empty.
    pub audiences: Vec<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// Algorithms that are accepted, none of them symmetric; `alg` of a JWS header.
    pub algorithms: Vec<String>,
    /// The header `typ` that a token must have; `JWT` or none at all when absent.
    pub typ: Option<String>,
    /// The longest life, `exp` − `iat`, that a token may have.
    pub life_max: Duration,
    /// What every token has to claim.
    pub require: Vec<Condition>,
    /// Whom a token means: the first rule that matches says.
    pub rules: Vec<Rule>,
}

/// Where an issuer's public keys are.
pub enum KeySource {
    /// Where its discovery document says (OpenID Connect Discovery 1.0 §4).
    Discover,
    /// At this URL.
    Url(Url),
    /// Here, for an issuer that this server cannot reach.
    Fixed(std::sync::Arc<KeySet>),
}

/// A rule: tokens that claim this are that workload. It names one team, so that no claim can choose one.
pub struct Rule {
    /// All of them have to hold.
    pub claims: Vec<Condition>,
    /// Team id or slug.
    pub team: String,
    /// Project id or name.
    pub project: Template,
    /// Environment.
    pub environment: Template,
}

/// A claim and what it may be.
pub struct Condition {
    claim: Claim,
    /// Texts in which `*` stands for any text, also none.
    patterns: Vec<String>,
}

/// A claim by its name, or by a JSON pointer (RFC 6901) to one within another: `/kubernetes.io/namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim(String);

/// A text in which `{claim}` stands for the text of that claim.
pub struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Claim(Claim),
}

impl Condition {
    /// `claim` is one of `patterns`.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub fn new(claim: &str, patterns: Vec<String>) -> Result<Self, String> {
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            return Err(
                "an empty text would match nothing; name what the claim has to be".to_owned(),
            );
        }
        Ok(Self {
            claim: Claim::new(claim)?,
            patterns,
        })
    }

    fn holds(&self, claims: &Value) -> bool {
        let fits = |text: &str| self.patterns.iter().any(|pattern| matches(pattern, text));
        match self.claim.of(claims) {
            // One of several will do: groups, audiences.
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(fits),
            Some(one) => text_of(one).is_some_and(|text| fits(&text)),
            None => false,
        }
    }
}

impl Claim {
    fn new(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a claim has a name".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }

    fn of<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        match self.0.starts_with('/') {
            true => claims.pointer(&self.0),
            false => claims.get(&self.0),
        }
    }
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((claim, behind)) = after.split_once('}') else {
                return Err("a { without its }; {claim} stands for the text of a claim".to_owned());
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Claim(Claim::new(claim)?));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        match pieces.is_empty() {
            true => Err("an empty text names nothing".to_owned()),
            false => Ok(Self(pieces)),
        }
    }

    /// The text for these claims; `None` when one is missing or is no short, plain text.
    fn fill(&self, claims: &Value) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Claim(claim) => {
                    let text = text_of(claim.of(claims)?)?;
                    let plain = !text.is_empty()
                        && text.len() <= WORKLOAD_CLAIM_BYTES_MAX
                        && !text.chars().any(char::is_control);
                    filled.push_str(plain.then_some(&text)?);
                }
            }
        }
        Some(filled)
    }
}

/// Whom a token means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// Team id or slug.
    pub team: String,
    /// Project id or name.
    pub project: String,
    /// Environment.
    pub environment: String,
}

impl TrustedIssuer {
    /// Whom `claims` mean. `None` when a required claim is not as it has to be, when no rule matches, or
    /// when the one that does cannot be filled: the next one is not tried then.
    pub fn whom(&self, claims: &Value) -> Option<Meant> {
        if !self.require.iter().all(|condition| condition.holds(claims)) {
            return None;
        }
        let matching = |rule: &&Rule| rule.claims.iter().all(|condition| condition.holds(claims));
        let rule = self.rules.iter().find(matching)?;
        Some(Meant {
            team: rule.team.clone(),
            project: rule.project.fill(claims)?,
            environment: rule.environment.fill(claims)?,
        })
    }
}

/// Text, numbers and truth values have one spelling; lists and objects have none.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, text, fits) in [
            ("acme/web", "acme/web", true),
            ("acme/web", "acme/web2", false),
            ("acme/web", "x-acme/web", false),
            ("acme/*", "acme/web", true),
            ("acme/*", "acme/", true),
            ("acme/*", "acme2/web", false),
            ("*", "", true),
            ("*", "anything", true),
            ("refs/*/v*", "refs/tags/v1", true),
            ("refs/*/v*", "refs/heads/main", false),
            ("*:main", "repo:a:main", true),
            ("*:main", "repo:a:main2", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a.b", "axb", false),
            ("A", "a", false),
            ("a?", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    fn condition(claim: &str, patterns: &[&str]) -> Condition {
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned());
        Condition::new(claim, patterns.collect()).unwrap()
    }

    fn rule(claims: Vec<Condition>, team: &str, project: &str, environment: &str) -> Rule {
        Rule {
            claims,
            team: team.to_owned(),
            project: Template::new(project).unwrap(),
            environment: Template::new(environment).unwrap(),
        }
    }

    fn issuer(require: Vec<Condition>, rules: Vec<Rule>) -> TrustedIssuer {
        TrustedIssuer {
            name: "ci".to_owned(),
            issuer: "https://ci.example".to_owned(),
            audiences: vec![],
            keys: KeySource::Discover,
            algorithms: vec![],
            typ: None,
            life_max: Duration::from_secs(1),
            require,
            rules,
        }
    }

    #[test]
    fn the_first_rule_that_matches_says_whom_a_token_means() {
        let trusted = issuer(
            vec![condition("repository_owner", &["acme"])],
            vec![
                rule(
                    vec![
                        condition("repository", &["acme/web"]),
                        condition("ref", &["refs/heads/main", "refs/tags/v*"]),
                    ],
                    "acme",
                    "web",
                    "production",
                ),
                rule(
                    vec![condition("repository", &["acme/web"])],
                    "acme",
                    "web",
                    "preview",
                ),
                rule(
                    vec![condition("groups", &["deployers"])],
                    "other",
                    "{repository}",
                    "{env}",
                ),
            ],
        );
        let of = |claims: Value| {
            let meant = trusted.whom(&claims);
            meant.map(|meant| format!("{} {} {}", meant.team, meant.project, meant.environment))
        };
        let owner = "acme";
        for (claims, meant) in [
            (
                json!({"repository_owner": owner, "repository": "acme/web", "ref": "refs/heads/main"}),
                Some("acme web production"),
            ),
            (
                json!({"repository_owner": owner, "repository": "acme/web", "ref": "refs/tags/v1"}),
                Some("acme web production"),
            ),
            (
                json!({"repository_owner": owner, "repository": "acme/web", "ref": "refs/heads/x"}),
                Some("acme web preview"),
            ),
            (
                json!({"repository_owner": owner, "repository": "acme/web"}),
                Some("acme web preview"),
            ),
            (
                json!({"repository_owner": "mallory", "repository": "acme/web", "ref": "refs/heads/main"}),
                None,
            ),
            (
                json!({"repository": "acme/web", "ref": "refs/heads/main"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "repository": "acme/else"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "repository": {"acme/web": 1}}),
                None,
            ),
            (
                json!({"repository_owner": owner, "groups": ["x", "deployers"], "repository": "r", "env": 7}),
                Some("other r 7"),
            ),
            (
                json!({"repository_owner": owner, "groups": ["x"], "repository": "r", "env": "e"}),
                None,
            ),
            // A rule that matches and cannot be filled refuses.
            (
                json!({"repository_owner": owner, "groups": "deployers", "repository": "r"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "groups": "deployers", "repository": ["r"], "env": "e"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "groups": "deployers", "repository": "", "env": "e"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "groups": "deployers", "repository": "r\n", "env": "e"}),
                None,
            ),
            (
                json!({"repository_owner": owner, "groups": "deployers", "repository": "r".repeat(257), "env": "e"}),
                None,
            ),
        ] {
            assert_eq!(of(claims.clone()).as_deref(), meant, "{claims}");
        }
    }

    #[test]
    fn a_claim_within_another_is_named_by_a_pointer() {
        let trusted = issuer(
            vec![],
            vec![rule(
                vec![condition("/kubernetes.io/serviceaccount/name", &["api"])],
                "acme",
                "{/kubernetes.io/namespace}-{sub}",
                "production",
            )],
        );
        let claims = json!({
            "sub": "s",
            "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "api"}},
        });
        assert_eq!(trusted.whom(&claims).unwrap().project, "shop-s");
        let flat = json!({"sub": "s", "/kubernetes.io/serviceaccount/name": "api"});
        assert_eq!(trusted.whom(&flat), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_when_it_is_declared() {
        for (template, good) in [
            ("web", true),
            ("{a}", true),
            ("x-{a}-{/b/c}", true),
            ("", false),
            ("{}", false),
            ("{a", false),
        ] {
            assert_eq!(Template::new(template).is_ok(), good, "{template}");
        }
        assert!(Condition::new("", vec!["x".to_owned()]).is_err());
        assert!(Condition::new("a", vec![]).is_err());
        assert!(Condition::new("a", vec![String::new()]).is_err());
    }
}
