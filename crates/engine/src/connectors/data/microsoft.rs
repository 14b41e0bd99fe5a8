//! `microsoft-entra` and `microsoft-teams`: applications registered in a Microsoft Entra tenant.

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const ENTRA: &[Field] = &[
    required("clientId", Shape::Text(256)),
    required("clientSecret", Shape::Secret(8192)),
    // A tenant's id or domain; any tenant's users where it is absent.
    field("tenantId", Shape::Text(253)),
    field("appName", Shape::Text(256)),
    field("appScopes", Shape::Texts(256)),
    field("userScopes", Shape::Texts(256)),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];

pub(super) const TEAMS: &[Field] = &[
    // The bot's id, which is its application's too.
    required("appId", Shape::Text(256)),
    required("clientSecret", Shape::Secret(8192)),
    field("tenantId", Shape::Text(253)),
    field("appName", Shape::Text(256)),
    field("appScopes", Shape::Texts(256)),
    field("userScopes", Shape::Texts(256)),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];
