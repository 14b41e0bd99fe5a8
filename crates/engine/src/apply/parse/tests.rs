//! What is said of a file before the store is asked.

use super::*;

fn messages(text: &str) -> Vec<String> {
    match Declared::parse("f.toml", text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_documented_example_is_read() {
    let text = include_str!("../../../../../docs/apply-example.toml");
    assert_eq!(messages(text), [""; 0]);
    for table in TABLES {
        assert!(text.contains(&format!("[[{table}]]")), "{table} is missing");
    }
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
                "f.toml: [[acounts]]: is not a known table; known are accounts, teams, users, projects, services, keys, secrets, connectors, connections, mcp_servers, invites; did you mean accounts?",
            ],
        ),
        (
            "[[secrets]]\nteam = \"t\"\nname = \"\"\nvalue = \"\"\n[[secrets]]\nteam = \"t\"\nname = \"a\"\nvalue = \"1\"\n[[secrets]]\nteam = \"t\"\nname = \"a\"\nvalu = \"2\"",
            &[
                "f.toml: [[secrets]] row 1, name: must be 1 to 300 bytes of text without control characters",
                "f.toml: [[secrets]] row 1, value: must be 1 to 65536 bytes of text",
                "f.toml: [[secrets]] row 3 (a), valu: is not a known field; known are id, team, name, value; did you mean value?",
                "f.toml: [[secrets]] row 3 (a), value: is required: 1 to 65536 bytes of text",
            ],
        ),
        (
            "[[secrets]]\nteam = \"t\"\nname = \"a\"\nvalue = \"1\"\n[[secrets]]\nteam = \"t\"\nname = \"a\"\nvalue = \"2\"",
            &["f.toml: [[secrets]] row 2 (a), name: is the same as in row 1"],
        ),
        (
            "[[invites]]\nteam = \"t\"\nemail = \"nobody\"\nrole = \"token-only\"\nexpires_at = 2027-01-31",
            &[
                "f.toml: [[invites]] row 1 (nobody), email: must be a mail address",
                "f.toml: [[invites]] row 1 (nobody), role: must be one of owner, admin, member, not \"token-only\"",
                "f.toml: [[invites]] row 1 (nobody), expires_at: must be a date and time with its offset, such as 2027-01-31T12:00:00Z",
            ],
        ),
        (
            "[[mcp_servers]]\nteam = \"t\"\nname = \"docs\"\nbase_url = \"example.com\"",
            &[
                "f.toml: [[mcp_servers]] row 1 (docs), base_url: must be an absolute http(s) URL without user name or password",
            ],
        ),
        (
            "[[connectors]]\nid = \"c\"\nteam = \"t\"\nname = \"n\"\ntype = \"oauth\"\ndata = {}\nredirect = \"teem\"\ntriggers_enabled = \"yes\"",
            &[
                "f.toml: [[connectors]] row 1 (c), redirect: must be one of server, team, not \"teem\"; did you mean team?",
                "f.toml: [[connectors]] row 1 (c), triggers_enabled: must be true or false, not a string",
            ],
        ),
        (
            "[[connectors]]\nid = \"c\"\nteam = \"t\"\nname = \"n\"\ntype = \"oauth\"\ndata = {}\ntrigger_destinations = [{ project = \"p\" }]",
            &[
                "f.toml: [[connectors]] row 1 (c), trigger_destinations: needs triggers_enabled = true",
            ],
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
            &["f.toml: [[users]] row 1 (u), account: is required, or a `team` whose account it is"],
        ),
        (
            "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken_env = \"KEY\"",
            &[
                "f.toml: [[keys]] row 1, token_env: names an environment variable and was not resolved",
            ],
        ),
        (
            "[[keys]]\nteam = \"t\"\nrole = \"admin\"\ntoken = \"a b\"",
            &["f.toml: [[keys]] row 1, token: must be 1 to 512 visible characters without spaces"],
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
    let text = "[[accounts]]\nid = \"a\"\n[[teams]]\nslug = \"s\"\n[[invitees]]\n";
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
