use grantry_core::testing::SeededEntropy;

use super::*;

const REDIRECT: &str = "http://127.0.0.1:1/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static ENTROPY: SeededEntropy = SeededEntropy::new(1);

fn at(secs: u64) -> Mint<'static> {
    Mint {
        entropy: &ENTROPY,
        now: Timestamp(0).after(Duration::from_secs(secs)),
        access_ttl: Duration::from_secs(100),
        grace: Duration::ZERO,
    }
}

fn with_code(name: &str) -> Model {
    let mut model = Model::new([Client::demo()]);
    let grant = Grant {
        client_id: "demo".into(),
        user: Some("alice".into()),
        scope: "read write".into(),
        resources: vec![],
        nonce: None,
        workspace: None,
    };
    let code = Code {
        grant,
        redirect_uri: REDIRECT.into(),
        challenge: crypto::s256(VERIFIER),
    };
    model.store_code(&at(0), name.into(), code);
    model
}

fn consented() -> (Model, String, String) {
    let mut model = with_code("c");
    let issued = model
        .redeem(&at(0), "demo", "c", REDIRECT, VERIFIER)
        .unwrap();
    (model, issued.access_token, issued.refresh_token.unwrap())
}

fn rotate(model: &mut Model, mint: &Mint<'_>, token: &str) -> Result<Issued, Refusal> {
    model.refresh(mint, "demo", token, None, Effect::Rotate)
}

#[test]
fn a_code_is_refused_unless_everything_matches() {
    for (client, name, redirect, verifier, secs) in [
        ("other", "c", REDIRECT, VERIFIER, 0),
        ("demo", "d", REDIRECT, VERIFIER, 0),
        ("demo", "c", "http://127.0.0.1:2/callback", VERIFIER, 0),
        ("demo", "c", REDIRECT, "", 0),
        ("demo", "c", REDIRECT, VERIFIER, 60),
    ] {
        let mut model = with_code("c");
        let refusal = model
            .redeem(&at(secs), client, name, redirect, verifier)
            .unwrap_err();
        assert_eq!(refusal.code, "invalid_grant", "{refusal:?}");
        assert_eq!(model.families(), 0);
    }
    let mut model = with_code("c");
    assert!(
        model
            .redeem(&at(59), "demo", "c", REDIRECT, VERIFIER)
            .is_ok()
    );
}

#[test]
fn a_replayed_code_ends_what_the_first_use_gave() {
    let (mut model, access, refresh) = consented();
    assert!(model.access(at(0).now, &access).is_some());
    model
        .redeem(&at(1), "demo", "c", REDIRECT, VERIFIER)
        .unwrap_err();
    assert!(model.access(at(1).now, &access).is_none());
    assert!(rotate(&mut model, &at(1), &refresh).is_err());
    assert_eq!(model.killed_by_reuse, 1);
}

#[test]
fn a_rotated_token_used_again_ends_its_successor_too() {
    let (mut model, _, first) = consented();
    let second = rotate(&mut model, &at(1), &first).unwrap();
    let successor = second.refresh_token.unwrap();
    assert!(model.place(&successor).unwrap().current);
    rotate(&mut model, &at(1), &first).unwrap_err();
    assert!(!model.place(&successor).unwrap().current);
    rotate(&mut model, &at(1), &successor).unwrap_err();
    assert!(model.access(at(1).now, &second.access_token).is_none());
    assert_eq!(model.killed_by_reuse, 1);
}

#[test]
fn within_grace_the_same_pair_is_answered_until_its_successor_is_used() {
    let grace = |secs| Mint {
        grace: Duration::from_secs(60),
        ..at(secs)
    };
    let (mut model, _, first) = consented();
    let second = rotate(&mut model, &grace(0), &first).unwrap();
    assert_eq!(rotate(&mut model, &at(59), &first).unwrap(), second);
    let third = rotate(&mut model, &grace(59), &second.refresh_token.unwrap()).unwrap();
    rotate(&mut model, &at(59), &first).unwrap_err();
    assert!(!model.place(&third.refresh_token.unwrap()).unwrap().current);

    let (mut model, _, first) = consented();
    rotate(&mut model, &grace(0), &first).unwrap();
    assert!(rotate(&mut model, &at(60), &first).is_err());
}

#[test]
fn keeping_the_refresh_token_issues_only_an_access_token() {
    let (mut model, _, first) = consented();
    let issued = model
        .refresh(&at(0), "demo", &first, None, Effect::Keep)
        .unwrap();
    assert_eq!(issued.refresh_token, None);
    assert!(model.place(&first).unwrap().current);
}

#[test]
fn a_refresh_may_ask_for_less_scope_but_never_for_more() {
    let (mut model, _, first) = consented();
    let mut ask =
        |token: &str, scope| model.refresh(&at(0), "demo", token, Some(scope), Effect::Rotate);
    assert_eq!(ask(&first, "read admin").unwrap_err().code, "invalid_scope");
    let narrowed = ask(&first, "read").unwrap();
    assert_eq!(narrowed.grant.scope, "read");
    let again = ask(&narrowed.refresh_token.unwrap(), "read write").unwrap();
    assert_eq!(again.grant.scope, "read write");
}

#[test]
fn only_the_owner_can_use_or_revoke_a_token() {
    let (mut model, access, refresh) = consented();
    model.revoke("other", &refresh);
    model.revoke("other", &access);
    let theirs = model.refresh(&at(0), "other", &refresh, None, Effect::Rotate);
    assert_eq!(theirs.unwrap_err().code, "invalid_grant");
    assert!(model.access(at(0).now, &access).is_some());
    assert!(model.place(&refresh).unwrap().current);

    model.revoke("demo", &refresh);
    assert!(model.access(at(0).now, &access).is_none());
    assert!(model.refreshable(&refresh).is_none());
    assert_eq!(model.killed_by_reuse, 0);
}

#[test]
fn an_access_token_ends_at_its_expiry() {
    let (model, access, _) = consented();
    assert!(model.access(at(99).now, &access).is_some());
    assert!(model.access(at(100).now, &access).is_none());
}

#[test]
fn expired_tokens_do_not_pile_up() {
    let mut model = Model::new([]);
    let grant = Grant {
        client_id: "demo".into(),
        user: None,
        scope: String::new(),
        resources: vec![],
        nonce: None,
        workspace: None,
    };
    for secs in 0..10_000 {
        model.client_credentials(&at(secs), grant.clone());
    }
    assert!(model.access.len() <= SWEEP_MIN, "{}", model.access.len());
}
