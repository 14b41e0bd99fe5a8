//! Tokens of outside issuers: the sandbox as a build service and as a cluster.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use grantry_core::nouns::{Actor, EventKind, OutsideIdentity};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Clock as _, Error};
use grantry_engine::{Caller, Condition, KeySource, Rule, Template, TrustedIssuer};
use grantry_sandbox::{Config, Endpoint, Order, Sandbox};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{CONNECTOR, PUBLIC, Setup, World, token_of};

/// The sandbox, as the world names it.
const ISSUER: &str = "http://sandbox.test";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn rule(claims: &[(&str, &str)], team: &str, project: &str) -> Rule {
    let claims = claims
        .iter()
        .map(|(claim, text)| Condition::new(claim, vec![(*text).to_owned()]).unwrap());
    Rule {
        claims: claims.collect(),
        team: team.to_owned(),
        project: Template::new(project).unwrap(),
        environment: Template::new("production").unwrap(),
    }
}

fn trusted() -> TrustedIssuer {
    TrustedIssuer {
        name: "ci".to_owned(),
        issuer: ISSUER.to_owned(),
        audiences: vec![],
        keys: KeySource::Discover,
        algorithms: vec!["RS256".to_owned()],
        typ: None,
        life_max: HOUR,
        require: vec![],
        rules: vec![
            rule(
                &[("repository", "acme/web"), ("ref", "refs/heads/*")],
                "acme",
                "web",
            ),
            rule(&[("repository", "acme/gone")], "acme", "gone"),
            rule(&[("repository", "other/web")], "team_2", "prj_1"),
            rule(&[("repository", "other/shop")], "team_2", "shop"),
            rule(
                &[("/kubernetes.io/serviceaccount/name", "api")],
                "acme",
                "{/kubernetes.io/namespace}",
            ),
        ],
    }
}

async fn world() -> World {
    let world = World::with(Setup {
        issuers: vec![trusted()],
        ..Setup::default()
    })
    .await;
    world.apply(OTHER_TEAM).await;
    world
}

const OTHER_TEAM: &str = r#"
    [[teams]]
    id = "team_2"
    account = "acc_1"
    slug = "other"
    name = "Other"
    [[projects]]
    id = "prj_2"
    team = "team_2"
    name = "shop"
"#;

