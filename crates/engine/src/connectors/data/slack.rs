//! `slack`: a Slack app.

use super::{EXTRAS, Field, SEARCHED, SERVER_CONFIG, Shape, field, required};

pub(super) const SLACK: &[Field] = &[
    required("appId", Shape::Text(64)),
    required("appName", Shape::Text(256)),
    required("clientId", Shape::Text(256)),
    required("clientSecret", Shape::Secret(8192)),
    field("signingSecret", Shape::Secret(8192)),
    field("verificationToken", Shape::Secret(8192)),
    field("slackTeam", Shape::Object(TEAM)),
    field("botScopes", Shape::Texts(256)),
    field("userScopes", Shape::Texts(256)),
    field("slashCommands", Shape::Objects(SLASH_COMMAND, 50)),
    field("shortcuts", Shape::Objects(SHORTCUT, 10)),
    // What its manifest says; Slack turns neither off again.
    field("tokenRotationEnabled", Shape::Bool),
    field("orgDeployEnabled", Shape::Bool),
    SERVER_CONFIG,
    EXTRAS,
    SEARCHED,
];

const TEAM: &[Field] = &[
    required("id", Shape::Text(64)),
    field("name", Shape::Text(256)),
    field("domain", Shape::Text(256)),
];

const SLASH_COMMAND: &[Field] = &[
    required("command", Shape::Text(32)),
    required("description", Shape::Text(2000)),
    field("usageHint", Shape::Text(1000)),
    field("shouldEscape", Shape::Bool),
];

const SHORTCUT: &[Field] = &[
    required("type", Shape::OneOf(&["global", "message"])),
    required("name", Shape::Text(24)),
    required("callbackId", Shape::Text(255)),
    required("description", Shape::Text(150)),
];
