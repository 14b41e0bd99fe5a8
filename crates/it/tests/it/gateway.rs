//! Signing in through a connector: what strangers can and cannot do, and how sign-ins end. That clients of others get
//! along with it is `acceptance/gateway.test.mjs`.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantry_core::ids::SignInId;
use grantry_core::nouns::{AuthorizationState, ConnectionState, Event, EventKind, Flow, SignIn};
use grantry_core::store::{ConnectionFilter, EventFilter, Page as Rows};
use grantry_sandbox::{Endpoint, Order};
use grantry_vault::hash::{Handle, HandleKind, s256};
use serde_json::{Value, json};
use url::Url;

use crate::world::browser::{Browser, Page, send};
use crate::world::{CALLBACK, World};

pub const CONNECTOR: &str = "scl_openid";
pub const REDIRECT: &str = "https://app.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub const HOUSE: &str = r#"
    [[projects]]
    id = "prj_1"
    team = "team_1"
    name = "web"
    sign_in_uris = ["https://app.example/cb"]
    [[connectors]]
    id = "scl_openid"
    uid = "oidc/acme"
    team = "team_1"
    name = "Acme"
    type = "oauth"
    data = { serverUrl = "http://sandbox.test", clientId = "demo", clientSecret = "demo-secret", userAuthorization = { enabled = true, scopes = ["openid"] } }
    links = [{ project = "prj_1" }]
"#;

pub async fn world() -> World {
    let world = World::new().await;
    world.apply(HOUSE).await;
    world
}

pub fn authorize(more: &[(&str, &str)]) -> String {
    let challenge = s256(VERIFIER);
    let mut asked = vec![
        ("response_type", "code"),
        ("client_id", CONNECTOR),
        ("redirect_uri", REDIRECT),
        ("state", "s1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("scope", "openid email offline_access"),
    ];
    asked.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked).extend_pairs(more);
    format!("/oauth/authorize?{}", query.finish())
}

/// What an application's redirect URI is told.
pub fn told(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    assert!(location.starts_with(REDIRECT), "{location}");
    let found = url.query_pairs().find(|(found, _)| found == name);
    found.map(|(_, value)| value.into_owned())
}

pub fn error_of(page: &Page) -> String {
    told(page.location(), "error").unwrap_or_else(|| panic!("{}", page.location()))
}

/// A browser at the provider, and where the provider sends it back to.
pub async fn arriving(world: &World, more: &[(&str, &str)]) -> (Browser, String) {
    let mut browser = Browser::at(world.router());
    let page = world.run(browser.get(&authorize(more))).await;
    let provider = Url::parse(page.location()).unwrap();
    assert_eq!(provider.host_str(), Some("sandbox.test"), "{provider}");
    let arrival = world.provider_redirects(&provider).await;
    (browser, arrival)
}

pub async fn came_back(world: &World, more: &[(&str, &str)]) -> Page {
    let (mut browser, arrival) = arriving(world, more).await;
    world.run(browser.get(&arrival)).await
}

/// One POST of the application.
async fn post(world: &World, path: &str, form: &[(&str, &str)]) -> Page {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let basic = STANDARD.encode(format!("{CONNECTOR}:tok_web"));
    let request = Request::post(path)
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form));
    send(&world.router(), request.unwrap()).await
}

pub async fn redeem(world: &World, code: &str) -> Page {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    world.run(post(world, "/oauth/token", &form)).await
}

pub async fn renew(world: &World, token: &str) -> Page {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    world.run(post(world, "/oauth/token", &form)).await
}

/// Checked.
pub fn json_of(page: &Page, status: u16) -> Value {
    assert_eq!(page.status.as_u16(), status, "{}", page.body);
    serde_json::from_str(&page.body).unwrap()
}

pub fn refused(page: &Page) -> String {
    json_of(page, 400)["error"].as_str().unwrap().to_owned()
}

/// A session, as the application has it.
pub struct Session {
    pub access: String,
    pub refresh: String,
    pub id: SignInId,
}

