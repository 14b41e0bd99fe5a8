//! What the bodies and queries of the native API hold.

use crate::kit::fields::{Field, Shape, optional, required};
use crate::kit::subject;
use grantry_core::limits;
use grantry_core::nouns::ConnectorType;
use grantry_core::store::SigningPurpose;

pub(super) const LIMIT: Field = optional(
    "limit",
    Shape::Integer(1, limits::PAGE_ROWS_MAX as i64),
    "Rows wanted, 20 when absent.",
);
pub(super) const CURSOR: Field = optional(
    "cursor",
    Shape::Text(1024),
    "`next_cursor` of the page before.",
);

const ORDER: Field = optional(
    "order",
    Shape::Word(&["desc", "asc"]),
    "`desc`, newest first, when absent; or `asc`.",
);

const CREATED_SINCE: Field = optional("created_since", Shape::Time, "Made at this time or later.");
const CREATED_UNTIL: Field = optional("created_until", Shape::Time, "Made before this time.");

/// A list without filters.
pub const PAGE: &[Field] = &[LIMIT, CURSOR];

/// A list by time without filters.
pub const PAGE_BY_TIME: &[Field] = &[LIMIT, CURSOR, ORDER];

/// `GET /connectors`
pub const CONNECTORS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "project",
        Shape::Text(256),
        "Linked to this project, by id or name.",
    ),
    optional("search", Shape::Text(256), "Text in name, uid or service."),
    optional("type", Shape::Word(ConnectorType::WORDS), "Of this type."),
    optional(
        "service",
        Shape::Text(512),
        "Of one of these services, separated by commas.",
    ),
    CREATED_SINCE,
    CREATED_UNTIL,
    optional(
        "sort",
        Shape::Word(&["created_at", "updated_at", "name"]),
        "`created_at` when absent. Times begin with the latest, names with the first; `order` says otherwise.",
    ),
    ORDER,
];

/// `GET /connections`
pub const CONNECTIONS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "connector",
        Shape::Text(256),
        "Of this connector, by id or uid.",
    ),
    optional("user", Shape::Text(512), "Of this user."),
    optional("issuer", Shape::Text(512), "With `user`: theirs."),
    optional(
        "subject",
        Shape::Word(&["app", "user", "connection"]),
        "Of subjects of this type.",
    ),
    optional(
        "state",
        Shape::Word(&["active", "needs_reauth", "revoked"]),
        "In this state.",
    ),
    optional("include_revoked", Shape::Bool, "Revoked ones too."),
    optional("environment", Shape::Text(128), "In this environment."),
    optional(
        "installation",
        Shape::Text(512),
        "Of the installation with this external id.",
    ),
    optional(
        "search",
        Shape::Text(256),
        "Text in name, external subject or the user's id.",
    ),
    CREATED_SINCE,
    CREATED_UNTIL,
    ORDER,
];

/// `GET /events`
pub const EVENTS: &[Field] = &[
    LIMIT,
    CURSOR,
    ORDER,
    optional(
        "kind",
        Shape::Text(1024),
        "Of one of these kinds, separated by commas: `token.read`, `connection.*`, …",
    ),
    optional(
        "actor",
        Shape::Text(256),
        "By the key, user or project of this id, or by `server`, `system` or `end_user`.",
    ),
    optional(
        "connector",
        Shape::Text(256),
        "About this connector, by id or uid.",
    ),
    optional(
        "connection",
        Shape::Text(256),
        "About the connection of this id.",
    ),
    optional("since", Shape::Time, "At this time or later."),
    optional("until", Shape::Time, "Before this time."),
    optional(
        "wait_ms",
        Shape::Integer(0, 10_000),
        "Follow the log: oldest first, from now on unless `since` or `cursor` says otherwise. Answers once \
         there is something, at the latest after so long; `next_cursor` always leads on. An event is shown \
         2 s after it happened, so that none that was stored late is passed over.",
    ),
];

