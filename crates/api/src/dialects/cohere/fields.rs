//! What bodies and queries hold (reference/cohere-sequin §1.4). Fields that have no row are ignored, as the
//! vendor's own clients send some.

use crate::kit::fields::{Field, Shape, optional, required};

/// A page.
pub const PAGE: &[Field] = &[
    optional(
        "limit",
        Shape::Whole(0, 100),
        "So many at most; 30 when absent.",
    ),
    optional(
        "offset",
        Shape::Whole(0, u32::MAX as i64),
        "So many of the first are left out.",
    ),
];

/// Where the user comes back to.
pub const AUTHORIZE: &[Field] = &[optional(
    "after_token_redirect",
    Shape::Text(4096),
    "One of the team's return origins.",
)];

const NAME: Shape = Shape::Text(256);
const URL: Shape = Shape::Text(2048);
const SEARCHED: Shape = Shape::Filled(2048);
const DESCRIPTION: Field = optional("description", Shape::Prose(8192), "For people and models.");
const EXCLUDES: Field = optional(
    "excludes",
    Shape::Texts(256),
    "Fields of its documents that are kept from models.",
);
const ACTIVE: Field = optional("active", Shape::Bool, "Whether it may be searched.");
const CONTINUE: Field = optional(
    "continue_on_failure",
    Shape::Bool,
    "A search that fails is told of, and is no error.",
);
const OAUTH: Field = optional("oauth", Shape::Object(OAUTH_FIELDS), "Its OAuth client.");
const SERVICE_AUTH: Field = optional(
    "service_auth",
    Shape::Object(SERVICE_AUTH_FIELDS),
    "Its key. Excludes oauth.",
);

const OAUTH_FIELDS: &[Field] = &[
    optional("client_id", Shape::Text(2048), "The client's id."),
    optional(
        "client_secret",
        Shape::Text(8192),
        "Its secret; sealed and never shown.",
    ),
    optional("authorize_url", URL, "Where users are sent."),
    optional("token_url", URL, "Where tokens come from."),
    optional("scope", Shape::Text(4096), "What is asked for."),
];

const SERVICE_AUTH_FIELDS: &[Field] = &[
    required(
        "type",
        Shape::Word(&["bearer", "basic", "noscheme"]),
        "How it stands in Authorization.",
    ),
    required(
        "token",
        Shape::Filled(64 * 1024),
        "The key; sealed and never shown.",
    ),
];

/// A new connector.
pub const CONNECTOR: &[Field] = &[
    required("name", NAME, "For people."),
    required("url", SEARCHED, "Where it is searched."),
    DESCRIPTION,
    EXCLUDES,
    ACTIVE,
    CONTINUE,
    OAUTH,
    SERVICE_AUTH,
];

/// A change of one. `description` and `auth_type` are in the vendor's samples, though not in its schema.
pub const CHANGE: &[Field] = &[
    optional("name", NAME, "For people."),
    optional("url", SEARCHED, "Where it is searched."),
    DESCRIPTION,
    EXCLUDES,
    ACTIVE,
    CONTINUE,
    OAUTH,
    SERVICE_AUTH,
    optional(
        "auth_type",
        Shape::Word(&["oauth", "service_auth"]),
        "Follows from oauth and service_auth.",
    ),
];

/// A search: what a chat request says of one of its connectors, and the query.
pub const SEARCH: &[Field] = &[
    required("query", Shape::Lines(16 * 1024), "What to look for."),
    optional(
        "user_access_token",
        Shape::Text(64 * 1024),
        "The caller's own token for the connector.",
    ),
    CONTINUE,
];