pub fn session_of(tokens: &Value) -> Session {
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let access = text("access_token");
    let claims = URL_SAFE_NO_PAD.decode(access.split('.').nth(1).unwrap());
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    Session {
        id: claims["sub"].as_str().unwrap().into(),
        refresh: text("refresh_token"),
        access,
    }
}

pub async fn signed_in(world: &World) -> Session {
    let page = came_back(world, &[]).await;
    let code = told(page.location(), "code").unwrap_or_else(|| panic!("{}", page.location()));
    session_of(&json_of(&redeem(world, &code).await, 200))
}

async fn userinfo(world: &World, session: &Session) -> u16 {
    let request = Request::get("/oauth/userinfo")
        .header("authorization", format!("Bearer {}", session.access))
        .body(Body::empty());
    let page = send(&world.router(), request.unwrap()).await;
    page.status.as_u16()
}

pub async fn stored(world: &World, id: &SignInId) -> Option<SignIn> {
    world.store.sign_in(&"team_1".into(), id).await.unwrap()
}

async fn events(world: &World) -> Vec<Event> {
    let (team, filter, rows) = ("team_1".into(), EventFilter::default(), Rows::first(1000));
    world.store.events(&team, &filter, &rows).await.unwrap()
}

/// The flow of a browser that is at the provider, by the address that it was sent back to.
async fn flow_of(world: &World, arrival: &str) -> Option<Flow> {
    let url = Url::parse(arrival).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    let handle = Handle::of(HandleKind::State, &state.1);
    world.store.flow(handle.as_bytes()).await.unwrap()
}

pub fn order(world: &World, endpoint: Endpoint, fault: &str) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(endpoint),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

async fn revoke_connection(world: &World) {
    let team = "team_1".into();
    let of = ConnectionFilter {
        connector: Some(CONNECTOR.into()),
        ..ConnectionFilter::default()
    };
    let found = world.store.connections(&team, &of, &Rows::first(1)).await;
    let connection = found.unwrap().remove(0);
    let caller = world.server().await;
    let revoked = world.engine.revoke_connection(&caller, &connection.id);
    assert!(world.run(revoked).await.is_ok());
}

#[tokio::test]
async fn a_sign_in_that_nobody_answers_is_no_line_of_the_log_and_leaves_no_row() {
    let world = world().await;
    world.engine.start().await.unwrap();
    let before = events(&world).await.len();
    let (_, arrival) = arriving(&world, &[]).await;
    let flow = flow_of(&world, &arrival).await.unwrap();
    let consent = async || world.store.authorization(&flow.authorization).await;
    assert!(consent().await.unwrap().is_some());
    assert_eq!(events(&world).await.len(), before);
    world.pass(25 * MINUTE).await;
    assert!(consent().await.unwrap().is_none());
    assert!(flow_of(&world, &arrival).await.is_none());
    let sign_in = world.store.sign_in_of(&flow.authorization).await;
    assert!(sign_in.unwrap().is_none());
    assert_eq!(events(&world).await.len(), before);
}

#[tokio::test]
async fn the_consent_of_a_sign_in_has_no_page_while_it_is_open() {
    let world = world().await;
    let (_, arrival) = arriving(&world, &[]).await;
    let flow = flow_of(&world, &arrival).await.unwrap();
    let consent = world.store.authorization(&flow.authorization).await;
    let consent = consent.unwrap().unwrap();
    assert_eq!(consent.state, AuthorizationState::Pending);
    let page = format!("/authorize/{}", consent.id);
    let mut stranger = Browser::at(world.router());
    for path in [page.clone(), format!("{page}/cancel")] {
        let shown = stranger.get(&path).await;
        assert_eq!(shown.status, 404, "{path}: {}", shown.body);
        assert!(!shown.body.contains("<form"), "{path}");
    }
    for action in ["connect", "cancel"] {
        let pressed = stranger.post(&page, &[("action", action)]).await;
        let location = pressed
            .headers
            .get("location")
            .map(|url| url.to_str().unwrap());
        let ends = location.is_none_or(|location| location.ends_with("/problem/unknown"));
        assert!(ends, "{action}: {} {location:?}", pressed.status);
    }
    let after = world.store.authorization(&flow.authorization).await;
    assert_eq!(after.unwrap().unwrap().state, AuthorizationState::Pending);
    // The page of another consent is shown, so that this is about sign-ins.
    let other = world.ask("u1").await;
    let shown = stranger.get(&other.url).await;
    assert!(shown.status == 200 && shown.body.contains("<form"));
}

