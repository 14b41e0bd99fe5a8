//! A browser walks through the pages of a whole server.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;

use super::html;
use super::server::{BACK, Browser, Server, callback, location};

#[tokio::test]
async fn a_user_connects_and_lands_back_where_they_came_from() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let shown = browser.get(&server, &link.url).await;
    assert_eq!(shown.status(), StatusCode::OK);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    assert!(html(shown).await.contains("Acme oauth"));

    let sent = browser.press(&server, &link).await;
    assert_eq!(sent["code_challenge_method"], "S256");
    let back = browser.get(&server, &callback(&sent)).await;
    assert_eq!(location(&back), BACK);
    assert_eq!(server.state(&link).await, "success");

    let shown = browser.get(&server, &link.url).await;
    assert!(html(shown).await.contains("Return to desk.acme.example"));
}

#[tokio::test]
async fn looking_changes_nothing_and_head_is_answered_as_get() {
    let (server, browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    for method in ["GET", "HEAD", "GET"] {
        for url in [&link.url, &format!("{}/cancel", link.url)] {
            let request = browser.request(method, url).body(Body::empty()).unwrap();
            let response = server.send(request).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key("set-cookie"));
        }
    }
    assert_eq!(server.state(&link).await, "pending");
}

#[tokio::test]
async fn requirement_5_a_foreign_an_unknown_and_an_expired_state_end_alike_and_ask_nohtml() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let sent = browser.press(&server, &link).await;
    let stranger = Browser::default();
    let unknown = "https://connect.example/callback?code=code-of-theirs&state=unknown";
    let nowhere = "https://connect.example/problem/not-waiting";
    assert_eq!(
        location(&stranger.get(&server, &callback(&sent)).await),
        nowhere
    );
    assert_eq!(location(&browser.get(&server, unknown).await), nowhere);
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(
        location(&browser.get(&server, &callback(&sent)).await),
        nowhere
    );
    assert_eq!(server.asked(), 0);
    assert_eq!(server.state(&link).await, "pending");
    let page = browser.get(&server, nowhere).await;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    assert!(html(page).await.contains("again"));
}

#[tokio::test]
async fn requirement_7_a_second_callback_is_told_so_and_the_connection_stays() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", None).await;
    let sent = browser.press(&server, &link).await;
    let first = browser.get(&server, &callback(&sent)).await;
    assert_eq!(location(&first), link.url);
    let second = browser.get(&server, &callback(&sent)).await;
    assert_eq!(
        location(&second),
        "https://connect.example/problem/already-used"
    );
    assert_eq!(server.asked(), 1);
    assert_eq!(server.state(&link).await, "success");
}

#[tokio::test]
async fn one_browser_keeps_one_cookie_for_all_its_tabs() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    browser.press(&server, &link).await;
    let first = browser.cookie.clone();
    let sent = browser.press(&server, &link).await;
    assert_eq!(browser.cookie, first);
    assert_eq!(
        location(&browser.get(&server, &callback(&sent)).await),
        BACK
    );
    let mut planted = Browser {
        cookie: Some("__Host-grantry=chosen-by-somebody".to_owned()),
    };
    let link = server.link("oauth/acme", Some(BACK)).await;
    planted.press(&server, &link).await;
    assert!(!planted.cookie.unwrap().contains("chosen-by-somebody"));
}

#[tokio::test]
async fn a_silent_provider_leads_back_to_the_button_with_a_notice() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let sent = browser.press(&server, &link).await;
    server.silence(true);
    let back = browser.get(&server, &callback(&sent)).await;
    let again = format!("{}?notice=try-again", link.url);
    assert_eq!(location(&back), again);
    let page = html(browser.get(&server, &again).await).await;
    assert!(
        page.contains("please try again") && page.contains("<button"),
        "{page}"
    );

    server.silence(false);
    let sent = browser.press(&server, &link).await;
    assert_eq!(
        location(&browser.get(&server, &callback(&sent)).await),
        BACK
    );
}

#[tokio::test]
async fn a_user_says_no_here_or_at_the_provider() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let here = server.link("oauth/acme", Some(BACK)).await;
    let response = browser
        .post(&server, &here.url, &[("action", "decline")])
        .await;
    assert_eq!(location(&response), BACK);
    assert_eq!(server.state(&here).await, "canceled");
    let response = browser
        .post(&server, &here.url, &[("action", "connect")])
        .await;
    assert_eq!(location(&response), here.url, "the page says how it ended");

    let there = server.link("oauth/acme", None).await;
    let sent = browser.press(&server, &there).await;
    let denied = format!(
        "https://connect.example/callback?error=access_denied&error_description=%3Cscript%3E&state={}",
        sent["state"]
    );
    assert_eq!(location(&browser.get(&server, &denied).await), there.url);
    let page = html(browser.get(&server, &there.url).await).await;
    assert!(
        page.contains("Nothing was connected") && !page.contains("script"),
        "{page}"
    );
}

