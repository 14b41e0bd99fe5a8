//! Randomness of the operating system.

use grantry_core::Entropy;

/// AWS-LC's generator, the source of every nonce, key and id in production.
///
/// It is seeded by the operating system and notices a fork; where the kernel cannot tell it of a
/// cloned virtual machine it mixes in fresh system randomness on every call, so no two processes
/// ever continue the same stream (requirement 73).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one production implementation of core::Entropy"
        )]
        let filled = aws_lc_rs::rand::fill(buffer);
        if filled.is_err() {
            // The contract of `Entropy`: a predictable key is worse than no process.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grantry_core::entropy::bytes;
    use std::collections::HashSet;

    #[test]
    fn every_draw_differs() {
        let drawn: HashSet<[u8; 12]> = (0..100_000).map(|_| bytes(&SystemEntropy)).collect();
        assert_eq!(drawn.len(), 100_000);
    }
}
