//! API keys.

use async_trait::async_trait;
use grantry_core::ids::KeyId;
use grantry_core::nouns::{Digest, Event, Key};
use grantry_core::store::{ChangeKind, KeyFilter, KeyOwner, KeyStore, Page, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Query, Statement, Write};
use crate::db::{UNCHANGED, by_time};
use crate::rows::{Upsert, change, insert, params, replace, select};
use crate::tenancy::{account_exists, team_exists};

const MISSING: StoreError = StoreError::Missing("key");

/// Keeps only rows of `owner`.
fn and_owner(query: &mut Query, owner: &KeyOwner) {
    match owner {
        KeyOwner::Server => query.push(" AND level = 'server' AND team IS NULL", vec![]),
        KeyOwner::Account(account) => query.push(
            " AND level = 'account' AND account = {} AND team IS NULL",
            params![account],
        ),
        KeyOwner::Team(team) => query.push(" AND team = {}", params![team]),
    }
}

/// Ends the live keys that `condition` finds, whose `?1` is `at` and whose further parameters are `of`; the
/// caches are told first, while they can still be found.
pub(crate) fn revoke_keys(
    condition: &str,
    at: Timestamp,
    of: Vec<crate::backend::Value>,
) -> [Statement; 2] {
    let mut told = params![ChangeKind::Key];
    told.extend(of.clone());
    let mut ended = params![at];
    ended.extend(of);
    [
        Statement::new(
            format!(
                "INSERT INTO changes (kind, key, at) SELECT ?1, hash, now_us() FROM keys
                 WHERE {condition} AND revoked_at IS NULL"
            ),
            told,
        ),
        Statement::new(
            format!("UPDATE keys SET revoked_at = ?1 WHERE {condition} AND revoked_at IS NULL"),
            ended,
        ),
    ]
}

#[async_trait]
impl<B: Backend> KeyStore for Db<B> {
    async fn put_key(&self, key: &Key, event: &Event) -> Stored<bool> {
        let upsert = Upsert {
            key: "hash",
            kept: &["id", "created_at"],
            quiet: &[],
        };
        let mut write: Write = Vec::new();
        write.extend(key.account.as_ref().map(account_exists));
        write.extend(key.team.as_ref().map(team_exists));
        write.extend([
            upsert.of(key).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::Key, &key.hash),
        ]);
        self.run_unless(UNCHANGED, write).await
    }

    async fn key_by_hash(&self, hash: &Digest) -> Stored<Option<Key>> {
        self.first(select::<Key>("WHERE hash = ?1", params![hash]))
            .await
    }

    async fn key(&self, owner: &KeyOwner, id: &KeyId) -> Stored<Option<Key>> {
        let mut query = select::<Key>("WHERE id = ?1", params![id]);
        and_owner(&mut query, owner);
        self.first(query).await
    }

    async fn keys(&self, owner: &KeyOwner, filter: &KeyFilter, page: &Page) -> Stored<Vec<Key>> {
        let mut query = select::<Key>("WHERE 1 = 1", vec![]);
        and_owner(&mut query, owner);
        if let Some(user) = &filter.user {
            query.push(" AND user_id = {}", params![user]);
        }
        if let Some(project) = &filter.project {
            query.push(" AND project = {}", params![project]);
        }
        if !filter.include_revoked {
            query.push(" AND revoked_at IS NULL", vec![]);
        }
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn update_key(&self, old: &Key, new: &Key, event: &Event) -> Stored<()> {
        let write = vec![
            replace(old, new).one_or(MISSING),
            insert(event),
            change(ChangeKind::Key, &new.hash),
        ];
        self.run(write).await
    }

    async fn revoke_key(
        &self,
        owner: &KeyOwner,
        id: &KeyId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let mut revoke = Query::new(
            "UPDATE keys SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL",
            params![at, id],
        );
        and_owner(&mut revoke, owner);
        self.run(vec![
            Statement::from(revoke).one_or(MISSING),
            insert(event),
            Statement::new(
                "INSERT INTO changes (kind, key, at) SELECT ?2, hash, now_us() FROM keys WHERE id = ?1",
                params![id, ChangeKind::Key],
            ),
        ])
        .await
    }
}
