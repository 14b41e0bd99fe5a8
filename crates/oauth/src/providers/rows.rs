//! One row per service that departs from the RFCs.

use std::time::Duration;

use super::{Quirks, Revocation};

/// Sorted by service.
pub(super) const ROWS: &[Quirks] = &[
    // Takes reuse of a refresh token for theft and ends the grant.
    Quirks {
        service: "airtable",
        kills_on_reuse: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "atlassian",
        json_request: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "business-central",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    Quirks {
        service: "confluence",
        json_request: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "dropbox-sign",
        json_request: true,
        ..Quirks::STANDARD
    },
    // Answers {"errors":[{"errorType":…,"message":…}],"success":false}.
    Quirks {
        service: "fitbit",
        error_at: &["/errors/0/errorType", "/error"],
        error_text_at: &["/errors/0/message", "/error_description"],
        ..Quirks::STANDARD
    },
    Quirks {
        service: "freshbooks",
        json_request: true,
        ..Quirks::STANDARD
    },
    // Errors under status 200; form-encoded unless asked for JSON, and some proxies drop Accept.
    Quirks {
        service: "github",
        revocation: Revocation::Github,
        codes: "github",
        form_response: true,
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    Quirks {
        service: "github-app",
        revocation: Revocation::Github,
        codes: "github",
        form_response: true,
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    // Answers {"status":"BAD_REFRESH_TOKEN","message":…}.
    Quirks {
        service: "hubspot",
        codes: "hubspot",
        error_at: &["/error", "/status"],
        error_text_at: &["/error_description", "/message"],
        ..Quirks::STANDARD
    },
    Quirks {
        service: "jira",
        json_request: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "linear",
        scope_separator: ',',
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    Quirks {
        service: "microsoft-entra",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    Quirks {
        service: "microsoft-teams",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    Quirks {
        service: "notion",
        json_request: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "onedrive",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    Quirks {
        service: "outlook-calendar",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    Quirks {
        service: "outlook-mail",
        codes: "microsoft",
        ..Quirks::STANDARD
    },
    // Names no lifetime; the real one is the org's session policy, two hours unless changed.
    Quirks {
        service: "salesforce",
        default_expires_in: Some(Duration::from_secs(7200)),
        ..Quirks::STANDARD
    },
    Quirks {
        service: "slack",
        revocation: Revocation::Slack,
        codes: "slack",
        token_types: &["bot", "user"],
        scope_separator: ',',
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    // The user token of the same answer: it rotates apart from the bot's (requirement 53).
    Quirks {
        service: "slack-user",
        revocation: Revocation::Slack,
        codes: "slack",
        token_at: "/authed_user",
        token_of_user: true,
        // A refresh answers at the root; a bot's token there is not the user's.
        token_types: &["user"],
        scope_separator: ',',
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    Quirks {
        service: "square",
        json_request: true,
        ..Quirks::STANDARD
    },
    Quirks {
        service: "stack-exchange",
        form_response: true,
        scope_separator: ',',
        ..Quirks::STANDARD
    },
    // Answers {"status":0,"body":{"access_token":…}}.
    Quirks {
        service: "withings",
        request_extra: &[("action", "requesttoken")],
        token_at: "/body",
        scope_separator: ',',
        granted_scope_separator: ',',
        ..Quirks::STANDARD
    },
    Quirks {
        service: "zoho",
        codes: "zoho",
        scope_separator: ',',
        ..Quirks::STANDARD
    },
];
