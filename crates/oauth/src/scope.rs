//! What was asked and what was granted (RFC 6749 §3.3, requirement 20).

/// Scopes that change the answer, not the access: a grant without them is whole (design §7).
const NEVER_MISSED: &[&str] = &["offline_access", "openid"];

/// Scopes that a server is asked for by the first name and grants under the second.
const ALIASES: &[(&str, &str)] = &[
    ("email", "https://www.googleapis.com/auth/userinfo.email"),
    (
        "profile",
        "https://www.googleapis.com/auth/userinfo.profile",
    ),
];

/// How a grant differs from what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Asked for and not granted: the grant is partial when there are any.
    pub missing: Vec<String>,
    /// Granted without having been asked for: kept, and worth an audit line.
    pub added: Vec<String>,
}

/// Compares as sets, by exact names.
pub fn difference(asked: &[String], granted: &[String]) -> Difference {
    let alias = |name: &str, other: &str| {
        name == other || ALIASES.contains(&(name, other)) || ALIASES.contains(&(other, name))
    };
    let lacks = |set: &[String], name: &str| !set.iter().any(|other| alias(name, other));
    let only = |of: &[String], not_in: &[String]| {
        let mut names = of.to_vec();
        names.retain(|name| lacks(not_in, name) && !NEVER_MISSED.contains(&name.as_str()));
        names
    };
    Difference {
        missing: only(asked, granted),
        added: only(granted, asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_20_fewer_is_partial_and_more_is_seen() {
        let cases: &[(&str, &str, &str, &str)] = &[
            // (asked, granted, missing, added)
            ("a b", "b a", "", ""),
            ("a b", "a", "b", ""),
            ("a", "a admin", "", "admin"),
            ("a", "A", "a", "A"),
            ("openid a offline_access", "a", "", ""),
            ("a", "a openid", "", ""),
            (
                "email a",
                "https://www.googleapis.com/auth/userinfo.email a",
                "",
                "",
            ),
            ("", "", "", ""),
        ];
        let list = |text: &str| {
            text.split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        for (asked, granted, missing, added) in cases {
            let expected = Difference {
                missing: list(missing),
                added: list(added),
            };
            assert_eq!(
                difference(&list(asked), &list(granted)),
                expected,
                "{asked} / {granted}"
            );
        }
    }
}
