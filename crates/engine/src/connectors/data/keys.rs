//! Types whose token is a key that the connector keeps.

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const API_KEY: &[Field] = &[
    field("subjectType", Shape::OneOf(&["app", "user"])),
    field("values", Shape::Values),
    field("serviceUrls", Shape::Urls),
    field("instructions", Shape::Markdown(8192)),
    EXTRAS,
    SEARCHED,
];

/// Photon's project and its secret.
pub(super) const PHOTON: &[Field] = &[
    required("projectId", Shape::Text(256)),
    required("projectSecret", Shape::Secret(8192)),
    field("webhookSecret", Shape::Secret(8192)),
    EXTRAS,
    SEARCHED,
];

/// Sendblue's pair of keys; every line that may be sent from.
pub(super) const SENDBLUE: &[Field] = &[
    required("apiKeyId", Shape::Text(256)),
    required("apiSecretKey", Shape::Secret(8192)),
    field("phoneNumbers", Shape::Phones),
    EXTRAS,
    SEARCHED,
];

/// Linq's API token.
pub(super) const LINQ: &[Field] = &[
    required("apiToken", Shape::Secret(8192)),
    field("phoneNumbers", Shape::Phones),
    EXTRAS,
    SEARCHED,
];

/// Discord's application: its bot's token for the app, OAuth for users (the client id is the application's).
pub(super) const DISCORD: &[Field] = &[
    required("applicationId", Shape::Text(64)),
    field("applicationName", Shape::Text(256)),
    field("publicKey", Shape::Text(256)),
    field("botToken", Shape::Secret(8192)),
    field("clientSecret", Shape::Secret(8192)),
    field("userScopes", Shape::Texts(256)),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];
