use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::store::Depths;
use grantry_engine::{CacheGauge, Gauges};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn request(metrics: &Metrics, method: &str, route: &str, status: u16) {
    metrics.note(Seen::Request {
        method,
        route,
        status,
        took: MILLISECOND,
    });
}

fn text(metrics: &Metrics) -> String {
    TextEncoder::new()
        .encode_to_string(&metrics.registry.gather())
        .unwrap()
}

/// Metrics of which none is empty.
fn busy() -> Metrics {
    let metrics = Metrics::new().unwrap();
    request(&metrics, "GET", "/healthz", 200);
    let (outcome, took) = ("done", MILLISECOND);
    for seen in [
        Seen::TokenRead { outcome },
        Seen::Refresh {
            service: "github",
            outcome,
        },
        Seen::ProviderRequest {
            purpose: "token",
            destination: "public",
            outcome,
            took,
        },
        Seen::Database {
            operation: "read",
            outcome,
            took,
        },
        Seen::Commit {
            writes: 3,
            queued: 1,
        },
        Seen::WriteRepeated,
        Seen::PoolWait { took },
    ] {
        metrics.note(seen);
    }
    let cache = CacheGauge {
        name: "callers",
        entries: 1,
        misses: 2,
        hits: 3,
    };
    let gauges = Gauges {
        flights: 1,
        spooled: 0,
        feed_age: Some(MILLISECOND),
        caches: vec![cache],
    };
    metrics.now.show(&gauges, Some(Depths::default()));
    metrics
}

#[test]
fn every_metric_is_documented_and_nothing_else_is() {
    let page = include_str!("../../../../docs/metrics.md");
    let documented: BTreeSet<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let (name, rest) = row.split_once("` | ")?;
            Some((name, rest.split(' ').next()?))
        })
        .collect();
    let text = text(&busy());
    let exposed = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    assert_eq!(documented, exposed);
}

#[test]
fn requests_are_told_apart_by_pattern_method_status_and_dialect() {
    let metrics = Metrics::new().unwrap();
    let route = "/v1/connect/connectors/{connector}";
    for (method, route, status) in [
        ("GET", route, 200),
        ("GET", route, 200),
        ("GET", route, 404),
        ("DELETE", route, 204),
        ("GET", "/api/v1/connectors", 200),
        ("GET", "", 404),
        ("BREW", "/never/heard/of/it", 405),
    ] {
        request(&metrics, method, route, status);
    }
    let text = text(&metrics);
    let counted: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("grantry_http_requests_total"))
        .collect();
    let expected = BTreeSet::from([
        r#"{dialect="vercel",method="GET",route="/v1/connect/connectors/{connector}",status="200"} 2"#,
        r#"{dialect="vercel",method="GET",route="/v1/connect/connectors/{connector}",status="404"} 1"#,
        r#"{dialect="vercel",method="DELETE",route="/v1/connect/connectors/{connector}",status="204"} 1"#,
        r#"{dialect="native",method="GET",route="/api/v1/connectors",status="200"} 1"#,
        r#"{dialect="none",method="GET",route="unmatched",status="404"} 1"#,
        r#"{dialect="none",method="other",route="unmatched",status="405"} 1"#,
    ]);
    assert_eq!(counted, expected);
    let timed = text.contains(
        r#"grantry_http_request_duration_seconds_bucket{method="GET",route="/v1/connect/connectors/{connector}",le="0.001"} 3"#,
    );
    assert!(timed, "{text}");
}

#[test]
fn services_that_a_team_declares_without_end_share_a_label() {
    let metrics = Metrics::new().unwrap();
    for number in 0..2 * METERED_SERVICES_MAX {
        metrics.note(Seen::Refresh {
            service: &format!("service-{number}"),
            outcome: "renewed",
        });
    }
    let text = text(&metrics);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("grantry_token_refreshes_total{"));
    assert_eq!(lines.count(), METERED_SERVICES_MAX + 1);
    let other = format!(r#"{{outcome="renewed",service="other"}} {METERED_SERVICES_MAX}"#);
    assert!(text.contains(&other));
}

#[test]
fn a_process_is_shown_as_it_is() {
    let text = text(&busy());
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap()
    };
    assert!((1e6..1e10).contains(&value("process_resident_memory_bytes")));
    assert!((3.0..1e4).contains(&value("process_open_fds")));
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_threads") >= 1.0);
    // 2026-01-01 and 2100-01-01.
    assert!((1_767_225_600.0..4_102_444_800.0).contains(&value("process_start_time_seconds")));
}
