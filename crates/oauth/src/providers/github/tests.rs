use grantry_core::http::Silence;
use grantry_core::testing::SeededEntropy;
use grantry_vault::jws::SigningKey;

use super::*;
use crate::tests::{NOW, answer};

fn narrowing(detail: Value) -> Result<Narrowing, Vec<String>> {
    let parsed = Narrowing::parse(&[detail], &[]);
    parsed.map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
}

fn key() -> SigningKey {
    let pem = include_str!("../../../../vault/testdata/keys/rsa-pkcs1.pem");
    SigningKey::from_pem(&Secret::new(pem)).ok().unwrap()
}

#[test]
fn one_text_or_a_list_in_any_order_and_case_is_the_same_narrowing() {
    let one = json!({"type": DETAIL, "permissions": "contents:read", "repositories": "Acme/Site"});
    let list = json!({"type": DETAIL, "org": "acme", "permissions": ["contents:read"], "repositories": ["site"]});
    let (one, list) = (narrowing(one).unwrap(), narrowing(list).unwrap());
    assert_eq!(one, list);
    assert_eq!(one.org(), Some("acme"));
    assert_eq!(
        one.details(),
        [
            json!({"type": DETAIL, "org": "acme", "permissions": ["contents:read"], "repositories": ["site"]})
        ]
    );
    assert_eq!(Narrowing::parse(&one.details(), &[]), Ok(one));
    let nothing = narrowing(json!({"type": DETAIL})).unwrap();
    assert_eq!(nothing.details(), Vec::<Value>::new());
    let scopes = Narrowing::parse(&[], &["issues:write".to_owned()]).unwrap();
    assert_eq!(scopes.body(), json!({"permissions": {"issues": "write"}}));
}

#[test]
fn what_cannot_be_asked_for_is_named_and_never_left_out() {
    for (detail, field) in [
        (json!({"type": "payment"}), ".type"),
        (json!("contents:read"), ".type"),
        (json!({"type": DETAIL, "org": 7}), ".org"),
        (json!({"type": DETAIL, "org": "a/b"}), ".org"),
        (json!({"type": DETAIL, "repos": ["a/b"]}), ".repos"),
        (json!({"type": DETAIL, "permissions": []}), ".permissions"),
        (json!({"type": DETAIL, "permissions": [7]}), ".permissions"),
        (
            json!({"type": DETAIL, "permissions": "contents"}),
            ".permissions",
        ),
        (
            json!({"type": DETAIL, "permissions": "contents:all"}),
            ".permissions",
        ),
        (
            json!({"type": DETAIL, "permissions": "Contents:read"}),
            ".permissions",
        ),
        (
            json!({"type": DETAIL, "permissions": ["contents:read", "contents:write"]}),
            ".permissions",
        ),
        (json!({"type": DETAIL, "repositories": []}), ".repositories"),
        (
            json!({"type": DETAIL, "repositories": "a/b/c"}),
            ".repositories",
        ),
        (
            json!({"type": DETAIL, "repositories": "a/.."}),
            ".repositories",
        ),
        (
            json!({"type": DETAIL, "repositories": ["a/x", "b/x"]}),
            ".repositories",
        ),
        (
            json!({"type": DETAIL, "repositories": (0..501).map(|i| format!("a/r{i}")).collect::<Vec<_>>()}),
            ".repositories",
        ),
    ] {
        let named = narrowing(detail.clone()).err();
        let expected = vec![format!("authorizationDetails[0]{field}")];
        assert_eq!(named, Some(expected), "{detail}");
    }
    let two = [json!({"type": DETAIL}), json!({"type": DETAIL})];
    assert_eq!(
        Narrowing::parse(&two, &[]).err().unwrap()[0].field,
        "authorizationDetails"
    );
    let scope = Narrowing::parse(&[], &["repo".to_owned()]).err().unwrap();
    assert_eq!(scope[0].field, "scopes");
}

