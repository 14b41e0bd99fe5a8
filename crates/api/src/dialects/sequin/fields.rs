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
        Shape::Text(16_384),
        "A JSON object; apps whose metadata contain it.",
    ),
    TRUNCATE,
];

/// Of one app.
pub const ONE: &[Field] = &[TRUNCATE];

const TRUNCATE: Field = optional(
    "truncate_secrets",
    Shape::Bool,
    "`false` shows secrets to admins where the deployment reveals them (`[sequin] reveal_secrets`); else the mask stays.",
);
