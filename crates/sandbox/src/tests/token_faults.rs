//! Every fault of the token endpoint: what the client sees, and what became of its refresh token.

use std::io::Read as _;
use std::time::Duration;

use grantry_core::Clock as _;
use serde_json::{Value, json};

use super::support::*;
use crate::crypto;
use crate::{Endpoint, FAULTS, Order};

/// Whether the refresh token that was presented is still the current one afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Rotated,
    Untouched,
}
use Token::{Rotated, Untouched};

type Check = fn(&Reply);

fn is(reply: &Reply, field: &str, wanted: Value) {
    assert_eq!(reply.json()[field], wanted, "{field}");
}

fn status(reply: &Reply, wanted: u16) {
    assert_eq!(reply.status.as_u16(), wanted, "{}", reply.text());
}

/// A claim, and a field of the header, of the ID token.
fn id_token(reply: &Reply, claim: &str, field: &str) -> (Value, Value) {
    let tokens = reply.json();
    let token = tokens["id_token"].as_str().unwrap();
    let header = crypto::claims(&format!(".{}", token.split('.').next().unwrap())).unwrap();
    let claims = crypto::claims(token).unwrap();
    (claims[claim].clone(), header[field].clone())
}

fn trapped(reply: &Reply, wanted: u16) {
    status(reply, wanted);
    assert_eq!(reply.header("location"), format!("{ISSUER}/_trap"));
}

