//! Randomness as an argument.

/// The only source of randomness. Production draws from the operating system on every call (no
/// user-space state survives a fork or a VM clone: requirement 73); tests use a seeded stream.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `buffer` with random bytes. Never fails: without randomness the process must stop.
    fn fill(&self, buffer: &mut [u8]);
}

/// `N` random bytes.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut buffer = [0; N];
    entropy.fill(&mut buffer);
    buffer
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `len` random characters of `[0-9A-Za-z]`, 5.95 bits each: 22 of them carry 128 bits and 43 carry 256.
///
/// The alphabet is what the `vercel` CLI accepts in a token (reference/vercel-connect §10).
pub fn alphanumeric(entropy: &dyn Entropy, len: usize) -> String {
    let mut out = String::with_capacity(len);
    let mut buffer = [0; 64];
    while out.len() < len {
        entropy.fill(&mut buffer);
        // 248 = 4 × 62: bytes above it would favour the first characters.
        let unbiased = buffer.iter().filter(|byte| **byte < 248);
        out.extend(
            unbiased
                .take(len - out.len())
                .map(|byte| char::from(ALPHABET[usize::from(byte % 62)])),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counting stream that includes every byte value.
    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn alphanumeric_has_the_asked_length_and_only_its_alphabet() {
        let source = Counting(0.into());
        for len in [0, 1, 43, 64, 300] {
            let text = alphanumeric(&source, len);
            assert_eq!(text.len(), len);
            assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{text}"
            );
        }
    }

    #[test]
    fn alphanumeric_favours_no_character() {
        let source = Counting(0.into());
        // 62 × 4 × 10 characters of a source that is exactly uniform over bytes.
        let text = alphanumeric(&source, 2480);
        for wanted in ALPHABET {
            assert_eq!(
                text.bytes().filter(|byte| byte == wanted).count(),
                40,
                "{}",
                char::from(*wanted)
            );
        }
    }
}
