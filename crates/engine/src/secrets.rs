//! Named secrets: a value is sealed when it comes in, and compared, never given back.

use grantry_core::ids::{SecretId, TeamId};
use grantry_core::limits::{LABEL_BYTES_MAX, SECRET_BYTES_MAX};
use grantry_core::nouns::{Event, EventKind, NamedSecret, Sealed};
use grantry_core::store::Page;
use grantry_core::{Error, Problem, Result, Secret, StoreError, Timestamp};
use grantry_vault::envelope::Place;

use crate::lists::cut;
use crate::permissions::Act;
use crate::tenancy::changed;
use crate::{Caller, CursorPage, Engine};

/// A secret as those may know of it who manage secrets: without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSecret {
    /// Its id.
    pub id: SecretId,
    /// What it is called.
    pub name: String,
    /// When it was given.
    pub created_at: Timestamp,
    /// It belongs to a connector or an MCP server and goes with that.
    pub managed: bool,
}

impl From<NamedSecret> for KeptSecret {
    fn from(secret: NamedSecret) -> Self {
        Self {
            id: secret.id,
            name: secret.label.unwrap_or(secret.name),
            created_at: secret.created_at,
            managed: secret.owner.is_some(),
        }
    }
}

fn refuse_owned(secret: &NamedSecret) -> Result<()> {
    match &secret.owner {
        None => Ok(()),
        Some(owner) => Err(Error::conflict(format!(
            "this secret belongs to the MCP server {owner} and goes with it"
        ))),
    }
}

fn place<'a>(team: &'a TeamId, id: &'a SecretId) -> Place<'a> {
    Place {
        team: team.as_str(),
        table: "secrets",
        row: id.as_str(),
        field: "value",
    }
}

