//! `snowflake` and `snowflake-wif`: an account, by a security integration, a key pair, or tokens of our own issuer.

use grantry_vault::jws::SigningAlgorithm;

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const SNOWFLAKE: &[Field] = &[
    // `orgname-accountname`, or a locator with its region: `xy12345.eu-central-1`.
    required("accountIdentifier", Shape::Text(256)),
    field("clientName", Shape::Text(256)),
    field("defaultSessionRole", Shape::Text(256)),
    // Users: the client of a security integration (OAUTH_CLIENT = CUSTOM).
    field("clientId", Shape::Text(256)),
    field("clientSecret", Shape::Secret(8192)),
    field("userScopes", Shape::Texts(256)),
    // The app: this user's key pair.
    field("user", Shape::Text(256)),
    field("privateKeyPem", Shape::Pem(SigningAlgorithm::Rs256)),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];

pub(super) const SNOWFLAKE_WIF: &[Field] = &[
    field("clientName", Shape::Text(256)),
    field("accountIdentifier", Shape::Text(256)),
    field("defaultSessionRole", Shape::Text(256)),
    // One of the user's OIDC_AUDIENCE_LIST, where it has one.
    field("audience", Shape::Text(1024)),
    EXTRAS,
    SEARCHED,
];
