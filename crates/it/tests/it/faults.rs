//! Every way in which the sandbox's token endpoint can answer a refresh, and what must follow
//! (design §6d, requirements 29 to 48 and 55).

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::Error;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::ConnectionState;
use grantry_sandbox::{Endpoint, FAULTS};

use crate::world::{Setup, World};

/// What a refresh that meets a fault once leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The answer is used.
    Served,
    /// The outcome is unknown; the same token is presented again at once, which this provider takes.
    PresentedAgain,
    /// The caller is told to come back; nothing stored changes, and a later read is served.
    ToldToWait,
    /// The outcome is unknown and the pair is lost: this strict provider takes the next presentation
    /// for reuse.
    Lost,
    /// The provider's verdict on the grant.
    Rejected,
    /// The provider's verdict on the client.
    ClientFault,
}

const TABLE: &[(Then, &[&str])] = &[
    (
        Then::Served,
        &[
            "ok",
            "ghform",
            "htmlok",
            "bom",
            "noexp",
            "strexp",
            "floatexp",
            "zeroexp",
            "negexp",
            "hugeexp",
            "norefresh",
            "emptyrefresh",
            "nofacts",
            "morescope",
            "lessscope",
            "noscope",
            "skewdate",
            "late",
            // Without the scope `openid` there is no ID token to spoil.
            "idt_none",
            "idt_hs256",
            "idt_kid",
            "idt_iss",
            "idt_aud",
            "idt_azp",
            "idt_nonce",
            "idt_exp",
            "idt_absent",
            "idt_sub",
        ],
    ),
    (
        Then::PresentedAgain,
        &[
            "empty",
            "json_arr",
            "nulat",
            "emptyat",
            "wrongtype",
            "dupkey",
            "junk",
            "crlf_at",
            "nonascii_at",
            "hugeat",
            "s500",
            "html502",
            "s408",
            "flaky",
            "huge",
            "bomb",
            "deep",
        ],
    ),
    (
        Then::ToldToWait,
        &[
            "hang",
            "s425",
            "temp_unavail",
            "s429",
            "s429d",
            "s503",
            "r302",
            "r307",
            "r308",
            "reflect",
        ],
    ),
    (Then::Lost, &["lost", "lostmid", "silence", "s502", "slow"]),
    // A 200 with a code that only Slack and GitHub give a meaning to (see below).
    (Then::PresentedAgain, &["slack200", "gh200"]),
    // The one fault that makes the provider lenient.
    (Then::PresentedAgain, &["grace"]),
    (Then::Rejected, &["inv_grant"]),
    (
        Then::ClientFault,
        &["inv_client", "unauth_client", "html401"],
    ),
];

#[test]
fn every_fault_of_the_token_endpoint_is_in_the_table_once() {
    let listed: Vec<&str> = TABLE
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let played: BTreeSet<&str> = FAULTS
        .iter()
        .filter(|fault| fault.endpoints.contains(&Endpoint::Token))
        .map(|fault| fault.name)
        .collect();
    assert_eq!(listed.len(), played.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), played);
}

#[tokio::test]
async fn the_answer_is_used() {
    strike_each(Then::Served).await;
}

#[tokio::test]
async fn the_same_token_is_presented_again_at_once() {
    strike_each(Then::PresentedAgain).await;
}

#[tokio::test]
async fn the_caller_is_told_to_wait_and_nothing_stored_changes() {
    strike_each(Then::ToldToWait).await;
}

#[tokio::test]
async fn the_pair_is_lost_where_the_provider_forgives_nothing() {
    strike_each(Then::Lost).await;
}

#[tokio::test]
async fn the_providers_verdict_on_the_grant_ends_the_connection() {
    strike_each(Then::Rejected).await;
}

#[tokio::test]
async fn the_providers_verdict_on_the_client_opens_the_breaker() {
    strike_each(Then::ClientFault).await;
}

/// Every fault of which the table says this, each in a world of its own.
async fn strike_each(wanted: Then) {
    let here = TABLE.iter().filter(|(then, _)| *then == wanted);
    for name in here.flat_map(|(_, names)| *names) {
        strike_once(name, wanted).await;
    }
}

