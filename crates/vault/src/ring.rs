//! Data keys of teams, sealed by a master key, opened once and kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use grantry_core::store::KeyStatus;
use grantry_core::{Entropy, Error, Secret};
use zeroize::Zeroizing;

use crate::envelope::{KEY_LEN, Key, KeyId, OpenError, Place, key_id};
use crate::master::MasterKeys;

pub use grantry_core::store::KeyStatus as Status;

/// The pseudo-team of secrets that belong to no tenant, such as the issuer's signing keys.
pub const SERVER: &str = "";

const KEY_CHECK: Place<'static> = Place {
    team: SERVER,
    table: "key_check",
    row: "",
    field: "",
};
const KEY_CHECK_TEXT: &[u8] = b"grantry/key-check/v1";

/// A team's data key as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// Derived from the key; the row's id.
    pub id: KeyId,
    /// What the key may be used for.
    pub status: KeyStatus,
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

    /// Digests of `parts` that only a team's data keys make: under the active one first, then under those that it
    /// followed. `label` tells one use from another. Empty when the team's keys are not loaded.
    pub fn macs(&self, team: &str, label: &str, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        let team = self.team(team);
        let keys = team
            .iter()
            .flat_map(|team| team.active.iter().chain(&team.older));
        keys.map(|key| key.mac(label, parts)).collect()
    }

    /// Makes a new active data key for `team`. The ring does not hold it yet: [`KeyRing::load`] it
    /// once the store has it, lest something be sealed under a key that is then lost.
    pub fn mint(&self, team: &str, entropy: &dyn Entropy) -> DataKey {
        let mut key = Zeroizing::new(vec![0; KEY_LEN]);
        entropy.fill(&mut key);
        let id = KeyId::of(&key);
        DataKey {
            id,
            status: KeyStatus::Active,
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
                (KeyStatus::Active, Some(first)) => {
                    return Err(DataKeyError::BothActive(first.id(), row.id));
                }
                (KeyStatus::Active, None) => {
                    loaded.active = Some(Key::new(&self.unwrap(team, row)?))
                }
                (KeyStatus::DecryptOnly, _) => {
                    loaded.older.push(Key::new(&self.unwrap(team, row)?))
                }
                (KeyStatus::Retired, _) => {}
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
mod tests;