#[tokio::test]
async fn what_strangers_bring_back_says_nothing_of_the_connector() {
    let world = world().await;
    let failed = async || {
        let found = world.store.connector(&"team_1".into(), CONNECTOR).await;
        let connector = found.unwrap().unwrap();
        let code = connector.failed_exchange.map(|failed| failed.code);
        (code, connector.fault.is_some())
    };
    let junk = async || {
        let (mut browser, arrival) = arriving(&world, &[]).await;
        let url = Url::parse(&arrival).unwrap();
        let kept = url.query_pairs().filter(|(name, _)| name != "code");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair("code", "junk");
        let arrival = format!("{CALLBACK}?{}", query.finish());
        world.run(browser.get(&arrival)).await
    };
    let before = events(&world).await.len();
    assert_eq!(error_of(&junk().await), "temporarily_unavailable");
    assert_eq!(failed().await, (None, false));
    // Providers differ in what they say to such a code.
    for fault in [
        "s500",
        "s429",
        "reflect",
        "html502",
        "idt_nonce",
        "temp_unavail",
    ] {
        order(&world, Endpoint::Token, fault);
        let page = came_back(&world, &[]).await;
        assert!(told(page.location(), "code").is_none(), "{fault}");
        assert_eq!(failed().await, (None, false), "{fault}");
    }
    // Nor is a no of their own.
    let (mut browser, arrival) = arriving(&world, &[]).await;
    let no = world
        .run(browser.get(&arrival.replace("code=", "error=access_denied&not_code=")))
        .await;
    assert_eq!(error_of(&no), "access_denied");
    assert_eq!(
        events(&world).await.len(),
        before,
        "none of it is in the log"
    );
    // What it says of the client, it says of the client.
    order(&world, Endpoint::Token, "inv_client");
    assert_eq!(error_of(&junk().await), "server_error");
    assert_eq!(failed().await, (Some("invalid_client".to_owned()), true));
}

