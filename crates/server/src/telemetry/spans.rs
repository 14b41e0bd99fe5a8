//! Spans for a tracing system (OpenTelemetry): who called whom, and how long it took.
//!
//! The house opens its spans under one target, [`SPANS`], which nobody listens to unless an endpoint is
//! configured; then opening one is a look at a static. This layer turns them into finished [`Span`]s.
//! OpenTelemetry's own crates would be 25 more packages, a second asynchronous runtime and a way out
//! of their own; what they would do for us is these few lines.
//!
//! Three field names mean something here: `kind` (`server`, `client`), `traceparent` (W3C Trace Context,
//! from outside), and `failed` (true: the span's status is an error).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grantry_core::meter::SPANS;
use grantry_core::{Clock, Entropy, Timestamp, entropy};
use grantry_vault::hash::unhex;
use tokio::sync::{mpsc, oneshot};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Finished spans that wait to be sent; more are dropped, and counted.
const QUEUE: usize = 8192;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub name: &'static str,
    pub kind: &'static str,
    pub failed: bool,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// What the exporter is handed.
pub enum Item {
    /// To be sent.
    Ended(Span),
    /// Send what there is now, and say so.
    Flush(oneshot::Sender<()>),
}

/// The layer.
pub struct Spans {
    queue: mpsc::Sender<Item>,
    dropped: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Of new traces, how many in 2^32 are kept. A trace that comes from outside says so itself.
    kept: u64,
}

/// The other end of [`Spans`].
pub struct Ended {
    pub queue: mpsc::Receiver<Item>,
    pub flusher: mpsc::Sender<Item>,
    pub dropped: Arc<AtomicU64>,
}

/// A span while it lasts.
struct Open {
    sampled: bool,
    span: Span,
}

