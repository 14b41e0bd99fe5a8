//! What the tests of this crate share.

use std::sync::atomic::{AtomicU64, Ordering};

use grantry_core::Entropy;

/// A repeatable random stream (SplitMix64).
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.into())
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % bound
    }

    pub(crate) fn byte(&self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.byte());
    }
}
