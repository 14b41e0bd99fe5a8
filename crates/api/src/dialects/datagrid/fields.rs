//! What bodies and queries hold (reference/datagrid §1 and §2). Names are counted in characters by `map`: a field's
//! bytes are what those can take.

use grantry_core::limits::{
    MCP_AUTHORIZATION_BYTES_MAX, NAME_BYTES_MAX, PAGE_ROWS_MAX, SECRET_BYTES_MAX,
};

use crate::kit::fields::{Field, Shape, optional, required};

const NAME: Shape = Shape::Text(NAME_BYTES_MAX);
const ID: Shape = Shape::Text(512);
const SECRET: Shape = Shape::Text(8192);

/// A new connection provider.
pub const PROVIDER: &[Field] = &[
    required("name", NAME, "For people, at most 300 characters."),
    required("connector_id", ID, "A service of the catalogue."),
    required("client_id", Shape::Text(2048), "The OAuth client's id."),
    required(
        "client_secret",
        SECRET,
        "Its secret; sealed and never shown.",
    ),
    optional(
        "variables",
        Shape::Free,
        "Ours: what the service's URLs leave open, such as {\"shop\": \"acme\"}.",
    ),
    SCOPES,
];

const SCOPES: Field = optional(
    "scopes",
    Shape::Texts(256),
    "Ours: what is asked of the user; the service's usual scopes when absent.",
);

/// What of a connection provider shall change.
pub const PROVIDER_CHANGE: &[Field] = &[
    optional("name", NAME, "For people, at most 300 characters."),
    optional("client_id", Shape::Text(2048), "The OAuth client's id."),
    optional(
        "client_secret",
        SECRET,
        "A new secret, under a new client_secret_id.",
    ),
    SCOPES,
];

/// A new connection.
pub const CONNECTION: &[Field] = &[
    required("connector_id", ID, "A service of the catalogue."),
    optional(
        "connection_provider_id",
        ID,
        "Whose OAuth client is used; the first one of the service when absent.",
    ),
    optional(
        "connection_id",
        ID,
        "Ours: a standing connection to renew, in place of a new one.",
    ),
    optional(
        "embed_origin",
        Shape::Text(2048),
        "Ours: the one origin in whose windows the page may stand and that it speaks to; the teamspace's return \
         origins when absent.",
    ),
];

/// What of a connection shall change.
pub const CONNECTION_CHANGE: &[Field] = &[required("name", NAME, "For people.")];

/// What knowledge is made of.
pub const KNOWLEDGE: &[Field] = &[
    required("connection_id", ID, "A connection."),
    optional(
        "embed_origin",
        Shape::Text(2048),
        "As when a connection is made.",
    ),
];

/// A new secret.
pub const SECRET_BODY: &[Field] = &[
    required(
        "name",
        NAME,
        "For people, at most 300 characters; need not be unique.",
    ),
    required(
        "value",
        Shape::Lines(SECRET_BYTES_MAX),
        "Sealed and never shown.",
    ),
];

const LIMIT: Field = optional(
    "limit",
    Shape::Integer(1, PAGE_ROWS_MAX as i64),
    "Rows wanted; 20 when absent.",
);
const AFTER: Field = optional("after", ID, "The rows behind the one of this id.");
const BEFORE: Field = optional(
    "before",
    ID,
    "The rows just before the one of this id; it goes before `after`.",
);

/// Which part of a list.
pub const LIST: &[Field] = &[LIMIT, AFTER, BEFORE];

/// Which part of a list, of one service.
pub const LIST_OF_CONNECTOR: &[Field] = &[
    LIMIT,
    AFTER,
    BEFORE,
    optional("connector_id", ID, "Of this service."),
];

/// Which people.
pub const PEOPLE: &[Field] = &[
    LIMIT,
    AFTER,
    BEFORE,
    optional(
        "search",
        Shape::Text(512),
        "Text in id, name or mail address.",
    ),
];

const ACCESS: Shape = Shape::Word(&["open", "closed"]);

/// A new teamspace.
pub const TEAMSPACE: &[Field] = &[
    required("name", NAME, "For people, at most 300 characters."),
    required(
        "access",
        ACCESS,
        "Kept as it is; membership is by invitation.",
    ),
    optional(
        "cloud_provider",
        Shape::Word(&["aws", "gcp"]),
        "Kept as it is; gcp when absent.",
    ),
];

/// What of a teamspace shall change.
pub const TEAMSPACE_CHANGE: &[Field] = &[
    optional("name", NAME, "For people, at most 300 characters."),
    optional("access", ACCESS, "Kept as it is."),
];

/// Roles that a person can be given in a teamspace; `map` says what each is here.
pub const ROLES: &[&str] = &["admin", "member", "agents-only", "agent-specific"];

const AGENT_IDS: Field = optional("agent_ids", Shape::Texts(512), "Kept as it is.");

/// What somebody may do in a teamspace.
pub const MEMBER_CHANGE: &[Field] = &[
    required("role", Shape::Word(ROLES), "Their role."),
    AGENT_IDS,
];

/// What somebody may do in the organization.
pub const PERSON_CHANGE: &[Field] = &[required(
    "role",
    Shape::Word(&["admin", "member"]),
    "Their role in every teamspace that they are in.",
)];

/// A new invitation.
pub const INVITE: &[Field] = &[
    required("email", Shape::Text(320), "Whom."),
    optional(
        "permissions",
        Shape::Object(MEMBER_CHANGE),
        "Member when absent.",
    ),
];

/// A new MCP server.
pub const MCP_SERVER: &[Field] = &[
    required(
        "name",
        Shape::Text(1020),
        "For people, at most 255 characters.",
    ),
    required("base_url", Shape::Text(2048), "An https URL."),
    TRANSPORT,
    ICON_URL,
    PROTOCOL_VERSION,
    AUTHORIZATION,
    AUTHORIZATION_SECRET_ID,
];

/// What of an MCP server shall change; `null` clears.
pub const MCP_SERVER_CHANGE: &[Field] = &[
    optional(
        "name",
        Shape::Text(1020),
        "For people, at most 255 characters.",
    ),
    optional("base_url", Shape::Text(2048), "An https URL."),
    TRANSPORT,
    ICON_URL,
    PROTOCOL_VERSION,
    AUTHORIZATION,
    AUTHORIZATION_SECRET_ID,
];

const TRANSPORT: Field = optional("transport", Shape::Word(&["http"]), "How it is spoken to.");
const ICON_URL: Field = optional("icon_url", Shape::Text(2048), "Kept as it is.");
const PROTOCOL_VERSION: Field = optional("protocol_version", Shape::Text(64), "Kept as it is.");
const AUTHORIZATION: Field = optional(
    "authorization",
    Shape::Text(MCP_AUTHORIZATION_BYTES_MAX),
    "The Authorization header's value, kept as a managed secret. It goes before authorization_secret_id.",
);
const AUTHORIZATION_SECRET_ID: Field =
    optional("authorization_secret_id", ID, "The id of a secret.");