impl Engine {
    /// The team's secrets, newest first, without their values.
    pub async fn secrets(&self, caller: &Caller, page: &Page) -> Result<CursorPage<NamedSecret>> {
        caller.require(Act::ManageSecrets)?;
        let rows = self.ports.store.secrets(&caller.team, page).await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One secret, by id or name, without its value.
    pub async fn secret(&self, caller: &Caller, id_or_name: &str) -> Result<NamedSecret> {
        caller.require(Act::ManageSecrets)?;
        let found = self.ports.store.secret(&caller.team, id_or_name).await?;
        found.ok_or(Error::NotFound("secret"))
    }

    /// Stores a value under a name. [`Error::Conflict`] for a name in use.
    pub async fn create_secret(
        &self,
        caller: &Caller,
        name: &str,
        value: &Secret,
    ) -> Result<NamedSecret> {
        caller.require(Act::ManageSecrets)?;
        check(Some(name), Some(value))?;
        let now = self.now();
        let id = SecretId::mint(now, self.entropy());
        let secret = NamedSecret {
            value: self.seal_value(&caller.team, &id, value).await?,
            id,
            team: caller.team.clone(),
            name: name.to_owned(),
            label: None,
            owner: None,
            created_at: now,
            updated_at: now,
        };
        self.put(caller, &secret, true).await?;
        Ok(secret)
    }

    /// The same where names need not be unique: of several of one name the later ones keep it as their label.
    pub async fn create_labelled_secret(
        &self,
        caller: &Caller,
        label: &str,
        value: &Secret,
    ) -> Result<NamedSecret> {
        let taken = match self.create_secret(caller, label, value).await {
            Err(Error::Conflict { .. }) => self.now(),
            made => return made,
        };
        let id = SecretId::mint(taken, self.entropy());
        let secret = NamedSecret {
            value: self.seal_value(&caller.team, &id, value).await?,
            team: caller.team.clone(),
            // Shorter than any label and of nobody else.
            name: id.to_string(),
            label: Some(label.to_owned()),
            owner: None,
            created_at: taken,
            updated_at: taken,
            id,
        };
        self.put(caller, &secret, true).await?;
        Ok(secret)
    }

    /// What is known of the secret `id`, be it a person's own or one that belongs to a connector or an MCP server.
    pub async fn kept_secret(&self, caller: &Caller, id: &str) -> Result<KeptSecret> {
        caller.require(Act::ManageSecrets)?;
        let store = &self.ports.store;
        let found = store.secret(&caller.team, id).await?;
        if let Some(secret) = found.filter(|found| found.id.as_str() == id) {
            return Ok(secret.into());
        }
        let id = SecretId::from(id);
        let connector = store.connector_by_client_secret(&caller.team, &id).await?;
        let connector = connector.ok_or(Error::NotFound("secret"))?;
        let at = connector.client_secret.map(|secret| secret.at);
        Ok(KeptSecret {
            id,
            name: format!("Client secret of {}", connector.name),
            created_at: at.ok_or(Error::NotFound("secret"))?,
            managed: true,
        })
    }

    /// Deletes a person's own secret by its id. [`Error::Conflict`] for one that goes with what it belongs to.
    pub async fn delete_kept_secret(&self, caller: &Caller, id: &str) -> Result<()> {
        if self.kept_secret(caller, id).await?.managed {
            return Err(Error::conflict(
                "this secret belongs to a connection provider or an MCP server and goes with it",
            ));
        }
        self.delete_secret(caller, id).await
    }

    /// Gives a secret another name, another value, or both.
    pub async fn update_secret(
        &self,
        caller: &Caller,
        id_or_name: &str,
        name: Option<&str>,
        value: Option<&Secret>,
    ) -> Result<NamedSecret> {
        check(name, value)?;
        // The one it is now, whatever it is called by the time it is written.
        let found = self.secret(caller, id_or_name).await?;
        refuse_owned(&found)?;
        let id = found.id;
        let event = self.put_event(caller, &id, value.is_some());
        let update = async {
            let updated = changed!(
                old = self.stored_secret(caller, &id).await?,
                new = {
                    let mut new = old.clone();
                    if let Some(name) = name {
                        name.clone_into(&mut new.name);
                    }
                    if let Some(value) = value {
                        new.value = self.seal_value(&caller.team, &id, value).await?;
                    }
                    if new != old {
                        new.updated_at = self.now();
                    }
                    new
                },
                self.ports.store.update_secret(&old, &new, &event)
            );
            Ok(updated)
        };
        let taken = StoreError::Taken("secret.name");
        update.await.map_err(|error| match name {
            Some(name) if error == taken.into() => name_taken(name),
            _ => error,
        })
    }

    async fn stored_secret(&self, caller: &Caller, id: &SecretId) -> Result<NamedSecret> {
        let found = self.secret(caller, id.as_str()).await?;
        Some(found)
            .filter(|found| found.id == *id)
            .ok_or(Error::NotFound("secret"))
    }

    /// Deletes a secret; its value is destroyed.
    pub async fn delete_secret(&self, caller: &Caller, id_or_name: &str) -> Result<()> {
        let secret = self.secret(caller, id_or_name).await?;
        refuse_owned(&secret)?;
        if let Some(server) = self.mcp_server_with(caller, &secret.id).await? {
            return Err(Error::conflict(format!(
                "the MCP server {} authorizes itself with this secret: give it another one first",
                server.id
            )));
        }
        let event = self
            .draft(EventKind::SecretDeleted, caller)
            .with("secret", secret.id.as_str())
            .done();
        let store = &self.ports.store;
        Ok(store
            .delete_secret(&caller.team, &secret.id, &event)
            .await?)
    }

    async fn put(&self, caller: &Caller, secret: &NamedSecret, value_changed: bool) -> Result<()> {
        let event = self.put_event(caller, &secret.id, value_changed);
        match self
            .ports
            .store
            .put_secret(secret, value_changed, &event)
            .await
        {
            Err(StoreError::Taken("secret.name")) => Err(name_taken(&secret.name)),
            put => {
                put?;
                Ok(())
            }
        }
    }

    fn put_event(&self, caller: &Caller, id: &SecretId, value_changed: bool) -> Event {
        self.draft(EventKind::SecretPut, caller)
            .with("secret", id.as_str())
            .with("value_changed", value_changed)
            .done()
    }

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

fn name_taken(name: &str) -> Error {
    Error::conflict(format!("name: {name} is already used by another secret"))
}

fn check(name: Option<&str>, value: Option<&Secret>) -> Result<()> {
    let mut problems = Vec::new();
    if name.is_some_and(|name| {
        name.is_empty() || name.len() > LABEL_BYTES_MAX || name.chars().any(char::is_control)
    }) {
        let message = format!("must be 1 to {LABEL_BYTES_MAX} bytes without control characters");
        problems.push(Problem::new("name", message));
    }
    if value.is_some_and(|value| value.is_empty() || value.expose().len() > SECRET_BYTES_MAX) {
        let message = format!("must be 1 to {SECRET_BYTES_MAX} bytes");
        problems.push(Problem::new("value", message));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}