/// `POST /connectors`
pub const CONNECTOR: &[Field] = &[
    required(
        "type",
        Shape::Text(64),
        "`oauth`, `api-key`, `github` …: docs/connector-types.md tells of each.",
    ),
    required(
        "data",
        Shape::Free,
        "Configuration and secrets of the type, as in the Vercel dialect.",
    ),
    optional(
        "service",
        Shape::Text(512),
        "Catalogue id or URL of the third party.",
    ),
    optional(
        "uid",
        Shape::Text(256),
        "Unique in the team; generated when absent.",
    ),
    optional(
        "name",
        Shape::Text(256),
        "The linked project's name when absent.",
    ),
    optional(
        "metadata",
        Shape::Free,
        "Your own annotations, kept as they are.",
    ),
    optional(
        "project",
        Shape::Text(256),
        "Link this project (id or name) at once.",
    ),
    optional(
        "environments",
        Shape::Texts(128),
        "Of that link; the three built-in ones when absent.",
    ),
    REDIRECT_URI,
    TRIGGERS,
    EVENTS_WANTED,
    ICON,
    BACKGROUND,
    ACCENT,
];

const REDIRECT_URI: Field = optional(
    "redirect_uri",
    Shape::Text(2048),
    "`/callback` at the public URL when absent, or the team's own `/callback/{team}`, by which a provider \
     that sends no `iss` is told from other teams'. Register it there first.",
);
const TRIGGERS: Field = optional("triggers", Shape::Bool, "Take in provider events.");
const EVENTS_WANTED: Field = optional("events", Shape::Texts(256), "All events wanted.");
const ICON: Field = optional("icon", Shape::Text(64), "SHA-1 of an uploaded image.");
const BACKGROUND: Field = optional("background_color", Shape::Text(16), "`#rrggbb`");
const ACCENT: Field = optional("accent_color", Shape::Text(16), "`#rrggbb`");

/// `PATCH /connectors/{connector}`
pub const CONNECTOR_CHANGE: &[Field] = &[
    optional("uid", Shape::Text(256), "Unique in the team."),
    optional("name", Shape::Text(256), "For people."),
    optional(
        "data",
        Shape::Free,
        "Fields to change, as when it was made; `null` or an empty text takes one away. Of stored keys \
         `values` replaces all; `toAdd`, `toUpdate` and `toDelete` change some, by their ids.",
    ),
    optional("metadata", Shape::Free, "All of your own annotations."),
    REDIRECT_URI,
    TRIGGERS,
    EVENTS_WANTED,
    optional(
        "trigger_destinations",
        Shape::Objects(DESTINATION),
        "All places where events go, at most 3.",
    ),
    ICON,
    BACKGROUND,
    ACCENT,
];

const DESTINATION: &[Field] = &[
    required("project", Shape::Text(256), "Project id."),
    optional(
        "branch",
        Shape::Text(250),
        "Git branch; excludes `custom_environment`.",
    ),
    optional("custom_environment", Shape::Text(128), "Its id."),
    optional("path", Shape::Text(2048), "At the project's base URL."),
];

/// `POST /connectors/{connector}/revoke`
pub const REVOKE: &[Field] = &[
    optional("subject", Shape::Object(SUBJECT), "Of this subject only."),
    optional(
        "environment",
        Shape::Filled(128),
        "In this environment only.",
    ),
    optional(
        "installation",
        Shape::Filled(512),
        "Of the installation with this external id only.",
    ),
    optional(
        "limit",
        Shape::Integer(1, 1000),
        "At most so many, 100 when absent.",
    ),
];

/// `PATCH /connections/{connection}`
pub const CONNECTION_CHANGE: &[Field] = &[optional(
    "name",
    Shape::Text(256),
    "For people; `null` or an empty one takes it away.",
)];

