//! Requests that may be repeated.

use async_trait::async_trait;
use grantry_core::nouns::{KeyedRequest, Sealed};
use grantry_core::store::{RepeatStore, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Statement};
use crate::rows::{insert, params, select};

#[async_trait]
impl<B: Backend> RepeatStore for Db<B> {
    async fn reserve_request(&self, request: &KeyedRequest) -> Stored<Option<KeyedRequest>> {
        let id = &request.id;
        let expired = "DELETE FROM keyed_requests WHERE id = ?1 AND expires_at <= ?2";
        let mut reserve = insert(request).query;
        reserve.push(" ON CONFLICT (id) DO NOTHING", vec![]);
        let standing = select::<KeyedRequest>("WHERE id = ?1", params![id]);
        let write = vec![
            Statement::new(expired, params![id, request.created_at]),
            reserve.into(),
            Statement::from(standing).one_or(StoreError::Missing("keyed_request")),
        ];
        let done = self.backend.write(write).await?;
        if done.get(1).is_some_and(|reserved| reserved.count == 1) {
            return Ok(None);
        }
        Self::returned(done.last()).map(Some)
    }

    async fn answer_request(&self, reserved: &KeyedRequest, answer: &Sealed) -> Stored<()> {
        let write = Statement::new(
            "UPDATE keyed_requests SET answer = ?3 WHERE id = ?1 AND created_at = ?2 AND answer IS NULL",
            params![&reserved.id, reserved.created_at, answer],
        );
        let missing = StoreError::Missing("keyed_request");
        self.run(vec![write.one_or(missing)]).await
    }

    async fn release_request(&self, reserved: &KeyedRequest) -> Stored<()> {
        let write = Statement::new(
            "DELETE FROM keyed_requests WHERE id = ?1 AND created_at = ?2 AND answer IS NULL",
            params![&reserved.id, reserved.created_at],
        );
        self.run(vec![write]).await
    }

    async fn sweep_requests(&self, now: Timestamp, limit: u32) -> Stored<u64> {
        let write = Statement::new(
            "DELETE FROM keyed_requests WHERE id IN
             (SELECT id FROM keyed_requests WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            params![now, limit],
        );
        let done = self.backend.write(vec![write]).await?;
        let gone = done.iter().map(|done| done.count).sum::<usize>();
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}
