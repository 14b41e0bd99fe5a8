//! The vault's key ring, fed from the store.

use std::sync::Arc;

use grantry_core::ids::TeamId;
use grantry_core::nouns::Sealed;
use grantry_core::store::{DataKey, KeyStatus};
use grantry_core::{Clock, Entropy, Error, Result, Secret, Store, StoreError};
use grantry_vault::envelope::Place;
use grantry_vault::ring::{KeyCheckError, KeyRing};
use grantry_vault::{MasterKeys, OpenError, ring};

/// Why the server must not start on this data with these keys.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeysError {
    /// The master key is not the data's.
    #[error(transparent)]
    Key(#[from] KeyCheckError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seals and opens secrets; team keys are minted and loaded as they are needed.
pub struct Keys {
    ring: KeyRing,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Keys {
    /// Checks `masters` against the data before anything is read or written (requirement 75). A new
    /// store is tied to these keys; of two processes that do so at once the loser finds out here.
    pub async fn open(
        masters: &MasterKeys,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenKeysError> {
        let ring = KeyRing::new(masters);
        let standing = store.key_check(&Sealed(ring.key_check(&*entropy))).await?;
        ring.verify_key_check(&standing.0)?;
        Ok(Self {
            ring,
            store,
            clock,
            entropy,
        })
    }

    /// Makes sure that values of `team` can be sealed and opened.
    pub async fn ready(&self, team: &TeamId) -> Result<()> {
        if self.ring.is_loaded(team.as_str()) {
            return Ok(());
        }
        let mut rows = self.store.data_keys(team).await?;
        if !rows.iter().any(|row| row.status == KeyStatus::Active) {
            let minted = self.ring.mint(team.as_str(), &*self.entropy);
            let row = DataKey {
                id: minted.id.to_string(),
                team: team.clone(),
                status: KeyStatus::Active,
                sealed: Sealed(minted.sealed),
                created_at: self.clock.now(),
            };
            // Whichever process was first, its key is the one that both use.
            rows.push(self.store.add_data_key(&row).await?);
        }
        self.load(team, rows)
    }

    fn load(&self, team: &TeamId, rows: Vec<DataKey>) -> Result<()> {
        let loaded = rows.into_iter().map(|row| {
            let id = row.id.parse().map_err(|_| Error::Internal)?;
            Ok(ring::DataKey {
                id,
                status: row.status,
                sealed: row.sealed.0,
            })
        });
        let loaded: Vec<ring::DataKey> = loaded.collect::<Result<_>>()?;
        self.ring.load(team.as_str(), &loaded).map_err(|error| {
            tracing::error!(team = %team, error = %error, "a team's data keys do not load");
            Error::from(error)
        })
    }

    /// Seals `plaintext` into `place`. The team must be [`Keys::ready`].
    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Result<Sealed> {
        Ok(Sealed(self.ring.seal(&place, plaintext, &*self.entropy)?))
    }

    /// Digests that only this team's keys make, the first one under the active key. The team must be
    /// [`Keys::ready`].
    pub fn macs(&self, team: &TeamId, label: &str, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.ring.macs(team.as_str(), label, parts)
    }

    /// Opens what was sealed into `place`, as text.
    pub async fn open_text(&self, place: Place<'_>, sealed: &Sealed) -> Result<Secret> {
        let opened = match self.ring.open_text(&place, &sealed.0) {
            Err(OpenError::UnknownKey(_)) => {
                // Sealed by a key this process has not loaded (yet).
                let team = TeamId::from(place.team);
                let rows = self.store.data_keys(&team).await?;
                self.load(&team, rows)?;
                self.ring.open_text(&place, &sealed.0)
            }
            other => other,
        };
        opened.map_err(|error| {
            tracing::error!(team = place.team, table = place.table, row = place.row, field = place.field, %error, "a sealed value does not open");
            Error::from(error)
        })
    }
}
