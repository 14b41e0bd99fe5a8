//! `salesforce`: a connected app.

use grantry_vault::jws::SigningAlgorithm;

use super::oauth::GRANT;
use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const SALESFORCE: &[Field] = &[
    required("consumerKey", Shape::Text(1024)),
    required("consumerSecret", Shape::Secret(8192)),
    // `login.salesforce.com`, `test.salesforce.com` or an org's own host.
    required("loginHost", Shape::Text(253)),
    field("userScopes", Shape::Texts(256)),
    // The app as itself: the client credentials of the app's run-as user …
    field("clientCredentials", Shape::Object(GRANT)),
    // … or, with a certificate, as this user (JWT bearer).
    field("username", Shape::Text(256)),
    field("privateKeyPem", Shape::Pem(SigningAlgorithm::Rs256)),
    // The same key may speak for whichever user a request names: of those who approved the app, it can be anybody.
    field(
        "jwtBearer",
        Shape::Object(&[required("enabled", Shape::Bool)]),
    ),
    field("defaultTokenExpiresIn", Shape::Integer(60)),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];
