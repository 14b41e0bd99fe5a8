//! Many declared rows in one write.
//!
//! A write is data, so a batch is its rows' own writes one after the other: the methods that make
//! them run on a backend that only takes them down.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use grantry_core::StoreError;
use grantry_core::nouns::Event;
use grantry_core::store::{
    BatchStore, BelongingStore, ConnectionStore, ConnectorStore, KeyStore, Put, Stored,
    TenancyStore,
};

use crate::Db;
use crate::backend::{Backend, Done, Query, Row, Statement, Write};
use crate::connections::STANDS;
use crate::connectors::link_write;
use crate::db::UNCHANGED;
use crate::migrate::Migrations;

/// Takes writes down and says that each did what it expects.
#[derive(Default)]
struct Draft(Mutex<Write>);

impl Backend for Draft {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: "",
        list: &[],
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let done = vec![Done::default(); write.len()];
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(write);
        Ok(done)
    }

    async fn read(&self, _: Query) -> Stored<Vec<Row>> {
        Err(StoreError::Unavailable)
    }
}

impl Db<Draft> {
    async fn put(&self, put: &Put, event: &Event) -> Stored<()> {
        match put {
            Put::Account(row) => self.put_account(row, event).await.map(drop),
            Put::Team(row) => self.put_team(row, event).await.map(drop),
            Put::User(row) => self.put_user(row, event).await.map(drop),
            Put::Membership(row) => self.put_membership(row, event).await.map(drop),
            Put::Project(row) => self.put_project(row, event).await.map(drop),
            Put::Service(row) => self.put_service(row, event).await.map(drop),
            Put::Key(row) => self.put_key(row, event).await.map(drop),
            Put::Secret(row, value) => self.put_secret(row, *value, event).await.map(drop),
            Put::Connector(row, declared) => {
                self.put_connector(row, *declared, event).await.map(drop)
            }
            Put::Link(row) => self.run(link_write(row, event)).await,
            Put::Connection(row, set) => {
                let sets = std::slice::from_ref(set);
                self.import_connection(row, sets, event).await.map(drop)
            }
            Put::McpServer(row) => self.put_mcp_server(row, event).await.map(drop),
            Put::Invite(row) => self.put_invite(row, event).await.map(drop),
        }
    }
}

#[async_trait]
impl<B: Backend> BatchStore for Db<B> {
    async fn put_all(&self, puts: &[(Put, Event)]) -> Stored<()> {
        let draft = Db::new(Draft::default());
        for (put, event) in puts {
            draft.put(put, event).await?;
        }
        let taken = draft.backend.0.into_inner();
        let write = without_repeated_guards(taken.unwrap_or_else(PoisonError::into_inner));
        match self.run(write).await {
            Err(error) if error == STANDS => Err(UNCHANGED),
            done => done,
        }
    }
}

/// Nothing that a put does makes a guard fail that held before it, so each needs to hold once: that
/// the team is there, that the connector is.
fn without_repeated_guards(write: Write) -> Write {
    let mut seen: Vec<Statement> = Vec::new();
    write
        .into_iter()
        .filter(|statement| {
            if !statement.is_guard {
                return true;
            }
            let is_new = !seen.contains(statement);
            if is_new {
                seen.push(statement.clone());
            }
            is_new
        })
        .collect()
}
