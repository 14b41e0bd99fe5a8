use std::collections::HashSet;

use grantry_core::testing::SeededEntropy;

use super::*;
use crate::SystemEntropy;

const PLACE: Place<'static> = Place {
    team: "team_1",
    table: "token_sets",
    row: "ts_1",
    field: "access_token",
};

#[test]
fn what_is_sealed_opens_in_its_place_whatever_its_length() {
    let key = Key::new(&[7; KEY_LEN]);
    for len in [0, 1, 15, 16, 17, 64, 4096, 1 << 20] {
        let plaintext = vec![0xa5; len];
        let sealed = key.seal(&PLACE, &plaintext, &SystemEntropy);
        assert_eq!(sealed.len(), len + OVERHEAD);
        assert_eq!(*key.open(&PLACE, &sealed).unwrap(), plaintext);
    }
}

#[test]
fn a_letter_that_moves_between_two_words_of_the_place_is_another_place() {
    let key = Key::new(&[7; KEY_LEN]);
    let place = |team, table, row, field| Place {
        team,
        table,
        row,
        field,
    };
    let all = [
        place("ab", "ab", "ab", "ab"),
        place("aba", "b", "ab", "ab"),
        place("ab", "aba", "b", "ab"),
        place("ab", "ab", "aba", "b"),
        place("ab", "ab", "abab", ""),
        place("", "abab", "ab", "ab"),
        place("ab", "", "abab", "ab"),
    ];
    for (i, sealed_in) in all.iter().enumerate() {
        let sealed = key.seal(sealed_in, b"x", &SystemEntropy);
        for (j, opened_in) in all.iter().enumerate() {
            assert_eq!(
                key.open(opened_in, &sealed).is_ok(),
                i == j,
                "{sealed_in:?} {opened_in:?}"
            );
        }
    }
}

/// With one nonce for all, equal plaintexts give equal ciphertexts only if the keys are equal.
#[test]
fn every_row_and_field_has_a_cipher_key_of_its_own() {
    struct OneNonce;
    impl Entropy for OneNonce {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }
    let ciphertext = |key: &Key, row: &str, field: &str| {
        key.seal(
            &Place {
                row,
                field,
                ..PLACE
            },
            &[0; 32],
            &OneNonce,
        )[TEXT_AT..TEXT_AT + 32]
            .to_vec()
    };
    let keys = [Key::new(&[7; KEY_LEN]), Key::new(&[8; KEY_LEN])];
    let mut seen = HashSet::new();
    for key in &keys {
        for row in ["ts_1", "ts_2", "t", ""] {
            for field in ["access_token", "refresh_token", "s_1", ""] {
                seen.insert(ciphertext(key, row, field));
            }
        }
    }
    assert_eq!(seen.len(), 2 * 4 * 4);
}

#[test]
fn no_nonce_comes_twice() {
    let key = Key::new(&[7; KEY_LEN]);
    let nonces: HashSet<Vec<u8>> = (0..100_000)
        .map(|_| key.seal(&PLACE, b"", &SystemEntropy)[NONCE_AT..TEXT_AT].to_vec())
        .collect();
    assert_eq!(nonces.len(), 100_000);
}

/// Requirement 71. Each of 10^5 random edits must be an error; a panic would end the test.
#[test]
fn no_mutation_of_a_sealed_value_opens() {
    let key = Key::new(&[7; KEY_LEN]);
    let random = SeededEntropy::new(71);
    let below = |bound: usize| usize::from(u16::from_be_bytes(entropy::bytes(&random))) % bound;
    let byte = || entropy::bytes::<1>(&random)[0];
    let good = key.seal(&PLACE, b"a refresh token of the usual length", &random);
    for _ in 0..100_000 {
        let mut bad = good.clone();
        for _ in 0..=below(3) {
            let at = below(bad.len() + 1);
            match below(5) {
                0 if at < bad.len() => bad[at] ^= 1 << below(8),
                1 => bad.truncate(at),
                2 => bad.insert(at, byte()),
                3 if at < bad.len() => drop(bad.remove(at)),
                _ => bad.extend((0..below(40)).map(|_| byte())),
            }
        }
        assert_eq!(key.open(&PLACE, &bad).is_ok(), bad == good, "{bad:02x?}");
    }
    for _ in 0..100_000 {
        let noise: Vec<u8> = (0..below(80)).map(|_| byte()).collect();
        assert!(key.open(&PLACE, &noise).is_err(), "{noise:02x?}");
    }
}

#[test]
fn a_key_id_is_read_back_from_its_text_and_from_nothing_else() {
    let id = KeyId::of(&[7; KEY_LEN]);
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in [
        "",
        "0",
        "+123456789abcdef",
        "0123456789ABCDEF",
        "0123456789abcdef0",
        "0123456789abcdeg",
    ] {
        assert_eq!(text.parse::<KeyId>(), Err(NotAKeyId), "{text}");
    }
}

#[test]
fn a_lacking_key_answers_503_and_damage_500() {
    let id = KeyId::of(&[7; KEY_LEN]);
    assert_eq!(Error::from(OpenError::UnknownKey(id)), Error::Unavailable);
    assert_eq!(
        Error::from(OpenError::UnknownVersion(2)),
        Error::Unavailable
    );
    assert_eq!(Error::from(OpenError::Truncated), Error::Internal);
    assert_eq!(Error::from(OpenError::NotAuthentic), Error::Internal);
}

#[test]
fn a_keyed_digest_is_one_keys_one_labels_and_one_list_of_parts() {
    let (ours, theirs) = (Key::new(&[1; 32]), Key::new(&[2; 32]));
    let digest = ours.mac("credential", &[b"a", b"bc"]);
    assert_eq!(digest, ours.mac("credential", &[b"a", b"bc"]));
    for other in [
        theirs.mac("credential", &[b"a", b"bc"]),
        ours.mac("another", &[b"a", b"bc"]),
        ours.mac("credential", &[b"ab", b"c"]),
        ours.mac("credential", &[b"abc"]),
    ] {
        assert_ne!(digest, other);
    }
}
