//! From the text of a file to its rows: everything that can be said without the store.

use std::collections::HashMap;

use serde_json::Value;

use super::problem::{ApplyProblem, Place, suggestion};
use super::read::Reader;
use super::rows::{
    AccountRow, ConnectionRow, ConnectorRow, KeyRow, ProjectRow, Row, ServiceRow, TeamRow, UserRow,
};
use super::schema::NOT_OFFERED;

/// Rows of one table with their places in the file.
pub type Rows<T> = Vec<(Place, T)>;

/// The rows of an apply file, well-formed each for itself.
pub struct Declared {
    pub(super) accounts: Rows<AccountRow>,
    pub(super) teams: Rows<TeamRow>,
    pub(super) users: Rows<UserRow>,
    pub(super) projects: Rows<ProjectRow>,
    pub(super) services: Rows<ServiceRow>,
    pub(super) keys: Rows<KeyRow>,
    pub(super) connectors: Rows<ConnectorRow>,
    pub(super) connections: Rows<ConnectionRow>,
}

const TABLES: [&str; 8] = [
    AccountRow::TABLE,
    TeamRow::TABLE,
    UserRow::TABLE,
    ProjectRow::TABLE,
    ServiceRow::TABLE,
    KeyRow::TABLE,
    ConnectorRow::TABLE,
    ConnectionRow::TABLE,
];

impl Declared {
    /// Reads the TOML `text` of the file called `file_name`, whose `*_env` fields have been resolved
    /// ([`super::resolve_env`]). On failure returns everything that is wrong with it.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<ApplyProblem>> {
        let mut source = Source {
            file: Place::file(file_name),
            tables: table_of(file_name, text)?,
            problems: Vec::new(),
        };
        let declared = Self {
            accounts: source.rows(),
            teams: source.rows(),
            users: source.rows(),
            projects: source.rows(),
            services: source.rows(),
            keys: source.rows(),
            connectors: source.rows(),
            connections: source.rows(),
        };
        source.refuse_other_tables();
        if source.problems.is_empty() {
            Ok(declared)
        } else {
            Err(source.problems)
        }
    }
}

/// The TOML table that `text` holds; a syntax error names line and column.
pub fn table_of(file_name: &str, text: &str) -> Result<toml::Table, Vec<ApplyProblem>> {
    text.parse::<toml::Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let field = before.map_or_else(String::new, |before| {
            let line = before.matches('\n').count() + 1;
            let column = before
                .chars()
                .rev()
                .take_while(|sign| *sign != '\n')
                .count()
                + 1;
            format!("line {line}, column {column}")
        });
        vec![Place::file(file_name).problem(field, error.message().replace('\n', ", "))]
    })
}

struct Source {
    file: Place,
    tables: toml::Table,
    problems: Vec<ApplyProblem>,
}

impl Source {
    /// Takes the rows of `T`'s table out.
    fn rows<T: Row>(&mut self) -> Rows<T> {
        let place = self.file.table(T::TABLE);
        let items = match self.tables.remove(T::TABLE) {
            Some(toml::Value::Array(items)) => items,
            None => return Vec::new(),
            Some(_) => {
                let message = format!("must be a list of tables: write [[{}]]", T::TABLE);
                self.problems.push(place.problem("", message));
                return Vec::new();
            }
        };
        let mut rows = Vec::with_capacity(items.len());
        let mut seen = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let place = place.row(index, label(item));
            let Some(row) = self.row::<T>(&place, item) else {
                continue;
            };
            for (field, value) in row.unique() {
                if let Some(first) = seen.insert((field, value), index) {
                    let message = format!("is the same as in row {}", first + 1);
                    self.problems.push(place.problem(field, message));
                }
            }
            let contradictions = row.contradictions().into_iter();
            self.problems
                .extend(contradictions.map(|(field, message)| place.problem(field, message)));
            rows.push((place, row));
        }
        rows
    }

    /// One row; `None` when something is wrong with it.
    fn row<T: Row>(&mut self, place: &Place, item: &toml::Value) -> Option<T> {
        let Some(table) = item.as_table() else {
            let message = format!("must be a table, not {}", item.type_str());
            self.problems.push(place.problem("", message));
            return None;
        };
        let before = self.problems.len();
        let mut reader = Reader {
            place,
            problems: &mut self.problems,
        };
        let read = reader.table("", T::FIELDS, table);
        if self.problems.len() > before {
            return None;
        }
        serde_json::from_value(Value::Object(read))
            .map_err(|error| self.problems.push(place.problem("", error.to_string())))
            .ok()
    }

    fn refuse_other_tables(&mut self) {
        for name in self.tables.keys() {
            let message = if NOT_OFFERED.contains(&name.as_str()) {
                format!("table {name} is not offered by this version")
            } else {
                format!(
                    "is not a known table; known are {}{}",
                    TABLES.join(", "),
                    suggestion(name, TABLES)
                )
            };
            self.problems
                .push(self.file.table(name).problem("", message));
        }
    }
}

