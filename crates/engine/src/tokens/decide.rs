//! Whether a stored token is served as it is (design §6a).

use std::time::Duration;

use grantry_core::Timestamp;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{ConnectionState, TokenSet};

/// What to do about a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Serve what is stored.
    Serve,
    /// Get a new one first. If that fails, the stored one is served where `lives`.
    Renew {
        /// The stored token has not expired.
        lives: bool,
    },
    /// The stored token is dead and the last flight asked for patience.
    Later(Duration),
    /// Only a new consent helps.
    Reconnect(ReconnectReason),
}

/// The instants and flags that decide.
pub struct Facts<'a> {
    /// Now.
    pub now: Timestamp,
    /// How long the caller wants the token to live on.
    pub buffer: Duration,
    /// The connection's state.
    pub state: ConnectionState,
    /// The stored set.
    pub set: &'a TokenSet,
    /// A new token can be had without the user: there is a refresh token, or the app mints its own.
    pub renewable: bool,
    /// While the stored token lives, flights are this far apart.
    pub spacing: Duration,
}

/// Whether the stored access token has not expired at `now`.
pub fn lives(set: &TokenSet, now: Timestamp) -> bool {
    set.access_expires_at.is_none_or(|expires| now < expires)
}

/// Decides one read.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Facts {
        now,
        buffer,
        state,
        set,
        renewable,
        spacing,
    } = *facts;
    let lives = lives(set, now);
    let outlives_buffer = set.access_expires_at.is_none_or(|expires| {
        // A buffer of more than half a lifetime would make every read a refresh.
        let half_life = expires.since(set.received_at) / 2;
        now.after(buffer.min(half_life)) < expires
    });
    match state {
        ConnectionState::Revoked => Decision::Reconnect(ReconnectReason::Revoked),
        _ if outlives_buffer => Decision::Serve,
        ConnectionState::NeedsReauth(_) | ConnectionState::Active if lives && !renewable => {
            Decision::Serve
        }
        ConnectionState::NeedsReauth(_) if lives => Decision::Serve,
        ConnectionState::NeedsReauth(reason) => Decision::Reconnect(reason),
        ConnectionState::Active if !renewable => Decision::Reconnect(ReconnectReason::Expired),
        ConnectionState::Active if now < set.not_before => {
            if lives {
                Decision::Serve
            } else {
                Decision::Later(set.not_before.since(now))
            }
        }
        ConnectionState::Active if lives && now < set.received_at.after(spacing) => Decision::Serve,
        ConnectionState::Active => Decision::Renew { lives },
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::Sealed;
    use serde_json::Map;

    use super::*;

    const fn secs(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// A set that arrived at 1 000 s and lives for 600 s.
    fn set() -> TokenSet {
        TokenSet {
            id: "stk_1".into(),
            team: "team_1".into(),
            connection: "conn_1".into(),
            kind: "main".to_owned(),
            access: Sealed(vec![]),
            access_expires_at: Some(secs(1600)),
            refresh: Some(Sealed(vec![])),
            scope: None,
            metadata: Map::new(),
            servers: None,
            received_at: secs(1000),
            failures: 0,
            not_before: Timestamp(0),
        }
    }

    fn at(
        now: i64,
        buffer: u64,
        state: ConnectionState,
        set: &TokenSet,
        renewable: bool,
    ) -> Decision {
        decide(&Facts {
            now: secs(now),
            buffer: Duration::from_secs(buffer),
            state,
            set,
            renewable,
            spacing: Duration::from_secs(30),
        })
    }

    #[test]
    fn the_table() {
        use ConnectionState::{Active, NeedsReauth, Revoked};
        use Decision::{Later, Reconnect, Renew, Serve};
        let plain = set();
        let backing_off = TokenSet {
            not_before: secs(1700),
            ..set()
        };
        let eternal = TokenSet {
            access_expires_at: None,
            ..set()
        };
        let brief = TokenSet {
            access_expires_at: Some(secs(1010)),
            ..set()
        };
        let rejected = NeedsReauth(ReconnectReason::Rejected);
        let cases = [
            ("fresh", at(1100, 30, Active, &plain, true), Serve),
            (
                "inside the buffer",
                at(1580, 30, Active, &plain, true),
                Renew { lives: true },
            ),
            (
                "exactly at the buffer",
                at(1570, 30, Active, &plain, true),
                Renew { lives: true },
            ),
            (
                "expired",
                at(1600, 30, Active, &plain, true),
                Renew { lives: false },
            ),
            (
                "a buffer longer than half a lifetime is cut",
                at(1299, 3600, Active, &plain, true),
                Serve,
            ),
            (
                "past half a lifetime with a long buffer",
                at(1301, 3600, Active, &plain, true),
                Renew { lives: true },
            ),
            (
                "flights are spaced while the token lives",
                at(1006, 30, Active, &brief, true),
                Serve,
            ),
            (
                "but not once it is dead",
                at(1011, 30, Active, &brief, true),
                Renew { lives: false },
            ),
            (
                "backing off with a live token",
                at(1590, 30, Active, &backing_off, true),
                Serve,
            ),
            (
                "backing off with a dead one",
                at(1650, 30, Active, &backing_off, true),
                Later(Duration::from_secs(50)),
            ),
            (
                "no expiry",
                at(9_999_999, 30, Active, &eternal, true),
                Serve,
            ),
            (
                "no refresh token, alive",
                at(1590, 30, Active, &plain, false),
                Serve,
            ),
            (
                "no refresh token, dead",
                at(1600, 30, Active, &plain, false),
                Reconnect(ReconnectReason::Expired),
            ),
            (
                "rejected, alive",
                at(1590, 30, rejected, &plain, true),
                Serve,
            ),
            (
                "rejected, dead",
                at(1600, 30, rejected, &plain, true),
                Reconnect(ReconnectReason::Rejected),
            ),
            (
                "revoked is never served",
                at(1100, 30, Revoked, &plain, true),
                Reconnect(ReconnectReason::Revoked),
            ),
        ];
        for (name, decided, expected) in cases {
            assert_eq!(decided, expected, "{name}");
        }
    }
}
