//! Which grants there can be: what names one is either sent to the provider or tells stored
//! connections apart, and its key fits an index row of every store.

use grantry_core::limits::{GRANT_BYTES_MAX, GRANT_DETAILS_MAX, GRANT_ITEM_BYTES_MAX};
use grantry_core::nouns::{Connector, ConnectorType, Grant, Scopes, Subject};
use grantry_core::{Error, Problem, Result};

use crate::connectors::install_page;
use crate::connectors::types::{self, AppTokens};

/// Refuses a grant that is too long or could not be sent as it is. Names every wrong field.
pub fn check(grant: &Grant, kind: ConnectorType) -> Result<()> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, message: String| problems.push(Problem::new(field, message));
    let scopes: &[String] = match &grant.scopes {
        Scopes::Default => &[],
        Scopes::Exactly(scopes) => scopes,
    };
    let details: Vec<String> = grant.details.iter().map(ToString::to_string).collect();
    let lists: [(&str, &[String]); 4] = [
        ("scopes", scopes),
        ("audience", &grant.audience),
        ("resources", &grant.resources),
        ("authorizationDetails", &details),
    ];
    for (field, items) in lists {
        if items.iter().any(|item| item.len() > GRANT_ITEM_BYTES_MAX) {
            problem(
                field,
                format!("must have items of at most {GRANT_ITEM_BYTES_MAX} bytes"),
            );
        }
    }
    // Scopes are a set and no longer in the caller's order: the wrong one is named by its text.
    let wrong = scopes.iter().find(|scope| !is_scope_token(scope));
    if let Some(wrong) = wrong.filter(|_| kind != ConnectorType::ApiKey) {
        let message = "is not a scope: 1 or more printable ASCII characters but space, \" and \\";
        problem("scopes", format!("{wrong:?} {message}"));
    }
    if grant.audience.len() > 1 {
        problem("audience", "must name one at most".to_owned());
    }
    if grant.installation.as_deref() == Some("*") {
        let message = "must name one installation: no connector here has tokens across all of them";
        problem("installationId", message.to_owned());
    }
    if details.len() > GRANT_DETAILS_MAX {
        let message = format!("must be at most {GRANT_DETAILS_MAX} items");
        problem("authorizationDetails", message);
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    if surely_short(grant, &lists) {
        return Ok(());
    }
    let length = grant.key().len();
    if length > GRANT_BYTES_MAX {
        let message = format!(
            "is too long: all that names a grant together is {length} bytes of at most {GRANT_BYTES_MAX}"
        );
        problems.push(Problem::new(longest(grant, &lists), message));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Refuses an app token that a client credentials request cannot ask for: it would be no narrower
/// than one asked for without.
pub fn check_mintable(grant: &Grant, connector: &Connector) -> Result<()> {
    if types::app_tokens(connector) == Some(AppTokens::Installation) {
        return Ok(());
    }
    let mut problems = Vec::new();
    let end = types::of(connector.kind).app_scope_end;
    if let Scopes::Exactly(scopes) = &grant.scopes
        && let Some(wrong) = scopes.iter().find(|scope| !scope.ends_with(end))
    {
        let message =
            format!("{wrong:?} must end with {end}: the app has its permissions as a whole");
        problems.push(Problem::new("scopes", message));
    }
    let message = "cannot be asked for with the app's own credentials";
    if grant.installation.is_some()
        && grant.installation != connector.default_installation
        && !(grant.subject == Subject::App && install_page(connector).is_some())
    {
        problems.push(Problem::new("installationId", message));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Refuses to narrow what cannot be narrowed: a key that is handed out as it is.
pub fn check_plain(grant: &Grant) -> Result<()> {
    check_whole(
        grant,
        "cannot be chosen: this connector hands out one key as it is",
    )
}

/// Refuses to narrow a token that a signature buys: it has what its user approved.
pub fn check_bearer(grant: &Grant) -> Result<()> {
    if let Subject::JwtBearer {
        iss, aud, claims, ..
    } = &grant.subject
    {
        let chosen = [
            ("subject.iss", iss.is_some()),
            ("subject.aud", aud.is_some()),
            ("subject.additionalClaims", claims.is_some()),
        ];
        let chosen = chosen.into_iter().filter(|(_, chosen)| *chosen);
        let message = "cannot be chosen: the assertion says what Salesforce wants it to say";
        let problems: Vec<Problem> = chosen
            .map(|(field, _)| Problem::new(field, message))
            .collect();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
    }
    check_whole(
        grant,
        "cannot be chosen: the token has what the app's user approved",
    )
}

/// Refuses to narrow what proves who asks: its reader decides what that may do.
pub fn check_proof(grant: &Grant) -> Result<()> {
    if grant.installation.is_some() {
        let message = "names nothing here: who asks is the same everywhere";
        return Err(Error::invalid("installationId", message));
    }
    check_whole(
        grant,
        "cannot be chosen: the token says who asks, to the audience that the connector is for",
    )
}

fn check_whole(grant: &Grant, message: &str) -> Result<()> {
    let asked = [
        ("scopes", grant.scopes != Scopes::Default),
        ("audience", !grant.audience.is_empty()),
        ("resources", !grant.resources.is_empty()),
        ("authorizationDetails", !grant.details.is_empty()),
    ];
    let problems: Vec<Problem> = asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(field, _)| Problem::new(field, message))
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Whether the key is short enough whatever is in it, so that a read need not write it out to know.
/// JSON makes six bytes of one at most, and what is between the texts fits in a tenth of the limit.
fn surely_short(grant: &Grant, lists: &[(&str, &[String]); 4]) -> bool {
    let listed = lists.iter().flat_map(|(_, items)| items.iter());
    let listed: usize = listed.map(|item| item.len() + 1).sum();
    let named = grant.installation.as_ref().map_or(0, String::len)
        + grant.environment.as_str().len()
        + subject_bytes(grant);
    6 * (listed + named) + GRANT_BYTES_MAX / 10 <= GRANT_BYTES_MAX
}

fn subject_bytes(grant: &Grant) -> usize {
    match &grant.subject {
        Subject::App => 0,
        Subject::User { id, issuer } => id.len() + issuer.as_ref().map_or(0, String::len),
        Subject::Token => 0,
        Subject::JwtBearer {
            sub,
            iss,
            aud,
            claims,
        } => {
            let parts = [sub, iss, aud, claims].into_iter().flatten();
            parts.map(String::len).sum()
        }
        Subject::Connection { id } => id.len(),
    }
}

/// The field that makes the key as long as it is.
fn longest<'a>(grant: &Grant, lists: &[(&'a str, &[String]); 4]) -> &'a str {
    let subject = subject_bytes(grant);
    let installation = grant.installation.as_ref().map_or(0, String::len);
    let lists = lists
        .iter()
        .map(|(field, items)| (items.iter().map(String::len).sum(), *field));
    lists
        .chain([(subject, "subject"), (installation, "installationId")])
        .max()
        .map_or("subject", |(_, field)| field)
}

