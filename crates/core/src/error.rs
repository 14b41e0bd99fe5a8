//! The closed error type. Every dialect answers every variant (an exhaustive match in each
//! `dialects/*/error.rs`), so a new variant does not compile until each API has a shape for it.

use std::borrow::Cow;
use std::time::Duration;

use crate::Timestamp;
use crate::limits::Bound;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, as a caller may see it. No variant carries a secret or a source:
/// causes are logged where they happen, once.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No credential, or one that is unknown, malformed, expired or revoked. One answer for all of these.
    #[error("the request carries no valid credential")]
    Unauthenticated,
    /// The caller may know of the thing but not do this with it.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// The thing does not exist, or the caller must not learn that it does (404 hides existence).
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Deleted, and the caller's own team owned it.
    #[error("{0} has been deleted")]
    Gone(&'static str),
    /// A unique value is taken, or the row changed under the caller.
    #[error("{message}")]
    Conflict {
        /// Which thing or field clashes, for people.
        message: String,
        /// Whether the same request may be taken a moment later, with nothing changed by the caller.
        passing: bool,
    },
    /// One or more fields are wrong. Nothing was written.
    #[error("{}", summary(.0))]
    Invalid(Vec<Problem>),
    /// The body could not be read as what the endpoint takes.
    #[error("{0}")]
    Body(Body),
    /// The path exists, but not with this method.
    #[error("this path does not take that method")]
    MethodNotAllowed,
    /// The subject has to connect (again) before a token can be served.
    #[error("the subject has not connected this account")]
    AuthorizationRequired(Box<Reconnect>),
    /// The connector has to be installed in a provider tenant first.
    #[error("the connector is not installed")]
    InstallationRequired(Box<Reconnect>),
    /// The connector cannot produce a token for this kind of subject or these parameters.
    #[error("{reason}")]
    Unresolvable {
        /// What about the request cannot be served, for people.
        reason: String,
    },
    /// An outgoing request was refused by policy (requirement 64: one code for all reasons).
    #[error("the destination is not allowed")]
    DestinationRefused,
    /// The provider did not give a usable answer; nothing stored was changed.
    #[error("the provider did not give a usable answer ({code})")]
    Provider {
        /// A fixed word of ours or a registered OAuth error code; never the provider's text.
        code: &'static str,
        /// True when the answer did not come in time (504 rather than 502 where a dialect tells them apart).
        timeout: bool,
        /// When another try makes sense.
        retry_after: Option<Duration>,
    },
    /// The provider refuses the connector itself (`invalid_client`): its owner must mend its credentials.
    #[error("the provider refuses this connector's client credentials")]
    ConnectorFault,
    /// Too many requests.
    #[error("rate limit exceeded: {limit} per {}", humanize(.window))]
    RateLimited {
        /// Requests allowed per window.
        limit: u32,
        /// Length of the window.
        window: Duration,
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// As much of this as the caller may have at work at once is at work.
    #[error("{what} are limited to {limit} at once: try again when one has ended")]
    Busy {
        /// Of what, in the plural.
        what: &'static str,
        /// How much.
        limit: Bound,
    },
    /// The server cannot do this now (store down, keys unreadable, shutting down). Safe to repeat.
    #[error("temporarily unavailable")]
    Unavailable,
    /// There is no room left to write; nothing was changed. Reads go on, and writes when there is room again
    /// (requirement 95).
    #[error("the server's disk is full: nothing can be stored until there is room")]
    Full,
    /// A defect of ours, or data that fails its integrity check. The detail is in the log only.
    #[error("internal error")]
    Internal,
}

/// Reasons for [`Error::Forbidden`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// A workload asks for a connector that its project has no link to. The words are on the wire:
    /// clients match on them (reference/vercel-connect §1).
    #[error("The connector is not linked to this project.")]
    NotLinked,
    /// The link exists, without the caller's environment.
    #[error("The connector is not enabled for this environment.")]
    EnvironmentNotEnabled,
    /// A workload that may use the connector names another environment than its own. On the wire as the
    /// one before.
    #[error("The connector is not enabled for this environment.")]
    OtherEnvironment,
    /// A person's key asks for somebody else's token.
    #[error("Token subject is not accessible to this requester.")]
    SubjectNotAccessible,
    /// A workload wants to make a connector, and its project may not. The words are on the wire.
    #[error("Project OIDC connector provisioning is not allowed.")]
    Provisioning,
    /// The caller's role does not include this act.
    #[error("You do not have permission to do this.")]
    Role,
}