/// `GET /authorizations`
pub const AUTHORIZATIONS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional("id", Shape::Text(128), "The one with this id."),
    optional(
        "connector",
        Shape::Text(256),
        "Of this connector, by id or uid.",
    ),
    optional("user", Shape::Text(512), "For this user."),
    optional("issuer", Shape::Text(512), "With `user`: theirs."),
    optional(
        "open",
        Shape::Bool,
        "Only those that can still be completed or confirmed.",
    ),
    ORDER,
];

/// `POST /authorizations/{authorization}/confirm`
pub const CONFIRM: &[Field] = &[required(
    "code",
    Shape::Text(256),
    "`grantry_code` of the request that came in at the return URL.",
)];

/// `POST /secrets`
pub const SECRET: &[Field] = &[
    required("name", Shape::Text(256), "Unique in the team."),
    required(
        "value",
        Shape::Lines(65_536),
        "Sealed, and never given back.",
    ),
];

/// `PATCH /secrets/{secret}`
pub const SECRET_CHANGE: &[Field] = &[
    optional("name", Shape::Text(256), "Another name."),
    optional("value", Shape::Lines(65_536), "Another value."),
];

/// `POST /connectors/{connector}/installations`
pub const NEW_INSTALLATION: &[Field] = &[
    required(
        "external_id",
        Shape::Text(512),
        "The provider's id of it; what requests name it by.",
    ),
    optional(
        "tenant",
        Shape::Text(512),
        "The provider's id of the tenant, where that is another one.",
    ),
    optional("name", Shape::Text(256), "For people: the tenant's name."),
    optional("default", Shape::Bool, "Use it where a request names none."),
];

/// `PATCH /installations/{installation}`
pub const INSTALLATION_CHANGE: &[Field] = &[
    optional("tenant", Shape::Text(512), "`null` takes it away."),
    optional("name", Shape::Text(256), "`null` takes it away."),
    optional(
        "status",
        Shape::Word(&["active", "suspended"]),
        "No tokens are given out while it is suspended.",
    ),
    optional(
        "default",
        Shape::Bool,
        "Use it where a request names none, or do so no more.",
    ),
];

/// `PUT /connectors/{connector}/projects/{project}`
pub const LINK: &[Field] = &[required(
    "environments",
    Shape::Texts(128),
    "All of the link's environments, at least one.",
)];

const SUBJECT: &[Field] = &[
    subject::TYPE,
    subject::ID,
    subject::ISSUER,
    subject::SUB,
    subject::ISS,
    subject::AUD,
    optional(
        "additional_claims",
        Shape::Free,
        "With type `jwt-bearer`: further claims.",
    ),
    subject::TOKEN,
];

const FOR: Field = required("connector", Shape::Text(256), "Connector id or uid.");
const WHOSE: Field = optional(
    "subject",
    Shape::Object(SUBJECT),
    "Whose; the app or yourself when absent.",
);
const WHERE: Field = optional(
    "environment",
    Shape::Text(128),
    "Your own, else `production`, when absent.",
);
const INSTALLATION: Field = optional("installation", Shape::Text(512), "Provider tenant.");
const SCOPES: Field = optional(
    "scopes",
    Shape::Texts(1024),
    "The connector's own when absent.",
);
const AUDIENCE: Field = optional("audience", Shape::Texts(2048), "`audience` parameters.");
const RESOURCES: Field = optional(
    "resources",
    Shape::Texts(2048),
    "RFC 8707 resource indicators.",
);
const DETAILS: Field = optional("authorization_details", Shape::FreeList, "RFC 9396.");

/// `POST /tokens`
pub const TOKEN: &[Field] = &[
    FOR,
    WHOSE,
    WHERE,
    INSTALLATION,
    SCOPES,
    AUDIENCE,
    RESOURCES,
    DETAILS,
    optional(
        "validity_buffer_ms",
        Shape::Integer(0, 31_536_000_000),
        "The token shall live at least this long; cut to half its lifetime.",
    ),
];

