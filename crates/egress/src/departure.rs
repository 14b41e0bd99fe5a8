//! Knows whether a request has left, exactly (design §6d).
//!
//! An HTTP/1.1 connection takes the first piece of a body after it has buffered the head and before
//! it flushes anything (heads are far below hyper's buffer of 400 KiB). So a body that was never
//! asked for belongs to a request of which no byte is on the wire; and once it is recalled, it
//! answers a late asker with an error, so that no whole request can follow either.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const HELD: u8 = 0;
const GONE: u8 = 1;
const RECALLED: u8 = 2;

/// Shared by the sender and the body it sends.
#[derive(Clone)]
pub(crate) struct Departure(Arc<AtomicU8>);

impl Departure {
    /// For a request with `body`. Without one there is nothing to watch: it counts as gone at once.
    pub(crate) fn of(body: &[u8]) -> Self {
        let state = if body.is_empty() { GONE } else { HELD };
        Self(Arc::new(AtomicU8::new(state)))
    }

    /// Holds the request back for good. False when it may already have left.
    pub(crate) fn recall(&self) -> bool {
        self.leave(RECALLED) != Err(GONE)
    }

    fn leave(&self, next: u8) -> Result<u8, u8> {
        self.0
            .compare_exchange(HELD, next, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// A body of one piece that reports when it is taken, and can be taken once.
pub(crate) struct Watched {
    piece: Option<Bytes>,
    departure: Departure,
}

impl Watched {
    pub(crate) fn new(piece: Bytes, departure: Departure) -> Self {
        Self {
            piece: Some(piece),
            departure,
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(piece) = self.piece.take() else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match self.departure.leave(GONE) {
            Ok(_) => Ok(Frame::data(piece)),
            Err(_) => Err(io::Error::other("the request was recalled")),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.piece.as_ref().map_or(0, |piece| piece.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    fn request() -> (Departure, Watched) {
        let departure = Departure::of(b"body");
        (
            departure.clone(),
            Watched::new(Bytes::from_static(b"body"), departure),
        )
    }

    #[test]
    fn a_body_that_was_taken_cannot_be_recalled() {
        let (departure, body) = request();
        assert!(body.collect().now_or_never().unwrap().is_ok());
        assert!(!departure.recall());
    }

    #[test]
    fn a_recalled_body_is_never_handed_out() {
        let (departure, body) = request();
        assert!(departure.recall());
        assert!(departure.recall());
        assert!(body.collect().now_or_never().unwrap().is_err());
    }

    #[test]
    fn a_request_without_a_body_cannot_be_recalled() {
        assert!(!Departure::of(b"").recall());
    }
}
