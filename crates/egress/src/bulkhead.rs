//! One slow provider never delays the others (requirement 49).

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Caps the requests in flight to each host. Hosts are forgotten when their last request ends.
pub(crate) struct Bulkhead {
    per_host_max: NonZeroUsize,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Bulkhead {
    pub(crate) fn new(per_host_max: NonZeroUsize) -> Self {
        Self {
            per_host_max,
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place at `host`, in order of arrival. The place is given back on drop.
    pub(crate) async fn enter(&self, host: &str) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.places(host).acquire_owned().await
    }

    fn places(&self, host: &str) -> Arc<Semaphore> {
        // A panic cannot leave the map half-changed, so a poisoned lock is still good.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = hosts.get(host).and_then(Weak::upgrade) {
            return places;
        }
        hosts.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.per_host_max.get()));
        hosts.insert(host.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_full_host_waits_while_another_passes() {
        let bulkhead = Bulkhead::new(NonZeroUsize::MIN);
        let first = bulkhead.enter("slow").await;
        assert!(bulkhead.enter("slow").now_or_never().is_none());
        assert!(bulkhead.enter("quick").now_or_never().is_some());
        drop(first);
        assert!(bulkhead.enter("slow").now_or_never().is_some());
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten() {
        let bulkhead = Bulkhead::new(NonZeroUsize::MIN);
        for host in 0..100 {
            drop(bulkhead.enter(&host.to_string()).await.unwrap());
        }
        assert_eq!(bulkhead.hosts.lock().unwrap().len(), 1);
    }
}
