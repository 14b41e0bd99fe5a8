//! `oauth`: any OAuth 2.0 client; and `custom`, which is one where it has a client id.

use super::{Field, SEARCHED, Shape, field, required};

/// The table, in which the client id is `required` or only a `field`.
macro_rules! table {
    ($client_id:ident) => {
        &[
            field("serverUrl", Shape::Url),
            field("serverConfig", Shape::Free),
            // What the catalogue's endpoints leave open: a shop's name, a tenant.
            field("variables", Shape::TextMap(256)),
            $client_id("clientId", Shape::Text(2048)),
            field("clientName", Shape::Text(256)),
            field("clientSecret", Shape::Secret(8192)),
            field(
                "tokenEndpointAuthMethod",
                Shape::OneOf(&["client_secret_post", "client_secret_basic", "none"]),
            ),
            field("responseType", Shape::OneOf(&["code"])),
            // Satisfied either way: every authorization request carries an S256 challenge.
            field("pkceRequired", Shape::Bool),
            field("codeChallengeMethod", Shape::OneOf(&["S256"])),
            field("userAuthorization", Shape::Object(GRANT)),
            field(
                "refreshTokens",
                Shape::Object(&[required("enabled", Shape::Bool)]),
            ),
            field("clientCredentials", Shape::Object(GRANT)),
            field("jwtBearer", Shape::NotOffered),
            field("forwardedClaims", Shape::NotOffered),
            field("defaultAudience", Shape::Text(2048)),
            field("defaultTokenExpiresIn", Shape::Integer(60)),
            field("authorizationUrlParams", Shape::TextMap(2048)),
            SEARCHED,
        ]
    };
}

/// `oauth`
pub(super) const OAUTH: &[Field] = table!(required);

/// `custom`: an OAuth client where it has a client id; without one it has no tokens.
pub(super) const CUSTOM: &[Field] = table!(field);

/// What belongs to an OAuth client that is nothing else.
pub(super) fn is_of_a_client(name: &str) -> bool {
    name != SEARCHED.name && CUSTOM.iter().any(|row| row.name == name)
}

pub(super) const GRANT: &[Field] = &[
    required("enabled", Shape::Bool),
    field("scopes", Shape::Texts(256)),
];
