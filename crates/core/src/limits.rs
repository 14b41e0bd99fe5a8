//! Every limit that is not a deployment's choice, with its unit in its name.

use std::time::Duration;

/// Largest request body of the JSON APIs (requirement 102).
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Largest access or refresh token taken from a provider (requirement 33).
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Longest lifetime believed of an access token (requirement 35).
pub const EXPIRES_IN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Life of one press of the consent button: state, PKCE verifier, binding cookie (design §7).
pub const FLOW_TTL: Duration = Duration::from_secs(600);

/// Default life of a pending authorization.
pub const AUTHORIZATION_TTL: Duration = Duration::from_secs(3600);

/// Longest life of a pending authorization.
pub const AUTHORIZATION_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