async fn ask(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Value {
    let body = Body::from(body.to_string());
    let request = Request::builder().method(method).uri(path).body(body);
    let answer = sandbox.router().oneshot(request.unwrap()).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// A token of a build, with these claims on top and this header.
async fn mint(sandbox: &Sandbox, claims: Value, more: Value) -> String {
    let mut whole = json!({
        "sub": "repo:acme/web:ref:refs/heads/main", "aud": PUBLIC,
        "repository": "acme/web", "ref": "refs/heads/main",
    });
    for (name, value) in claims.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let mut order = json!({"claims": whole});
    for (name, value) in more.as_object().unwrap() {
        order[name] = value.clone();
    }
    let minted = ask(sandbox, "POST", "/_mint", &order).await;
    minted["token"].as_str().unwrap().to_owned()
}

async fn good(world: &World) -> String {
    mint(&world.sandbox, json!({}), json!({})).await
}

async fn caller(world: &World, token: &str) -> Result<Arc<Caller>, Error> {
    world.run(world.engine.caller(token, None)).await
}

fn fetches(world: &World) -> usize {
    let log = world.sandbox.log();
    log.iter()
        .filter(|entry| entry.endpoint == Endpoint::Jwks)
        .count()
}

#[tokio::test]
async fn a_build_reads_a_token_and_the_log_says_who_it_is_elsewhere() {
    let world = world().await;
    world.connect("u1").await;
    let path = format!("/actions/id-token?audience={PUBLIC}&repository=acme/web");
    let answer = ask(&world.sandbox, "GET", &path, &json!({})).await;
    let token = answer["value"].as_str().unwrap();
    let build = caller(&world, token).await.unwrap();
    let actor = Actor::Project {
        id: "prj_1".to_owned(),
        environment: "production".into(),
        identity: Some(OutsideIdentity {
            issuer: ISSUER.to_owned(),
            subject: "repo:acme/web:ref:refs/heads/main".to_owned(),
        }),
    };
    assert_eq!((build.team.as_str(), &build.actor), ("team_1", &actor));
    let read = world.engine.token(&build, CONNECTOR, token_of("u1"));
    world.run(read).await.unwrap();
    let filter = EventFilter {
        kinds: vec![EventKind::TokenRead],
        ..EventFilter::default()
    };
    let page = Page::first(1);
    let events = world.store.events(&build.team, &filter, &page).await;
    assert_eq!(events.unwrap()[0].actor, actor);
}

#[tokio::test]
async fn a_service_account_is_the_workload_of_its_namespace() {
    let world = world().await;
    for (namespace, account, known) in [
        ("web", "api", true),
        ("web", "other", false),
        ("none", "api", false),
    ] {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let asked = json!({"spec": {"audiences": ["another", PUBLIC]}});
        let answer = ask(&world.sandbox, "POST", &path, &asked).await;
        let token = answer["status"]["token"].as_str().unwrap();
        let found = caller(&world, token).await;
        assert_eq!(found.is_ok(), known, "{namespace} {account}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_as_declared_is_refused() {
    let world = world().await;
    let now = world.clock.now().as_secs();
    let refused = [
        (json!({"aud": "https://another.example"}), json!({})),
        (json!({"aud": null}), json!({})),
        (json!({"aud": []}), json!({})),
        (json!({"aud": format!("{PUBLIC}/")}), json!({})),
        (json!({"iss": format!("{ISSUER}/")}), json!({})),
        (json!({"iss": "https://another.example"}), json!({})),
        (json!({"exp": now - 30}), json!({})),
        (json!({"exp": null}), json!({})),
        (json!({"exp": "soon"}), json!({})),
        (json!({"nbf": now + 31}), json!({})),
        (json!({"iat": now + 31, "exp": now + 60}), json!({})),
        (json!({"iat": null}), json!({})),
        (json!({"exp": now + 3601}), json!({})),
        (json!({"iat": now - 3600, "exp": now + 1}), json!({})),
        (json!({"sub": null}), json!({})),
        (json!({"sub": ""}), json!({})),
        (json!({"sub": "a\nb"}), json!({})),
        (json!({"sub": "s".repeat(256)}), json!({})),
        (json!({"repository": "acme/else"}), json!({})),
        (json!({"ref": "refs/tags/v1"}), json!({})),
        (json!({"repository": "acme/gone"}), json!({})),
        (json!({}), json!({"header": {"typ": "at+jwt"}})),
        (json!({}), json!({"header": {"typ": "workload+jwt"}})),
        (json!({}), json!({"header": {"crit": ["x"], "x": 1}})),
    ];
    for (claims, more) in refused {
        let token = mint(&world.sandbox, claims.clone(), more.clone()).await;
        let found = caller(&world, &token).await.err();
        assert_eq!(found, Some(Error::Unauthenticated), "{claims} {more}");
    }
    for claims in [
        json!({"exp": now - 29}),
        json!({"iat": now + 30, "nbf": now + 30}),
        json!({"iat": now - 3590, "exp": now + 10}),
        json!({"aud": ["another", PUBLIC]}),
    ] {
        let token = mint(&world.sandbox, claims.clone(), json!({})).await;
        assert!(caller(&world, &token).await.is_ok(), "{claims}");
    }
    for typ in [json!(null), json!("JWT"), json!("jwt")] {
        let token = mint(&world.sandbox, json!({}), json!({"header": {"typ": typ}})).await;
        assert!(caller(&world, &token).await.is_ok(), "{typ}");
    }
}

#[tokio::test]
async fn no_header_makes_a_token_of_another_key_one_of_the_issuers() {
    let world = world().await;
    let real = ask(&world.sandbox, "GET", "/jwks", &json!({})).await;
    let kid = &real["keys"][0]["kid"];
    // Somebody with a key of their own and the issuer's name.
    let clock = Arc::new(world.clock.clone());
    let entropy = Arc::new(grantry_core::testing::SeededEntropy::new(7));
    let evil = Sandbox::new(Config::new(ISSUER, clock, entropy));
    let own = ask(&evil, "GET", "/jwks", &json!({})).await["keys"][0].clone();
    let jwks = "https://evil.example/jwks";
    for (sandbox, more) in [
        (&world.sandbox, json!({"signing": "none"})),
        (
            &world.sandbox,
            json!({"signing": "none", "header": {"alg": "None"}}),
        ),
        (&world.sandbox, json!({"signing": "HS256"})),
        (
            &world.sandbox,
            json!({"signing": "HS256", "header": {"alg": "RS256"}}),
        ),
        (&world.sandbox, json!({"header": {"alg": "PS256"}})),
        (&world.sandbox, json!({"header": {"alg": "HS256"}})),
        (&world.sandbox, json!({"header": {"kid": "unknown"}})),
        (
            &world.sandbox,
            json!({"header": {"kid": "../../etc/passwd"}}),
        ),
        (&evil, json!({})),
        (&evil, json!({"header": {"kid": kid}})),
        (&evil, json!({"header": {"kid": null}})),
        (&evil, json!({"header": {"kid": kid, "jwk": own}})),
        (&evil, json!({"header": {"jwk": own}})),
        (
            &evil,
            json!({"header": {"kid": kid, "jku": jwks, "x5u": jwks}}),
        ),
    ] {
        let token = mint(sandbox, json!({}), more.clone()).await;
        let found = caller(&world, &token).await.err();
        assert_eq!(found, Some(Error::Unauthenticated), "{more}");
    }
    assert!(caller(&world, &good(&world).await).await.is_ok());
}

#[tokio::test]
async fn a_rule_is_of_one_team_and_its_tokens_act_in_no_other() {
    let world = world().await;
    let shop = json!({"repository": "other/shop"});
    let token = mint(&world.sandbox, shop, json!({})).await;
    let found = caller(&world, &token).await.unwrap();
    assert_eq!(found.team.as_str(), "team_2");
    for team in ["team_1", "acme"] {
        let refused = world.engine.caller(&token, Some(team)).await.err();
        assert_eq!(refused, Some(Error::NotFound("team")), "{team}");
    }
    // The rule names team 2 and, by mistake, a project of team 1.
    let web = json!({"repository": "other/web"});
    let token = mint(&world.sandbox, web, json!({})).await;
    let refused = caller(&world, &token).await.err();
    assert_eq!(refused, Some(Error::Unauthenticated));
}

#[tokio::test]
async fn keys_are_fetched_once_and_strangers_make_us_ask_at_a_limited_rate() {
    let world = world().await;
    for number in 0..20 {
        let claims = json!({"jti": number});
        let token = mint(&world.sandbox, claims, json!({})).await;
        assert!(caller(&world, &token).await.is_ok());
    }
    assert_eq!(fetches(&world), 1);
    // What cannot be accepted asks nobody.
    let claims = json!({"aud": "another"});
    let unknown = json!({"header": {"kid": "stranger"}});
    for _ in 0..600 {
        for claims in [json!({}), claims.clone()] {
            let token = mint(&world.sandbox, claims, unknown.clone()).await;
            let found = caller(&world, &token).await.err();
            assert_eq!(found, Some(Error::Unauthenticated));
        }
        world.clock.advance(SECOND / 10);
    }
    assert!(fetches(&world) <= 1 + 4, "{} in a minute", fetches(&world));
}

#[tokio::test]
async fn a_rotation_elsewhere_is_followed_and_a_key_that_is_gone_is_dropped() {
    let world = world().await;
    let before = good(&world).await;
    assert!(caller(&world, &before).await.is_ok());
    world.sandbox.rotate_key(true);
    let after = good(&world).await;
    world.clock.advance(SECOND * 15);
    assert!(caller(&world, &after).await.is_ok());
    assert_eq!(fetches(&world), 2, "the unknown key id was asked for");
    world.clock.advance(SECOND * 60);
    let found = caller(&world, &before).await.err();
    assert_eq!(found, Some(Error::Unauthenticated));
    assert_eq!(fetches(&world), 3, "its key id is unknown now");

    // Without any new token, the set is fetched again when it is ten minutes old.
    world.sandbox.rotate_key(true);
    world.clock.advance(SECOND * 600);
    let late = good(&world).await;
    assert!(caller(&world, &late).await.is_ok());
    assert_eq!(fetches(&world), 4);
}

#[tokio::test]
async fn keys_outlive_an_outage_of_their_issuer_for_a_while() {
    let world = world().await;
    let down = || {
        for endpoint in [Endpoint::Jwks, Endpoint::Metadata] {
            let mut order = Order::new("s500");
            order.endpoint = Some(endpoint);
            world.sandbox.order(order).unwrap();
        }
    };
    // Nothing known, nobody answers: come back later.
    down();
    let found = caller(&world, &good(&world).await).await.err();
    assert_eq!(found, Some(Error::Unavailable));
    world.sandbox.reset();
    world.clock.advance(SECOND * 15);
    assert!(caller(&world, &good(&world).await).await.is_ok());

    down();
    for _ in 0..23 {
        world.clock.advance(SECOND * 600);
        assert!(caller(&world, &good(&world).await).await.is_ok());
    }
    world.clock.advance(SECOND * 600);
    let found = caller(&world, &good(&world).await).await.err();
    assert_eq!(found, Some(Error::Unavailable), "four hours are over");
    world.sandbox.reset();
    world.clock.advance(SECOND * 15);
    assert!(caller(&world, &good(&world).await).await.is_ok());
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let world = world().await;
    let mut order = Order::new("issuer");
    order.endpoint = Some(Endpoint::Metadata);
    world.sandbox.order(order).unwrap();
    let found = caller(&world, &good(&world).await).await.err();
    assert_eq!(found, Some(Error::Unavailable));
    assert_eq!(fetches(&world), 0);
}
