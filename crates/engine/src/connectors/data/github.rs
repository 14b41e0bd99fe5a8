//! `github`: a GitHub App.

use grantry_vault::jws::SigningAlgorithm;

use super::{EXTRAS, Field, Form, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const GITHUB: &[Field] = &[
    required("appId", Shape::Integer(1)),
    required("appSlug", Shape::Formed(SLUG)),
    required("appName", Shape::Text(256)),
    required("clientId", Shape::Text(256)),
    field("clientSecret", Shape::Secret(8192)),
    // Signs for the app (RS256): without it there are no installation tokens.
    field("privateKeyPem", Shape::Pem(SigningAlgorithm::Rs256)),
    field("webhookSecret", Shape::Secret(8192)),
    field("owner", Shape::Object(OWNER)),
    // GitHub Enterprise Server: the login endpoints, and `api_base_url`.
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];

/// What may stand in a path.
const SLUG: &Form = &Form {
    pattern: "[a-z0-9]+(-[a-z0-9]+)*",
    max: 100,
    words: "1 to 100 lower-case letters, digits and single hyphens, which neither begin nor end it",
};

const OWNER: &[Field] = &[
    required(
        "type",
        Shape::OneOf(&["user", "organization", "User", "Organization"]),
    ),
    required("id", Shape::Integer(1)),
    required("slug", Shape::Text(256)),
    field("name", Shape::Text(256)),
];
