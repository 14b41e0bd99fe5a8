//! A cache that cannot keep what was stale when it was filled.
//!
//! A fill notes the key's generation before it queries the store and takes its value out again when
//! the generation moved meanwhile; an invalidation moves it first and removes second. Whichever way
//! the two interleave, a value read before a change does not stay (design §8).

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

const SHARDS: usize = 256;

/// A concurrent map of at most `capacity` entries.
pub struct Guarded<K, V> {
    map: Cache<K, Arc<V>>,
    generations: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The generation of a key before its query.
#[derive(Clone, Copy)]
pub struct Ticket(u64);

impl<K: Hash + Eq + Clone, V> Guarded<K, V> {
    /// An empty cache.
    pub fn new(capacity: usize) -> Self {
        Self {
            map: Cache::new(capacity),
            generations: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The cached value.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.map.get(key)
    }

    /// Call before querying the store for `key`.
    pub fn ticket<Q: Hash + ?Sized>(&self, key: &Q) -> Ticket
    where
        K: Borrow<Q>,
    {
        Ticket(self.generation(key).load(Ordering::SeqCst))
    }

    /// Keeps `value` unless `key` was invalidated since `ticket`.
    pub fn fill(&self, ticket: Ticket, key: &K, value: Arc<V>) {
        self.map.insert(key.clone(), value);
        if self.generation::<K>(key).load(Ordering::SeqCst) != ticket.0 {
            self.map.remove(key);
        }
    }

    /// Forgets `key`, and every fill of it that is under way.
    pub fn invalidate<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.generation(key).fetch_add(1, Ordering::SeqCst);
        self.map.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.generations.iter().for_each(|generation| {
            generation.fetch_add(1, Ordering::SeqCst);
        });
        self.map.clear();
    }

    fn generation<Q: Hash + ?Sized>(&self, key: &Q) -> &AtomicU64
    where
        K: Borrow<Q>,
    {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        &self.generations[hash]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_that_an_invalidation_overtook_is_not_kept() {
        let cache = Guarded::new(10);
        let ticket = cache.ticket("a");
        cache.invalidate("a");
        cache.fill(ticket, &"a".to_owned(), Arc::new(1));
        assert!(cache.get("a").is_none());
    }

    #[test]
    fn a_fill_without_a_change_is_kept_until_invalidated() {
        let cache = Guarded::new(10);
        cache.fill(cache.ticket("a"), &"a".to_owned(), Arc::new(1));
        assert_eq!(cache.get("a").as_deref(), Some(&1));
        cache.invalidate("a");
        assert!(cache.get("a").is_none());
    }

    #[test]
    fn clear_also_stops_fills_under_way() {
        let cache = Guarded::new(10);
        let ticket = cache.ticket("a");
        cache.clear();
        cache.fill(ticket, &"a".to_owned(), Arc::new(1));
        assert!(cache.get("a").is_none());
    }
}
