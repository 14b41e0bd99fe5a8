//! `oauth`: any OAuth 2.0 client; and `custom`, which is one where it has a client id.

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

/// `oauth`. The client id is required, unless a server is named that may register a client; see `require_client`.
pub(super) const OAUTH: &[Field] = &[
    // A resource, an authorization server, or an API beside one.
    field("serverUrl", Shape::Url),
    SERVER_CONFIG,
    // What the catalogue's endpoints leave open: a shop's name, a tenant.
    field("variables", Shape::TextMap(256)),
    field("clientId", Shape::Text(2048)),
    field("clientName", Shape::Text(256)),
    field("clientSecret", Shape::Secret(8192)),
    field(
        "tokenEndpointAuthMethod",
        Shape::OneOf(&[
            "client_secret_post",
            "client_secret_basic",
            "client_secret_basic_raw",
            "none",
            "private_key_jwt",
        ]),
    ),
    // What a client signs to prove who it is (RFC 7523 §2.2).
    field("clientAssertion", Shape::Object(ASSERTION)),
    // How a client comes about where no clientId is given; what the server offers decides when absent.
    field("clientRegistration", Shape::OneOf(&["dynamic", "document"])),
    field("responseType", Shape::OneOf(&["code"])),
    // Satisfied either way: every authorization request carries an S256 challenge.
    field("pkceRequired", Shape::Bool),
    field("codeChallengeMethod", Shape::OneOf(&["S256"])),
    field("userAuthorization", Shape::Object(USERS)),
    field(
        "refreshTokens",
        Shape::Object(&[required("enabled", Shape::Bool)]),
    ),
    field("clientCredentials", Shape::Object(GRANT)),
    field("jwtBearer", Shape::Object(BEARER)),
    // Claims of the ID token that are given out with tokens; the ID token itself never is.
    field(
        "forwardedClaims",
        Shape::Object(&[field("idToken", Shape::Texts(256))]),
    ),
    field("defaultAudience", Shape::Text(2048)),
    field("defaultTokenExpiresIn", Shape::Integer(60)),
    field("authorizationUrlParams", Shape::TextMap(2048)),
    // How the application is installed in a tenant: `connectors/install` says what each is for.
    field("installation", Shape::Object(INSTALLATION)),
    EXTRAS,
    SEARCHED,
];

/// `custom`: an OAuth client where it has a client id; without one it has no tokens.
pub(super) const CUSTOM: &[Field] = OAUTH;

/// What an assertion about somebody says where the request for a token does not (RFC 7523 §2.1).
const BEARER: &[Field] = &[
    field("enabled", Shape::Bool),
    field("scopes", Shape::Texts(256)),
    field("sub", Shape::Text(512)),
    field("iss", Shape::Text(2048)),
    field("aud", Shape::Text(2048)),
    field("additionalClaims", Shape::Free),
    // Seconds; at most 300 count.
    field("ttl", Shape::Integer(1)),
    // Authenticate the client too; else the assertion speaks for itself.
    field("useClientCredentials", Shape::Bool),
];

const ASSERTION: &[Field] = &[
    field(
        "type",
        Shape::OneOf(&["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]),
    ),
    // Seconds; at most 300 count.
    field("ttl", Shape::Integer(1)),
    // More claims; `aud` takes the place of the token endpoint.
    field("claims", Shape::Free),
];

/// What belongs to an OAuth client that is nothing else.
pub(super) fn is_of_a_client(name: &str) -> bool {
    ![EXTRAS.name, SEARCHED.name].contains(&name) && CUSTOM.iter().any(|row| row.name == name)
}

pub(super) const GRANT: &[Field] = &[
    required("enabled", Shape::Bool),
    field("scopes", Shape::Texts(256)),
];

/// A grant of users.
const USERS: &[Field] = &[
    required("enabled", Shape::Bool),
    field("scopes", Shape::Texts(256)),
    // The claim of verified ID tokens that says in which tenant somebody is: what sign-ins tell of it.
    field("tenantClaim", Shape::Text(256)),
];

const INSTALLATION: &[Field] = &[
    required("enabled", Shape::Bool),
    field("url", Shape::Url),
    field("scopes", Shape::Texts(256)),
    field("params", Shape::TextMap(2048)),
    required("id", Shape::Text(256)),
    field("tenant", Shape::Text(256)),
    field("name", Shape::Text(256)),
];
