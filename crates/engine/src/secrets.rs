//! Named secrets: a value is sealed when it comes in, and compared, never given back.

use grantry_core::ids::{SecretId, TeamId};
use grantry_core::nouns::{NamedSecret, Sealed};
use grantry_core::{Result, Secret};
use grantry_vault::envelope::Place;

use crate::Engine;

fn place<'a>(team: &'a TeamId, id: &'a SecretId) -> Place<'a> {
    Place {
        team: team.as_str(),
        table: "secrets",
        row: id.as_str(),
        field: "value",
    }
}

impl Engine {
    /// The value of the secret `id`, sealed.
    pub(crate) async fn seal_value(
        &self,
        team: &TeamId,
        id: &SecretId,
        value: &Secret,
    ) -> Result<Sealed> {
        self.keys.ready(team).await?;
        self.keys.seal(place(team, id), value.expose().as_bytes())
    }

    /// Whether the stored value is `value`.
    pub(crate) async fn has_value(&self, secret: &NamedSecret, value: &Secret) -> Result<bool> {
        self.keys.ready(&secret.team).await?;
        let place = place(&secret.team, &secret.id);
        let stored = self.keys.open_text(place, &secret.value).await?;
        Ok(stored.expose() == value.expose())
    }
}
