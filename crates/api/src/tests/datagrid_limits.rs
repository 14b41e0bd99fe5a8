//! What Datagrid's clients go by when they try again: limits told with every answer, repeated POSTs (seed 000,
//! reference/datagrid §4 and §5).

use serde_json::json;

use super::datagrid::{BASE, admin, ask, id, ids, seed};
use super::server::{Answer, Server, request};

#[tokio::test]
async fn the_limit_is_told_with_every_answer_and_kept_per_team_and_endpoint() {
    let server = Server::start().await;
    let told = |answer: &Answer| {
        let number = |name: &str| {
            let text = answer.headers.get(name)?.to_str().ok()?;
            text.parse::<i64>().ok()
        };
        (
            number("x-ratelimit-limit"),
            number("x-ratelimit-remaining"),
            number("retry-after"),
        )
    };
    let list = async |key: &str| ask(&server, key, "GET /secrets", None).await;
    for left in (0..200).rev() {
        let answer = list("tok_admin").await;
        answer.expect(200);
        let wait = (left == 0).then_some(60);
        assert_eq!(told(&answer), (Some(200), Some(left), wait));
    }
    let refused = list("tok_admin").await;
    let body = refused.expect(429);
    assert_eq!(told(&refused), (Some(200), Some(0), Some(60)));
    let reset = refused.headers["x-ratelimit-reset"]
        .to_str()
        .unwrap()
        .parse::<i64>();
    assert_eq!(reset.unwrap(), server.engine.now().as_secs() + 60);
    assert_eq!(
        (
            &body["status_code"],
            &body["statusCode"],
            &body["error"],
            &body["message"],
            &body["retryable"]
        ),
        (
            &json!(429),
            &json!(429),
            &json!("rate_limit_exceeded"),
            &json!("Rate limit exceeded"),
            &json!(true)
        )
    );
    assert!(body["details"]["reason"].is_string() && body["mitigation"].is_string());
    // Another method, another path, another team: not theirs.
    let body = json!({"name": "n", "value": "v"});
    let other = admin(&server, "POST /secrets", Some(&body)).await;
    assert_eq!(told(&other).1, Some(199));
    admin(&server, "GET /secrets/sec_none", None)
        .await
        .expect(404);
    list("tok_stranger").await.expect(200);
    // Refusals are told it too, and who is unknown counts for nobody.
    let bad = admin(&server, "POST /secrets", Some(&json!({}))).await;
    assert_eq!((bad.status.as_u16(), told(&bad).1), (400, Some(198)));
    let member = ask(&server, "tok_member", "POST /secrets", Some(&json!({}))).await;
    assert_eq!((member.status.as_u16(), told(&member).1), (403, Some(197)));
    let nobody = ask(&server, "tok_nobody", "GET /secrets", None).await;
    assert_eq!(
        (nobody.status.as_u16(), told(&nobody)),
        (401, (Some(200), Some(200), None))
    );
    server.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(told(&list("tok_admin").await).1, Some(199));
    // The other dialects have no such limit.
    let native = server.call("tok_admin", "GET /api/v1/secrets", None).await;
    assert!(native.headers.get("x-ratelimit-limit").is_none());
}

#[tokio::test]
async fn a_repeated_post_with_a_key_is_answered_again() {
    let server = Server::start().await;
    let post = async |name: &str| {
        let mut body = seed();
        body["name"] = json!(name);
        let route = format!("POST {BASE}/connection-providers");
        let mut asked = request(Some("tok_admin"), &route, Some(&body));
        asked
            .headers_mut()
            .insert("idempotency-key", "key-1".parse().unwrap());
        server.send(asked).await
    };
    let first = post("one").await.expect(201);
    assert_eq!(post("one").await.expect(201), first);
    let other = post("two").await;
    assert_eq!(other.expect(409)["error"], "conflict");
    assert_eq!(other.headers["x-should-retry"], "false");
    let listed = admin(
        &server,
        "GET /connection-providers?connector_id=hubspot",
        None,
    )
    .await;
    assert_eq!(ids(&listed.expect(200)), [id(&first)]);
}