#[tokio::test]
async fn of_connectors_of_one_uid_the_one_is_meant_that_answers_to_the_redirect_uri() {
    let world = world().await;
    let theirs = |uris: &str| {
        format!(
            r#"
            [[teams]]
            id = "team_2"
            account = "acc_1"
            slug = "other"
            name = "Other"
            [[projects]]
            id = "prj_2"
            team = "team_2"
            name = "shop"
            sign_in_uris = {uris}
            [[connectors]]
            id = "scl_namesake"
            uid = "oidc/acme"
            team = "team_2"
            name = "Acme"
            type = "oauth"
            data = {{ serverUrl = "http://sandbox.test", clientId = "other", userAuthorization = {{ enabled = true, scopes = ["openid"] }} }}
            links = [{{ project = "prj_2" }}]
            "#
        )
    };
    world.apply(&theirs(r#"["https://shop.example/cb"]"#)).await;
    let client_of = async |more: &[(&str, &str)]| {
        let mut browser = Browser::at(world.router());
        let asked = [&[("client_id", "oidc/acme")], more].concat();
        let page = world.run(browser.get(&authorize(&asked))).await;
        if page.status != 303 {
            return json_of(&page, 400)["error_description"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        let url = Url::parse(page.location()).unwrap();
        let client = url.query_pairs().find(|(name, _)| name == "client_id");
        client.unwrap().1.into_owned()
    };
    assert_eq!(client_of(&[]).await, "demo");
    let at_the_shop = [("redirect_uri", "https://shop.example/cb")];
    assert_eq!(client_of(&at_the_shop).await, "other");
    let nowhere = client_of(&[("redirect_uri", "https://evil.example/cb")]).await;
    assert!(nowhere.contains("redirect_uri is not among"), "{nowhere}");

    let both = r#"["https://shop.example/cb", "https://app.example/cb"]"#;
    world.apply(&theirs(both)).await;
    let unclear = client_of(&[]).await;
    assert!(unclear.contains("teamId is required"), "{unclear}");
    assert_eq!(client_of(&[("teamId", "other")]).await, "other");
    assert_eq!(client_of(&[("teamId", "team_1")]).await, "demo");
    assert_eq!(client_of(&at_the_shop).await, "other");
}

#[tokio::test]
async fn a_session_whose_connection_needs_a_new_consent_is_not_renewed() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.expire().await;
    let team = "team_1".into();
    let sign_in = stored(&world, &session.id).await.unwrap();
    let connection = sign_in.session.unwrap().connection;
    let live = world.store.connection(&team, &connection).await;
    let live = live.unwrap().unwrap();
    assert_eq!(live.connection.state, ConnectionState::Active);
    world.strike("inv_grant", None);
    let caller = world.caller("tok_web").await;
    let ask = grantry_engine::AskToken {
        subject: Some(live.connection.grant.subject.clone()),
        ..crate::world::token_of("u1")
    };
    let refused = world.run(world.engine.token(&caller, CONNECTOR, ask)).await;
    assert!(refused.is_err());
    let live = world.store.connection(&team, &connection).await;
    let state = live.unwrap().unwrap().connection.state;
    assert!(
        matches!(state, ConnectionState::NeedsReauth(_)),
        "{state:?}"
    );
    assert_eq!(refused_twice(&world, &session).await, "invalid_grant");

    // Signing in anew makes the connection whole: both sessions go on.
    let again = signed_in(&world).await;
    json_of(&renew(&world, &again.refresh).await, 200);
    json_of(&renew(&world, &session.refresh).await, 200);
}

/// A refusal neither uses a refresh token up nor ends its session.
async fn refused_twice(world: &World, session: &Session) -> String {
    let first = refused(&renew(world, &session.refresh).await);
    assert_eq!(refused(&renew(world, &session.refresh).await), first);
    assert!(stored(world, &session.id).await.unwrap().ended_at.is_none());
    first
}

#[tokio::test]
async fn a_session_does_not_outlive_its_longest_life_however_often_it_is_renewed() {
    let world = world().await;
    let longest = world.engine.settings().limits.sign_in_time_max;
    assert_eq!(longest, 90 * DAY);
    let began = stored(&world, &signed_in(&world).await.id).await.unwrap();
    let mut session = signed_in(&world).await;
    for _ in 0..4 {
        world.clock.advance(20 * DAY);
        session = session_of(&json_of(&renew(&world, &session.refresh).await, 200));
    }
    world.clock.advance(10 * DAY - Duration::from_secs(600));
    let last = json_of(&renew(&world, &session.refresh).await, 200);
    let left = last["expires_in"].as_u64().unwrap();
    assert!(
        (500..=600).contains(&left),
        "an access token ends with the session: {left}"
    );
    let sign_in = stored(&world, &session.id).await.unwrap();
    assert_eq!(sign_in.expires_at, sign_in.created_at.after(longest));
    assert!(began.expires_at < sign_in.expires_at);
    let session = session_of(&last);
    assert_eq!(userinfo(&world, &session).await, 200);
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(userinfo(&world, &session).await, 401);
    assert_eq!(
        refused(&renew(&world, &session.refresh).await),
        "invalid_grant"
    );
}

#[tokio::test]
async fn what_is_known_of_a_person_ends_with_what_the_session_rests_on() {
    let world = world().await;
    // Makes the keys that sign: that takes time, which the background would let pass.
    signed_in(&world).await;
    world.engine.start().await.unwrap();
    for way in ["connection", "link", "project"] {
        let session = signed_in(&world).await;
        assert_eq!(userinfo(&world, &session).await, 200, "{way}");
        world.pass(2 * MINUTE).await;
        let known = stored(&world, &session.id).await.unwrap();
        assert!(
            known.identity.is_some() && known.ended_at.is_none(),
            "{way}"
        );
        let link = format!("/api/v1/connectors/{CONNECTOR}/projects/prj_1");
        match way {
            "connection" => revoke_connection(&world).await,
            "link" => {
                let gone = world
                    .call("tok_alice", &format!("DELETE {link}"), &json!({}))
                    .await;
                assert_eq!(gone.status, 204, "{}", gone.body);
            }
            _ => {
                let gone = world
                    .call("tok_alice", "DELETE /api/v1/projects/prj_1", &json!({}))
                    .await;
                assert_eq!(gone.status, 204, "{}", gone.body);
            }
        }
        assert_eq!(userinfo(&world, &session).await, 401, "{way}");
        world.pass(2 * MINUTE).await;
        let ended = stored(&world, &session.id).await.unwrap();
        assert!(
            ended.identity.is_none() && ended.ended_at.is_some(),
            "{way}"
        );
        if way == "link" {
            world.apply(HOUSE).await;
            assert_eq!(
                userinfo(&world, &session).await,
                401,
                "it does not come back"
            );
        }
    }
}

#[tokio::test]
async fn without_the_providers_keys_nobody_is_believed_to_be_anybody() {
    let world = world().await;
    order(&world, Endpoint::Jwks, "s500");
    let page = came_back(&world, &[]).await;
    assert_eq!(error_of(&page), "temporarily_unavailable");
    assert_eq!(told(page.location(), "state").as_deref(), Some("s1"));
    // Whose it was nobody knows, so that nothing is ended with it.
    world.engine.start().await.unwrap();
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(world.revocations(), 0);
    let again = came_back(&world, &[]).await;
    assert!(told(again.location(), "code").is_some());
}

#[tokio::test]
async fn a_max_age_that_the_provider_cannot_keep_or_does_not_prove_is_refused() {
    let world = world().await;
    for bad in ["-1", "1.5", "soon", "4294967296"] {
        let mut browser = Browser::at(world.router());
        let page = world
            .run(browser.get(&authorize(&[("max_age", bad)])))
            .await;
        assert_eq!(error_of(&page), "invalid_request", "{bad}");
        let why = told(page.location(), "error_description").unwrap();
        assert!(why.contains("max_age"), "{why}");
    }
    // It is passed on.
    let mut browser = Browser::at(world.router());
    let page = world
        .run(browser.get(&authorize(&[("max_age", "300")])))
        .await;
    let provider = Url::parse(page.location()).unwrap();
    assert!(
        provider
            .query_pairs()
            .any(|pair| pair == ("max_age".into(), "300".into())),
        "{provider}"
    );
    // The sandbox does not say when.
    let page = came_back(&world, &[("max_age", "300")]).await;
    assert_eq!(error_of(&page), "server_error");
    let why = told(page.location(), "error_description").unwrap();
    assert!(why.contains("does not say when"), "{why}");
    // A provider without ID tokens.
    let plain = HOUSE.replace(r#"scopes = ["openid"]"#, r#"scopes = ["profile"]"#);
    world.apply(&plain).await;
    let mut browser = Browser::at(world.router());
    let asked = authorize(&[("max_age", "300"), ("scope", "email")]);
    let page = world.run(browser.get(&asked)).await;
    assert_eq!(error_of(&page), "invalid_request");
    let why = told(page.location(), "error_description").unwrap();
    assert!(why.contains("no ID tokens"), "{why}");
}

#[tokio::test]
async fn a_revocation_that_the_database_does_not_hear_of_is_not_confirmed() {
    let world = world().await;
    let session = signed_in(&world).await;
    let mut tried = 0;
    loop {
        world.watch.deafen_after(tried);
        let page = post(&world, "/oauth/revoke", &[("token", &session.access)]).await;
        world.watch.hear();
        let ended = stored(&world, &session.id)
            .await
            .unwrap()
            .ended_at
            .is_some();
        match page.status.as_u16() {
            503 => assert!(
                !ended && page.headers.contains_key("retry-after"),
                "{tried}"
            ),
            status => {
                assert_eq!(
                    (status, ended),
                    (200, true),
                    "after {tried} reads: {}",
                    page.body
                );
                break;
            }
        }
        tried += 1;
    }
    assert!(tried > 2, "it reads more often than that");
    let events = events(&world).await;
    assert!(
        events
            .iter()
            .any(|event| event.kind == EventKind::SignInEnded)
    );
}
