//! The authorization response (RFC 6749 §4.1.2) as data, and the ways to spoil it.

use super::{Effect, Endpoint, Fault, Play};

/// An authorization response that can still be changed.
pub(crate) struct Callback {
    /// Parameters in the order sent; names may repeat.
    pub params: Vec<(String, String)>,
    /// How they travel.
    pub mode: Mode,
    /// Signs in another user than the one who pressed the button.
    pub swap_user: bool,
}

/// How the parameters travel to the redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the query, as asked.
    Query,
    /// In the fragment.
    Fragment,
    /// In the body of a POST.
    Form,
}

impl Callback {
    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.params.retain(|(key, _)| key != name);
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.params.push((name.to_owned(), value.into()));
    }

    /// Turns the response into an error, unless it is one.
    pub(crate) fn fail(&mut self, code: &str) {
        self.remove("code");
        if self.get("error").is_none() {
            self.set("error", code);
        }
    }
}

/// A row of the fault table for `/authorize`.
pub(super) const fn callback(
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    play: fn(&mut Callback, &str),
) -> Fault {
    Fault {
        name,
        endpoints: &[Endpoint::Authorize],
        requirements,
        what,
        effect: Effect::Rotate,
        usable: true,
        every: 1,
        play: Play::Callback(play),
    }
}
