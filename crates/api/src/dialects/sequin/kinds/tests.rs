use serde_json::json;

use super::*;

fn read(word: &str, service: &str, sent: Value) -> Read {
    let kind = of(word, service).unwrap_or_else(|why| panic!("{word}: {why}"));
    let read = kind.read(sent.as_object().unwrap().clone());
    read.unwrap_or_else(|error| panic!("{word}: {error}"))
}

#[test]
fn every_recorded_kind_is_read_and_its_secrets_are_masked() {
    for (word, service, sent, account) in [
        (
            "airtable_oauth2",
            "airtable",
            json!({"kind": "airtable_oauth2", "airtable_uid": "usrA", "refresh_token": "S1", "scope": "a b"}),
            Some("usrA"),
        ),
        (
            "checkout_champ_password",
            "checkout_champ",
            json!({"kind": "checkout_champ_password", "login_id": "me", "password": "S1"}),
            Some("me"),
        ),
        (
            "github_app",
            "github",
            json!({"kind": "github_app", "account_type": "User", "account_login": "ada", "installation_id": 42}),
            Some("42"),
        ),
        (
            "hubspot_oauth2",
            "hubspot",
            json!({"kind": "hubspot_oauth2", "hub_domain": "x.com", "hub_id": 7, "refresh_token": "S1", "scopes": ["a", "b"]}),
            Some("7"),
        ),
        (
            "linear_oauth2",
            "linear",
            json!({"kind": "linear_oauth2", "access_token": "S1", "scope": "read", "linear_org_id": "o", "linear_org_name": "O"}),
            Some("o"),
        ),
        (
            "salesforce_oauth2",
            "salesforce",
            json!({"kind": "salesforce_oauth2", "access_token": "S1", "refresh_token": "S2", "organization_id": "00D", "instance_url": "https://x"}),
            Some("00D"),
        ),
        (
            "stripe_key",
            "stripe",
            json!({"kind": "stripe_key", "name": "n", "secret": "S1", "test": true}),
            None,
        ),
        (
            "stripe_oauth2",
            "stripe",
            json!({"kind": "stripe_oauth2", "name": "n", "secret": "S1", "test": false}),
            None,
        ),
        (
            "quickbooks_oauth2",
            "quickbooks",
            json!({"kind": "quickbooks_oauth2", "access_token": "S1", "account_id": "9"}),
            Some("9"),
        ),
    ] {
        let found = read(word, service, sent.clone());
        assert_eq!(found.account.as_deref(), account, "{word}");
        let mut masked = sent;
        for (_, value) in masked.as_object_mut().unwrap() {
            if value.as_str().is_some_and(|text| text.starts_with('S')) {
                *value = MASK.into();
            }
        }
        assert_eq!(Value::Object(found.shown), masked, "{word}");
        assert_eq!(
            matches!(found.tokens, NewTokens::None),
            word == "github_app",
            "{word}"
        );
    }
    assert!(of("stripe_sequin", "stripe").is_err());
    assert!(of("linear_oauth2", "stripe").is_err());
    assert!(
        of("nope", "quickbooks")
            .err()
            .unwrap()
            .contains("quickbooks_oauth2")
    );
    assert_eq!(usual("stripe"), "stripe_oauth2");
}

#[test]
fn a_token_that_can_be_renewed_and_whose_age_is_unknown_is_renewed_first() {
    let expires = |sent| match read("linear_oauth2", "linear", sent).tokens {
        NewTokens::Pair(pair) => pair.expires_in.map(|life| life.as_secs()),
        _ => panic!("no pair"),
    };
    assert_eq!(expires(json!({"access_token": "a"})), None);
    assert_eq!(
        expires(json!({"access_token": "a", "refresh_token": "r"})),
        Some(0)
    );
    let known = json!({"access_token": "a", "refresh_token": "r", "expires_in": 60});
    assert_eq!(expires(known), Some(60));
}

#[test]
fn what_is_wrong_is_named_below_properties() {
    for (word, service, sent, field) in [
        (
            "linear_oauth2",
            "linear",
            json!({}),
            "properties.access_token",
        ),
        (
            "linear_oauth2",
            "linear",
            json!({"access_token": " "}),
            "properties.access_token",
        ),
        (
            "linear_oauth2",
            "linear",
            json!({"access_token": "a", "token": "x"}),
            "properties.token",
        ),
        (
            "stripe_key",
            "stripe",
            json!({"name": "n"}),
            "properties.secret",
        ),
        (
            "github_app",
            "github",
            json!({"account_type": "Bot", "account_login": "a", "installation_id": 1}),
            "properties.account_type",
        ),
        (
            "hubspot_oauth2",
            "hubspot",
            json!({"refresh_token": "r", "hub_id": "7"}),
            "properties.hub_id",
        ),
        (
            "airtable_oauth2",
            "airtable",
            json!({"refresh_token": "r", "expires_in": 3600}),
            "properties.expires_in",
        ),
    ] {
        let kind = of(word, service).ok().unwrap();
        let refused = kind.read(sent.as_object().unwrap().clone()).err();
        let Some(Error::Invalid(problems)) = refused else {
            panic!("{word} {sent} is read");
        };
        assert_eq!(problems[0].field, field, "{sent}");
    }
}