#[test]
fn requirement_28_the_app_signs_for_itself_within_ten_minutes_and_asks_for_no_more_than_it_was_asked()
 {
    let key = key();
    for (api, expected) in [
        (
            "https://api.github.com",
            "https://api.github.com/app/installations/100/access_tokens",
        ),
        (
            "https://ghe.example/api/v3/",
            "https://ghe.example/api/v3/app/installations/100/access_tokens",
        ),
    ] {
        let api = Url::parse(api).unwrap();
        let app = App {
            api: &api,
            id: "12345",
            key: &key,
        };
        let narrow =
            json!({"type": DETAIL, "permissions": "issues:write", "repositories": "acme/site"});
        let narrow = narrowing(narrow).unwrap();
        let request = app
            .token("100", &narrow, &SeededEntropy::new(1), NOW)
            .ok()
            .unwrap()
            .unwrap();
        assert_eq!(request.url.as_str(), expected);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({"permissions": {"issues": "write"}, "repositories": ["site"]})
        );
        let bearer = &request
            .headers
            .iter()
            .find(|(name, _)| *name == "authorization")
            .unwrap()
            .1;
        let parts: Vec<&str> = bearer.strip_prefix("Bearer ").unwrap().split('.').collect();
        use base64::Engine as _;
        let read = |part: &str| -> Value {
            let text = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(part)
                .unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        assert_eq!(read(parts[0])["alg"], "RS256");
        let claims = read(parts[1]);
        let (issued, expires) = (
            claims["iat"].as_i64().unwrap(),
            claims["exp"].as_i64().unwrap(),
        );
        assert_eq!(claims["iss"], "12345");
        // GitHub takes ten minutes from now at most, and a clock that is a minute off.
        let now = NOW.as_secs();
        assert!((now - 60..now).contains(&issued), "{issued}");
        assert!(expires > now && expires <= now + 600, "{expires}");
        for bad in ["", "x", "1/../../user", "100?x=1"] {
            let none = app
                .token(bad, &narrow, &SeededEntropy::new(1), NOW)
                .ok()
                .unwrap();
            assert!(none.is_none(), "{bad}");
        }
    }
}

fn parsed(narrow: Value, status: u16, body: Value) -> Result<Granted, Refused> {
    let narrow = narrowing(narrow).unwrap();
    let response = answer(status, "application/json", body.to_string());
    parse_token(Ok(response), &narrow, NOW).map_err(|(refused, _)| refused)
}

#[test]
fn a_token_comes_with_its_end_and_what_it_may_do() {
    let granted = parsed(
        json!({"type": DETAIL, "permissions": "contents:read", "repositories": "acme/site"}),
        201,
        json!({
            "token": "ghs_1", "expires_at": "2026-11-23T13:00:00Z",
            "permissions": {"contents": "read", "metadata": "read"}, "repository_selection": "selected",
            "repositories": [{"full_name": "Acme/Site"}],
        }),
    );
    let granted = granted.ok().unwrap();
    assert_eq!(granted.token.expose(), "ghs_1");
    assert_eq!(granted.expires_in, Duration::from_secs(3600));
    assert_eq!(
        Value::Object(granted.metadata),
        json!({"permissions": {"contents": "read", "metadata": "read"}, "repository_selection": "selected"})
    );
}

#[test]
fn a_token_that_may_do_more_than_was_asked_for_is_refused() {
    let asked =
        json!({"type": DETAIL, "permissions": "contents:read", "repositories": "acme/site"});
    let good = json!({"contents": "read"});
    for (permissions, selection, repositories) in [
        (
            json!({"contents": "write"}),
            "selected",
            json!([{"full_name": "acme/site"}]),
        ),
        (
            json!({"contents": "read", "issues": "read"}),
            "selected",
            json!([{"full_name": "acme/site"}]),
        ),
        (
            json!({"contents": "read", "metadata": "write"}),
            "selected",
            json!([{"full_name": "acme/site"}]),
        ),
        (
            json!({"contents": "everything"}),
            "selected",
            json!([{"full_name": "acme/site"}]),
        ),
        (Value::Null, "selected", json!([{"full_name": "acme/site"}])),
        (good.clone(), "all", json!([{"full_name": "acme/site"}])),
        (
            good.clone(),
            "selected",
            json!([{"full_name": "other/site"}]),
        ),
        (
            good,
            "selected",
            json!([{"full_name": "acme/site"}, {"full_name": "acme/two"}]),
        ),
    ] {
        let body = json!({
            "token": "ghs_1", "permissions": permissions,
            "repository_selection": selection, "repositories": repositories,
        });
        assert_eq!(
            parsed(asked.clone(), 201, body.clone()).err(),
            Some(Refused::Wider),
            "{body}"
        );
    }
}