/// Faults that answer, whole or not.
const PLAYED: &[(&str, Token, Check)] = &[
    ("ok", Rotated, |r| is(r, "expires_in", json!(3600))),
    ("ghform", Rotated, |r| {
        assert!(
            r.header("content-type")
                .starts_with("application/x-www-form-urlencoded")
        );
        assert!(r.text().contains("access_token=at_") && r.text().contains("&expires_in=3600"));
    }),
    ("htmlok", Rotated, |r| {
        assert!(r.header("content-type").starts_with("text/html"));
        is(r, "expires_in", json!(3600));
    }),
    ("bom", Rotated, |r| {
        assert!(r.body.starts_with(b"\xef\xbb\xbf{"))
    }),
    ("noexp", Rotated, |r| is(r, "expires_in", Value::Null)),
    ("strexp", Rotated, |r| is(r, "expires_in", json!("3600"))),
    ("floatexp", Rotated, |r| is(r, "expires_in", json!(3600.5))),
    ("zeroexp", Rotated, |r| is(r, "expires_in", json!(0))),
    ("negexp", Rotated, |r| is(r, "expires_in", json!(-3600))),
    ("hugeexp", Rotated, |r| {
        is(r, "expires_in", json!(1_000_000_000_000_000_000_u64))
    }),
    ("norefresh", Untouched, |r| {
        is(r, "refresh_token", Value::Null);
        is(r, "token_type", json!("Bearer"));
    }),
    ("emptyrefresh", Untouched, |r| {
        is(r, "refresh_token", json!(""))
    }),
    ("nofacts", Rotated, |r| {
        is(r, "scope", json!("openid email"));
        is(r, "team", Value::Null);
    }),
    ("morescope", Rotated, |r| {
        is(r, "scope", json!("openid email admin"))
    }),
    ("lessscope", Rotated, |r| is(r, "scope", json!("openid"))),
    ("noscope", Rotated, |r| is(r, "scope", Value::Null)),
    ("skewdate", Rotated, |r| {
        assert_eq!(r.header("date"), "Sun, 06 Nov 1994 09:49:37 GMT");
        assert_eq!(
            id_token(r, "iat", "alg"),
            (json!(784_115_377), json!("RS256"))
        );
    }),
    ("idt_none", Rotated, |r| {
        assert_eq!(id_token(r, "sub", "alg"), (json!("alice"), json!("none")));
        assert!(r.json()["id_token"].as_str().unwrap().ends_with('.'));
    }),
    ("idt_hs256", Rotated, |r| {
        assert_eq!(id_token(r, "sub", "alg").1, json!("HS256"))
    }),
    ("idt_kid", Rotated, |r| {
        assert_eq!(id_token(r, "sub", "kid").1, json!("unknown"))
    }),
    ("idt_iss", Rotated, |r| {
        assert_eq!(id_token(r, "iss", "alg").0, json!("https://evil.example"))
    }),
    ("idt_aud", Rotated, |r| {
        assert_eq!(id_token(r, "aud", "alg").0, json!("another"))
    }),
    ("idt_azp", Rotated, |r| {
        assert_eq!(id_token(r, "azp", "alg").0, json!("another"))
    }),
    ("idt_nonce", Rotated, |r| {
        assert_eq!(id_token(r, "nonce", "alg").0, json!("another"))
    }),
    ("idt_exp", Rotated, |r| {
        assert_eq!(id_token(r, "exp", "alg").0, json!(784_108_177))
    }),
    ("idt_absent", Rotated, |r| {
        is(r, "id_token", Value::Null);
        is(r, "token_type", json!("Bearer"));
    }),
    ("idt_sub", Rotated, |r| {
        assert_eq!(id_token(r, "sub", "alg").0, json!("mallory"))
    }),
    ("slack200", Untouched, |r| {
        status(r, 200);
        assert_eq!(
            r.json(),
            json!({"ok": false, "error": "invalid_refresh_token"})
        );
    }),
    ("gh200", Untouched, |r| {
        status(r, 200);
        is(r, "error", json!("bad_refresh_token"));
    }),
    ("empty", Untouched, |r| {
        assert_eq!((r.status.as_u16(), r.body.len()), (200, 0))
    }),
    ("json_arr", Untouched, |r| assert_eq!(r.json(), json!([]))),
    ("nulat", Untouched, |r| {
        assert_eq!(r.json()["access_token"], Value::Null)
    }),
    ("emptyat", Untouched, |r| is(r, "access_token", json!(""))),
    ("wrongtype", Untouched, |r| {
        is(r, "token_type", json!("mac"))
    }),
    ("dupkey", Untouched, |r| {
        assert_eq!(r.text().matches("\"access_token\"").count(), 2)
    }),
    ("junk", Untouched, |r| {
        assert!(r.text().ends_with("}<!-- end -->"))
    }),
    ("crlf_at", Untouched, |r| {
        is(r, "access_token", json!("at\r\nX-Injected: 1\0"))
    }),
    ("nonascii_at", Untouched, |r| {
        is(r, "access_token", json!("at_é\u{202e}"))
    }),
    ("hugeat", Untouched, |r| {
        let length = r.json()["access_token"].as_str().unwrap().len();
        assert!((64 * 1024..1024 * 1024).contains(&length) && r.body.len() < 1024 * 1024);
    }),
    ("inv_grant", Untouched, |r| {
        status(r, 400);
        is(r, "error", json!("invalid_grant"));
    }),
    ("inv_client", Untouched, |r| {
        status(r, 401);
        is(r, "error", json!("invalid_client"));
    }),
    ("html401", Untouched, |r| {
        status(r, 401);
        assert!(r.text().contains("<html>"));
    }),
    ("unauth_client", Untouched, |r| {
        is(r, "error", json!("unauthorized_client"))
    }),
    ("reflect", Untouched, |r| {
        assert!(r.text().contains("demo-secret") && r.text().contains("refresh_token=rt_"));
    }),
    ("lost", Rotated, |r| assert!(r.cut && r.body.is_empty())),
    ("lostmid", Rotated, |r| {
        let declared: usize = r.header("content-length").parse().unwrap();
        assert!(r.cut && r.body.len() == declared / 2);
    }),
    ("grace", Rotated, |r| assert!(r.cut && r.body.is_empty())),
    ("slow", Rotated, |r| is(r, "expires_in", json!(3600))),
    ("late", Rotated, |r| is(r, "expires_in", json!(3600))),
    ("s500", Untouched, |r| status(r, 500)),
    ("s502", Rotated, |r| status(r, 502)),
    ("html502", Untouched, |r| {
        status(r, 502);
        assert_eq!(r.header("content-type"), "text/html");
    }),
    ("s408", Untouched, |r| status(r, 408)),
    ("s425", Untouched, |r| status(r, 425)),
    ("temp_unavail", Untouched, |r| {
        status(r, 400);
        is(r, "error", json!("temporarily_unavailable"));
    }),
    ("flaky", Untouched, |r| status(r, 500)),
    ("s429", Untouched, |r| {
        status(r, 429);
        assert_eq!(r.header("retry-after"), "2");
    }),
    ("s429d", Untouched, |r| {
        assert_eq!(r.header("retry-after"), "Sun, 06 Nov 1994 08:49:42 GMT")
    }),
    ("s503", Untouched, |r| {
        status(r, 503);
        assert_eq!(r.header("retry-after"), "2");
    }),
    ("huge", Untouched, |r| {
        assert!(r.body.len() >= 4 << 20 && !r.cut)
    }),
    ("bomb", Untouched, |r| {
        assert_eq!(r.header("content-encoding"), "gzip");
        let mut unpacked = flate2::read::GzDecoder::new(&r.body[..]);
        let size = std::io::copy(&mut unpacked.by_ref(), &mut std::io::sink()).unwrap();
        assert!(
            size > 64 << 20 && r.body.len() < 512 << 10,
            "{}",
            r.body.len()
        );
    }),
    ("deep", Untouched, |r| {
        assert_eq!(r.text(), "[".repeat(200_000))
    }),
    ("r302", Untouched, |r| trapped(r, 302)),
    ("r307", Untouched, |r| trapped(r, 307)),
    ("r308", Untouched, |r| trapped(r, 308)),
];

/// Faults that never answer.
const SILENT: &[(&str, Token)] = &[("hang", Untouched), ("silence", Rotated)];

