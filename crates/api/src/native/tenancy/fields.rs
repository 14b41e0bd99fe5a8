//! What the bodies and queries of this part hold.

use crate::kit::fields::{Field, Shape, optional, required};
use crate::native::fields::{CURSOR, LIMIT};

const SEARCH: Field = optional(
    "search",
    Shape::Text(256),
    "Text in id or name; case does not matter.",
);
const NAME: Shape = Shape::Text(256);

/// Lists that can be searched.
pub const SEARCHED: &[Field] = &[LIMIT, CURSOR, SEARCH];

/// `POST /accounts`
pub const NEW_ACCOUNT: &[Field] = &[required("name", NAME, "For people.")];

/// `PATCH /accounts/{account}`
pub const ACCOUNT: &[Field] = &[optional("name", NAME, "For people.")];

/// `GET /teams`
pub const TEAMS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "search",
        Shape::Text(256),
        "Text in id, slug or name; case does not matter.",
    ),
    optional(
        "account",
        Shape::Text(256),
        "Of this account; for the server.",
    ),
];

const SLUG: &str = "Unique in the server: lower-case letters, digits, - and _.";
const ORIGINS: Field = optional(
    "return_origins",
    Shape::Texts(2048),
    "Where browsers may be sent back to, such as https://app.example: the whole list.",
);

/// `POST /teams`
pub const NEW_TEAM: &[Field] = &[
    required("slug", Shape::Text(64), SLUG),
    optional("name", NAME, "For people; the slug when absent."),
    ORIGINS,
];

/// `PATCH /teams/{team}`
pub const TEAM: &[Field] = &[
    optional("slug", Shape::Text(64), SLUG),
    optional("name", NAME, "For people."),
    ORIGINS,
];

/// `DELETE /teams/{team}`
pub const DELETE_TEAM: &[Field] = &[optional(
    "force",
    Shape::Bool,
    "End its connectors and all their connections too.",
)];

/// `GET /teams/{team}/memberships`
pub const MEMBERS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "search",
        Shape::Text(256),
        "Text in id, mail address or name; case does not matter.",
    ),
];

/// `PUT /teams/{team}/memberships/{user}`
pub const MEMBER: &[Field] = &[required(
    "role",
    Shape::Word(&["owner", "admin", "member"]),
    "What they may do in the team.",
)];

/// `GET /users`
pub const USERS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "search",
        Shape::Text(256),
        "Text in id, mail address or name; case does not matter.",
    ),
    optional("email", Shape::Text(320), "With exactly this mail address."),
];

const EMAIL: &str = "Unique within the account.";

/// `POST /users`
pub const NEW_USER: &[Field] = &[
    required("email", Shape::Text(320), EMAIL),
    optional("first_name", NAME, "Given name."),
    optional("last_name", NAME, "Family name."),
];

/// `PATCH /users/{user}`
pub const USER: &[Field] = &[
    optional("email", Shape::Text(320), EMAIL),
    optional("first_name", NAME, "Given name; null for none."),
    optional("last_name", NAME, "Family name; null for none."),
];

/// `POST /projects`
pub const NEW_PROJECT: &[Field] = &[
    required("name", NAME, "Unique within the team."),
    optional(
        "custom_environments",
        Shape::Texts(64),
        "Slugs of environments beside production, preview and development.",
    ),
    optional(
        "base_urls",
        Shape::Free,
        "Where it is served, by environment (id or slug): browsers may be sent back there.",
    ),
    PROVISIONS,
    SIGN_IN_URIS,
];

const SIGN_IN_URIS: Field = optional(
    "sign_in_uris",
    Shape::Texts(2048),
    "Where the answers to its sign-ins may go: redirect URIs, compared to the letter. All of them.",
);

const PROVISIONS: Field = optional(
    "provisions",
    Shape::Bool,
    "Its workloads may make `oauth` connectors from a server's URL, and link themselves to those of the same server.",
);

/// `PATCH /projects/{project}`
pub const PROJECT: &[Field] = &[
    optional("name", NAME, "Unique within the team."),
    optional(
        "base_urls",
        Shape::Free,
        "By environment (id or slug): another URL, or null for none. Others stay.",
    ),
    PROVISIONS,
    SIGN_IN_URIS,
];

/// `POST /projects/{project}/environments`, `PATCH /projects/{project}/environments/{environment}`
pub const ENVIRONMENT: &[Field] = &[required(
    "slug",
    Shape::Text(64),
    "Unique in the project: lower-case letters, digits, - and _.",
)];

const REVOKED: Field = optional("include_revoked", Shape::Bool, "Revoked ones too.");

/// `GET /keys`
pub const KEYS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional("user", Shape::Text(256), "Of the person of this id."),
    optional(
        "project",
        Shape::Text(256),
        "Of this project, by id or name.",
    ),
    REVOKED,
];

/// `GET /accounts/{account}/keys`
pub const ACCOUNT_KEYS: &[Field] = &[
    LIMIT,
    CURSOR,
    optional("user", Shape::Text(256), "Of the person of this id."),
    REVOKED,
];

/// `GET /server-keys`
pub const SERVER_KEYS: &[Field] = &[LIMIT, CURSOR, REVOKED];

const KEY_NAME: Field = optional("name", NAME, "For people.");
const EXPIRES: Field = optional(
    "expires_at",
    Shape::Time,
    "When it ends; when absent with the key that makes it, which it cannot outlive, or never.",
);

/// `POST /keys`
pub const NEW_KEY: &[Field] = &[
    KEY_NAME,
    optional(
        "role",
        Shape::Word(&["owner", "admin", "member", "token-only"]),
        "`token-only` when absent; at most your own, and the person's. A project's key has none.",
    ),
    optional(
        "user",
        Shape::Text(320),
        "The member it acts for, by id or mail address; yourself when absent, nobody when null.",
    ),
    optional(
        "project",
        Shape::Text(256),
        "Make it this project's (id or name).",
    ),
    optional(
        "environment",
        Shape::Text(128),
        "Where the project runs, `production` when absent.",
    ),
    EXPIRES,
];

/// `POST /accounts/{account}/keys`
pub const NEW_ACCOUNT_KEY: &[Field] = &[
    KEY_NAME,
    optional(
        "role",
        Shape::Word(&["admin", "member", "token-only"]),
        "In the account's teams; `token-only` when absent.",
    ),
    optional(
        "user",
        Shape::Text(320),
        "The person it acts for, by id or mail address, in the teams that they are in.",
    ),
    EXPIRES,
];

/// `POST /server-keys`
pub const NEW_SERVER_KEY: &[Field] = &[KEY_NAME, EXPIRES];

/// `PATCH` of a key
pub const KEY: &[Field] = &[
    optional("name", NAME, "For people; null for none."),
    optional(
        "expires_at",
        Shape::Time,
        "When it ends, not after the key that sets it; null for never.",
    ),
];

/// `GET /services`
pub const SERVICES: &[Field] = &[
    LIMIT,
    CURSOR,
    optional(
        "search",
        Shape::Text(256),
        "Text in id, name or category; case does not matter.",
    ),
];

/// `PUT /services/{service}`
pub const SERVICE: &[Field] = &[required(
    "data",
    Shape::Free,
    "The fields of [[services]] in the apply file; over those of a built-in row.",
)];
