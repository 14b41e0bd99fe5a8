use super::*;
use crate::SystemEntropy;

static_assertions::assert_not_impl_any!(KeyRing: std::fmt::Debug, serde::Serialize);
static_assertions::assert_impl_all!(KeyRing: Send, Sync);

const ENTROPY: &SystemEntropy = &SystemEntropy;

const fn place<'a>(team: &'a str, row: &'a str) -> Place<'a> {
    Place {
        team,
        table: "connectors",
        row,
        field: "client_secret",
    }
}

/// A ring with one active key for each team, and the rows a store would have.
fn ring_of(masters: &MasterKeys, teams: &[&str]) -> (KeyRing, Vec<DataKey>) {
    let ring = KeyRing::new(masters);
    let rows: Vec<DataKey> = teams.iter().map(|team| ring.mint(team, ENTROPY)).collect();
    for (team, row) in teams.iter().zip(&rows) {
        ring.load(team, std::slice::from_ref(row)).unwrap();
    }
    (ring, rows)
}

#[test]
fn a_minted_key_seals_nothing_before_it_is_loaded() {
    let ring = KeyRing::new(&MasterKeys::generate(ENTROPY));
    let row = ring.mint("a", ENTROPY);
    assert!(!ring.is_loaded("a"));
    let refused = ring.seal(&place("a", "1"), b"x", ENTROPY).unwrap_err();
    assert_eq!(
        refused,
        NoActiveKey {
            team: "a".to_owned()
        }
    );
    assert_eq!(Error::from(refused), Error::Unavailable);
    ring.load("a", &[row]).unwrap();
    assert!(ring.seal(&place("a", "1"), b"x", ENTROPY).is_ok());
}

#[test]
fn each_team_opens_its_own_values_only() {
    let (ring, rows) = ring_of(&MasterKeys::generate(ENTROPY), &["a", "b", SERVER]);
    let sealed = ring.seal(&place("a", "1"), b"secret", ENTROPY).unwrap();
    assert_eq!(key_id(&sealed), Ok(rows[0].id));
    assert_eq!(*ring.open(&place("a", "1"), &sealed).unwrap(), b"secret");
    assert_eq!(
        ring.open(&place("a", "2"), &sealed),
        Err(OpenError::NotAuthentic)
    );
    for other in ["b", SERVER, "not loaded"] {
        assert_eq!(
            ring.open(&place(other, "1"), &sealed),
            Err(OpenError::UnknownKey(rows[0].id)),
            "{other}"
        );
    }
}

#[test]
fn text_opens_as_a_secret_and_other_bytes_do_not() {
    let (ring, _) = ring_of(&MasterKeys::generate(ENTROPY), &["a"]);
    let open = |bytes: &[u8]| {
        let sealed = ring.seal(&place("a", "1"), bytes, ENTROPY).unwrap();
        let opened = ring.open_text(&place("a", "1"), &sealed);
        opened.map(|secret| secret.expose().to_owned())
    };
    assert_eq!(open("clé".as_bytes()), Ok("clé".to_owned()));
    assert_eq!(open(b"cl\xe9"), Err(OpenError::NotText));
}

#[test]
fn a_data_key_moved_to_another_team_does_not_load() {
    let (ring, rows) = ring_of(&MasterKeys::generate(ENTROPY), &["a", "b"]);
    let moved = DataKeyError::Sealed {
        id: rows[0].id,
        source: OpenError::NotAuthentic,
    };
    assert_eq!(ring.load("b", &rows[..1]), Err(moved));
    assert_eq!(Error::from(moved), Error::Internal);
    let renamed = DataKey {
        id: rows[1].id,
        ..rows[0].clone()
    };
    assert!(matches!(
        ring.load("a", &[renamed]),
        Err(DataKeyError::Sealed { .. })
    ));
}

#[test]
fn a_row_named_after_another_key_does_not_load() {
    let ring = KeyRing::new(&MasterKeys::generate(ENTROPY));
    let id = KeyId::of(&[1; KEY_LEN]);
    for wrong in [vec![2; KEY_LEN], vec![1; KEY_LEN - 1], vec![]] {
        let sealed = ring
            .master
            .seal(&data_key_place("a", &id.to_string()), &wrong, ENTROPY);
        let row = DataKey {
            id,
            status: KeyStatus::Active,
            sealed,
        };
        assert_eq!(
            ring.load("a", &[row]),
            Err(DataKeyError::Mislabelled { id })
        );
    }
}

