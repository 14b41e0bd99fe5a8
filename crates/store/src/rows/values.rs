//! Rust values as SQL values and back.

use std::time::Duration;

use grantry_core::Timestamp;
use grantry_core::ids::{
    AccountId, AuthorizationId, ConnectionId, ConnectorId, EventId, InstallationId, InviteId,
    KeyId, McpServerId, ProjectId, SecretId, SetupId, SignInId, TeamId, TokenSetId, UserId,
};
use grantry_core::nouns::{Digest, Environment, Sealed};

use crate::backend::{FromValue, Value};

/// A list of values to bind: `params![team, id, at]`.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::backend::Value::from($value)),*] };
}
pub(crate) use params;

/// The words that stand for an enum's variants in the store.
macro_rules! words {
    ($name:ty { $($variant:ident = $word:literal),* $(,)? }) => {
        impl From<$name> for $crate::backend::Value {
            fn from(value: $name) -> Self {
                Self::from(match value { $(<$name>::$variant => $word),* })
            }
        }

        impl $crate::backend::FromValue for $name {
            fn from_value(value: &$crate::backend::Value) -> Option<Self> {
                match value {
                    $($crate::backend::Value::Text(word) if word == $word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use words;

/// Identifiers and names that are text.
macro_rules! texts {
    ($($name:ident),*) => {$(
        impl From<&$name> for Value {
            fn from(id: &$name) -> Self {
                Self::from(id.as_str())
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Text(text) => Some(Self::from(text.as_str())),
                    _ => None,
                }
            }
        }
    )*};
}

texts!(
    AccountId,
    AuthorizationId,
    ConnectionId,
    ConnectorId,
    EventId,
    InstallationId,
    InviteId,
    KeyId,
    McpServerId,
    ProjectId,
    SecretId,
    SetupId,
    SignInId,
    TeamId,
    TokenSetId,
    UserId,
    Environment
);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        Self::try_from(i64::from_value(value)?).ok()
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        Self::try_from(i64::from_value(value)?).ok()
    }
}

/// A number in both databases: 0 or 1.
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Self {
        Self::Int(instant.0)
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl From<&Sealed> for Value {
    fn from(sealed: &Sealed) -> Self {
        Self::Bytes(sealed.0.clone())
    }
}

impl FromValue for Sealed {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(Self(bytes.clone())),
            _ => None,
        }
    }
}

/// Hex, in lower case: the key of a cached API key in the change feed is the column as it stands.
impl From<&Digest> for Value {
    fn from(digest: &Digest) -> Self {
        Self::Text(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl FromValue for Digest {
    fn from_value(value: &Value) -> Option<Self> {
        let Value::Text(text) = value else {
            return None;
        };
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() || !text.is_ascii() {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(digest)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// A value that the noun itself holds as a list, a map or JSON.
#[expect(
    clippy::expect_used,
    reason = "the nouns' lists and maps have text keys and derived serialisers, which cannot fail"
)]
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Value {
    Value::Text(serde_json::to_string(value).expect("a noun's JSON"))
}

/// A length of time as the store counts it.
pub(crate) fn micros(duration: Duration) -> Value {
    Value::Int(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_and_nothing_else_reads_as_one() {
        let digest: Digest = std::array::from_fn(|n| u8::try_from(n * 8).unwrap());
        assert_eq!(Digest::from_value(&Value::from(&digest)), Some(digest));
        let bad = ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)];
        for text in bad {
            assert_eq!(Digest::from_value(&Value::from(text)), None, "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(u32::from_value(&Value::Int(-1)), None);
        assert_eq!(u32::from_value(&Value::Int(1 << 32)), None);
        assert_eq!(bool::from_value(&Value::Int(2)), None);
        assert_eq!(<Option<i64>>::from_value(&Value::from("1")), None);
        assert_eq!(<Option<i64>>::from_value(&Value::Null), Some(None));
    }
}
