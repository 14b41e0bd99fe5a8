//! A spool in memory: the directory of the real one has its own tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use grantry_core::StoreError;
use grantry_core::ids::TokenSetId;
use grantry_core::store::{Spool, Spooled, Stored};

/// Keeps pairs as long as the world lives.
#[derive(Default)]
pub struct MemorySpool {
    kept: Mutex<Vec<Spooled>>,
    full: AtomicBool,
}

impl MemorySpool {
    /// How many are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// From now on takes nothing, or takes again.
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Spooled>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Spool for MemorySpool {
    async fn keep(&self, spooled: &Spooled) -> Stored<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StoreError::Full);
        }
        self.lock().push(spooled.clone());
        Ok(())
    }

    async fn entries(&self) -> Stored<Vec<Spooled>> {
        Ok(self.lock().clone())
    }

    async fn remove(&self, next: &TokenSetId) -> Stored<()> {
        self.lock().retain(|spooled| spooled.next.id != *next);
        Ok(())
    }
}