#[test]
fn rotating_a_data_key_seals_with_the_new_and_opens_with_both_until_the_old_retires() {
    let (ring, mut rows) = ring_of(&MasterKeys::generate(ENTROPY), &["a"]);
    let old = ring.seal(&place("a", "1"), b"old", ENTROPY).unwrap();

    rows.push(ring.mint("a", ENTROPY));
    let both = DataKeyError::BothActive(rows[0].id, rows[1].id);
    assert_eq!(ring.load("a", &rows), Err(both));
    assert_eq!(
        key_id(&ring.seal(&place("a", "1"), b"", ENTROPY).unwrap()),
        Ok(rows[0].id),
        "the old set stays"
    );

    rows[0].status = KeyStatus::DecryptOnly;
    ring.load("a", &rows).unwrap();
    let new = ring.seal(&place("a", "1"), b"new", ENTROPY).unwrap();
    assert_eq!(key_id(&new), Ok(rows[1].id));
    assert_eq!(*ring.open(&place("a", "1"), &old).unwrap(), b"old");
    assert_eq!(*ring.open(&place("a", "1"), &new).unwrap(), b"new");

    rows[0].status = KeyStatus::Retired;
    ring.load("a", &rows).unwrap();
    assert_eq!(
        ring.open(&place("a", "1"), &old),
        Err(OpenError::UnknownKey(rows[0].id))
    );
}

#[test]
fn rotating_the_master_key_leaves_every_sealed_value_as_it_is() {
    let first = MasterKeys::generate(ENTROPY);
    let (ring, rows) = ring_of(&first, &["a"]);
    let value = ring.seal(&place("a", "1"), b"secret", ENTROPY).unwrap();
    let check = ring.key_check(ENTROPY);

    let second = first.rotated(ENTROPY);
    let ring = KeyRing::new(&second);
    ring.verify_key_check(&check).unwrap();
    let rewrapped = ring.rewrap("a", &rows[0], ENTROPY).unwrap();
    assert_eq!(
        (rewrapped.id, rewrapped.status),
        (rows[0].id, rows[0].status)
    );
    assert_eq!(key_id(&rewrapped.sealed), Ok(ring.master_key_id()));
    let check = ring.key_check(ENTROPY);

    let third = second.retiring(first.active_id()).unwrap();
    let ring = KeyRing::new(&third);
    ring.verify_key_check(&check).unwrap();
    ring.load("a", &[rewrapped]).unwrap();
    assert_eq!(*ring.open(&place("a", "1"), &value).unwrap(), b"secret");
    let lacking = DataKeyError::Sealed {
        id: rows[0].id,
        source: OpenError::UnknownKey(first.active_id()),
    };
    assert_eq!(ring.load("a", &rows), Err(lacking));
    assert_eq!(
        Error::from(lacking),
        Error::Unavailable,
        "an old key ring is 503, not damage"
    );
}

#[test]
fn the_key_check_tells_the_right_master_key_from_another_and_from_damage() {
    let ring = KeyRing::new(&MasterKeys::generate(ENTROPY));
    let check = ring.key_check(ENTROPY);
    assert_eq!(ring.verify_key_check(&check), Ok(()));

    let other = KeyRing::new(&MasterKeys::generate(ENTROPY));
    let wrong = other.verify_key_check(&check).unwrap_err();
    assert_eq!(
        wrong,
        KeyCheckError::OtherMasterKey {
            needed: ring.master_key_id(),
            given: other.master_key_id(),
        }
    );
    let message = wrong.to_string();
    assert!(
        message.contains(&ring.master_key_id().to_string()),
        "{message}"
    );
    assert!(
        message.contains(&other.master_key_id().to_string()),
        "{message}"
    );

    let mut flipped = check.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let elsewhere = ring
        .master
        .seal(&place(SERVER, ""), KEY_CHECK_TEXT, ENTROPY);
    let other_text = ring.master.seal(&KEY_CHECK, b"", ENTROPY);
    let rows: [(&[u8], OpenError); 4] = [
        (&[], OpenError::Truncated),
        (&flipped, OpenError::NotAuthentic),
        (&elsewhere, OpenError::NotAuthentic),
        (&other_text, OpenError::NotAuthentic),
    ];
    for (sealed, why) in rows {
        assert_eq!(
            ring.verify_key_check(sealed),
            Err(KeyCheckError::Damaged(why))
        );
    }
}

#[test]
fn a_forgotten_team_opens_nothing() {
    let (ring, rows) = ring_of(&MasterKeys::generate(ENTROPY), &["a"]);
    let sealed = ring.seal(&place("a", "1"), b"x", ENTROPY).unwrap();
    ring.forget("a");
    assert!(!ring.is_loaded("a"));
    assert_eq!(
        ring.open(&place("a", "1"), &sealed),
        Err(OpenError::UnknownKey(rows[0].id))
    );
}
