//! The format as data: every table and its fields.
//!
//! A new field is a line here and a member of its row in `rows.rs`. What one field says about another
//! is checked there, what a row says about other rows in `plan/`.

/// One field of a table.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// Whether a row must have it.
    pub required: bool,
}

/// What a field takes.
pub enum Shape {
    /// Names a row.
    Id,
    /// Lower-case letters, digits, `-` and `_`.
    Slug,
    /// Text without control characters, of at most so many bytes.
    Text(usize),
    /// The same, not empty.
    Name(usize),
    /// A mail address.
    Email,
    /// Visible characters without spaces, of at most so many bytes; never shown.
    Token(usize),
    /// Scheme, host and port of a web address.
    Origin,
    /// A web address.
    Url,
    /// A web address with `{variables}`.
    Template,
    /// Any text that is not empty, of at most so many bytes; never shown.
    Value(usize),
    /// Whole seconds.
    Seconds,
    /// True or false.
    Truth,
    /// A date and time with its offset, as TOML has them or as text.
    Instant,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A table whose keys are free.
    Map(&'static Shape),
    /// A table with these fields only.
    Object(&'static [Field]),
    /// A table that is checked elsewhere, or only kept.
    Free,
    /// Anything that JSON can say.
    Json,
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: true,
    }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: false,
    }
}

const NAME: Shape = Shape::Name(256);

/// The roles that a person can have.
pub const PERSON_ROLES: &[&str] = &["owner", "admin", "member"];

pub const ACCOUNTS: &[Field] = &[required("id", Shape::Id), required("name", NAME)];

pub const TEAMS: &[Field] = &[
    optional("id", Shape::Id),
    required("account", Shape::Id),
    required("slug", Shape::Slug),
    optional("name", NAME),
    optional("return_origins", Shape::List(&Shape::Origin)),
];

pub const USERS: &[Field] = &[
    required("id", Shape::Id),
    optional("account", Shape::Id),
    optional("team", Shape::Id),
    optional("role", Shape::OneOf(PERSON_ROLES)),
    optional(
        "memberships",
        Shape::List(&Shape::Object(&[
            required("team", Shape::Id),
            required("role", Shape::OneOf(PERSON_ROLES)),
        ])),
    ),
    required("email", Shape::Email),
    optional("first_name", Shape::Text(256)),
    optional("last_name", Shape::Text(256)),
];

pub const PROJECTS: &[Field] = &[
    optional("id", Shape::Id),
    required("team", Shape::Id),
    required("name", NAME),
    optional(
        "custom_environments",
        Shape::List(&Shape::Object(&[
            required("id", Shape::Id),
            required("slug", Shape::Slug),
        ])),
    ),
    optional("base_urls", Shape::Map(&Shape::Url)),
    optional("provisions", Shape::Truth),
    optional("sign_in_uris", Shape::List(&Shape::Text(2048))),
];

pub const KEYS: &[Field] = &[
    optional("id", Shape::Id),
    optional("name", Shape::Text(256)),
    optional("level", Shape::OneOf(&["team", "account", "server"])),
    optional("team", Shape::Id),
    optional("account", Shape::Id),
    optional("user", Shape::Id),
    optional("project", Shape::Name(256)),
    optional("environment", Shape::Id),
    optional("role", Shape::OneOf(&["admin", "member", "token-only"])),
    optional("token", Shape::Token(512)),
    optional("expires_at", Shape::Instant),
];

pub const SERVICES: &[Field] = &[
    required("id", Shape::Id),
    optional("name", NAME),
    optional("categories", Shape::List(&NAME)),
    optional(
        "kind",
        Shape::OneOf(&[
            "oauth2",
            "api_key",
            "github_app",
            "slack",
            "salesforce",
            "snowflake",
        ]),
    ),
    optional(
        "grant",
        Shape::OneOf(&["authorization_code", "client_credentials"]),
    ),
    optional("issuer", Shape::Template),
    optional("discovery_url", Shape::Template),
    optional("authorization_endpoint", Shape::Template),
    optional("token_endpoint", Shape::Template),
    optional("refresh_endpoint", Shape::Template),
    optional("revocation_endpoint", Shape::Template),
    optional("revocation_note", Shape::Text(1024)),
    optional("introspection_endpoint", Shape::Template),
    optional("userinfo_endpoint", Shape::Template),
    optional("user_emails_endpoint", Shape::Template),
    optional("registration_endpoint", Shape::Template),
    optional("jwks_uri", Shape::Template),
    optional("installation_token_endpoint", Shape::Template),
    optional("installation_token_lifetime_s", Shape::Seconds),
    optional("installation_url", Shape::Template),
    optional("admin_consent_endpoint", Shape::Template),
    optional("app_jwt", Shape::Free),
    optional("variables", Shape::Map(&Shape::Free)),
    optional("alternates", Shape::Free),
    optional("scope_separator", Shape::OneOf(&["space", "comma"])),
    optional("common_scopes", Shape::List(&NAME)),
    optional("sample_scopes", Shape::List(&NAME)),
    optional("user_scope_param", NAME),
    optional("client_id_param", NAME),
    optional("pkce", Shape::OneOf(&["required", "supported", "unknown"])),
    optional(
        "token_endpoint_auth_method",
        Shape::OneOf(&["client_secret_post", "client_secret_basic", "none"]),
    ),
    optional("authorize_params", Shape::Map(&Shape::Json)),
    optional("optional_authorize_params", Shape::List(&Shape::Json)),
    optional("token_request", Shape::Free),
    optional("token_response", Shape::Free),
    optional("refresh", Shape::Free),
    optional("api_base_url", Shape::Template),
    optional("api_auth", Shape::Text(1024)),
    optional("api_headers", Shape::Map(&Shape::Text(1024))),
    optional("post_connect_lookup", Shape::Text(1024)),
    optional("webhook", Shape::Free),
    optional("docs_url", Shape::Url),
    optional("app_settings_url", Shape::Url),
    optional("token_page", Shape::Url),
    optional("key_grant_url", Shape::Url),
    optional("notes", Shape::List(&Shape::Text(4096))),
    optional("oauth1", Shape::Free),
    optional("oauth_documented", Shape::Free),
    // Where a row of the catalogue comes from. Kept, so that such a row can be pasted here.
    optional("confidence", Shape::Text(64)),
    optional("evidence", Shape::List(&Shape::Free)),
    optional("field_evidence", Shape::Map(&Shape::Json)),
    optional("unverified", Shape::List(&NAME)),
];

