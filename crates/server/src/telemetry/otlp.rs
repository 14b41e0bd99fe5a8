//! Sends finished spans to a collector: OTLP over HTTP in its JSON form, through `egress`, with the
//! collector as its only destination.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grantry_core::http::{Http, Method, Purpose, Request};
use grantry_core::{Clock, Timestamp};
use grantry_egress::{Egress, Options, Policy, SystemLookup};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use url::Url;
use zeroize::Zeroizing;

use super::spans::{Attribute, Ended, Item, Span};
use crate::clock::SystemClock;
use crate::failure::{Failure, chain};

/// Spans in one request, at most.
const BATCH: usize = 512;

/// How long a span waits for others to go with it.
const WAIT: Duration = Duration::from_secs(2);

/// Time for the last spans when the server stops.
const LAST: Duration = Duration::from_secs(3);

/// Where spans go.
pub struct Exporter {
    http: Egress,
    url: Url,
}

/// Asks the exporter for its last words.
#[derive(Clone)]
pub struct Flusher(mpsc::Sender<Item>);

impl Exporter {
    /// An exporter to the collector at `endpoint`; `extra_ca_pem` is trusted beside the system's authorities.
    pub fn new(endpoint: &Url, extra_ca_pem: Option<Vec<u8>>) -> Result<Self, Failure> {
        let wrong = |why: String| {
            Failure::usage(format!("telemetry.otlp_endpoint {endpoint}: {why}")).hint(
                "http://127.0.0.1:4318 would be right, where a collector takes OTLP over HTTP.",
            )
        };
        let (Some(host), Some(port)) = (endpoint.host_str(), endpoint.port_or_known_default())
        else {
            return Err(wrong("it has no host".to_owned()));
        };
        let policy = Policy::from_strings([format!("{host}:{port}")])
            .map_err(|error| wrong(error.to_string()))?;
        let options = Options {
            extra_ca_pem,
            ..Options::default()
        };
        let http = Egress::new(policy, Arc::new(SystemLookup), &options)
            .map_err(|error| wrong(chain(&error)))?;
        let mut url = endpoint.clone();
        let path = endpoint.path().trim_end_matches('/');
        if !path.ends_with("/v1/traces") {
            url.set_path(&format!("{path}/v1/traces"));
        }
        Ok(Self { http, url })
    }

    /// Sends what ends, until nobody can end anything any more; `instance` tells this process from every other.
    pub fn start(self, instance: String, ended: Ended) -> Flusher {
        let flusher = Flusher(ended.flusher.clone());
        tokio::spawn(async move { self.run(&instance, ended).await });
        flusher
    }

    async fn run(self, instance: &str, mut ended: Ended) {
        let mut reachable = true;
        while let Some(first) = ended.queue.recv().await {
            let (mut spans, mut flushed) = (Vec::new(), None);
            take(first, &mut spans, &mut flushed);
            let late = SystemClock.sleep(WAIT);
            let gather = async {
                while flushed.is_none() && spans.len() < BATCH {
                    match ended.queue.recv().await {
                        Some(item) => take(item, &mut spans, &mut flushed),
                        None => break,
                    }
                }
            };
            tokio::select! {
                () = gather => {}
                () = late => {}
            }
            let sent = spans.is_empty() || self.send(instance, &spans).await;
            let dropped = ended.dropped.swap(0, Ordering::Relaxed);
            // Once per outage.
            if (!sent && reachable) || dropped > 0 {
                tracing::warn!(collector = %self.url, dropped, "spans are lost: the collector does not take them");
            }
            reachable = sent;
            if let Some(flushed) = flushed {
                // Whoever asked may have given up.
                let _gone = flushed.send(());
            }
        }
    }

    async fn send(&self, instance: &str, spans: &[Span]) -> bool {
        let request = Request {
            method: Method::Post,
            url: self.url.clone(),
            headers: vec![(
                "content-type",
                Zeroizing::new("application/json".to_owned()),
            )],
            body: Zeroizing::new(body(instance, spans).to_string().into_bytes()),
            purpose: Purpose::Token,
        };
        let answer = self.http.send(request).await;
        answer.is_ok_and(|answer| (200..300).contains(&answer.status))
    }
}

/// `ExportTraceServiceRequest` in protobuf's JSON form, ids in hexadecimal as OTLP wants them.
fn body(instance: &str, spans: &[Span]) -> Value {
    let resource = [
        ("service.name", "grantry"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", instance),
    ];
    let resource =
        resource.map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}));
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "grantry", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }]})
}

fn take(item: Item, spans: &mut Vec<Span>, flushed: &mut Option<oneshot::Sender<()>>) {
    match item {
        Item::Ended(span) => spans.push(span),
        Item::Flush(answer) => *flushed = Some(answer),
    }
}

impl Flusher {
    /// Waits until what has ended so far is sent, or 3 s.
    pub async fn flush(&self) {
        let (answer, sent) = oneshot::channel();
        let flush = async {
            if self.0.send(Item::Flush(answer)).await.is_ok() {
                // An exporter that is gone has nothing left.
                let _sent = sent.await;
            }
        };
        tokio::select! {
            () = flush => {}
            () = SystemClock.sleep(LAST) => {}
        }
    }
}

fn span(span: &Span) -> Value {
    let attribute = |(key, value): &(&str, Attribute)| {
        let value = match value {
            Attribute::Text(text) => json!({"stringValue": text}),
            Attribute::Number(number) => json!({"intValue": number.to_string()}),
            Attribute::Truth(truth) => json!({"boolValue": truth}),
        };
        json!({"key": key, "value": value})
    };
    let nanoseconds = |at: Timestamp| format!("{}000", at.0);
    let mut whole = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        // SpanKind: 1 internal, 2 server, 3 client.
        "kind": match span.kind { "server" => 2, "client" => 3, _ => 1 },
        "startTimeUnixNano": nanoseconds(span.started),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
    });
    if let Some(parent) = &span.parent {
        whole["parentSpanId"] = hex(parent).into();
    }
    if span.failed {
        // StatusCode: 2 error.
        whole["status"] = json!({"code": 2});
    }
    whole
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
