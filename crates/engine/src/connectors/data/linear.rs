//! `linear`: an application of Linear's.

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const LINEAR: &[Field] = &[
    required("clientId", Shape::Text(256)),
    required("clientSecret", Shape::Secret(8192)),
    field("appId", Shape::Text(256)),
    field("appName", Shape::Text(256)),
    field("webhookSecret", Shape::Secret(8192)),
    field("appScopes", Shape::Texts(256)),
    field("userScopes", Shape::Texts(256)),
    field("ownerOrganization", Shape::Object(ORGANIZATION)),
    field("application", Shape::Free),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];

const ORGANIZATION: &[Field] = &[
    required("id", Shape::Text(256)),
    required("slug", Shape::Text(256)),
    required("name", Shape::Text(256)),
    field("logoUrl", Shape::Url),
];