#[test]
fn every_refusal_says_who_can_help() {
    let all = || json!({"type": DETAIL});
    for (status, refused) in [
        (401, Refused::App),
        (403, Refused::NotGranted),
        (404, Refused::App),
        (422, Refused::NotGranted),
        (429, Refused::Busy(None)),
        (500, Refused::Busy(None)),
        (302, Refused::Unusable),
    ] {
        assert_eq!(
            parsed(all(), status, json!({"message": "x"})).err(),
            Some(refused),
            "{status}"
        );
    }
    for (message, refused) in [
        ("Not Found", Refused::Gone),
        ("Integration not found", Refused::App),
        ("not found", Refused::App),
    ] {
        let said = json!({"message": message});
        assert_eq!(parsed(all(), 404, said).err(), Some(refused), "{message}");
    }
    let message = json!({"message": "This installation has been suspended"});
    assert_eq!(parsed(all(), 403, message).err(), Some(Refused::Suspended));
    for body in [
        json!({}),
        json!({"token": ""}),
        json!({"token": 7}),
        json!({"token": "a\nb"}),
    ] {
        assert_eq!(parsed(all(), 201, body).err(), Some(Refused::Unusable));
    }
    let mut limited = answer(403, "application/json", "{}");
    limited
        .headers
        .push(("x-ratelimit-remaining".into(), "0".into()));
    let narrow = Narrowing::default();
    assert_eq!(
        parse_token(Ok(limited), &narrow, NOW).err().unwrap().0,
        Refused::Busy(None)
    );
    let silence = Err(Failure::Unknown(Silence::Timeout));
    assert_eq!(
        parse_token(silence, &narrow, NOW).err().unwrap().0,
        Refused::Busy(None)
    );
    let account = answer(200, "application/json", r#"{"account":{"login":"Acme"}}"#);
    assert_eq!(parse_account(Ok(account), NOW), Ok("acme".to_owned()));
}

#[test]
fn a_list_of_installations_is_read_whole_or_not_at_all() {
    let list = |body: &str| parse_list(Ok(answer(200, "application/json", body)), NOW);
    let seen = |id: &str, account: Option<&str>, suspended| Seen {
        id: id.to_owned(),
        account: account.map(str::to_owned),
        suspended,
    };
    assert_eq!(
        list(
            r#"[{"id":1,"account":{"login":"Acme"},"suspended_at":null},
                {"id":2,"account":{"slug":"corp"},"suspended_at":"2026-11-01T00:00:00Z"},{"id":3}]"#
        ),
        Ok(vec![
            seen("1", Some("Acme"), false),
            seen("2", Some("corp"), true),
            seen("3", None, false),
        ])
    );
    assert_eq!(list("[]"), Ok(vec![]));
    for body in ["{}", "", r#"[{"id":"1"}]"#, r#"[{"id":1},{}]"#, "[1]"] {
        assert_eq!(list(body), Err(Refused::Unusable), "{body}");
    }
    let of_user = |body: &str| parse_list_of_user(Ok(answer(200, "application/json", body)), NOW);
    assert_eq!(
        of_user(r#"{"total_count":1,"installations":[{"id":1,"account":{"login":"Acme"}}]}"#),
        Ok(vec![seen("1", Some("Acme"), false)])
    );
    for body in [
        "[]",
        "{}",
        r#"{"installations":{}}"#,
        r#"{"installations":[{}]}"#,
    ] {
        assert_eq!(of_user(body), Err(Refused::Unusable), "{body}");
    }
}