/// What to do when a subject has to connect (again).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Why: no connection was ever made, or what ended the last one.
    pub reason: ReconnectReason,
    /// A consent link, where one was minted with the answer.
    pub url: Option<String>,
    /// When the link stops working.
    pub expires_at: Option<Timestamp>,
}

/// Why a subject has to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectReason {
    /// No connection matches the request.
    NeverConnected,
    /// Revoked by its owner or an admin.
    Revoked,
    /// The provider refused the refresh token.
    Rejected,
    /// A refresh reply was lost and the provider took the retry for reuse (design §6d).
    LostResponse,
    /// The access token ran out and there is no refresh token.
    Expired,
}

impl ReconnectReason {
    /// Stable word for events and APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverConnected => "never_connected",
            Self::Revoked => "revoked",
            Self::Rejected => "rejected",
            Self::LostResponse => "lost_response",
            Self::Expired => "expired",
        }
    }
}

/// Reasons for [`Error::Body`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Body {
    /// Larger than the limit.
    #[error("the request body is larger than {limit}")]
    TooLarge {
        /// The limit of this endpoint.
        limit: Bound,
    },
    /// Not the content type the endpoint takes.
    #[error("the content type must be {expected}")]
    MediaType {
        /// The content type that would be right.
        expected: &'static str,
    },
    /// Not well-formed.
    #[error("the request body is not valid {format}: {detail}")]
    Malformed {
        /// `JSON`, `TOML`, …
        format: &'static str,
        /// Where, in the parser's words; built from our own structure, never from field values.
        detail: String,
    },
}

/// One wrong field: what, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Path in the caller's own spelling: `data.clientId`, `environments[1]`. Empty for the whole body.
    pub field: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

impl Problem {
    /// A problem at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl Error {
    /// A single wrong field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem::new(field, message)])
    }

    /// The same, where an API shows a caller only what is theirs to see: what was there once, and a
    /// connector that a workload is not linked to, are as unknown as what never was.
    #[must_use]
    pub fn hiding(&self) -> Cow<'_, Self> {
        match self {
            Self::Gone(thing) => Cow::Owned(Self::NotFound(thing)),
            Self::Forbidden(Forbidden::NotLinked | Forbidden::EnvironmentNotEnabled) => {
                Cow::Owned(Self::NotFound("connector"))
            }
            error => Cow::Borrowed(error),
        }
    }

    /// A clash, in words.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict {
            message: message.into(),
            passing: false,
        }
    }

    /// A clash with something that is under way, in words.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::Conflict {
            message: message.into(),
            passing: true,
        }
    }
}

fn summary(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.field.as_str() {
        "" => problem.message.clone(),
        field => format!("{field}: {}", problem.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn humanize(window: &Duration) -> String {
    match window.as_secs() {
        60 => "minute".to_owned(),
        secs => format!("{secs} s"),
    }
}

/// The general answer to a failed store call, for callers that have no better one.
impl From<crate::StoreError> for Error {
    fn from(error: crate::StoreError) -> Self {
        match error {
            crate::StoreError::Taken(what) => Self::conflict(format!("{what} is taken")),
            crate::StoreError::Missing(what) => Self::NotFound(what),
            crate::StoreError::InUse(what) => Self::conflict(format!("{what} stands in the way")),
            crate::StoreError::Inconsistent { .. } => Self::Internal,
            crate::StoreError::Unavailable => Self::Unavailable,
            crate::StoreError::Full => Self::Full,
        }
    }
}
