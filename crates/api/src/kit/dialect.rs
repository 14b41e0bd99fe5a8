//! Whose words a path is answered in.

use axum::response::Response;
use grantry_core::{Error, Problem, Result};

use super::fields::Fields;

/// An API that this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Ours.
    Native,
    /// Vercel Connect, at the root; pages without an answer of their own use it too.
    Vercel,
    /// Sequin.
    Sequin,
    /// Cohere.
    Cohere,
    /// Datagrid.
    Datagrid,
}

/// Where the paths of each API's own host are mounted here, by the API's name (design §3): `/v1/x` of
/// `api.datagrid.com` is `/datagrid/v1/x`. Vercel's and ours are at the root.
pub const PREFIXES: [(&str, &str); 5] = [
    ("vercel", ""),
    ("datagrid", "/datagrid"),
    ("cohere", "/cohere"),
    ("sequin", "/sequin"),
    ("native", ""),
];

impl Dialect {
    /// The dialect that `path` belongs to, known or not (design §3). `/api/v1/connect` is Vercel's.
    pub fn of(path: &str) -> Self {
        let under = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let native = under("/api") && !under("/api/v1/connect");
        if native || path == "/healthz" || path == "/readyz" {
            Self::Native
        } else if under("/sequin") {
            Self::Sequin
        } else if under("/cohere") {
            Self::Cohere
        } else if under("/datagrid") {
            Self::Datagrid
        } else {
            Self::Vercel
        }
    }

    /// A route's path, and the other ones under which this dialect's clients ask for it: Cohere's older ones
    /// take the version into their base URL and newer ones put it into the path, so that a base that fits
    /// the one kind makes the other leave it out or say it twice (reference/cohere-sequin §1.1).
    pub fn spellings(self, path: &str) -> Vec<String> {
        let mut spellings = vec![path.to_owned()];
        if let (Self::Cohere, Some(rest)) = (self, path.strip_prefix("/cohere/v1/")) {
            spellings.push(format!("/cohere/{rest}"));
            spellings.push(format!("/cohere/v1/v1/{rest}"));
        }
        spellings
    }

    /// Its name, for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Vercel => "vercel",
            Self::Sequin => "sequin",
            Self::Cohere => "cohere",
            Self::Datagrid => "datagrid",
        }
    }

    /// The answer to a request that failed.
    pub fn refuse(self, error: &Error) -> Response {
        match self {
            Self::Native => crate::native::error::answer(error),
            Self::Vercel => crate::dialects::vercel::error::answer(error),
            Self::Sequin => crate::dialects::sequin::error::answer(error),
            Self::Cohere => crate::dialects::cohere::error::answer(error),
            Self::Datagrid => crate::dialects::datagrid::error::answer(error),
        }
    }

    /// The error of a handler, with its fields named as this dialect names them.
    pub fn respell(self, error: Error) -> Error {
        match self {
            Self::Native => crate::native::error::in_our_spelling(error),
            Self::Vercel => error,
            Self::Sequin => crate::dialects::sequin::error::in_their_spelling(error),
            Self::Cohere => crate::dialects::cohere::error::in_their_spelling(error),
            Self::Datagrid => crate::dialects::datagrid::error::in_their_spelling(error),
        }
    }

    /// Query parameters that choose the team, with what they hold.
    pub const fn team_parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Native | Self::Sequin | Self::Cohere => {
                &[("team", "Team id or slug; for account and server keys.")]
            }
            Self::Vercel => &[
                ("teamId", "Team id; the key's own team when absent."),
                ("slug", "Team slug; not together with teamId."),
            ],
            Self::Datagrid => &[],
        }
    }

    /// The header that chooses the team of a key that is not in one; such a key is at home without it.
    pub const fn team_header(self) -> Option<&'static str> {
        match self {
            Self::Datagrid => Some("datagrid-teamspace"),
            Self::Native | Self::Vercel | Self::Sequin | Self::Cohere => None,
        }
    }

    /// The team that a query chooses. An empty parameter is an absent one; two are a problem.
    pub fn team(self, query: &Fields) -> Result<Option<&str>> {
        let mut chosen = None;
        for (name, _) in self.team_parameters() {
            match (query.text(name).filter(|team| !team.is_empty()), chosen) {
                (None, _) => {}
                (Some(team), None) => chosen = Some((*name, team)),
                (Some(_), Some((first, _))) => {
                    let message = format!("must not be given together with {first}");
                    return Err(Error::Invalid(vec![Problem::new(*name, message)]));
                }
            }
        }
        Ok(chosen.map(|(_, team)| team))
    }
}

/// `error` with each of its wrong fields as `respell` puts it.
pub fn respelled(error: Error, respell: impl Fn(Problem) -> Problem) -> Error {
    match error {
        Error::Invalid(problems) => Error::Invalid(problems.into_iter().map(respell).collect()),
        error => error,
    }
}

/// The engine's name of a field, or of something in it, in a dialect's words: pairs of ours and theirs.
/// One of ours that ends with a dot stands for all that is below it.
pub fn spelled(field: String, words: &[(&str, &str)]) -> String {
    let known = words.iter().find_map(|(ours, theirs)| {
        let below = field.strip_prefix(ours)?;
        let within = ours.ends_with('.') || below.is_empty() || below.starts_with(['.', '[']);
        within.then(|| format!("{theirs}{below}"))
    });
    known.unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_answered_in_the_words_of_its_prefix() {
        for (path, dialect) in [
            ("/api/v1/connectors", Dialect::Native),
            ("/api", Dialect::Native),
            ("/api/v2/x", Dialect::Native),
            ("/healthz", Dialect::Native),
            ("/api/v1/connect/authorize/x", Dialect::Vercel),
            ("/api/v1/connectors/connect", Dialect::Native),
            ("/apiary", Dialect::Vercel),
            ("/v1/connect/connectors", Dialect::Vercel),
            ("/", Dialect::Vercel),
            ("/sequin/v1/oauth-apps", Dialect::Sequin),
            ("/sequins", Dialect::Vercel),
            ("/cohere/v1/connectors", Dialect::Cohere),
            ("/cohere", Dialect::Cohere),
            ("/coheres", Dialect::Vercel),
            ("/datagrid/v1/secrets", Dialect::Datagrid),
        ] {
            assert_eq!(Dialect::of(path), dialect, "{path}");
        }
    }

    #[test]
    fn a_team_is_chosen_by_id_or_by_slug_but_not_by_both() {
        let team = |query: &str| {
            let query = Fields::of_query(query);
            Dialect::Vercel
                .team(&query)
                .map(|team| team.map(str::to_owned))
        };
        assert_eq!(team(""), Ok(None));
        assert_eq!(team("teamId=&slug="), Ok(None));
        assert_eq!(team("teamId=team_1"), Ok(Some("team_1".to_owned())));
        assert_eq!(team("slug=acme&teamId="), Ok(Some("acme".to_owned())));
        assert_eq!(
            team("slug=acme&teamId=team_1"),
            Err(Error::invalid(
                "slug",
                "must not be given together with teamId"
            ))
        );
    }
}
