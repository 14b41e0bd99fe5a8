//! Many grants of one connector taken in at once (reference/vercel-connect D2).

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::nouns::{Connection, Environment, Grant};
use grantry_core::{Error, Problem, Result};
use grantry_vault::hash::constant_time_eq;

use crate::connectors::{Entry, install_page, servers_of};
use crate::lists::Import;
use crate::permissions::Act;
use crate::tokens::{Half, main_set};
use crate::{Caller, Engine, NewInstallation, NewPair};

/// A grant of a list.
pub struct NewGrant {
    /// What it is for.
    pub token: crate::AskToken,
    /// For people.
    pub name: Option<String>,
    /// The account at the provider.
    pub external_subject: Option<String>,
    /// The tenant that its installation is in, where that is to be known by a name.
    pub installation: Option<NewInstallation>,
    /// The tokens.
    pub pair: NewPair,
}

/// What became of a grant of a list.
pub struct Imported {
    /// Its live connection.
    pub connection: Connection,
    /// It was made by this call.
    pub new: bool,
    /// The token that was given is the one that is stored, be it from now or from before.
    pub stored: bool,
}

impl Engine {
    /// Takes in grants that exist already, each as [`Engine::import_connection`] does: one that stands keeps its
    /// tokens. Nothing is stored unless all of them are in order; the same list again changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field, from `tokens[i]` down.
    pub async fn import_grants(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        grants: Vec<NewGrant>,
    ) -> Result<Vec<Imported>> {
        caller.require(Act::ImportConnections)?;
        let entry = self.live_connector(caller, connector).await?;
        let imports = self.checked_grants(caller, &entry, grants).await?;
        let mut imported = Vec::with_capacity(imports.len());
        for (import, installation) in imports {
            if let Some(installation) = installation {
                self.know_installation(caller, &entry, installation).await?;
            }
            imported.push(self.import_grant(caller, import).await?);
        }
        Ok(imported)
    }

    async fn checked_grants(
        &self,
        caller: &Caller,
        entry: &Entry,
        grants: Vec<NewGrant>,
    ) -> Result<Vec<(Import, Option<NewInstallation>)>> {
        let mut problems = Vec::new();
        let page = install_page(&entry.connector);
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut environments: HashMap<Environment, bool> = HashMap::new();
        let mut imports = Vec::with_capacity(grants.len());
        for (index, new) in grants.into_iter().enumerate() {
            let at = |field: &str| format!("tokens[{index}].{field}");
            let grant: Grant = match self.grant_of(&caller.as_server(), entry, new.token) {
                Ok(grant) => grant,
                Err(Error::Invalid(found)) => {
                    let placed = |found: Problem| Problem::new(at(&found.field), found.message);
                    problems.extend(found.into_iter().map(placed));
                    continue;
                }
                Err(Error::Unresolvable { reason }) => {
                    problems.push(Problem::new(at("subject"), reason));
                    continue;
                }
                Err(other) => return Err(other),
            };
            if !environments.contains_key(&grant.environment) {
                let known = match self.require_environment(caller, &grant.environment).await {
                    Ok(()) => true,
                    Err(Error::Invalid(_)) => false,
                    Err(other) => return Err(other),
                };
                environments.insert(grant.environment.clone(), known);
            }
            if environments.get(&grant.environment) == Some(&false) {
                let message =
                    "is neither built in nor a custom environment of one of the team's projects";
                problems.push(Problem::new(at("environment"), message));
            }
            if let Some(first) = seen.insert(grant.key(), index) {
                let message = format!("is the same grant as tokens[{first}]");
                problems.push(Problem::new(format!("tokens[{index}]"), message));
            }
            if let Some(installation) = &new.installation {
                let placed = |found: Problem| {
                    let field = match found.field.as_str() {
                        "external_id" => "id",
                        other => other,
                    };
                    Problem::new(at(&format!("installation.{field}")), found.message)
                };
                problems.extend(installation.problems(page).into_iter().map(placed));
            }
            let import = Import {
                id: None,
                grant,
                name: new.name,
                external_subject: new.external_subject,
                pair: NewPair {
                    servers: Some(servers_of(&entry.connector)),
                    ..new.pair
                },
            };
            imports.push((import, new.installation));
        }
        if problems.is_empty() {
            Ok(imports)
        } else {
            Err(Error::Invalid(problems))
        }
    }

    /// Has the installation that a grant is of, unless it is known.
    async fn know_installation(
        &self,
        caller: &Caller,
        entry: &Entry,
        installation: NewInstallation,
    ) -> Result<()> {
        let connector = entry.connector.id.as_str();
        match self
            .create_installation(caller, connector, installation)
            .await
        {
            Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn import_grant(&self, caller: &Caller, import: Import) -> Result<Imported> {
        let given = import.pair.access.clone();
        let (connection, set, event) = self.prepare_import(caller, import).await?;
        let store = &self.ports.store;
        if store.import_connection(&connection, &[set], &event).await? {
            return Ok(Imported {
                connection,
                new: true,
                stored: true,
            });
        }
        let standing = store.connection_by_grant(&caller.team, &connection.grant);
        let live = standing.await?.ok_or(Error::Unavailable)?;
        let set = main_set(&live)?;
        let kept = self
            .open_token(&caller.team, &set.id, Half::Access, &set.access)
            .await?;
        Ok(Imported {
            stored: constant_time_eq(kept.expose().as_bytes(), given.expose().as_bytes()),
            connection: live.connection,
            new: false,
        })
    }
}