/// `scope-token` (RFC 6749 §3.3).
fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::Environment;
    use serde_json::json;

    use super::*;

    fn grant() -> Grant {
        Grant {
            connector: "scl_1".into(),
            subject: Subject::User {
                id: "u1".to_owned(),
                issuer: None,
            },
            environment: Environment::production(),
            installation: None,
            scopes: Scopes::Default,
            audience: vec![],
            resources: vec![],
            details: vec![],
        }
    }

    fn texts(count: usize, bytes: usize) -> Vec<String> {
        (0..count)
            .map(|index| format!("{index:0>bytes$}"))
            .collect()
    }

    fn refused(grant: &Grant) -> Vec<String> {
        match check(grant, ConnectorType::Oauth) {
            Ok(()) => vec![],
            Err(Error::Invalid(problems)) => {
                problems.into_iter().map(|problem| problem.field).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn scopes(list: &[&str]) -> Grant {
        Grant {
            scopes: Scopes::from_list(list.iter().map(|scope| (*scope).to_owned())),
            ..grant()
        }
    }

    #[test]
    fn a_grant_that_can_be_asked_for_is_accepted() {
        let full = Grant {
            installation: Some("T1".to_owned()),
            audience: texts(1, 200),
            resources: texts(3, 100),
            details: vec![json!({"type": "payment"}); GRANT_DETAILS_MAX],
            ..scopes(&["https://www.googleapis.com/auth/drive", "a:b", "*x"])
        };
        for good in [grant(), full] {
            assert_eq!(refused(&good), [""; 0], "{good:?}");
        }
    }

    #[test]
    fn each_field_that_is_too_much_is_named() {
        let long = "x".repeat(GRANT_ITEM_BYTES_MAX + 1);
        for (bad, field) in [
            (scopes(&[&long]), "scopes"),
            (scopes(&["read", ""]), "scopes"),
            (scopes(&["read write"]), "scopes"),
            (scopes(&["re\u{0}ad"]), "scopes"),
            (scopes(&["r\"d"]), "scopes"),
            (scopes(&["lés"]), "scopes"),
            (
                Grant {
                    audience: texts(2, 1),
                    ..grant()
                },
                "audience",
            ),
            (
                Grant {
                    resources: vec![long.clone()],
                    ..grant()
                },
                "resources",
            ),
            (
                Grant {
                    resources: texts(5, GRANT_ITEM_BYTES_MAX),
                    ..grant()
                },
                "resources",
            ),
            (
                Grant {
                    details: vec![json!({}); GRANT_DETAILS_MAX + 1],
                    ..grant()
                },
                "authorizationDetails",
            ),
            (
                Grant {
                    details: vec![json!({ "type": long })],
                    ..grant()
                },
                "authorizationDetails",
            ),
            (
                Grant {
                    subject: Subject::User {
                        id: "\u{1}".repeat(512),
                        issuer: None,
                    },
                    ..grant()
                },
                "subject",
            ),
        ] {
            assert_eq!(refused(&bad), [field], "{bad:?}");
        }
    }

    #[test]
    fn a_key_of_the_greatest_length_is_accepted_and_a_longer_one_is_not() {
        let with = |bytes: usize| Grant {
            resources: texts(3, GRANT_ITEM_BYTES_MAX),
            installation: Some("i".repeat(bytes)),
            ..grant()
        };
        let rest = GRANT_BYTES_MAX - with(1).key().len() + 1;
        assert_eq!(refused(&with(rest)), [""; 0]);
        assert_eq!(refused(&with(rest + 1)), ["resources"]);
    }
}