async fn play(bench: &Bench, name: &str) -> (Option<Reply>, Token) {
    bench.sandbox.reset();
    bench.clock.restart();
    let token = bench.consented_to("openid email").await;
    bench.sandbox.order(Order::once(name)).unwrap();
    let reply = bench.refresh(&token).await;
    let state = if bench.is_current(&token) {
        Untouched
    } else {
        Rotated
    };
    (reply, state)
}

#[tokio::test]
async fn every_fault_of_the_token_endpoint_plays_and_leaves_the_grant_as_told() {
    let tested = PLAYED.iter().map(|(name, ..)| name);
    let mut tested: Vec<_> = tested.chain(SILENT.iter().map(|(name, _)| name)).collect();
    let of_table = FAULTS
        .iter()
        .filter(|f| f.endpoints.contains(&Endpoint::Token));
    let mut of_table: Vec<_> = of_table.map(|fault| &fault.name).collect();
    tested.sort();
    of_table.sort();
    assert_eq!(of_table, tested);
    let bench = Bench::new();
    for (name, wanted, check) in PLAYED {
        let (reply, state) = play(&bench, name).await;
        check(&reply.unwrap());
        assert_eq!(state, *wanted, "{name}");
    }
    for (name, wanted) in SILENT {
        let (reply, state) = play(&bench, name).await;
        assert!(reply.is_none(), "{name}");
        assert_eq!(state, *wanted, "{name}");
    }
}

#[tokio::test]
async fn slow_and_late_answers_take_their_time() {
    for (order, least) in [
        (Order::once("slow"), 100),
        (Order::once("late"), 5),
        (
            Order {
                seconds: Some(40),
                ..Order::once("late")
            },
            40,
        ),
    ] {
        let bench = Bench::new();
        let token = bench.consented().await;
        bench.sandbox.order(order.clone()).unwrap();
        let before = bench.clock.now();
        bench.refresh(&token).await;
        let entry = bench.sandbox.log().pop().unwrap();
        assert_eq!(entry.at, before, "processed on arrival");
        let took = entry.answered_at.unwrap().since(before);
        assert!(took >= Duration::from_secs(least), "{order:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_flaky_server_fails_every_other_request() {
    let bench = Bench::new();
    let mut token = bench.consented().await;
    bench.sandbox.order(Order::new("flaky")).unwrap();
    for wanted in [500, 200, 500, 200] {
        let reply = bench.refresh(&token).await.unwrap();
        assert_eq!(reply.status, wanted);
        if wanted == 200 {
            token = reply.json()["refresh_token"].as_str().unwrap().to_owned();
        }
    }
}

#[tokio::test]
async fn an_order_can_change_value_and_rotation() {
    let bench = Bench::new();
    let token = bench.consented().await;
    let order = Order {
        value: Some("1e9".into()),
        ..Order::once("s503")
    };
    bench.sandbox.order(order).unwrap();
    let reply = bench.refresh(&token).await.unwrap();
    assert_eq!(reply.header("retry-after"), "1e9");

    let order = Order {
        rotate: Some(true),
        ..Order::once("empty")
    };
    bench.sandbox.order(order).unwrap();
    assert_eq!(bench.refresh(&token).await.unwrap().body.len(), 0);
    assert!(!bench.is_current(&token));
    let last = bench.sandbox.log().pop().unwrap();
    assert_eq!(last.answered_at, None, "an empty answer settles nothing");

    let bench = Bench::new();
    let token = bench.consented().await;
    let order = Order {
        rotate: Some(false),
        ..Order::once("lost")
    };
    bench.sandbox.order(order).unwrap();
    assert!(bench.refresh(&token).await.unwrap().cut);
    assert!(bench.is_current(&token));
}

#[tokio::test]
async fn the_grace_fault_answers_the_retry_with_the_lost_pair() {
    let bench = Bench::new();
    let token = bench.consented().await;
    let order = Order {
        seconds: Some(10),
        ..Order::once("grace")
    };
    bench.sandbox.order(order).unwrap();
    bench.refresh(&token).await;
    bench.clock.advance(Duration::from_secs(9));
    let retry = bench.refresh(&token).await.unwrap();
    let successor = retry.json()["refresh_token"].as_str().unwrap().to_owned();
    assert!(bench.is_current(&successor));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(
        bench.refresh(&token).await.unwrap().error(),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_fault_that_spoils_good_answers_leaves_a_refusal_alone() {
    let bench = Bench::new();
    bench.sandbox.order(Order::new("noexp")).unwrap();
    assert_eq!(
        bench.refresh("unknown").await.unwrap().error(),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_fault_in_the_query_strikes_that_request_alone() {
    let bench = Bench::new();
    let pairs = [("grant_type", "client_credentials")];
    let reply = bench.demo("/token?fault=s429", &pairs).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(bench.demo("/token", &pairs).await.unwrap().status, 200);
}
