//! Model Context Protocol servers of a team. What authorizes us to one is a secret: one that is named, which stays
//! when the server goes, or one that the server owns, which goes with it.

use grantry_core::ids::{McpServerId, SecretId};
use grantry_core::limits::{MCP_AUTHORIZATION_BYTES_MAX, MCP_SERVERS_MAX};
use grantry_core::nouns::{EventKind, McpServer, NamedSecret};
use grantry_core::store::Page;
use grantry_core::{Error, Result, Secret, StoreError};
use serde_json::{Map, Value};

use crate::permissions::Act;
use crate::{Caller, Engine};

/// The member of a server's data that names its secret.
const SECRET: &str = "authorization_secret_id";

/// How often a change starts again because another one came between.
const TRIES: u32 = 3;

/// What a server is authorized with.
#[derive(Default)]
pub enum Authorization {
    /// What it was.
    #[default]
    Same,
    /// Nothing.
    None,
    /// This header, kept in a secret that the server owns.
    Header(Secret),
    /// The team's own secret of this id.
    Named(String),
}

/// What shall be other about a server. What is absent stays.
#[derive(Default)]
pub struct McpServerChange {
    /// For people.
    pub name: Option<String>,
    /// Where it is.
    pub base_url: Option<String>,
    /// These members of its data; `null` takes one away.
    pub data: Map<String, Value>,
    /// The header's value, or `None` to clear what authorizes. It goes before `authorization_secret_id`.
    pub authorization: Option<Option<Secret>>,
    /// The id of a secret of the team's own, or `None` to clear what authorizes.
    pub authorization_secret_id: Option<Option<String>>,
}

/// What a new server shall be: a change of nothing, with name and URL.
pub type NewMcpServer = McpServerChange;

impl McpServerChange {
    fn authorization(&mut self) -> Authorization {
        match (
            self.authorization.take(),
            self.authorization_secret_id.take(),
        ) {
            (Some(Some(header)), _) => Authorization::Header(header),
            (_, Some(Some(id))) => Authorization::Named(id),
            (Some(None), _) | (None, Some(None)) => Authorization::None,
            (None, None) => Authorization::Same,
        }
    }
}

impl Engine {
    /// The team's newest server that authorizes itself with the secret.
    pub(crate) async fn mcp_server_with(
        &self,
        caller: &Caller,
        secret: &SecretId,
    ) -> Result<Option<McpServer>> {
        let all = self.all_mcp_servers(caller).await?;
        let names = |server: &McpServer| {
            let named = server.data.get(SECRET);
            named.is_some_and(|named| named == secret.as_str())
        };
        Ok(all.into_iter().find(names))
    }

    /// All of the team's servers, newest first.
    pub async fn mcp_servers(&self, caller: &Caller) -> Result<Vec<McpServer>> {
        caller.require(Act::ReadLists)?;
        self.all_mcp_servers(caller).await
    }

    async fn all_mcp_servers(&self, caller: &Caller) -> Result<Vec<McpServer>> {
        let (mut page, mut all) = (Page::first(1000), Vec::new());
        loop {
            let rows = self.ports.store.mcp_servers(&caller.team, &page).await?;
            let more = rows.len() > page.limit as usize;
            all.extend(rows.into_iter().take(page.limit as usize));
            match all.last().filter(|_| more) {
                Some(McpServer { created_at, id, .. }) => {
                    page.after = Some((created_at.0.to_string(), id.to_string()));
                }
                None => return Ok(all),
            }
        }
    }

    /// One server.
    pub async fn mcp_server(&self, caller: &Caller, id: &McpServerId) -> Result<McpServer> {
        caller.require(Act::ReadLists)?;
        let found = self.ports.store.mcp_server(&caller.team, id).await?;
        found.ok_or(Error::NotFound("mcp_server"))
    }

    /// Makes a server. [`Error::Conflict`] when the team has [`MCP_SERVERS_MAX`] already.
    pub async fn create_mcp_server(
        &self,
        caller: &Caller,
        mut new: NewMcpServer,
    ) -> Result<McpServer> {
        caller.require(Act::ManageSecrets)?;
        let now = self.now();
        let mut server = McpServer {
            id: McpServerId::mint(now, self.entropy()),
            team: caller.team.clone(),
            name: String::new(),
            base_url: String::new(),
            data: Map::new(),
            created_at: now,
            updated_at: now,
        };
        let authorization = new.authorization();
        let (secret, _) = self
            .changed_server(caller, &mut server, &new, &authorization)
            .await?;
        let event = self
            .draft(EventKind::McpServerPut, caller)
            .with("mcp_server", server.id.as_str())
            .done();
        let made = self
            .ports
            .store
            .create_mcp_server(&server, secret.as_ref(), MCP_SERVERS_MAX, &event)
            .await;
        match made {
            Err(StoreError::InUse(_)) => Err(Error::conflict(format!(
                "a team has at most {MCP_SERVERS_MAX} MCP servers"
            ))),
            made => {
                made?;
                Ok(server)
            }
        }
    }

