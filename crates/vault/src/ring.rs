//! Data keys of teams, sealed by a master key, opened once and kept in memory.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use grantry_core::{Entropy, Error, Secret};
use zeroize::Zeroizing;

use crate::envelope::{KEY_LEN, Key, KeyId, OpenError, Place, key_id};
use crate::master::MasterKeys;

/// The pseudo-team of secrets that belong to no tenant, such as the issuer's signing keys.
pub const SERVER: &str = "";

const KEY_CHECK: Place<'static> = Place {
    team: SERVER,
    table: "key_check",
    row: "",
    field: "",
};
const KEY_CHECK_TEXT: &[u8] = b"grantry/key-check/v1";

/// What a master or data key may still be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Seals and opens. One key at a time.
    Active,
    /// Opens what it sealed, until that is sealed anew.
    DecryptOnly,
    /// Neither: nothing is left that it sealed. Kept as a record.
    Retired,
}

impl Status {
    /// The word in the store and in the master-key file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::DecryptOnly => "decrypt-only",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's status is active, decrypt-only or retired")]
pub struct NotAStatus;

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(word: &str) -> Result<Self, NotAStatus> {
        [Self::Active, Self::DecryptOnly, Self::Retired]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(NotAStatus)
    }
}

/// A team's data key as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// Derived from the key; the row's id.
    pub id: KeyId,
    /// What the key may be used for.
    pub status: Status,
    /// The key, sealed by a master key in the place (team, `data_keys`, id, `key`).
    pub sealed: Vec<u8>,
}

/// Why a team's data keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataKeyError {
    /// The sealed key does not open under the master keys of this node.
    #[error("data key {id} does not open")]
    Sealed {
        /// The row's id.
        id: KeyId,
        /// Why it does not open.
        source: OpenError,
    },
    /// What opened is not the key that the row is named after.
    #[error("the row of data key {id} holds something else")]
    Mislabelled {
        /// The row's id.
        id: KeyId,
    },
    /// Two keys of one team claim to be active.
    #[error("data keys {0} and {1} of one team are both active")]
    BothActive(KeyId, KeyId),
}

impl From<DataKeyError> for Error {
    fn from(error: DataKeyError) -> Self {
        match error {
            DataKeyError::Sealed { source, .. } => source.into(),
            DataKeyError::Mislabelled { .. } | DataKeyError::BothActive(..) => Self::Internal,
        }
    }
}

/// Nothing can be sealed for a team whose active data key is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no active data key of team {team:?} is loaded")]
pub struct NoActiveKey {
    /// The team.
    pub team: String,
}

impl From<NoActiveKey> for Error {
    fn from(_: NoActiveKey) -> Self {
        Self::Unavailable
    }
}

/// Why the server must not start on this data (requirement 75).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyCheckError {
    /// The data belongs to a master key that was not given.
    #[error(
        "this data is sealed under master key {needed}, but the active master key is {given}; start with the key it was made with"
    )]
    OtherMasterKey {
        /// The key the data was last checked with.
        needed: KeyId,
        /// The active one of those given.
        given: KeyId,
    },
    /// The key-check value itself is broken, or not ours.
    #[error("the key-check value is damaged")]
    Damaged(#[source] OpenError),
}

/// The keys of this node: the master keys, and the data keys of the teams loaded so far.
///
/// The one door to sealed data. Share it behind an `Arc`; all methods take `&self`.
pub struct KeyRing {
    master: Key,
    older_masters: Vec<Key>,
    teams: RwLock<HashMap<String, Arc<TeamKeys>>>,
}

#[derive(Default)]
struct TeamKeys {
    active: Option<Key>,
    older: Vec<Key>,
}

impl KeyRing {
    /// A ring without any team's keys.
    pub fn new(masters: &MasterKeys) -> Self {
        Self {
            master: Key::new(masters.active()),
            older_masters: masters.decrypt_only().map(Key::new).collect(),
            teams: RwLock::default(),
        }
    }

    /// Id of the active master key.
    pub const fn master_key_id(&self) -> KeyId {
        self.master.id()
    }

    /// Seals `plaintext` into `place` under the active data key of its team.
    ///
    /// # Errors
    /// [`NoActiveKey`] when the team's keys are not loaded.
    pub fn seal(
        &self,
        place: &Place<'_>,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, NoActiveKey> {
        let team = self.team(place.team);
        match team.as_deref().and_then(|team| team.active.as_ref()) {
            Some(key) => Ok(key.seal(place, plaintext, entropy)),
            None => Err(NoActiveKey {
                team: place.team.to_owned(),
            }),
        }
    }