#[tokio::test]
async fn a_key_is_pasted_and_never_shown_again() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("keys/acme", None).await;
    let page = html(browser.get(&server, &link.url).await).await;
    assert!(page.contains("Look under Settings.") && page.contains("name=\"key\""));
    let form = |key| [("action", "connect"), ("key", key)];
    let wrong = browser.post(&server, &link.url, &form("two words")).await;
    assert_eq!(location(&wrong), format!("{}?notice=key", link.url));
    let right = browser
        .post(&server, &link.url, &form(" k3y-of-dana\n"))
        .await;
    assert_eq!(location(&right), link.url);
    assert_eq!(server.state(&link).await, "success");
    let page = html(browser.get(&server, &link.url).await).await;
    assert!(
        page.contains("is connected") && !page.contains("k3y"),
        "{page}"
    );
}

#[tokio::test]
async fn another_site_cannot_press_the_button() {
    let (server, browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request = browser.request("POST", &link.url).header(name, value);
        let response = server
            .send(request.body(Body::from("action=connect")).unwrap())
            .await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!response.headers().contains_key("set-cookie"));
    }
    assert_eq!(server.state(&link).await, "pending");
}

#[tokio::test]
async fn forms_that_are_not_ours_are_refused_whole() {
    let (server, browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let huge = format!("action=connect&key={}", "x".repeat(300_000));
    for form in [
        "",
        "action=",
        "action=launch",
        "action=connect&action=decline",
        "action=decline&key=k",
        "{\"action\":\"connect\"}",
        huge.as_str(),
    ] {
        let request = browser.request("POST", &link.url);
        let response = server
            .send(request.body(Body::from(form.to_owned())).unwrap())
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{:.40}", form);
    }
    assert_eq!(server.state(&link).await, "pending");
}

#[tokio::test]
async fn the_link_leads_to_the_public_host_and_never_in_circles() {
    let (server, browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let elsewhere = link.url.replace("connect.example", "10.0.0.7");
    let response = browser.get(&server, &elsewhere).await;
    let home = format!("{}?moved", link.url);
    assert_eq!(location(&response), home);
    assert_eq!(browser.get(&server, &home).await.status(), StatusCode::OK);
    // Behind a proxy that hides the host name.
    let hidden = format!("{elsewhere}?moved");
    assert_eq!(browser.get(&server, &hidden).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn links_that_lead_nowhere_are_pages() {
    let (server, browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    server.clock.advance(Duration::from_secs(3601));
    for (url, status) in [
        (link.url.as_str(), 410),
        ("https://connect.example/authorize/sca_unknown", 404),
        ("https://connect.example/authorize/%ff", 404),
        ("https://connect.example/authorize/%00", 404),
        ("https://connect.example/authorize/%3Cscript%3E", 404),
        ("https://connect.example/authorize/sca_unknown/cancel", 404),
        ("https://connect.example/problem/nonsense", 404),
        ("https://connect.example/problem/%ff", 404),
    ] {
        let response = browser.get(&server, url).await;
        assert_eq!(response.status(), status, "{url}");
        assert_eq!(
            response.headers()["content-type"],
            "text/html; charset=utf-8",
            "{url}"
        );
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert!(html(response).await.contains("new link"), "{url}");
    }
}

#[tokio::test]
async fn requirement_15_an_answer_in_a_form_is_not_taken() {
    let (server, mut browser) = (Server::start().await, Browser::default());
    let link = server.link("oauth/acme", Some(BACK)).await;
    let sent = browser.press(&server, &link).await;
    let form = [
        ("code", "code-of-theirs"),
        ("state", sent["state"].as_str()),
    ];
    for url in [
        "https://connect.example/callback",
        "https://connect.example/callback/team_1",
    ] {
        let response = browser.post(&server, url, &form).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(server.asked(), 0);
    let wrong_place = callback(&sent).replace("/callback?", "/callback/team_2?");
    let response = browser.get(&server, &wrong_place).await;
    assert_eq!(
        location(&response),
        "https://connect.example/problem/wrong-server"
    );
    assert_eq!(server.asked(), 0);
}
