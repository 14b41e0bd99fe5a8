//! What bodies and queries hold (seed 002).

use crate::kit::fields::{Field, Shape, optional, required};

/// The sync providers of Sequin's documentation. Any other service of the catalogue is taken as well.
pub const PROVIDERS: [&str; 14] = [
    "airtable",
    "auth0",
    "hubspot",
    "github",
    "linear",
    "marketo",
    "netsuite",
    "quickbooks",
    "salesforce",
    "sendgrid",
    "servicenow",
    "shopify",
    "stripe",
    "workday",
];

/// A new OAuth app.
pub const APP: &[Field] = &[
    required("provider", Shape::Text(512), "A service of the catalogue."),
    required(
        "client_id",
        Shape::Text(2048),
        "The client's id at the provider.",
    ),
    required(
        "client_secret",
        Shape::Text(8192),
        "Its secret; sealed and never shown.",
    ),
    required("name", Shape::Text(256), "For people."),
    optional("metadata", Shape::Free, "Kept as it is."),
    optional(
        "variables",
        Shape::Free,
        "Ours: what the provider's URLs leave open, such as {\"shop\": \"acme\"}.",
    ),
];

/// What of an OAuth app can change.
pub const APP_CHANGE: &[Field] = &[
    optional("name", Shape::Text(256), "For people."),
    optional(
        "client_secret",
        Shape::Text(8192),
        "The new secret; sealed and never shown.",
    ),
    optional("metadata", Shape::Free, "In place of the old ones."),
    optional(
        "variables",
        Shape::Free,
        "Ours: what the provider's URLs leave open, such as {\"shop\": \"acme\"}.",
    ),
];

/// Which apps to list. The names are the documentation's, though it calls them \"coming soon\".
pub const APPS: &[Field] = &[
    optional("provider", Shape::Text(512), "Of this service."),
    optional(
        "health.status",
        Shape::Word(&["ok", "warn", "error"]),
        "That do so.",
    ),
    optional(
        "metadata",
        Shape::Prose(16_384),
        "A JSON object; apps whose metadata contain it.",
    ),
    TRUNCATE,
];

/// A credential to be taken in.
pub const CREDENTIAL: &[Field] = &[
    required(
        "oauth_app_id",
        Shape::Text(512),
        "The app whose credential it is.",
    ),
    required(
        "properties",
        Shape::Free,
        "What its `kind` names (docs/sequin.md). Secrets are sealed and never shown.",
    ),
    optional("name", Shape::Text(256), "For people."),
    optional("metadata", Shape::Free, "Kept as it is."),
];

/// What of a credential can change.
pub const CREDENTIAL_CHANGE: &[Field] = &[
    optional("name", Shape::Text(256), "For people."),
    optional("metadata", Shape::Free, "In place of the old ones."),
];

/// Which credentials to list.
pub const CREDENTIALS: &[Field] = &[
    optional("provider", Shape::Text(512), "Of this service."),
    optional("kind", Shape::Text(512), "Of this kind."),
    optional(
        "health.status",
        Shape::Word(&["ok", "warn", "error"]),
        "That do so.",
    ),
    optional(
        "metadata",
        Shape::Prose(16_384),
        "A JSON object; credentials whose metadata contain it.",
    ),
];

/// A link flow to be started.
pub const START: &[Field] = &[
    required("oauth_app_id", Shape::Text(512), "The app that asks."),
    required(
        "credential_kind",
        Shape::Text(128),
        "The kind of the credential that shall come out.",
    ),
    required(
        "redirect_url",
        Shape::Text(4096),
        "Where the browser goes at the end, with a `code`: at one of the team's return origins.",
    ),
    optional(
        "state",
        Shape::Any,
        "Given back with the result; at most 5 KiB.",
    ),
];

/// The exchange of a code.
pub const EXCHANGE: &[Field] = &[
    required("code", Shape::Text(512), "What the redirect URL received."),
    required("client_id", Shape::Text(512), "The app's id here."),
    required(
        "client_secret",
        Shape::Text(8192),
        "The app's client secret at the provider.",
    ),
];

/// Of one app.
pub const ONE: &[Field] = &[TRUNCATE];

const TRUNCATE: Field = optional(
    "truncate_secrets",
    Shape::Bool,
    "`false` shows secrets to admins where the deployment reveals them (`[sequin] reveal_secrets`); else the mask stays.",
);
