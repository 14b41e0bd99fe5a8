//! What the pages show and send, without a server behind them.

use askama::Template as _;
use axum::http::StatusCode;
use axum::response::Response;
use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::AuthorizationState;
use grantry_core::{Error, Secret};
use grantry_engine::{CallbackEnd, CallbackRefusal, Consent, ConsentPage, ConsentResult, Pressed};
use url::Url;

use super::super::callback::destination;
use super::super::consent::{Notice, cancelling, pressed, shown, stopped};
use super::super::message::{STOPS, ended};
use super::{HOSTILE, ask, header, html, page, result, settings};

/// A page's text, as a person reads it.
async fn text(response: Response) -> String {
    let html = html(response).await;
    let body = &html[html.find("<main>").unwrap()..];
    let mut text = String::new();
    let mut in_tag = false;
    for letter in body.chars() {
        match letter {
            '<' => in_tag = true,
            '>' => in_tag = false,
            _ if !in_tag => text.push(letter),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_consent_page_says_who_asks_for_what_and_for_whom() {
    let page = ConsentPage {
        environment: "preview".to_owned(),
        device_code: Some("ABCD-EF23".to_owned()),
        ..page()
    };
    let text = text(shown(&settings(), &ask(page), None)).await;
    for said in [
        "Support desk · Acme",
        "Acme GitHub",
        "Connect GitHub",
        "dana@acme.example",
        "preview",
        "repo",
        "read:user",
        "ABCD-EF23",
        "Make sure this code matches",
        "github.com",
        "Cancel",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[tokio::test]
async fn what_goes_without_saying_is_not_said() {
    let page = ConsentPage {
        scopes: vec![],
        ..page()
    };
    let text = text(shown(&settings(), &ask(page), None)).await;
    assert!(
        !text.contains("production") && !text.contains("code matches"),
        "{text}"
    );
    assert!(text.contains("The provider will ask you"), "{text}");
}

#[tokio::test]
async fn a_key_is_asked_for_by_a_labelled_field_and_goes_nowhere_else() {
    let page = ConsentPage {
        paste: Some("Find it under <b>**Settings**</b>.".to_owned()),
        provider_origin: None,
        return_url: None,
        ..page()
    };
    let response = shown(&settings(), &ask(page), Some(Notice::Key));
    assert!(header(&response, "content-security-policy").contains("form-action 'self';"));
    let html = html(response).await;
    assert!(html.contains("<label for=\"key\">") && html.contains("name=\"key\" required"));
    assert!(
        html.contains("Find it under &#60;b&#62;<strong>Settings</strong>&#60;/b&#62;."),
        "{html}"
    );
    assert!(html.contains("That cannot be a key"));
}

#[tokio::test]
async fn requirement_14_hostile_values_stay_text_in_every_field() {
    let hostile = || HOSTILE.to_owned();
    let page = ConsentPage {
        id: AuthorizationId::from(HOSTILE),
        requester: hostile(),
        connector: hostile(),
        service: hostile(),
        subject: hostile(),
        environment: hostile(),
        scopes: vec![hostile()],
        install: false,
        device_code: Some(hostile()),
        provider_origin: None,
        paste: None,
        // Made of a checked team id and a digest.
        icon: None,
        background_color: Some(hostile()),
        accent_color: Some(hostile()),
        return_url: Some(hostile()),
        embedded_in: None,
    };
    let pasted = ConsentPage {
        paste: Some(hostile()),
        ..page.clone()
    };
    let result = ConsentResult {
        requester: hostile(),
        service: hostile(),
        return_url: Some(hostile()),
        ..result()
    };
    let mut pages = vec![html(cancelling(&settings(), &page)).await];
    for page in [page, pasted] {
        pages.push(html(shown(&settings(), &ask(page), None)).await);
    }
    pages.push(ended(&result).render().unwrap());
    for html in pages {
        assert!(html.contains("&#60;script&#62;"), "{html}");
        for live in ["<script", "<img", "onerror='", "\">\"", "{{7*7}}<"] {
            assert!(!html.contains(live), "{live}: {html}");
        }
    }
}

#[test]
fn the_form_may_lead_to_the_provider_and_on_to_where_the_user_came_from() {
    for (provider, back, targets) in [
        (
            Some("https://github.com"),
            Some("https://desk.acme.example/done?x"),
            "'self' https://github.com https://desk.acme.example https:",
        ),
        (
            Some("https://github.com"),
            None,
            "'self' https://github.com https:",
        ),
        (
            Some("http://127.0.0.1:9090"),
            Some("http://localhost:3000/done"),
            "'self' http://127.0.0.1:9090 http://localhost:3000",
        ),
        (None, None, "'self'"),
        (Some("null"), None, "'self'"),
    ] {
        let page = ConsentPage {
            provider_origin: provider.map(str::to_owned),
            return_url: back.map(str::to_owned),
            ..page()
        };
        let response = shown(&settings(), &ask(page), None);
        let policy = header(&response, "content-security-policy");
        let expected = format!("; form-action {targets}; frame-ancestors 'none'; base-uri 'none'");
        assert!(policy.ends_with(&expected), "{policy}");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert_eq!(header(&response, "referrer-policy"), "same-origin");
    }
}

#[tokio::test]
async fn another_account_is_replaced_only_when_the_button_says_so() {
    let asks = |notice| html(shown(&settings(), &ask(page()), notice));
    let plain = asks(None).await;
    assert!(plain.contains("value=\"connect\"") && !plain.contains("value=\"replace\""));
    let other = asks(Some(Notice::OtherAccount)).await;
    assert!(
        other.contains("value=\"replace\"") && other.contains("Replace my"),
        "{other}"
    );
}

#[tokio::test]
async fn how_a_consent_ended_is_said_and_leads_back() {
    let states = [
        (result().state, "GitHub is connected"),
        (AuthorizationState::Canceled, "Nothing was connected"),
        (
            AuthorizationState::Error {
                code: "server_error".to_owned(),
            },
            "The provider has a problem of its own.",
        ),
    ];
    for (state, said) in states {
        let ended = Consent::Ended(Box::new(ConsentResult { state, ..result() }));
        let response = shown(&settings(), &ended, None);
        assert_eq!(response.status(), StatusCode::OK);
        assert!(header(&response, "content-security-policy").contains("form-action 'none'"));
        let html = html(response).await;
        assert!(html.contains(said), "{html}");
        assert!(
            html.contains("href=\"https://desk.acme.example/done?tab=1\""),
            "{html}"
        );
        assert!(html.contains("Return to desk.acme.example"), "{html}");
    }
}

#[tokio::test]
async fn an_expired_link_says_what_to_do_next() {
    let response = shown(&settings(), &Consent::Expired, None);
    assert_eq!(response.status(), StatusCode::GONE);
    assert!(text(response).await.contains("ask for a new link"));
}

#[tokio::test]
async fn every_stop_is_a_page_with_one_heading() {
    for stop in STOPS {
        let response = stopped(stop);
        assert_eq!(response.status(), stop.status);
        assert_eq!(
            header(&response, "content-type"),
            "text/html; charset=utf-8"
        );
        let html = html(response).await;
        assert_eq!(html.matches("<h1>").count(), 1);
        assert!(html.contains("<html lang=\"en\">") && html.contains("name=\"viewport\""));
    }
}

#[test]
fn the_press_sends_the_browser_to_the_provider_with_its_cookie() {
    let response = pressed(
        &settings(),
        &Pressed {
            url: Url::parse("https://github.com/login/oauth/authorize?state=s").unwrap(),
            cookie: Secret::new("c00k1e"),
        },
    );
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        header(&response, "location"),
        "https://github.com/login/oauth/authorize?state=s"
    );
    assert!(
        header(&response, "set-cookie").starts_with("__Host-grantry=c00k1e; Secure; HttpOnly;")
    );
}

#[test]
fn requirement_18_a_callback_ends_at_a_clean_address() {
    let id = || AuthorizationId::from("sca_1");
    let alone = ConsentResult {
        return_url: None,
        ..result()
    };
    let refused = |refusal| Ok(CallbackEnd::Refused(refusal));
    let linked = |state, code: Option<&str>| {
        Ok(CallbackEnd::Ended(ConsentResult {
            state,
            code: code.map(grantry_core::Secret::new),
            link: true,
            ..result()
        }))
    };
    let failed = AuthorizationState::Error {
        code: "invalid_scope".to_owned(),
    };
    let ends: Vec<(grantry_core::Result<CallbackEnd>, &str)> = vec![
        (
            Ok(CallbackEnd::Ended(result())),
            "https://desk.acme.example/done?tab=1",
        ),
        (
            linked(AuthorizationState::Unconfirmed, Some("c0de")),
            "https://desk.acme.example/done?tab=1&code=c0de",
        ),
        (
            linked(AuthorizationState::Canceled, None),
            "https://desk.acme.example/done?tab=1&error=access_denied",
        ),
        (
            linked(failed, None),
            "https://desk.acme.example/done?tab=1&error=invalid_scope",
        ),
        (
            Ok(CallbackEnd::Ended(alone)),
            "https://connect.example/authorize/sca_1",
        ),
        (
            Ok(CallbackEnd::TryAgain {
                id: id(),
                code: "timeout",
            }),
            "https://connect.example/authorize/sca_1?notice=try-again",
        ),
        (
            Ok(CallbackEnd::OtherAccount {
                id: id(),
                connected: Some("dana".to_owned()),
                signed_in: Some("eve".to_owned()),
            }),
            "https://connect.example/authorize/sca_1?notice=other-account",
        ),
        (
            Ok(CallbackEnd::Approval(id())),
            "https://connect.example/authorize/sca_1?notice=approval",
        ),
        (
            refused(CallbackRefusal::Malformed),
            "https://connect.example/problem/malformed",
        ),
        (
            refused(CallbackRefusal::NotWaiting),
            "https://connect.example/problem/not-waiting",
        ),
        (
            refused(CallbackRefusal::AlreadyUsed),
            "https://connect.example/problem/already-used",
        ),
        (
            refused(CallbackRefusal::WrongServer),
            "https://connect.example/problem/wrong-server",
        ),
        (
            refused(CallbackRefusal::ProviderError),
            "https://connect.example/problem/provider-error",
        ),
        (
            refused(CallbackRefusal::Unasked),
            "https://connect.example/problem/unasked",
        ),
        (
            Err(Error::Unavailable),
            "https://connect.example/problem/unavailable",
        ),
    ];
    for (end, expected) in ends {
        assert_eq!(destination(&settings(), end), expected);
    }
}