    /// Changes a server.
    pub async fn update_mcp_server(
        &self,
        caller: &Caller,
        id: &McpServerId,
        mut change: McpServerChange,
    ) -> Result<McpServer> {
        caller.require(Act::ManageSecrets)?;
        let authorization = change.authorization();
        for _ in 0..TRIES {
            let old = self.mcp_server(caller, id).await?;
            let mut new = old.clone();
            let (secret, drops) = self
                .changed_server(caller, &mut new, &change, &authorization)
                .await?;
            if new == old && secret.is_none() {
                return Ok(old);
            }
            new.updated_at = self.now();
            let event = self
                .draft(EventKind::McpServerPut, caller)
                .with("mcp_server", id.as_str())
                .done();
            let store = &self.ports.store;
            let changed = store.change_mcp_server(&old, &new, secret.as_ref(), drops, &event);
            match changed.await {
                Err(StoreError::Missing(_)) => {}
                changed => {
                    changed?;
                    return Ok(new);
                }
            }
        }
        Err(Error::busy(
            "the MCP server is being changed by others: try again",
        ))
    }

    /// Deletes a server, and the secret that it owns.
    pub async fn delete_mcp_server(&self, caller: &Caller, id: &McpServerId) -> Result<()> {
        caller.require(Act::ManageSecrets)?;
        let event = self
            .draft(EventKind::McpServerDeleted, caller)
            .with("mcp_server", id.as_str())
            .done();
        let store = &self.ports.store;
        Ok(store.delete_mcp_server(&caller.team, id, &event).await?)
    }

    /// Makes `server` what `change` says. Gives the secret that it owns from now on, if that is a new one, and whether
    /// it owns no other.
    async fn changed_server(
        &self,
        caller: &Caller,
        server: &mut McpServer,
        change: &McpServerChange,
        authorization: &Authorization,
    ) -> Result<(Option<NamedSecret>, bool)> {
        let text = |new: &Option<String>, old: &mut String| {
            if let Some(new) = new {
                old.clone_from(new);
            }
        };
        text(&change.name, &mut server.name);
        text(&change.base_url, &mut server.base_url);
        for (name, value) in &change.data {
            match value {
                Value::Null => server.data.remove(name),
                value => server.data.insert(name.clone(), value.clone()),
            };
        }
        let (secret, drops) = match authorization {
            Authorization::Same => (None, false),
            Authorization::None => {
                server.data.remove(SECRET);
                (None, true)
            }
            Authorization::Named(id) => {
                let found = self.ports.store.secret(&caller.team, id).await?;
                let found = found.filter(|found| {
                    let ours = found.owner.as_ref().is_none_or(|owner| *owner == server.id);
                    found.id.as_str() == id && ours
                });
                if found.is_none() {
                    return Err(Error::invalid(SECRET, "is not a secret of this teamspace"));
                }
                let same = server.data.insert(SECRET.to_owned(), id.as_str().into());
                (None, same.is_none_or(|old| old != *id))
            }
            Authorization::Header(header) => {
                if header.expose().len() > MCP_AUTHORIZATION_BYTES_MAX {
                    let message = format!("must be at most {MCP_AUTHORIZATION_BYTES_MAX} bytes");
                    return Err(Error::invalid("authorization", message));
                }
                let secret = self.owned_secret(caller, server, header).await?;
                let id = secret.id.as_str();
                server.data.insert(SECRET.to_owned(), id.into());
                (Some(secret), true)
            }
        };
        Ok((secret, drops))
    }

    async fn owned_secret(
        &self,
        caller: &Caller,
        server: &McpServer,
        value: &Secret,
    ) -> Result<NamedSecret> {
        let now = self.now();
        let id = SecretId::mint(now, self.entropy());
        Ok(NamedSecret {
            value: self.seal_value(&caller.team, &id, value).await?,
            team: caller.team.clone(),
            name: id.to_string(),
            label: Some(format!("Authorization of {}", server.name)),
            owner: Some(server.id.clone()),
            created_at: now,
            updated_at: now,
            id,
        })
    }
}
