//! The format is frozen: `testdata/vectors.json` was made by another implementation of it
//! (`vectors.py`, which says how to read the file), and this one must agree with every row.

use std::collections::BTreeMap;
use std::ops::Range;

use grantry_core::Entropy;
use serde::Deserialize;

use crate::envelope::{Key, KeyId, OpenError, Place};

#[derive(Deserialize)]
struct Vectors {
    key: String,
    key_id: String,
    good: Vec<Good>,
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Good {
    name: String,
    place: Words,
    nonce: String,
    plaintext: String,
    sealed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    name: String,
    of: Option<String>,
    sealed: Option<String>,
    place: Option<Words>,
    truncate_to: Option<(usize, usize)>,
    flip_bits: Option<(usize, usize)>,
    append: Option<String>,
    expect: String,
}

#[derive(Clone, Deserialize)]
struct Words {
    team: String,
    table: String,
    row: String,
    field: String,
}

impl Words {
    fn place(&self) -> Place<'_> {
        Place {
            team: &self.team,
            table: &self.table,
            row: &self.row,
            field: &self.field,
        }
    }
}

struct Fixed(Vec<u8>);

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Every value that a bad row stands for.
fn damaged(bad: &Bad, base: Vec<u8>) -> Vec<Vec<u8>> {
    let range = |(from, to): (usize, usize)| -> Range<usize> { from..to };
    let mut all = Vec::new();
    all.extend(
        bad.truncate_to
            .map(range)
            .into_iter()
            .flatten()
            .map(|len| base[..len].to_vec()),
    );
    all.extend(bad.flip_bits.map(range).into_iter().flatten().map(|bit| {
        let mut flipped = base.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        flipped
    }));
    all.extend(
        bad.append
            .as_deref()
            .map(|more| [base.clone(), unhex(more)].concat()),
    );
    if all.is_empty() {
        all.push(base);
    }
    all
}

#[test]
fn good_vectors_open_and_are_sealed_again_to_the_same_bytes() {
    let vectors = vectors();
    let key = Key::new(&unhex(&vectors.key));
    assert_eq!(key.id().to_string(), vectors.key_id);
    assert_eq!(vectors.good.len(), 6);
    for Good {
        name,
        place,
        nonce,
        plaintext,
        sealed,
    } in &vectors.good
    {
        let opened = key.open(&place.place(), &unhex(sealed));
        assert_eq!(opened.as_deref(), Ok(&unhex(plaintext)), "{name}");
        let again = key.seal(&place.place(), &unhex(plaintext), &Fixed(unhex(nonce)));
        assert_eq!(again, unhex(sealed), "{name}");
    }
}

#[test]
fn bad_vectors_fail_each_in_its_own_way() {
    let vectors = vectors();
    let key = Key::new(&unhex(&vectors.key));
    let good: BTreeMap<&str, &Good> = vectors
        .good
        .iter()
        .map(|good| (good.name.as_str(), good))
        .collect();
    assert_eq!(vectors.bad.len(), 20);
    for bad in &vectors.bad {
        let base = bad.of.as_deref().map(|of| good[of]);
        let place = bad
            .place
            .clone()
            .or_else(|| base.map(|good| good.place.clone()))
            .unwrap();
        let sealed = bad
            .sealed
            .as_ref()
            .or_else(|| base.map(|good| &good.sealed))
            .unwrap();
        for sealed in damaged(bad, unhex(sealed)) {
            let named = match sealed.get(1..9) {
                Some(id) => u64::from_be_bytes(id.try_into().unwrap()),
                None => 0,
            };
            let expected = match bad.expect.as_str() {
                "truncated" => OpenError::Truncated,
                "not-authentic" => OpenError::NotAuthentic,
                "unknown-key" => {
                    OpenError::UnknownKey(format!("{named:016x}").parse::<KeyId>().unwrap())
                }
                "unknown-version" => OpenError::UnknownVersion(sealed[0]),
                other => panic!("{}: no failure is called {other}", bad.name),
            };
            assert_eq!(
                key.open(&place.place(), &sealed),
                Err(expected),
                "{}",
                bad.name
            );
        }
    }
}
