//! Answers that bring tokens, and what is made of their fields.

use std::time::Duration;

use grantry_core::limits::{TOKEN_BYTES_MAX, TOKEN_LIFE_MAX};
use serde_json::json;

use super::*;

static_assertions::assert_not_impl_any!(TokenSet: std::fmt::Debug, serde::Serialize);

#[test]
fn a_good_answer_is_read_whole() {
    let set = tokens(
        "",
        JSON,
        with(json!({
            "refresh_token": "rt",
            "scope": "a b  a",
            "id_token": "e30.e30.sig",
            "refresh_expires_in": 7200,
            "instance_url": "https://x.example",
            "token_note": "x",
            "team": {"id": "T1", "bot_token": "xoxb", "list": [{"Client_Secret": "s", "n": 1}]},
        })),
    );
    assert_eq!(set.access_token.expose(), "at");
    assert_eq!(set.refresh_token.unwrap().expose(), "rt");
    assert_eq!(set.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(set.refresh_expires_in, Some(Duration::from_secs(7200)));
    assert_eq!(set.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(set.id_token.unwrap().expose(), "e30.e30.sig");
    assert_eq!(
        Value::Object(set.extra),
        json!({"instance_url": "https://x.example", "team": {"id": "T1", "list": [{"n": 1}]}})
    );
}

#[test]
fn accepted_answers() {
    let plain = with(json!({}));
    let bom = format!("\u{FEFF}{plain}");
    let form = "access_token=gho_1&scope=repo%2Cuser&token_type=bearer";
    let longest = with(json!({"access_token": "x".repeat(TOKEN_BYTES_MAX)}));
    let cases: &[(&str, &str, &str, &str)] = &[
        // (case, service, content type, body)
        (
            "htmlok: JSON called HTML",
            "",
            "text/html; charset=utf-8",
            &plain,
        ),
        ("JSON called a form", "", FORM, &plain),
        ("no content type", "", "", &plain),
        ("byte order mark", "", JSON, &bom),
        ("white space around", "", JSON, &format!("\r\n {plain}\n")),
        ("ghform: a form that says so", "", FORM, form),
        (
            "ghform: GitHub's form under any name",
            "github",
            "text/plain",
            form,
        ),
        (
            "type in another case",
            "",
            JSON,
            &with(json!({"token_type": "BEARER"})),
        ),
        ("no type", "", JSON, &with(json!({"token_type": null}))),
        (
            "Slack's type",
            "slack",
            JSON,
            &with(json!({"ok": true, "token_type": "bot"})),
        ),
        ("empty error", "", JSON, &with(json!({"error": ""}))),
        ("largest token", "", JSON, &longest),
    ];
    for (case, service, content_type, body) in cases {
        let result = read(service, Ok(answer(200, content_type, body)));
        assert!(result.is_ok(), "{case}");
    }
    assert!(read("", Ok(answer(201, JSON, &plain))).is_ok());
}

#[test]
fn requirement_34_35_a_lifetime_is_believed_when_it_makes_sense() {
    let hour = Some(Duration::from_secs(3600));
    let cases = [
        ("strexp", json!("3600"), hour),
        ("floatexp", json!(3600.9), hour),
        ("float in a text", json!(" 3600.5 "), hour),
        ("zeroexp", json!(0), None),
        ("negexp", json!(-5), None),
        ("hugeexp", json!(1e18), Some(TOKEN_LIFE_MAX)),
        (
            "hugeexp as text",
            json!("99999999999999999999999999"),
            Some(TOKEN_LIFE_MAX),
        ),
        ("largest integer", json!(u64::MAX), Some(TOKEN_LIFE_MAX)),
        ("noexp", Value::Null, None),
        ("no number", json!("never"), None),
        ("infinity", json!("inf"), None),
        ("not a number", json!("NaN"), None),
        ("less than a second", json!(0.5), None),
        ("list", json!([3600]), None),
    ];
    for (case, value, expected) in cases {
        let set = tokens("", JSON, with(json!({ "expires_in": value })));
        assert_eq!(set.expires_in, expected, "{case}");
    }
    assert_eq!(
        Quirks::of("salesforce").default_expires_in,
        Some(Duration::from_secs(7200))
    );
}

#[test]
fn requirement_36_a_refresh_token_that_makes_no_sense_is_absent() {
    for value in [
        Value::Null,
        json!(""),
        json!(false),
        json!("a\nb"),
        json!("é"),
        json!({}),
    ] {
        let set = tokens("", JSON, with(json!({ "refresh_token": value })));
        assert!(set.refresh_token.is_none(), "{value}");
    }
}

#[test]
fn requirement_20_the_granted_scope_is_kept_as_granted() {
    let cases = [
        ("", json!("a b"), Some(vec!["a", "b"])),
        ("", json!("a,b"), Some(vec!["a,b"])),
        ("github", json!("repo,user"), Some(vec!["repo", "user"])),
        (
            "slack",
            json!("chat:write,users:read"),
            Some(vec!["chat:write", "users:read"]),
        ),
        ("", json!(["a", "b c", 7]), Some(vec!["a", "b", "c"])),
        ("", json!(""), Some(vec![])),
        ("", json!("a \u{7} b\u{e9}\" c"), Some(vec!["a", "c"])),
        ("", json!(7), None),
        ("", json!("x ".repeat(20_000)), None),
        ("", Value::Null, None),
    ];
    for (service, value, expected) in cases {
        let set = tokens(service, JSON, with(json!({ "scope": value })));
        let expected = expected.map(|names| names.into_iter().map(String::from).collect());
        assert_eq!(set.scope, expected, "{service} {value:.40}");
    }
}

#[test]
fn one_answer_of_slack_holds_two_token_sets() {
    let body = json!({
        "ok": true, "access_token": "xoxb-1", "refresh_token": "xoxe-1", "expires_in": 43200, "token_type": "bot",
        "scope": "chat:write", "team": {"id": "T1"},
        "authed_user": {"id": "U1", "access_token": "xoxp-1", "refresh_token": "xoxe-2", "token_type": "user", "scope": "a,b"},
    })
    .to_string();
    let bot = tokens("slack", JSON, &body);
    assert_eq!(bot.access_token.expose(), "xoxb-1");
    assert_eq!(
        Value::Object(bot.extra),
        json!({"team": {"id": "T1"}, "authed_user": {"id": "U1", "scope": "a,b"}})
    );
    let user = tokens("slack-user", JSON, &body);
    assert_eq!(user.access_token.expose(), "xoxp-1");
    assert_eq!(user.refresh_token.unwrap().expose(), "xoxe-2");
    assert_eq!(user.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
    let nested = tokens(
        "withings",
        JSON,
        r#"{"status":0,"body":{"access_token":"w"}}"#,
    );
    assert_eq!(nested.access_token.expose(), "w");
}

#[test]
fn extra_members_are_bounded() {
    let set = tokens("", JSON, with(json!({"a": "x".repeat(20_000)})));
    assert!(set.extra.is_empty());
}

#[test]
fn requirement_53_a_users_token_is_theirs_wherever_slack_puts_it_and_never_the_bots() {
    let both = json!({
        "ok": true, "access_token": "xoxb-1", "token_type": "bot", "bot_user_id": "U0", "team": {"id": "T1"},
        "authed_user": {"id": "U1", "access_token": "xoxp-1", "token_type": "user", "scope": "search:read"},
    });
    let set = tokens("slack-user", JSON, both.to_string());
    assert_eq!(set.access_token.expose(), "xoxp-1");
    let kept = (&set.extra["team"]["id"], &set.extra["bot_user_id"]);
    assert_eq!(kept, (&json!("T1"), &json!("U0")));
    assert!(!Value::Object(set.extra).to_string().contains("xox"));
    let refreshed = json!({
        "ok": true, "access_token": "xoxe.xoxp-2", "token_type": "user", "refresh_token": "xoxe-2",
        "expires_in": 43200, "team": {"id": "T1"},
    });
    let set = tokens("slack-user", JSON, refreshed.to_string());
    assert_eq!(set.access_token.expose(), "xoxe.xoxp-2");
    let bots = json!({"ok": true, "access_token": "xoxb-1", "token_type": "bot", "authed_user": {"id": "U1"}});
    let refused = failure("slack-user", Ok(answer(200, JSON, bots.to_string())));
    assert_eq!(refused.outcome, Outcome::Unknown);
}