async fn strike_once(fault: &str, then: Then) {
    let world = World::new().await;
    world.connect("u1").await;
    let first = world.token_text("u1").await.unwrap();
    let kept = world.stored_refresh_token("u1").await;
    world.expire().await;
    world.strike(fault, Some(1));
    let read = world.token_text("u1").await;
    let presented = world.presentations().len();
    match then {
        Then::Served | Then::PresentedAgain => {
            let times = if then == Then::Served { 1 } else { 2 };
            assert_eq!(presented, times, "{fault}");
            assert_ne!(
                read.unwrap_or_else(|error| panic!("{fault}: {error}")),
                first,
                "{fault}"
            );
            assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
            assert!(
                world.place("u1").await.current,
                "{fault}: the newest refresh token is not stored"
            );
        }
        Then::ToldToWait => {
            let wait = retry_after(&read, fault);
            assert_eq!(presented, 1, "{fault}");
            assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
            let stored = world.stored_refresh_token("u1").await;
            assert_eq!(
                stored.expose(),
                kept.expose(),
                "{fault}: the stored token changed"
            );
            assert!(world.token_text("u1").await.is_err(), "{fault}: too early");
            assert_eq!(
                world.presentations().len(),
                1,
                "{fault}: presented before its time"
            );
            world.pass(wait).await;
            assert!(world.token_text("u1").await.is_ok(), "{fault}: not healed");
        }
        Then::Lost => {
            world.pass(Duration::from_secs(60)).await;
            let reason = reconnect(&world.token_text("u1").await, fault);
            assert_eq!(reason, ReconnectReason::LostResponse, "{fault}");
            ends_for_good(&world, fault).await;
        }
        Then::Rejected => {
            assert_eq!(
                reconnect(&read, fault),
                ReconnectReason::Rejected,
                "{fault}"
            );
            assert_eq!(presented, 1, "{fault}");
            ends_for_good(&world, fault).await;
        }
        Then::ClientFault => {
            assert_eq!(read, Err(Error::ConnectorFault), "{fault}");
            assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
            let stored = world.stored_refresh_token("u1").await;
            assert_eq!(
                stored.expose(),
                kept.expose(),
                "{fault}: the stored token changed"
            );
            assert_eq!(
                world.token_text("u1").await,
                Err(Error::ConnectorFault),
                "{fault}"
            );
            assert_eq!(
                world.presentations().len(),
                1,
                "{fault}: the breaker is open"
            );
            world.pass(Duration::from_secs(60)).await;
            assert!(world.token_text("u1").await.is_ok(), "{fault}: not healed");
        }
    }
    assert_eq!(
        world.sandbox.stats().trapped,
        0,
        "{fault}: a redirect was followed"
    );
}

#[tokio::test]
async fn a_200_that_is_a_refusal_in_the_services_own_words_is_a_refusal() {
    for (service, fault) in [("github", "gh200"), ("slack", "slack200")] {
        let world = World::with(Setup {
            service,
            ..Setup::default()
        })
        .await;
        world.connect("u1").await;
        world.expire().await;
        world.strike(fault, Some(1));
        let reason = reconnect(&world.token_text("u1").await, fault);
        assert_eq!(reason, ReconnectReason::Rejected, "{service}");
        ends_for_good(&world, fault).await;
    }
}

#[tokio::test]
async fn half_an_hour_of_unknown_outcomes_costs_no_connection() {
    go_on_with_each(Then::PresentedAgain).await;
}

#[tokio::test]
async fn half_an_hour_of_being_told_to_wait_costs_no_connection() {
    go_on_with_each(Then::ToldToWait).await;
}

#[tokio::test]
async fn half_an_hour_of_faults_of_the_client_costs_no_connection() {
    go_on_with_each(Then::ClientFault).await;
}

/// A fault that goes on for half an hour, read every 20 s, changes nothing that is stored; when it ends
/// and the provider did not use the token up, the next read is served.
async fn go_on_with_each(wanted: Then) {
    let harmless = TABLE.iter().filter(|(then, _)| *then == wanted);
    for fault in harmless.flat_map(|(_, names)| *names) {
        if matches!(*fault, "flaky" | "grace") {
            continue;
        }
        let world = World::new().await;
        world.connect("u1").await;
        let kept = world.stored_refresh_token("u1").await;
        world.expire().await;
        world.strike(fault, None);
        for _ in 0..90 {
            assert!(world.token_text("u1").await.is_err(), "{fault}");
            world.pass(Duration::from_secs(20)).await;
        }
        assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
        let stored = world.stored_refresh_token("u1").await;
        assert_eq!(
            stored.expose(),
            kept.expose(),
            "{fault}: the stored token changed"
        );
        assert_eq!(
            grantry_sandbox::race::check(&world.sandbox.log()),
            [],
            "{fault}"
        );
        world.sandbox.reset();
        // The longest back-off.
        world.pass(Duration::from_secs(15 * 60)).await;
        assert!(world.token_text("u1").await.is_ok(), "{fault}: not healed");
    }
}

/// The connection needs one new consent and nothing more: no further presentation in a day.
async fn ends_for_good(world: &World, fault: &str) {
    let state = world.state("u1").await;
    assert!(
        matches!(state, ConnectionState::NeedsReauth(_)),
        "{fault}: {state:?}"
    );
    let presented = world.presentations().len();
    for _ in 0..24 {
        world.pass(Duration::from_secs(3600)).await;
        assert!(world.token_text("u1").await.is_err(), "{fault}");
    }
    assert_eq!(
        world.presentations().len(),
        presented,
        "{fault}: presented after the verdict"
    );
    world.connect("u1").await;
    assert!(
        world.token_text("u1").await.is_ok(),
        "{fault}: a new consent does not help"
    );
    assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
}

fn retry_after(read: &Result<String, Error>, fault: &str) -> Duration {
    match read {
        Err(Error::Provider {
            retry_after: Some(wait),
            ..
        }) => *wait,
        other => panic!("{fault}: {other:?}"),
    }
}

fn reconnect(read: &Result<String, Error>, fault: &str) -> ReconnectReason {
    match read {
        Err(Error::AuthorizationRequired(why)) => why.reason,
        other => panic!("{fault}: {other:?}"),
    }
}