/// `POST /connectors/{connector}/search`
pub const SEARCH: &[Field] = &[
    required("query", Shape::Lines(16 * 1024), "What to look for."),
    WHOSE,
    WHERE,
    INSTALLATION,
    SCOPES,
    optional(
        "access_token",
        Shape::Text(64 * 1024),
        "Your own token for the endpoint, in place of one that is stored here.",
    ),
    optional(
        "continue_on_failure",
        Shape::Bool,
        "A failure of the endpoint is an answer, and no error; as the connector says when absent.",
    ),
];

/// `POST /authorizations`
pub const AUTHORIZATION: &[Field] = &[
    FOR,
    WHOSE,
    WHERE,
    INSTALLATION,
    SCOPES,
    AUDIENCE,
    RESOURCES,
    DETAILS,
    optional(
        "return_url",
        Shape::Text(2048),
        "Where the browser goes at the end.",
    ),
    optional(
        "prompt",
        Shape::Text(256),
        "For the provider: `none`, or some of `login`, `consent` and `select_account` with one space between.",
    ),
    optional(
        "device_code",
        Shape::Bool,
        "Show a code here and on the page.",
    ),
    optional(
        "expires_in_ms",
        Shape::Integer(1, 86_400_000),
        "Life of the link, 1 h when absent.",
    ),
    optional(
        "additional_params",
        Shape::Free,
        "For the provider's authorization endpoint.",
    ),
    optional(
        "webhook",
        Shape::Text(2048),
        "Where to tell that it ended, signed with the team's webhook secret: https.",
    ),
    optional(
        "confirm",
        Shape::Bool,
        "Connect nothing before the code that `return_url` receives was posted to `…/confirm`: the only full \
         answer to a link that was passed on.",
    ),
];

/// `POST /connections`
pub const CONNECTION: &[Field] = &[
    FOR,
    WHOSE,
    WHERE,
    INSTALLATION,
    SCOPES,
    AUDIENCE,
    RESOURCES,
    DETAILS,
    optional("id", Shape::Text(128), "Minted when absent."),
    optional("name", Shape::Text(256), "For people."),
    optional(
        "external_subject",
        Shape::Text(512),
        "The account's id at the provider.",
    ),
    required("access_token", Shape::Text(65_536), "The access token."),
    optional("refresh_token", Shape::Text(65_536), "The refresh token."),
    optional(
        "expires_in",
        Shape::Integer(0, 31_536_000),
        "Seconds that the access token has left.",
    ),
    optional(
        "scope",
        Shape::Text(8192),
        "What was granted, separated by spaces.",
    ),
    optional(
        "metadata",
        Shape::Free,
        "Public facts, handed out with the token.",
    ),
];

/// `POST /workload-tokens`
pub const WORKLOAD_TOKEN: &[Field] = &[
    required("project", Shape::Text(256), "Project id or name."),
    optional("environment", Shape::Text(128), "`production` when absent."),
    optional(
        "ttl_ms",
        Shape::Integer(1_000, 43_200_000),
        "Its life, 12 h when absent.",
    ),
];

/// `POST /workload-tokens`
pub const WORKLOAD_TOKEN_QUERY: &[Field] = &[optional(
    "project",
    Shape::Text(256),
    "At the control socket, in place of team: the team is that of the project of this id.",
)];

/// `POST /signing-keys`
pub const SIGNING_KEY: &[Field] = &[
    optional(
        "purpose",
        Shape::Word(&SigningPurpose::WORDS),
        "What it signs: proofs of workloads, or tokens of sign-ins; the former when absent.",
    ),
    optional(
        "lead_ms",
        Shape::Integer(0, 2_592_000_000),
        "How long it is published before it signs, so that verifiers have it in time; the server's setting when absent.",
    ),
];

/// `POST /apply`
pub const APPLY: &[Field] = &[
    optional("file", Shape::Text(1024), "What messages call the file."),
    optional("dry_run", Shape::Bool, "Only say what would change."),
    optional(
        "prune",
        Shape::Bool,
        "Remove what the file does not declare, in the tables it has, of the teams it declares.",
    ),
];
