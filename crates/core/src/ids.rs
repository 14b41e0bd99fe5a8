//! Identifiers. They are free text in the store (design §2 "One row, one id"): a row made through a
//! dialect keeps that dialect's form, so only minting knows a prefix and nothing parses one.

use std::sync::Arc;

use crate::{Entropy, Timestamp, entropy};

/// A UUID v7 without hyphens: sorts by creation time, 74 random bits.
pub fn unique(now: Timestamp, entropy: &dyn Entropy) -> String {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &entropy::bytes::<10>(entropy))
        .into_uuid();
    uuid.simple().to_string()
}

/// The same with hyphens, as other vendors' clients expect a UUID.
pub fn hyphenated(now: Timestamp, entropy: &dyn Entropy) -> String {
    let id = unique(now, entropy);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| id.get(part).unwrap_or_default());
    parts.join("-")
}

/// A UUID that stands for a digest: the same for the same (RFC 9562 §5.8).
pub fn of_digest(digest: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new id with this kind's prefix.
            pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self::from(format!(concat!($prefix, "{}"), unique(now, entropy)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

ids! {
    /// Owner of teams.
    AccountId = "acc_";
    /// The tenant.
    TeamId = "team_";
    /// A person of an account.
    UserId = "usr_";
    /// A workload that consumes tokens.
    ProjectId = "prj_";
    /// An API key's row (not the key itself).
    KeyId = "key_";
    /// A team's registered client of a service.
    ConnectorId = "scl_";
    /// One pending consent.
    AuthorizationId = "sca_";
    /// What a consent left behind.
    ConnectionId = "conn_";
    /// One stored token pair. It is the pair's generation, the compare-and-swap key of a refresh and
    /// the row id in the associated data; never reused (design §6).
    TokenSetId = "stk_";
    /// A named secret.
    SecretId = "sec_";
    /// An invitation into a team.
    InviteId = "inv_";
    /// A team's MCP server.
    McpServerId = "mcp_";
    /// A connector that is to be registered.
    SetupId = "scr_";
    /// An app-level grant in one provider tenant.
    InstallationId = "ins_";
    /// A sign-in through a connector.
    SignInId = "sgn_";
    /// A line of the event log.
    EventId = "evt_";
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xA5);
        }
    }

    #[test]
    fn a_hyphenated_id_is_a_uuid() {
        let id = hyphenated(Timestamp::from_millis(1_784_065_923_026), &Fixed);
        let parsed = uuid::Uuid::parse_str(&id).unwrap();
        assert_eq!((parsed.get_version_num(), parsed.to_string()), (7, id));
    }

    #[test]
    fn minted_ids_carry_their_prefix_and_sort_by_time() {
        let early = ConnectorId::mint(Timestamp::from_millis(1_784_065_923_026), &Fixed);
        let late = ConnectorId::mint(Timestamp::from_millis(1_784_065_923_027), &Fixed);
        assert!(
            early.as_str().starts_with("scl_") && early.as_str().len() == 4 + 32,
            "{early}"
        );
        assert!(early < late);
    }
}
