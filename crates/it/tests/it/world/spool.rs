//! A spool in memory: the directory of the real one has its own tests.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use grantry_core::ids::TokenSetId;
use grantry_core::store::{Spool, Spooled, Stored};

/// Keeps pairs as long as the world lives.
#[derive(Default)]
pub struct MemorySpool(Mutex<Vec<Spooled>>);

impl MemorySpool {
    /// How many are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Spooled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Spool for MemorySpool {
    async fn keep(&self, spooled: &Spooled) -> Stored<()> {
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
