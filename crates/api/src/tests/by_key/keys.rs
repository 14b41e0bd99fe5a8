//! Which keys the page takes, from whom, how often; and what it says to those that it does not.

use std::net::IpAddr;

use axum::http::HeaderValue;
use serde_json::json;

use super::{enter, form, link, result};
use crate::kit::edge::Visit;
use crate::tests::server::Server;

#[tokio::test]
async fn a_key_that_is_not_good_for_it_is_told_at_the_field_and_forgotten() {
    let server = Server::start().await;
    let path = link("authorize", "scl_1", 'a', "");
    let wrong = enter(&server, &path, "tok_nobody").await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.headers["www-authenticate"], "Bearer");
    assert!(
        wrong
            .text
            .contains("aria-invalid=\"true\" aria-describedby=\"key-problem\""),
        "{}",
        wrong.text
    );
    for known in [
        "This key is not known here, or is not one of the team",
        "<form method=\"post\"",
        "scl_1",
    ] {
        assert!(wrong.text.contains(known), "{known}: {}", wrong.text);
    }
    // A key of another team is as unknown as none, whatever the link names.
    for (key, connector) in [
        ("tok_stranger", "scl_1"),
        ("tok_far", "scl_1"),
        ("tok_stranger", "scl_none"),
        ("tok_nobody", "scl_none"),
        ("a.b.c", "scl_1"),
        ("%C3%A9", "scl_1"),
    ] {
        let refused = enter(&server, &path.replace("scl_1", connector), key).await;
        let text = wrong.text.replace("scl_1", connector);
        assert_eq!(
            (refused.status, refused.text),
            (wrong.status, text),
            "{key} {connector}"
        );
    }
    for (key, status, said) in [
        ("tok_token_only", 403, "may only read tokens"),
        ("tok_workload", 403, "acts for no person"),
        ("tok_account", 403, "acts for no person"),
        ("", 400, "Enter the key that the command uses"),
        ("+%20%09", 400, "Enter the key that the command uses"),
    ] {
        // Before the connector is looked for.
        for connector in ["scl_1", "scl_none"] {
            let refused = enter(&server, &path.replace("scl_1", connector), key).await;
            assert_eq!(refused.status, status, "{key}: {}", refused.text);
            assert!(
                refused.text.contains(said) && refused.text.contains("key-problem"),
                "{key}: {}",
                refused.text
            );
        }
    }
    // The team is the link's to name where the key is in several.
    let unnamed = link("install", "scl_1", 'a', "").replace("teamId=team_1&", "");
    let refused = enter(&server, &unnamed, "tok_account").await;
    assert_eq!(refused.status, 422);
    assert!(
        refused
            .text
            .contains("team: is required: one of acme, other"),
        "{}",
        refused.text
    );
    let none = server
        .call("tok_admin", "GET /api/v1/authorizations", None)
        .await;
    assert_eq!(none.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_said_to_who_is_known() {
    let server = Server::start().await;
    let unknown = enter(
        &server,
        &link("authorize", "scl_none", 'a', ""),
        "tok_admin",
    )
    .await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown
            .text
            .contains("no connector with the name or id “scl_none”"),
        "{}",
        unknown.text
    );
    for (path, said) in [
        (
            link("install", "scl_1", 'a', ""),
            "this connector has no tokens for the subject type app",
        ),
        (
            link("authorize", "scl_1", 'a', "&scopes=caf%C3%A9"),
            "is not a scope",
        ),
        (
            link("authorize", "scl_1", 'a', "&installationId=*"),
            "installationId: must name one installation",
        ),
    ] {
        let refused = enter(&server, &path, "tok_admin").await;
        assert_eq!(refused.status, 422, "{path}: {}", refused.text);
        assert!(refused.text.contains(said), "{path}: {}", refused.text);
    }
    let delete = "DELETE /api/v1/connectors/scl_unlinked";
    server.call("tok_admin", delete, None).await.expect(204);
    let gone = enter(
        &server,
        &link("authorize", "scl_unlinked", 'a', ""),
        "tok_admin",
    )
    .await;
    assert_eq!(gone.status, 404, "{}", gone.text);
}

#[tokio::test]
async fn only_our_own_page_sends_a_key_and_only_as_a_form() {
    let server = Server::start().await;
    let path = link("authorize", "scl_1", 'a', "");
    let mut foreign = form(&path, "key=tok_admin".to_owned());
    foreign
        .headers_mut()
        .insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert_eq!(server.send(foreign).await.status, 403);
    let long = form(&path, format!("key={}", "x".repeat(300_000)));
    assert_eq!(server.send(long).await.status, 400);
    // A key in the address is none.
    let in_address = server
        .send(form(&format!("{path}&key=tok_admin"), String::new()))
        .await;
    assert_eq!(in_address.status, 400);
    let bearer = server
        .call("tok_admin", &format!("POST {path}"), None)
        .await;
    assert_eq!(bearer.status, 400);
    assert_eq!(result(&server, 'a').await, json!({"status": "pending"}));
}

#[tokio::test]
async fn an_address_tries_so_many_keys_a_minute() {
    let server = Server::start_with(|settings| settings.limits.sign_ins_per_minute = 2).await;
    let path = link("authorize", "scl_1", 'a', "");
    let tried = async |key: &str, client: &str| {
        let mut asked = form(&path, format!("key={key}"));
        asked.extensions_mut().insert(Visit {
            client: Some(client.parse::<IpAddr>().unwrap()),
            request_id: None,
            traced: false,
            logged: false,
        });
        server.send(asked).await
    };
    for status in [401, 401, 429] {
        let answer = tried("tok_nobody", "192.0.2.7").await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let refused = tried("tok_admin", "192.0.2.7").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["retry-after"]),
        (429, &HeaderValue::from_static("30"))
    );
    assert_eq!(tried("tok_admin", "192.0.2.8").await.status, 303);
}