pub const SECRETS: &[Field] = &[
    optional("id", Shape::Id),
    required("team", Shape::Id),
    required("name", Shape::Name(300)),
    required(
        "value",
        Shape::Value(grantry_core::limits::SECRET_BYTES_MAX),
    ),
];

pub const CONNECTORS: &[Field] = &[
    optional("id", Shape::Id),
    optional("uid", NAME),
    required("team", Shape::Id),
    required("name", NAME),
    required("type", NAME),
    optional("service", Shape::Name(512)),
    required("data", Shape::Free),
    optional("metadata", Shape::Free),
    optional(
        "links",
        Shape::List(&Shape::Object(&[
            required("project", NAME),
            optional("environments", Shape::List(&Shape::Id)),
        ])),
    ),
    optional("redirect", Shape::OneOf(&["server", "team"])),
    optional("icon", Shape::Text(64)),
    optional("background_color", Shape::Text(16)),
    optional("accent_color", Shape::Text(16)),
    optional("default_installation", Shape::Text(256)),
    optional("triggers_enabled", Shape::Truth),
    optional("events", Shape::List(&NAME)),
    optional(
        "trigger_destinations",
        Shape::List(&Shape::Object(&[
            required("project", NAME),
            optional("branch", NAME),
            optional("custom_environment", NAME),
            optional("path", Shape::Name(1024)),
        ])),
    ),
];

pub const CONNECTIONS: &[Field] = &[
    optional("id", Shape::Id),
    optional("team", Shape::Id),
    required("connector", NAME),
    optional("environment", Shape::Id),
    optional(
        "subject",
        Shape::Object(&[
            required("type", Shape::OneOf(&["app", "user", "connection"])),
            optional("id", Shape::Name(512)),
            optional("issuer", Shape::Name(512)),
        ]),
    ),
    optional("installation", NAME),
    optional("scopes", Shape::List(&NAME)),
    optional("audience", Shape::List(&Shape::Name(2048))),
    optional("resources", Shape::List(&Shape::Url)),
    optional("name", NAME),
    optional("external_subject", NAME),
    required(
        "access_token",
        Shape::Token(grantry_core::limits::TOKEN_BYTES_MAX),
    ),
    optional(
        "refresh_token",
        Shape::Token(grantry_core::limits::TOKEN_BYTES_MAX),
    ),
    optional("expires_in", Shape::Seconds),
];

pub const MCP_SERVERS: &[Field] = &[
    optional("id", Shape::Id),
    required("team", Shape::Id),
    required("name", Shape::Name(255)),
    required("base_url", Shape::Url),
];

pub const INVITES: &[Field] = &[
    optional("id", Shape::Id),
    required("team", Shape::Id),
    required("email", Shape::Email),
    optional("role", Shape::OneOf(PERSON_ROLES)),
    optional("expires_at", Shape::Instant),
];

impl Shape {
    /// What would be right, after "must be".
    pub fn expected(&self) -> String {
        match self {
            Self::Id => "1 to 256 visible characters without / ? # %".to_owned(),
            Self::Slug => "1 to 64 lower-case letters, digits, - or _".to_owned(),
            Self::Text(max) => format!("at most {max} bytes of text without control characters"),
            Self::Name(max) => format!("1 to {max} bytes of text without control characters"),
            Self::Email => "a mail address".to_owned(),
            Self::Token(max) => format!("1 to {max} visible characters without spaces"),
            Self::Origin => "an origin such as https://app.example".to_owned(),
            Self::Url => "an absolute http(s) URL without user name or password".to_owned(),
            Self::Template => {
                "an absolute http(s) URL, with {variables} where it varies".to_owned()
            }
            Self::Value(max) => format!("1 to {max} bytes of text"),
            Self::Truth => "true or false".to_owned(),
            Self::Instant => {
                "a date and time with its offset, such as 2027-01-31T12:00:00Z".to_owned()
            }
            Self::Seconds => "a whole number of seconds, at least 0".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) | Self::Object(_) | Self::Free => "a table".to_owned(),
            Self::Json => "text, a number, true or false, a list or a table".to_owned(),
        }
    }
}
