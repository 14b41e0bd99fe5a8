//! What the bodies and queries of the dialect hold (reference/vercel-connect §4, §6, §7).

use crate::kit::fields::{Field, Shape, optional, required};
use crate::kit::subject;

pub(super) const ICON: Field = optional(
    "icon",
    Shape::Text(2048),
    "SHA-1 of an uploaded image, or a URL to fetch one from.",
);

/// A1.
pub const CONNECTOR: &[Field] = &[
    optional(
        "type",
        Shape::Text(64),
        "`oauth`, `api-key`, `github` …: docs/connector-types.md tells of each. Required without connectionMethod.",
    ),
    optional(
        "connectionMethod",
        Shape::Text(64),
        "One of those that the service has: it supplies type, endpoints and defaults.",
    ),
    optional(
        "params",
        Shape::Free,
        "What the connection method leaves open: its template fields.",
    ),
    optional(
        "target",
        Shape::Text(64),
        "One of those that the service has.",
    ),
    required(
        "data",
        Shape::Free,
        "Configuration and secrets of the type.",
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
    NAME,
    PROJECT,
    ENVIRONMENTS,
    TRIGGERS,
    EVENTS,
    TRIGGER_DESTINATION,
    ICON,
    BACKGROUND_COLOR,
    ACCENT_COLOR,
];

/// What a connector is made with whichever way it comes about.
pub(super) const NAME: Field = optional(
    "name",
    Shape::Text(1200),
    "The linked project's name when absent.",
);
pub(super) const PROJECT: Field =
    optional("projectId", Shape::Text(256), "Link this project at once.");
pub(super) const ENVIRONMENTS: Field = optional(
    "environments",
    Shape::Texts(128),
    "Of that link; the three built-in ones when absent.",
);
pub(super) const TRIGGERS: Field = optional("triggers", Shape::Switch, "Take in provider events.");
pub(super) const EVENTS: Field = optional("events", Shape::Texts(256), "Events wanted.");
pub(super) const TRIGGER_DESTINATION: Field = optional(
    "triggerDestination",
    Shape::Object(DESTINATION),
    "Where events go.",
);
pub(super) const BACKGROUND_COLOR: Field =
    optional("backgroundColor", Shape::Text(16), "`#rrggbb`");
pub(super) const ACCENT_COLOR: Field = optional("accentColor", Shape::Text(16), "`#rrggbb`");

pub(super) const DESTINATION: &[Field] = &[
    optional(
        "projectId",
        Shape::Text(256),
        "The top-level projectId when absent.",
    ),
    optional(
        "branch",
        Shape::Text(250),
        "Git branch; not together with customEnvironmentId.",
    ),
    optional(
        "customEnvironmentId",
        Shape::Text(128),
        "A custom environment.",
    ),
    optional("path", Shape::Text(2048), "Path at the project's base URL."),
];

/// B4.
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
    optional("additionalClaims", Shape::Free, "With type `jwt-bearer`."),
    subject::TOKEN,
];

/// Types of subjects that there can be tokens for. Clients may name others, with fields of their own, and are told that
/// no connector has any for those (reference/vercel-connect §7).
pub const SUBJECT_TYPES: &[&str] = &["app", "user", "jwt-bearer", "token"];

const WHOSE: Field = optional(
    "subject",
    Shape::Typed(SUBJECT, SUBJECT_TYPES),
    "Whose token. A person's own where the type is `user` and there is no `id`.",
);
const INSTALLATION: Field = optional("installationId", Shape::Text(512), "Provider tenant.");
pub(super) const AUDIENCE: Field =
    optional("audience", Shape::Texts(2048), "`audience` parameters.");
pub(super) const SCOPES: Field = optional(
    "scopes",
    Shape::Texts(1024),
    "`[\"*\"]`: the connector's own.",
);
pub(super) const RESOURCES: Field = optional(
    "resources",
    Shape::Texts(2048),
    "RFC 8707 resource indicators.",
);
pub(super) const DETAILS: Field = optional("authorizationDetails", Shape::FreeList, "RFC 9396.");
pub(super) const BUFFER: Field = optional(
    "validityBufferMs",
    Shape::Integer(0, 31_536_000_000),
    "The token shall live at least this long; cut to half its lifetime.",
);

/// D1.
pub const TOKEN: &[Field] = &[
    WHOSE,
    INSTALLATION,
    AUDIENCE,
    SCOPES,
    RESOURCES,
    DETAILS,
    BUFFER,
];

pub(super) const RETURN_URL: Field = optional(
    "returnUrl",
    Shape::Text(2048),
    "Where the browser goes at the end.",
);
pub(super) const WEBHOOK: Field = optional(
    "webhook",
    Shape::Text(2048),
    "Where to tell that it ended, signed as Standard Webhooks says: https.",
);
pub(super) const DEVICE_CODE: Field = optional(
    "deviceCode",
    Shape::Bool,
    "Show a code here and on the page.",
);
pub(super) const EXPIRES_IN: Field = optional(
    "expiresInMs",
    Shape::Integer(1, 86_400_000),
    "Life of the link, 1 h when absent.",
);

/// E1.
pub const AUTHORIZATION: &[Field] = &[
    WHOSE,
    INSTALLATION,
    AUDIENCE,
    SCOPES,
    RESOURCES,
    DETAILS,
    BUFFER,
    RETURN_URL,
    WEBHOOK,
    optional(
        "prompt",
        Shape::Text(256),
        "For the provider: `none`, or some of `login`, `consent` and `select_account` with one space between.",
    ),
    DEVICE_CODE,
    EXPIRES_IN,
    optional(
        "additionalParams",
        Shape::Free,
        "For the provider's authorization endpoint.",
    ),
];

/// D3.
pub const REVOCATION: &[Field] = &[WHOSE, INSTALLATION];

/// `POST /v1/projects/{project}/token`
pub const PROJECT_TOKEN: &[Field] = &[optional(
    "source",
    Shape::Text(256),
    "What asks for it; changes nothing.",
)];
