//! Examples of the native API: requests in the order in which a test sends them, and what they were answered
//! (`tests/examples.rs`). They lie in the OpenAPI document and on the page `/docs`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request, and its answer.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Operation id of its route.
    pub operation: String,
    /// What it shows, in a line.
    pub about: String,
    /// Whose credential it carries.
    pub by: By,
    /// What its path names, decoded.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub path: Map<String, Value>,
    /// What its query names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub query: Map<String, Value>,
    /// Its body; a text where that is no JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The answer's status.
    pub status: u16,
    /// The answer's body; a text where that is no JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// Who asks in an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The server's key, or the control socket.
    Server,
    /// An admin's key of the account.
    Account,
    /// An admin's key of the team.
    Admin,
    /// A member's key of the team.
    Member,
    /// A project's key.
    Workload,
    /// Nobody: a public route.
    Anybody,
}

impl By {
    /// For people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Server => "Asked with a key of the server.",
            Self::Account => "Asked with a key of the account.",
            Self::Admin => "Asked with an admin's key of the team.",
            Self::Member => "Asked with a member's key.",
            Self::Workload => "Asked with a project's key.",
            Self::Anybody => "Asked without a key.",
        }
    }
}

macro_rules! files {
    ($($name:literal,)*) => {
        /// The files of the examples, by name, in the order in which they are sent.
        pub const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("examples/", $name, ".json"))),)*];
    };
}

files! {
    "accounts",
    "users",
    "teams",
    "projects",
    "keys",
    "services",
    "connectors",
    "secrets",
    "connections",
    "installations",
    "authorizations",
    "team",
    "server",
    "setups",
}

static ALL: LazyLock<Vec<Example>> = LazyLock::new(|| {
    let read = |(_, text): &(&str, &str)| serde_json::from_str::<Vec<Example>>(text);
    // That each of them can be read is a test's business: a release has been through it.
    FILES.iter().flat_map(read).flatten().collect()
});

/// The examples of the route with this operation id.
pub fn of(operation: &str) -> impl Iterator<Item = &'static Example> {
    ALL.iter()
        .filter(move |example| example.operation == operation)
}
