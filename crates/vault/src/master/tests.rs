use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::testing::SeededEntropy;

use super::text::looks_made_up;
use super::*;
use crate::SystemEntropy;

static_assertions::assert_not_impl_any!(MasterKeys: Debug, serde::Serialize);

const LIST: &str = "grantry-master-keys v1";

fn text_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn from_text(text: &str) -> Result<MasterKeys, KeyTextError> {
    match MasterKeys::from_value("GRANTRY_MASTER_KEY", &Secret::new(text)) {
        Ok(keys) => Ok(keys),
        Err(MasterKeyError::Text { origin, problem }) => {
            assert_eq!(origin, "GRANTRY_MASTER_KEY");
            Err(problem)
        }
        Err(other) => panic!("{other}"),
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_created_file_is_private_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let made = MasterKeys::create_file(&path, &SystemEntropy).unwrap();
    assert_eq!(mode_of(&path), 0o600);
    let read = MasterKeys::from_file(&path).unwrap();
    assert_eq!(read.active(), made.active());
    assert_eq!(
        read.list().collect::<Vec<_>>(),
        [(made.active_id(), KeyStatus::Active)]
    );
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    fs::write(&path, "precious").unwrap();
    let refused = MasterKeys::create_file(&path, &SystemEntropy);
    assert!(matches!(refused, Err(MasterKeyError::Exists(at)) if at == path));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_missing_file_is_told_from_an_unreadable_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    assert!(matches!(MasterKeys::from_file(&path), Err(MasterKeyError::Missing(at)) if at == path));
    // A directory opens but does not read.
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let refused = MasterKeys::from_file(&path);
    assert!(matches!(
        refused,
        Err(MasterKeyError::Io { act: "read", .. })
    ));
}

#[test]
fn a_file_open_to_others_is_refused_with_the_way_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    MasterKeys::create_file(&path, &SystemEntropy).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = MasterKeys::from_file(&path).err().unwrap().to_string();
        assert!(message.contains(&format!("mode {mode:04o}")), "{message}");
        assert!(
            message.ends_with(&format!("chmod 600 {}", path.display())),
            "{message}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(MasterKeys::from_file(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_descriptor_is_read_whatever_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys = MasterKeys::generate(&SystemEntropy);
    fs::write(&path, text_of(keys.active())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        MasterKeys::from_descriptor(&path).unwrap().active_id(),
        keys.active_id()
    );
}

#[test]
fn a_file_without_end_is_refused() {
    let refused = MasterKeys::from_descriptor(Path::new("/dev/zero"));
    let Err(MasterKeyError::Text { origin, problem }) = refused else {
        panic!("read without end");
    };
    assert_eq!(
        (origin.as_str(), problem),
        ("/dev/zero", KeyTextError::NotText)
    );
}

#[test]
fn a_bare_base64_value_is_one_active_key() {
    let keys = MasterKeys::generate(&SystemEntropy);
    for text in [
        text_of(keys.active()),
        format!("  {}\n", text_of(keys.active())),
    ] {
        let read = from_text(&text).unwrap();
        assert_eq!(read.active(), keys.active());
        assert_eq!(read.active_id(), keys.active_id());
    }
}

#[test]
fn keys_that_nobody_drew_at_random_are_refused_by_id() {
    let counting: Vec<u8> = (0..32).collect();
    let falling: Vec<u8> = (0..32).rev().collect();
    let rows: [&[u8]; 7] = [
        &[0; 32],
        &[0xff; 32],
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"change me before you go to prod!",
        b"0123456789abcdef0123456789abcdef",
        &counting,
        &falling,
    ];
    for key in rows {
        let id = KeyId::of(key);
        let problem = from_text(&text_of(key)).err().unwrap();
        assert_eq!(problem, KeyTextError::Example { id });
        assert!(!problem.to_string().contains(&text_of(key)));
    }
}

#[test]
fn random_keys_are_not_taken_for_examples() {
    let random = SeededEntropy::new(75);
    for _ in 0..10_000 {
        assert!(!looks_made_up(MasterKeys::generate(&random).active()));
    }
}

#[test]
fn every_bad_text_is_refused_for_its_own_reason() {
    let random = SeededEntropy::new(1);
    let (one, two) = (MasterKeys::generate(&random), MasterKeys::generate(&random));
    let (id, other) = (one.active_id(), two.active_id());
    let (key, other_key) = (text_of(one.active()), text_of(two.active()));
    let line = |line| KeyTextError::Line { line };
    let the_key = || "the key".to_owned();
    let named = || format!("key {id}");
    let rows = [
        (String::new(), KeyTextError::Empty),
        (" \n".to_owned(), KeyTextError::Empty),
        (
            "not base64!".to_owned(),
            KeyTextError::NotBase64 { key: the_key() },
        ),
        (
            key[..43].to_owned(),
            KeyTextError::NotBase64 { key: the_key() },
        ),
        (
            format!("{key} {key}"),
            KeyTextError::NotBase64 { key: the_key() },
        ),
        (
            text_of(&one.active()[..31]),
            KeyTextError::Length {
                key: the_key(),
                bytes: 31,
            },
        ),
        (
            text_of(&[one.active(), b"x"].concat()),
            KeyTextError::Length {
                key: the_key(),
                bytes: 33,
            },
        ),
        // 64 hex digits are base64 of 48 bytes.
        (
            "0f".repeat(32),
            KeyTextError::Length {
                key: the_key(),
                bytes: 48,
            },
        ),
        (LIST.to_owned(), KeyTextError::NotOneActive(0)),
        (
            format!("{LIST}\nretired {id} -"),
            KeyTextError::NotOneActive(0),
        ),
        (
            format!("{LIST}\ndecrypt-only {id} {key}"),
            KeyTextError::NotOneActive(0),
        ),
        (
            format!("{LIST}\nactive {id} {key}\nactive {other} {other_key}"),
            KeyTextError::NotOneActive(2),
        ),
        (
            format!("{LIST}\nactive {id} {key}\nretired {id} -"),
            KeyTextError::Repeated(id),
        ),
        (
            format!("{LIST}\nactive {other} {key}"),
            KeyTextError::Mislabelled {
                written: other,
                actual: id,
            },
        ),
        (
            format!("{LIST}\nactive {id} {}", text_of(&[1; 16])),
            KeyTextError::Length {
                key: named(),
                bytes: 16,
            },
        ),
        (
            format!("{LIST}\nactive {id} ***"),
            KeyTextError::NotBase64 { key: named() },
        ),
        (format!("{LIST}2\nactive {id} {key}"), line(1)),
        (format!("{LIST}\nactive {id}"), line(2)),
        (format!("{LIST}\nactive {id} -"), line(2)),
        (format!("{LIST}\nretired {id} {key}"), line(2)),
        (format!("{LIST}\n\nactive {id} {key} more"), line(3)),
        (format!("{LIST}\nActive {id} {key}"), line(2)),
        (format!("{LIST}\nactive key1 {key}"), line(2)),
    ];
    for (text, expected) in rows {
        let problem = from_text(&text).err();
        assert_eq!(problem, Some(expected), "{text}");
        let message = problem.unwrap().to_string();
        assert!(
            !message.contains(&key[..8]) && !message.contains(&other_key[..8]),
            "{message}"
        );
    }
}

#[test]
fn rotation_keeps_older_keys_and_survives_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let first = MasterKeys::create_file(&path, &SystemEntropy).unwrap();
    let second = first.rotated(&SystemEntropy);
    let third = second
        .rotated(&SystemEntropy)
        .retiring(first.active_id())
        .unwrap();
    third.replace_file(&path).unwrap();
    assert_eq!(mode_of(&path), 0o600);

    let read = MasterKeys::from_file(&path).unwrap();
    assert_eq!(
        read.list().collect::<Vec<_>>(),
        [
            (third.active_id(), KeyStatus::Active),
            (second.active_id(), KeyStatus::DecryptOnly),
            (first.active_id(), KeyStatus::Retired),
        ]
    );
    assert_eq!(read.active(), third.active());
    assert_eq!(read.decrypt_only().collect::<Vec<_>>(), [second.active()]);
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        !written.contains(&text_of(first.active())),
        "a retired key is gone from the file"
    );
}

#[test]
fn a_rotation_that_was_cut_short_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let first = MasterKeys::create_file(&path, &SystemEntropy).unwrap();
    let beside = folder.path().join("master.key.new");
    fs::write(&beside, "").unwrap();
    let refused = first.rotated(&SystemEntropy).replace_file(&path);
    assert!(matches!(refused, Err(MasterKeyError::Exists(at)) if at == beside));
    assert_eq!(
        MasterKeys::from_file(&path).unwrap().active_id(),
        first.active_id()
    );
}

#[test]
fn only_a_decrypt_only_key_retires() {
    let first = MasterKeys::generate(&SystemEntropy);
    let second = first.rotated(&SystemEntropy);
    let third = second.retiring(first.active_id()).unwrap();
    let stranger = KeyId::of(b"");
    for (keys, id) in [
        (&second, second.active_id()),
        (&third, first.active_id()),
        (&third, stranger),
    ] {
        assert_eq!(keys.retiring(id).err(), Some(NotRetirable(id)));
    }
}
