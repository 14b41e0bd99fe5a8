//! Values that must never be printed, logged or serialised.

use zeroize::Zeroizing;

/// A secret text: a token, a client secret, a key. Wiped from memory on drop.
///
/// It implements neither `Debug`, `Display` nor `Serialize`, so a struct that holds one cannot
/// derive them and the compiler keeps it out of logs and answers (requirements 78, 79).
/// [`Secret::expose`] is the only way to the text: grep for it to see every use.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Hand it to a request body, a seal or a hash, and to nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when the text has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Secret: std::fmt::Debug, std::fmt::Display, serde::Serialize);
}
