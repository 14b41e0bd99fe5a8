//! Sign-ins, their codes and refresh tokens.

use async_trait::async_trait;

use super::Stored;
use crate::Timestamp;
use crate::ids::{AuthorizationId, SignInId, TeamId};
use crate::nouns::{
    Authorization, Connection, Connector, Digest, Event, Flow, SignIn, SignInGrant, SignedIn,
    TokenSet,
};

/// Rows of sign-ins through a connector.
#[async_trait]
pub trait SignInStore: Send + Sync + 'static {
    /// Live connectors of all teams that are called so by uid, `limit` at most: who signs in names no team, and an
    /// application need not. What strangers learn of it is whether there is one.
    async fn connectors_called(&self, uid: &str, limit: u32) -> Stored<Vec<Connector>>;

    /// Stores a sign-in with the consent that it asks for and the flow that asks for it. No event: anybody may begin one,
    /// and what nobody answers leaves nothing behind ([`SignInStore::drop_unredeemed_sign_ins`]). `Missing("connector")`.
    async fn start_sign_in(
        &self,
        sign_in: &SignIn,
        authorization: &Authorization,
        flow: &Flow,
    ) -> Stored<()>;

    /// The sign-in of a consent, whose id is the proof.
    async fn sign_in_of(&self, authorization: &AuthorizationId) -> Stored<Option<SignIn>>;

    /// One sign-in.
    async fn sign_in(&self, team: &TeamId, id: &SignInId) -> Stored<Option<SignIn>>;

    /// One whose session works at `at`: it is neither ended nor over, and what it rests on stands. That is a connection
    /// that is not revoked, and a link of its connector to its project, in its environment.
    async fn session(&self, team: &TeamId, id: &SignInId, at: Timestamp) -> Stored<Option<SignIn>>;

    /// Keeps what came back from the provider until the code is redeemed, as [`super::ConnectStore::hold_consent`] does.
    /// `Missing("authorization")`, `Missing("connector")`.
    async fn answer_sign_in(&self, answer: &SignedIn, event: &Event) -> Stored<()>;

    /// A code or refresh token by its hash, used or not: it is its own proof.
    async fn sign_in_grant(&self, hash: &Digest) -> Stored<Option<SignInGrant>>;

    /// Redeems a code: the consent becomes the connection, `sign_in` has its session, and the refresh token, if one is
    /// given, works from now on. Exactly one call succeeds: `Missing("grant")` for a code that is used, over, or of an ended
    /// sign-in; else as [`super::ConnectStore::confirm_consent`].
    async fn redeem_code(
        &self,
        code: &Digest,
        sign_in: &SignIn,
        refresh: Option<&SignInGrant>,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Stored<()>;

    /// Replaces a refresh token by `next`, which moves the sign-in's end. Exactly one call succeeds; `Missing("grant")` as
    /// for a code, and for a session that does not work any more ([`SignInStore::session`]).
    async fn rotate_refresh(
        &self,
        presented: &Digest,
        next: &SignInGrant,
        event: &Event,
    ) -> Stored<()>;

    /// Ends a sign-in: nothing of it works any more. Whether it was not over before.
    async fn end_sign_in(
        &self,
        team: &TeamId,
        id: &SignInId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<bool>;

    /// Ends those sessions that are over, or that have lost what they rest on ([`SignInStore::session`]), among the next
    /// `limit` by id behind `after` whose people are known, and drops what is known of those. The last that it looked at;
    /// `None` once there are no more.
    ///
    /// What ended a connection, a link or a project has its event; these have none of their own.
    async fn end_lost_sign_ins(
        &self,
        now: Timestamp,
        after: Option<&SignInId>,
        limit: u32,
    ) -> Stored<Option<SignInId>>;

    /// Drops sign-ins that nobody redeemed and whose time ended before `before`, with all that was stored when they began;
    /// how many of the `limit` that one call drops at most.
    async fn drop_unredeemed_sign_ins(&self, before: Timestamp, limit: u32) -> Stored<u64>;
}
