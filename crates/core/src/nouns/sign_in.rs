//! Sign-ins through a connector: what an application that is no user of ours asks of the gateway (reference/vercel-connect G1).

use serde::{Deserialize, Serialize};

use super::{Digest, Environment, HeldConsent, Sealed};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectionId, ConnectorId, ProjectId, SignInId, TeamId};

/// One sign-in: from the request that a browser brings, to the session that an application has of it.
#[derive(Clone)]
pub struct SignIn {
    /// Id; the `sub` of its access tokens.
    pub id: SignInId,
    /// Its team.
    pub team: TeamId,
    /// Through which connector.
    pub connector: ConnectorId,
    /// The consent at the provider that it asks for.
    pub authorization: AuthorizationId,
    /// What the application asked for.
    pub asked: AskedSignIn,
    /// What the provider says of the person; none before they came back from there.
    pub identity: Option<Sealed>,
    /// Whose session it is; none before the code was redeemed.
    pub session: Option<Session>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ends; moved on by each refresh.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
}

/// What the authorization request said (RFC 6749 §4.1.1), as far as it is needed afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedSignIn {
    /// How the application calls the connector: by its id, which is then the `aud` of its ID token, or by its uid, for which
    /// there is none.
    pub client_id: String,
    /// Where the browser goes back to.
    pub redirect_uri: String,
    /// Given back as it came.
    pub state: Option<String>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What was granted of the scopes asked for.
    pub scopes: Vec<String>,
    /// PKCE, by S256.
    pub challenge: String,
    /// How many seconds before the request the person may have shown the provider who they are, at most (OpenID Connect
    /// Core §3.1.2.1); as long as the provider likes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// Whose session a sign-in is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The project.
    pub project: ProjectId,
    /// Where it runs.
    pub environment: Environment,
    /// What the person connected by signing in.
    pub connection: ConnectionId,
}

/// A code or a refresh token: it works once.
#[derive(Clone, Debug, PartialEq)]
pub struct SignInGrant {
    /// Hash of it.
    pub hash: Digest,
    /// Of which sign-in.
    pub sign_in: SignInId,
    /// Its team.
    pub team: TeamId,
    /// It is a refresh token, and no code.
    pub refresh: bool,
    /// From when on it does not work.
    pub expires_at: Timestamp,
    /// When it was presented.
    pub used_at: Option<Timestamp>,
}

/// What a provider's answer to a sign-in brought.
pub struct SignedIn {
    /// The pair, until the code is redeemed.
    pub held: HeldConsent,
    /// What it says of the person.
    pub identity: Sealed,
    /// The application's code.
    pub code: SignInGrant,
}
