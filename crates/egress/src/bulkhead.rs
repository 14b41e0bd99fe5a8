//! One slow provider never delays the others (requirement 49).

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use grantry_core::http::Purpose;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Those that share places: a port of a host, and what is wanted there. Whoever searches, and may take long over it,
/// takes no place from whoever refreshes a token at the same host.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    host: String,
    port: Option<u16>,
    purpose: Purpose,
}

impl Queue {
    /// That of a request to `url`.
    pub(crate) fn of(url: &Url, purpose: Purpose) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
            purpose,
        }
    }
}

/// Caps the requests in flight of each queue. Queues are forgotten when their last request ends.
pub(crate) struct Bulkhead {
    places_max: NonZeroUsize,
    queues: Mutex<HashMap<Queue, Weak<Semaphore>>>,
}

impl Bulkhead {
    pub(crate) fn new(places_max: NonZeroUsize) -> Self {
        Self {
            places_max,
            queues: Mutex::default(),
        }
    }

    /// Waits for a place in `queue`, in order of arrival. The place is given back on drop.
    pub(crate) async fn enter(&self, queue: Queue) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.places(queue).acquire_owned().await
    }

    fn places(&self, queue: Queue) -> Arc<Semaphore> {
        // A panic cannot leave the map half-changed, so a poisoned lock is still good.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = queues.get(&queue).and_then(Weak::upgrade) {
            return places;
        }
        queues.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.places_max.get()));
        queues.insert(queue, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn queue(url: &str, purpose: Purpose) -> Queue {
        Queue::of(&Url::parse(url).unwrap(), purpose)
    }

    #[tokio::test]
    async fn a_full_host_waits_while_other_hosts_ports_and_purposes_pass() {
        let bulkhead = Bulkhead::new(NonZeroUsize::MIN);
        let enter = |url, purpose| bulkhead.enter(queue(url, purpose)).now_or_never();
        let first = bulkhead
            .enter(queue("https://slow/search", Purpose::Search))
            .await;
        assert!(enter("https://slow:443/other", Purpose::Search).is_none());
        for (url, purpose) in [
            ("https://quick/search", Purpose::Search),
            ("https://slow:8443/search", Purpose::Search),
            ("https://slow/token", Purpose::Token),
            ("https://slow/keys", Purpose::Discovery),
        ] {
            assert!(enter(url, purpose).is_some(), "{url}");
        }
        drop(first);
        assert!(enter("https://slow/search", Purpose::Search).is_some());
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten() {
        let bulkhead = Bulkhead::new(NonZeroUsize::MIN);
        for port in 1..100 {
            let queue = queue(&format!("https://a:{port}"), Purpose::Token);
            drop(bulkhead.enter(queue).await.unwrap());
        }
        assert_eq!(bulkhead.queues.lock().unwrap().len(), 1);
    }
}
