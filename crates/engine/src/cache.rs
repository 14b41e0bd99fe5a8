//! A cache that cannot keep what was stale when it was filled.
//!
//! A fill notes the key's generation before it queries the store and keeps its value only if the
//! generation has not moved since; an invalidation moves it and removes the value. Both hold the
//! generation while they do, so a value read before a change is not seen after it (design §8).

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;

const SHARDS: usize = 256;

/// A concurrent map of at most `capacity` entries.
pub struct Guarded<K, V> {
    map: Cache<K, Arc<V>>,
    generations: Box<[Mutex<u64>]>,
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
            generations: (0..SHARDS).map(|_| Mutex::default()).collect(),
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

    /// Entries, and how often one was asked for in vain and not.
    pub fn counts(&self) -> (usize, u64, u64) {
        (self.map.len(), self.map.misses(), self.map.hits())
    }

    /// Call before querying the store for `key`.
    pub fn ticket<Q: Hash + ?Sized>(&self, key: &Q) -> Ticket
    where
        K: Borrow<Q>,
    {
        Ticket(*self.generation(key))
    }

    /// Keeps `value` unless `key` was invalidated since `ticket`.
    pub fn fill(&self, ticket: Ticket, key: &K, value: Arc<V>) {
        let generation = self.generation::<K>(key);
        if *generation == ticket.0 {
            self.map.insert(key.clone(), value);
        }
    }

    /// Forgets `key`, and every fill of it that is under way.
    pub fn invalidate<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let mut generation = self.generation(key);
        *generation += 1;
        self.map.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.generations.iter().for_each(|generation| {
            *held(generation) += 1;
        });
        self.map.clear();
    }

    fn generation<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, u64>
    where
        K: Borrow<Q>,
    {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        held(&self.generations[hash])
    }
}

fn held(generation: &Mutex<u64>) -> MutexGuard<'_, u64> {
    generation.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_stale_value_is_not_seen_for_a_moment() {
        const ROUNDS: u32 = 20_000;
        let cache = Guarded::new(10);
        std::thread::scope(|scope| {
            let filler = scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let ticket = cache.ticket("a");
                    cache.invalidate("a");
                    cache.fill(ticket, &"a".to_owned(), Arc::new(1));
                }
            });
            while !filler.is_finished() {
                assert!(cache.get("a").is_none());
            }
        });
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