/// What a row calls itself. A key's token is no name.
fn label(item: &toml::Value) -> Option<String> {
    const NAMES: [&str; 5] = ["id", "uid", "slug", "name", "email"];
    let names = NAMES.iter().filter_map(|name| item.get(name)?.as_str());
    let name = names.into_iter().find(|name| !name.is_empty())?;
    // Wherever this is shown, it is one short line.
    Some(
        name.chars()
            .filter(|sign| !sign.is_control())
            .take(64)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        match Declared::parse("f.toml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_whole_file_of_all_offered_tables_is_read() {
        let text = r#"
            [[accounts]]
            id = "acc_1"
            name = "Acme Inc"
            [[teams]]
            id = "team_1"
            account = "acc_1"
            slug = "acme"
            return_origins = ["https://app.acme.example"]
            [[users]]
            id = "usr_alice"
            team = "team_1"
            email = "alice@example.com"
            role = "owner"
            [[projects]]
            team = "team_1"
            name = "web"
            custom_environments = [{ id = "env_qa", slug = "qa" }]
            base_urls = { production = "http://127.0.0.1:9000" }
            [[keys]]
            team = "team_1"
            user = "usr_alice"
            role = "admin"
            token = "tok_abc123"
            [[services]]
            id = "acme-crm"
            token_endpoint = "https://{shop}.example/token"
            refresh = { rotates = true }
            [[connectors]]
            team = "team_1"
            name = "Acme"
            type = "oauth"
            data = { clientId = "c", clientSecret = "s" }
            links = [{ project = "web", environments = ["production"] }]
            [[connections]]
            connector = "oauth/acme"
            subject = { type = "user", id = "u1" }
            access_token = "at_1"
            expires_in = 3600
        "#;
        assert_eq!(messages(text), [""; 0]);
    }

    #[test]
    fn an_empty_file_declares_nothing() {
        assert_eq!(messages(""), [""; 0]);
    }

    #[test]
    fn each_mistake_is_named_with_its_place_and_what_would_be_right() {
        let cases: &[(&str, &[&str])] = &[
            (
                "[[accounts]\n",
                &["f.toml, line 1, column 12: unclosed array table, expected `]`"],
            ),
            (
                "[[acounts]]\nid = \"a\"",
                &[
                    "f.toml: [[acounts]]: is not a known table; known are accounts, teams, users, projects, services, keys, connectors, connections; did you mean accounts?",
                ],
            ),
            (
                "[[secrets]]\nid = \"s\"",
                &["f.toml: [[secrets]]: table secrets is not offered by this version"],
            ),
            (
                "[accounts]\nid = \"a\"",
                &["f.toml: [[accounts]]: must be a list of tables: write [[accounts]]"],
            ),
            (
                "accounts = [1]",
                &["f.toml: [[accounts]] row 1: must be a table, not integer"],
            ),
            (
                "[[accounts]]\nid = \"a\"\nnaem = \"x\"",
                &[
                    "f.toml: [[accounts]] row 1 (a), naem: is not a known field; known are id, name; did you mean name?",
                    "f.toml: [[accounts]] row 1 (a), name: is required: 1 to 256 bytes of text without control characters",
                ],
            ),
            (
                "[[accounts]]\nid = 7\nname = \"\"",
                &[
                    "f.toml: [[accounts]] row 1, id: must be 1 to 256 visible characters without / ? # %, not an integer",
                    "f.toml: [[accounts]] row 1, name: must be 1 to 256 bytes of text without control characters",
                ],
            ),
            (
                "[[accounts]]\nid = \"a\"\nname = \"A\"\n[[accounts]]\nid = \"a\"\nname = \"B\"",
                &["f.toml: [[accounts]] row 2 (a), id: is the same as in row 1"],
            ),
            (
                "[[teams]]\naccount = \"a\"\nslug = \"Acme\"\nreturn_origins = [\"https://x.example/path\", 1]",
                &[
                    "f.toml: [[teams]] row 1 (Acme), slug: must be 1 to 64 lower-case letters, digits, - or _",
                    "f.toml: [[teams]] row 1 (Acme), return_origins[0]: must be an origin such as https://app.example",
                    "f.toml: [[teams]] row 1 (Acme), return_origins[1]: must be an origin such as https://app.example, not an integer",
                ],
            ),
            (
                "[[users]]\nid = \"u\"\nemail = \"nobody\"\nrole = \"ownr\"",
                &[
                    "f.toml: [[users]] row 1 (u), role: must be one of owner, admin, member, not \"ownr\"; did you mean owner?",
                    "f.toml: [[users]] row 1 (u), email: must be a mail address",
                ],
            ),
            (
                "[[users]]\nid = \"u\"\nemail = \"u@x\"\nteam = \"t\"",
                &["f.toml: [[users]] row 1 (u), role: is required: what they may do in `team`"],
            ),
            (
                "[[users]]\nid = \"u\"\nemail = \"u@x\"",
                &[
                    "f.toml: [[users]] row 1 (u), account: is required, or a `team` whose account it is",
                ],
            ),
            (
                "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken_env = \"KEY\"",
                &[
                    "f.toml: [[keys]] row 1, token_env: names an environment variable and was not resolved",
                ],
            ),
            (
                "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken = \"a b\"",
                &[
                    "f.toml: [[keys]] row 1, token: must be 1 to 512 visible characters without spaces",
                ],
            ),
            (
                "[[keys]]\nteam = \"t\"\naccount = \"a\"\nuser = \"u\"\nproject = \"p\"\ntoken = \"a.b.c\"",
                &[
                    "f.toml: [[keys]] row 1, account: does not go with a key of one team",
                    "f.toml: [[keys]] row 1, user: does not go with `project`: a key acts for a person or for a workload",
                    "f.toml: [[keys]] row 1, token: must not have two dots: it would be taken for a signed token",
                ],
            ),
            (
                "[[keys]]\nlevel = \"account\"\nteam = \"t\"\nenvironment = \"production\"",
                &[
                    "f.toml: [[keys]] row 1, account: is required for level = \"account\"",
                    "f.toml: [[keys]] row 1, team: does not go with level = \"account\"",
                    "f.toml: [[keys]] row 1, environment: needs a `project`",
                    "f.toml: [[keys]] row 1, role: is required: admin, member or token-only",
                ],
            ),
            (
                "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken = \"k\"\n[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken = \"k\"",
                &["f.toml: [[keys]] row 2, token: is the same as in row 1"],
            ),
            (
                "[[services]]\nid = \"s\"\ntoken_endpoint = \"ftp://x\"\nauthorization_endpoint = 1979-05-27",
                &[
                    "f.toml: [[services]] row 1 (s), authorization_endpoint: must be an absolute http(s) URL, with {variables} where it varies, not a datetime",
                    "f.toml: [[services]] row 1 (s), token_endpoint: must be an absolute http(s) URL, with {variables} where it varies",
                ],
            ),
            (
                "[[connectors]]\nid = \"c\"\nteam = \"t\"\nname = \"n\"\ntype = \"oauth\"\ndata = { at = 1979-05-27 }\nlinks = [{ projekt = \"p\" }]",
                &[
                    "f.toml: [[connectors]] row 1 (c), data.at: must be text, a number, true or false, a list or a table",
                    "f.toml: [[connectors]] row 1 (c), links[0].projekt: is not a known field; known are project, environments; did you mean project?",
                    "f.toml: [[connectors]] row 1 (c), links[0].project: is required: 1 to 256 bytes of text without control characters",
                ],
            ),
            (
                "[[connections]]\nconnector = \"c\"\naccess_token = \"a\"\nsubject = { type = \"user\" }\nexpires_in = -1",
                &[
                    "f.toml: [[connections]] row 1, expires_in: must be a whole number of seconds, at least 0",
                ],
            ),
            (
                "[[connections]]\nconnector = \"c\"\naccess_token = \"a\"\nsubject = { type = \"app\", id = \"x\", issuer = \"i\" }",
                &[
                    "f.toml: [[connections]] row 1, subject.id: does not go with type = \"app\"",
                    "f.toml: [[connections]] row 1, subject.issuer: goes with type = \"user\" only",
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(messages(text), *expected, "{text}");
        }
    }

    #[test]
    fn all_mistakes_of_a_file_are_told_at_once() {
        let text = "[[accounts]]\nid = \"a\"\n[[teams]]\nslug = \"s\"\n[[invites]]\n";
        let found = messages(text);
        assert_eq!(found.len(), 3, "{found:#?}");
    }

    #[test]
    fn no_message_shows_the_value_of_a_field_that_may_be_secret() {
        let text = "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken = \"hunter2 \"\n\
            [[connections]]\nconnector = \"c\"\naccess_token = \"hunter2\u{e9}\"";
        let found = messages(text);
        assert!(
            found.len() == 2 && found.iter().all(|message| !message.contains("hunter2")),
            "{found:#?}"
        );
    }
}