    /// Opens what was sealed into `place`.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::UnknownKey`] also when the team's keys are not loaded.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        match self.team(place.team) {
            Some(team) => open_with(team.active.iter().chain(&team.older), place, sealed),
            None => Err(OpenError::UnknownKey(key_id(sealed)?)),
        }
    }

    /// As [`KeyRing::open`], for what is text: tokens, client secrets.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::NotText`] when the value is not UTF-8.
    pub fn open_text(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, OpenError> {
        let mut bytes = self.open(place, sealed)?;
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(OpenError::NotText)
            }
        }
    }

    /// Makes a new active data key for `team`. The ring does not hold it yet: [`KeyRing::load`] it
    /// once the store has it, lest something be sealed under a key that is then lost.
    pub fn mint(&self, team: &str, entropy: &dyn Entropy) -> DataKey {
        let mut key = Zeroizing::new(vec![0; KEY_LEN]);
        entropy.fill(&mut key);
        let id = KeyId::of(&key);
        DataKey {
            id,
            status: Status::Active,
            sealed: self
                .master
                .seal(&data_key_place(team, &id.to_string()), &key, entropy),
        }
    }

    /// Takes `keys` as all the data keys of `team`, in place of those loaded before.
    ///
    /// # Errors
    /// [`DataKeyError`]; what was loaded before then stays.
    pub fn load(&self, team: &str, keys: &[DataKey]) -> Result<(), DataKeyError> {
        let mut loaded = TeamKeys::default();
        for row in keys {
            match (row.status, &loaded.active) {
                (Status::Active, Some(first)) => {
                    return Err(DataKeyError::BothActive(first.id(), row.id));
                }
                (Status::Active, None) => loaded.active = Some(Key::new(&self.unwrap(team, row)?)),
                (Status::DecryptOnly, _) => loaded.older.push(Key::new(&self.unwrap(team, row)?)),
                (Status::Retired, _) => {}
            }
        }
        self.write().insert(team.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// True when [`KeyRing::load`] has been called for `team`.
    pub fn is_loaded(&self, team: &str) -> bool {
        self.team(team).is_some()
    }

    /// Drops the keys of a deleted team.
    pub fn forget(&self, team: &str) {
        self.write().remove(team);
    }

    /// The same data key, sealed by the active master key: one step of a master-key rotation.
    ///
    /// # Errors
    /// [`DataKeyError`].
    pub fn rewrap(
        &self,
        team: &str,
        row: &DataKey,
        entropy: &dyn Entropy,
    ) -> Result<DataKey, DataKeyError> {
        let key = self.unwrap(team, row)?;
        let sealed = self
            .master
            .seal(&data_key_place(team, &row.id.to_string()), &key, entropy);
        Ok(DataKey { sealed, ..*row })
    }

    /// The value that ties a database to its master key. Stored once, when the database is made,
    /// and anew at the end of a master-key rotation.
    pub fn key_check(&self, entropy: &dyn Entropy) -> Vec<u8> {
        self.master.seal(&KEY_CHECK, KEY_CHECK_TEXT, entropy)
    }

    /// Checks, before anything is served or written, that the master keys are those of the data.
    ///
    /// # Errors
    /// [`KeyCheckError`]: do not start.
    pub fn verify_key_check(&self, sealed: &[u8]) -> Result<(), KeyCheckError> {
        match self.open_by_master(&KEY_CHECK, sealed) {
            Ok(text) if *text == KEY_CHECK_TEXT => Ok(()),
            Ok(_) => Err(KeyCheckError::Damaged(OpenError::NotAuthentic)),
            Err(OpenError::UnknownKey(needed)) => Err(KeyCheckError::OtherMasterKey {
                needed,
                given: self.master.id(),
            }),
            Err(error) => Err(KeyCheckError::Damaged(error)),
        }
    }

    fn unwrap(&self, team: &str, row: &DataKey) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
        let key = self
            .open_by_master(&data_key_place(team, &row.id.to_string()), &row.sealed)
            .map_err(|source| DataKeyError::Sealed { id: row.id, source })?;
        if key.len() != KEY_LEN || KeyId::of(&key) != row.id {
            return Err(DataKeyError::Mislabelled { id: row.id });
        }
        Ok(key)
    }

    fn open_by_master(
        &self,
        place: &Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let masters = std::iter::once(&self.master).chain(&self.older_masters);
        open_with(masters, place, sealed)
    }

    // A panic while the lock is held leaves the map as it was or with one whole entry more, so a
    // poisoned lock is as good as a sound one.

    fn team(&self, team: &str) -> Option<Arc<TeamKeys>> {
        let teams = self.teams.read().unwrap_or_else(PoisonError::into_inner);
        teams.get(team).cloned()
    }

    fn write(&self) -> impl std::ops::DerefMut<Target = HashMap<String, Arc<TeamKeys>>> {
        self.teams.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_with<'k>(
    mut keys: impl Iterator<Item = &'k Key>,
    place: &Place<'_>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let id = key_id(sealed)?;
    keys.find(|key| key.id() == id)
        .ok_or(OpenError::UnknownKey(id))?
        .open(place, sealed)
}

const fn data_key_place<'a>(team: &'a str, row: &'a str) -> Place<'a> {
    Place {
        team,
        table: "data_keys",
        row,
        field: "key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    static_assertions::assert_not_impl_any!(KeyRing: fmt::Debug, serde::Serialize);

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
                status: Status::Active,
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

        rows[0].status = Status::DecryptOnly;
        ring.load("a", &rows).unwrap();
        let new = ring.seal(&place("a", "1"), b"new", ENTROPY).unwrap();
        assert_eq!(key_id(&new), Ok(rows[1].id));
        assert_eq!(*ring.open(&place("a", "1"), &old).unwrap(), b"old");
        assert_eq!(*ring.open(&place("a", "1"), &new).unwrap(), b"new");

        rows[0].status = Status::Retired;
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

    #[test]
    fn a_status_is_read_back_from_its_word() {
        for status in [Status::Active, Status::DecryptOnly, Status::Retired] {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("Active".parse::<Status>(), Err(NotAStatus));
    }
}
