//! The nouns of design §2, one file per family. They are rows: plain data, no behaviour beyond
//! what keeps a row from making no sense.

pub mod actor;
pub mod authorization;
pub mod belongings;
pub mod connection;
pub mod connector;
pub mod credential;
pub mod event;
pub mod grant;
pub mod installation;
pub mod registration;
pub mod repeat;
pub mod setup;
pub mod sign_in;
pub mod tenancy;

pub use actor::{Actor, OutsideIdentity};
pub use authorization::{
    Authorization, AuthorizationState, DueWebhook, Embed, Flow, HeldConsent, Install, WebhookSecret,
};
pub use belongings::{Icon, Invite, McpServer, NamedSecret};
pub use connection::{Attempt, Connection, ConnectionState, Revocation, Sealed, TokenSet};
pub use connector::{
    Connector, ConnectorType, FailedExchange, Fault, Link, SecretRef, Service, TriggerDestination,
};
pub use credential::{Annotation, CodeSwap, Credential, LinkFlow};
pub use event::{Event, EventKind};
pub use grant::{Environment, Grant, Scopes, Subject, canonical};
pub use installation::{Installation, InstallationStatus};
pub use registration::{BoundResource, ClientKey, Means, RegisteredClient, Registration};
pub use repeat::KeyedRequest;
pub use setup::{Setup, SetupAsk, SetupState};
pub use sign_in::{AskedSignIn, Session, SignIn, SignInGrant, SignedIn};
pub use tenancy::{
    Account, CustomEnvironment, Key, KeyLevel, Membership, Project, Role, Team, User, Words,
};

/// SHA-256 of a handle (key, state, verifier …): what the store keeps instead of the handle itself.
pub type Digest = [u8; 32];