impl Spans {
    /// A layer that keeps `ratio` (0 to 1) of the traces that begin here.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, ratio: f64) -> (Self, Ended) {
        let (queue, ended) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let layer = Self {
            queue: queue.clone(),
            dropped: Arc::clone(&dropped),
            clock,
            entropy,
            // 2^32 fits a double without loss.
            kept: (ratio.clamp(0.0, 1.0) * 4_294_967_296.0) as u64,
        };
        let ended = Ended {
            queue: ended,
            flusher: queue,
            dropped,
        };
        (layer, ended)
    }

    /// Whether the layer wants to hear of this.
    pub fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.target() == SPANS
    }

    /// The trace of a span without a parent of ours.
    fn join(&self, traceparent: Option<&str>) -> (bool, [u8; 16], Option<[u8; 8]>) {
        if let Some((trace, parent, sampled)) = traceparent.and_then(parse) {
            return (sampled, trace, Some(parent));
        }
        let trace: [u8; 16] = entropy::bytes(&*self.entropy);
        let draw = u32::from_be_bytes([trace[12], trace[13], trace[14], trace[15]]);
        (u64::from(draw) < self.kept, trace, None)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let open = extensions.get::<Open>()?;
            Some((open.sampled, open.span.trace, Some(open.span.id)))
        });
        let (sampled, trace, parent) =
            parent.unwrap_or_else(|| self.join(fields.traceparent.as_deref()));
        let now = self.clock.now();
        let mut open = Open {
            sampled,
            span: Span {
                trace,
                id: entropy::bytes(&*self.entropy),
                parent,
                name: span.name(),
                kind: "internal",
                failed: false,
                started: now,
                ended: now,
                attributes: Vec::new(),
            },
        };
        open.take(fields);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            open.take(fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(Open {
            sampled: true,
            mut span,
        }) = span.extensions_mut().remove::<Open>()
        else {
            return;
        };
        span.ended = self.clock.now().max(span.started);
        if self.queue.try_send(Item::Ended(span)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Open {
    fn take(&mut self, fields: Fields) {
        self.span.attributes.extend(fields.attributes);
        self.span.failed |= fields.failed;
        match fields.kind.as_deref() {
            Some("server") => self.span.kind = "server",
            Some("client") => self.span.kind = "client",
            _ => {}
        }
    }
}

#[derive(Default)]
struct Fields {
    kind: Option<String>,
    traceparent: Option<String>,
    failed: bool,
    attributes: Vec<(&'static str, Attribute)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "kind" => self.kind = Some(value.to_owned()),
            "traceparent" => self.traceparent = Some(value.to_owned()),
            name => self
                .attributes
                .push((name, Attribute::Text(value.to_owned()))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes
            .push((field.name(), Attribute::Number(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "failed" => self.failed = value,
            name => self.attributes.push((name, Attribute::Truth(value))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.attributes
            .push((field.name(), Attribute::Text(format!("{value:?}"))));
    }
}

/// W3C Trace Context §3.2: `00-{trace}-{parent}-{flags}`, later versions with more behind it.
fn parse(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let [version] = hex::<1>(version)?;
    let ([flags], trace, parent) = (hex::<1>(flags)?, hex::<16>(trace)?, hex::<8>(parent)?);
    let ends = parts.next().is_none();
    let legal = version != 0xff && (version != 0 || ends) && trace != [0; 16] && parent != [0; 8];
    legal.then_some((trace, parent, flags & 1 == 1))
}

/// `N` bytes from lower-case hexadecimal digits, as the standard wants them.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    unhex(text).filter(|_| lower)
}

#[cfg(test)]
mod tests {
    use grantry_core::testing::{ManualClock, SeededEntropy};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn record(ratio: f64, work: impl FnOnce()) -> Vec<Span> {
        let (clock, entropy) = (ManualClock::default(), SeededEntropy::new(1));
        let (layer, mut ended) = Spans::new(Arc::new(clock), Arc::new(entropy), ratio);
        let layer = layer.with_filter(tracing_subscriber::filter::filter_fn(Spans::wants));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let mut spans = Vec::new();
        while let Ok(Item::Ended(span)) = ended.queue.try_recv() {
            spans.push(span);
        }
        spans
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn request(traceparent: &str) {
        let outer = tracing::info_span!(
            target: SPANS, "request", kind = "server", traceparent, status = tracing::field::Empty
        );
        let _inside = outer.enter();
        tracing::info_span!(target: SPANS, "inner", failed = true).in_scope(|| {
            tracing::info_span!("somebody else's").in_scope(|| {});
        });
        outer.record("status", 503_u16);
    }

    #[test]
    fn a_span_knows_its_trace_its_parent_and_how_it_ended() {
        let spans = record(1.0, || request(&format!("00-{TRACE}-b7ad6b7169203331-01")));
        let [inner, outer] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert_eq!(
            (outer.name, outer.kind, outer.failed),
            ("request", "server", false)
        );
        assert_eq!(Some(outer.trace), hex(TRACE));
        assert_eq!(outer.parent, hex("b7ad6b7169203331"));
        assert_eq!(outer.attributes, [("status", Attribute::Number(503))]);
        assert_eq!(
            (inner.name, inner.kind, inner.failed),
            ("inner", "internal", true)
        );
        assert_eq!((inner.trace, inner.parent), (outer.trace, Some(outer.id)));
        assert_ne!(inner.id, outer.id);
    }

    #[test]
    fn who_sends_the_trace_decides_whether_it_is_kept_and_the_ratio_otherwise() {
        let sampled = |ratio, traceparent: &str| record(ratio, || request(traceparent)).len();
        assert_eq!(sampled(0.0, &format!("00-{TRACE}-b7ad6b7169203331-01")), 2);
        assert_eq!(sampled(1.0, &format!("00-{TRACE}-b7ad6b7169203331-00")), 0);
        assert_eq!(sampled(0.0, ""), 0);
        assert_eq!(sampled(1.0, ""), 2);
        let half = record(0.5, || (0..1000).for_each(|_| request("")));
        assert!((800..1200).contains(&half.len()), "{}", half.len());
    }

    #[test]
    fn a_traceparent_that_is_none_begins_a_trace() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
    }
}
