//! Words of the core that several answers hold. They are spelled here once more, so that the document can
//! tell of them; each is made by a `match` that does not compile when the core has a word more.

use grantry_core::nouns;
use serde::Serialize;
use utoipa::ToSchema;

/// Who did something.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor<'a> {
    /// The operator, over the control socket or a server-level key.
    Server,
    /// A key that belongs to no person.
    Key {
        /// Key id.
        id: &'a str,
    },
    /// A person, through a key of theirs.
    User {
        /// User id.
        id: &'a str,
    },
    /// A workload.
    Project {
        /// Project id.
        id: &'a str,
        /// Where it runs.
        environment: &'a str,
        /// Who it is at the issuer of its token, where that is not this server.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        identity: Option<OutsideIdentity<'a>>,
    },
    /// The end user in front of the consent page.
    EndUser,
    /// Grantry itself: sweeps, keep-alive, retries.
    System,
}

impl<'a> From<&'a nouns::Actor> for Actor<'a> {
    fn from(actor: &'a nouns::Actor) -> Self {
        match actor {
            nouns::Actor::Server => Self::Server,
            nouns::Actor::Key { id } => Self::Key { id },
            nouns::Actor::User { id } => Self::User { id },
            nouns::Actor::Project {
                id,
                environment,
                identity,
            } => Self::Project {
                id,
                environment: environment.as_str(),
                identity: identity.as_ref().map(OutsideIdentity::from),
            },
            nouns::Actor::EndUser => Self::EndUser,
            nouns::Actor::System => Self::System,
        }
    }
}

/// Whom an outside issuer's token names.
#[derive(Serialize, ToSchema)]
pub struct OutsideIdentity<'a> {
    /// `iss`
    issuer: &'a str,
    /// `sub`
    subject: &'a str,
}

impl<'a> From<&'a nouns::OutsideIdentity> for OutsideIdentity<'a> {
    fn from(identity: &'a nouns::OutsideIdentity) -> Self {
        Self {
            issuer: &identity.issuer,
            subject: &identity.subject,
        }
    }
}

/// Whose token it is.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Subject<'a> {
    /// The application itself.
    App,
    /// A person of the application's.
    User {
        /// The application's own name for them.
        id: &'a str,
        /// Tells apart users of several identity providers.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        issuer: Option<&'a str>,
    },
    /// Whom the connector speaks for, in an assertion that it signs.
    #[serde(rename = "jwt-bearer")]
    JwtBearer {
        /// `null` where the connector says whom.
        sub: Option<&'a str>,
        /// `null` where the connector says it.
        iss: Option<&'a str>,
        /// `null` where the connector says it.
        aud: Option<&'a str>,
    },
    /// Whom a token named that was exchanged.
    Token,
    /// One of many connections of a connector.
    Connection {
        /// Connection id.
        id: &'a str,
    },
}

impl<'a> From<&'a nouns::Subject> for Subject<'a> {
    fn from(subject: &'a nouns::Subject) -> Self {
        match subject {
            nouns::Subject::App => Self::App,
            nouns::Subject::User { id, issuer } => Self::User {
                id,
                issuer: issuer.as_deref(),
            },
            nouns::Subject::JwtBearer { sub, iss, aud, .. } => Self::JwtBearer {
                sub: sub.as_deref(),
                iss: iss.as_deref(),
                aud: aud.as_deref(),
            },
            nouns::Subject::Token => Self::Token,
            nouns::Subject::Connection { id } => Self::Connection { id },
        }
    }
}

/// How far a consent has come.
#[derive(Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Progress<'a> {
    /// Nobody has consented yet.
    Pending,
    /// The user has consented; the requester has yet to confirm it.
    Unconfirmed,
    /// A connection was stored.
    Success {
        /// Its id.
        connection: &'a str,
    },
    /// The provider or the exchange failed.
    Error {
        /// A fixed word or a registered OAuth error code.
        code: &'a str,
    },
    /// The user said no.
    Canceled,
}

impl<'a> From<&'a nouns::AuthorizationState> for Progress<'a> {
    fn from(state: &'a nouns::AuthorizationState) -> Self {
        match state {
            nouns::AuthorizationState::Pending => Self::Pending,
            nouns::AuthorizationState::Unconfirmed => Self::Unconfirmed,
            nouns::AuthorizationState::Success { connection } => Self::Success {
                connection: connection.as_str(),
            },
            nouns::AuthorizationState::Error { code } => Self::Error { code },
            nouns::AuthorizationState::Canceled => Self::Canceled,
        }
    }
}

/// What a key or a member may do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Admin, and manages members.
    Owner,
    /// Everything in the team.
    Admin,
    /// Their own connections, and lists.
    Member,
    /// Tokens, and nothing else.
    TokenOnly,
}

impl From<nouns::Role> for Role {
    fn from(role: nouns::Role) -> Self {
        match role {
            nouns::Role::Owner => Self::Owner,
            nouns::Role::Admin => Self::Admin,
            nouns::Role::Member => Self::Member,
            nouns::Role::TokenOnly => Self::TokenOnly,
        }
    }
}

/// How far a key reaches.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyLevel {
    /// Everything, across accounts.
    Server,
    /// Every team of an account.
    Account,
    /// One team, or one project of it.
    Team,
}

impl From<nouns::KeyLevel> for KeyLevel {
    fn from(level: nouns::KeyLevel) -> Self {
        match level {
            nouns::KeyLevel::Server => Self::Server,
            nouns::KeyLevel::Account => Self::Account,
            nouns::KeyLevel::Team => Self::Team,
        }
    }
}

/// What a team's webhooks are signed with.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecret<'a> {
    /// `whsec_…`, as the libraries of Standard Webhooks take it.
    secret: &'a str,
    /// When it was made.
    created_at: String,
    /// Until when the one before signs along.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_until: Option<String>,
}

impl<'a> WebhookSecret<'a> {
    /// The one place where it is exposed.
    pub fn of(row: &nouns::WebhookSecret, secret: &'a grantry_core::Secret) -> Self {
        Self {
            secret: secret.expose(),
            created_at: row.made_at.to_string(),
            previous_until: row.previous_until.map(|until| until.to_string()),
        }
    }
}
