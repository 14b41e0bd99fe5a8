//! The kinds of credentials: one row each (reference/cohere-sequin §2.3), and what a credential's
//! properties become: public ones, secrets, and the account that they are of.

use std::time::Duration;

use grantry_core::limits::TOKEN_BYTES_MAX;
use grantry_core::{Error, Problem, Result, Secret};
use grantry_engine::{NewPair, NewTokens, is_handle};
use serde_json::{Map, Value};

use super::wire::MASK;
use crate::kit::fields::{self, Field, Shape, optional, required};

/// A kind.
pub struct Kind {
    /// Its word.
    pub word: &'static str,
    /// The provider's service.
    pub provider: &'static str,
    /// Its properties beside `kind`.
    fields: &'static [Field],
    /// The property that names the account at the provider.
    account: Option<&'static str>,
    /// The properties that are secrets: what is presented, and what renews it.
    access: Option<&'static str>,
    refresh: Option<&'static str>,
}

const TOKEN: Shape = Shape::Text(TOKEN_BYTES_MAX);
const ID: Shape = Shape::Text(255);

const ACCESS_TOKEN: Field = optional("access_token", TOKEN, "Sealed and never shown.");
const REFRESH_TOKEN: Field = optional("refresh_token", TOKEN, "Sealed and never shown.");
const EXPIRES_IN: Field = optional(
    "expires_in",
    Shape::Integer(0, 315_360_000),
    "Ours: seconds that the access token lives from now; at once where it can be renewed.",
);
const SCOPE: Field = optional("scope", Shape::Text(16_384), "What was granted.");
const NAME: Field = optional("name", Shape::Text(256), "For people.");
const TEST: Field = optional("test", Shape::Bool, "Of the provider's test mode.");
const SECRET: Field = required("secret", TOKEN, "The key. Sealed and never shown.");

/// Properties of the kinds that nothing more is known of.
const OAUTH2: &[Field] = &[
    ACCESS_TOKEN,
    REFRESH_TOKEN,
    EXPIRES_IN,
    SCOPE,
    optional("account_id", ID, "The account at the provider."),
];

/// The kinds that are recorded.
const KINDS: &[Kind] = &[
    Kind {
        word: "airtable_oauth2",
        provider: "airtable",
        fields: &[
            optional("airtable_uid", ID, "The account."),
            REFRESH_TOKEN,
            ACCESS_TOKEN,
            EXPIRES_IN,
            SCOPE,
        ],
        account: Some("airtable_uid"),
        access: Some("access_token"),
        refresh: Some("refresh_token"),
    },
    Kind {
        word: "checkout_champ_password",
        provider: "checkout_champ",
        fields: &[
            required("login_id", ID, "The account."),
            required("password", TOKEN, "Sealed and never shown."),
        ],
        account: Some("login_id"),
        access: Some("password"),
        refresh: None,
    },
    Kind {
        word: "github_app",
        provider: "github",
        fields: &[
            required(
                "account_type",
                Shape::Word(&["User", "Organization"]),
                "Whose it is.",
            ),
            required("account_login", ID, "Their name."),
            required(
                "installation_id",
                Shape::Integer(1, i64::MAX),
                "The installation.",
            ),
        ],
        account: Some("installation_id"),
        access: None,
        refresh: None,
    },
    Kind {
        word: "hubspot_oauth2",
        provider: "hubspot",
        fields: &[
            optional("hub_domain", ID, "The account's domain."),
            optional("hub_id", Shape::Integer(1, i64::MAX), "The account."),
            REFRESH_TOKEN,
            ACCESS_TOKEN,
            EXPIRES_IN,
            optional("scopes", Shape::Texts(512), "What was granted."),
            SCOPE,
        ],
        account: Some("hub_id"),
        access: Some("access_token"),
        refresh: Some("refresh_token"),
    },
    Kind {
        word: "linear_oauth2",
        provider: "linear",
        fields: &[
            ACCESS_TOKEN,
            REFRESH_TOKEN,
            EXPIRES_IN,
            SCOPE,
            optional("linear_org_id", ID, "The account."),
            optional("linear_org_name", ID, "Its name."),
        ],
        account: Some("linear_org_id"),
        access: Some("access_token"),
        refresh: Some("refresh_token"),
    },
    Kind {
        word: "salesforce_oauth2",
        provider: "salesforce",
        fields: &[
            ACCESS_TOKEN,
            REFRESH_TOKEN,
            EXPIRES_IN,
            SCOPE,
            optional("organization_id", ID, "The account."),
            optional("instance_url", Shape::Text(2048), "Where its API is."),
        ],
        account: Some("organization_id"),
        access: Some("access_token"),
        refresh: Some("refresh_token"),
    },
    Kind {
        word: "stripe_key",
        provider: "stripe",
        fields: &[NAME, SECRET, TEST],
        account: None,
        access: Some("secret"),
        refresh: None,
    },
    Kind {
        word: "stripe_oauth2",
        provider: "stripe",
        fields: &[
            NAME,
            SECRET,
            TEST,
            REFRESH_TOKEN,
            EXPIRES_IN,
            SCOPE,
            optional("stripe_user_id", ID, "The account."),
        ],
        account: Some("stripe_user_id"),
        access: Some("secret"),
        refresh: Some("refresh_token"),
    },
];

/// The kind that exists only where Sequin itself owns the app.
const SEQUINS_OWN: &str = "stripe_sequin";

/// What else a kind may be called: the service's name and this.
const ENDING: &str = "_oauth2";

/// The shape of a kind that only its name is known of.
static OTHER: Kind = Kind {
    word: "",
    provider: "",
    fields: OAUTH2,
    account: Some("account_id"),
    access: Some("access_token"),
    refresh: Some("refresh_token"),
};

/// The kind of a word for an app of `service`, or what is wrong with it.
pub fn of(word: &str, service: &str) -> Result<&'static Kind, String> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.word == word) {
        return match kind.provider == service {
            true => Ok(kind),
            false => Err(format!(
                "{word} is of {}, and the app is of {service}",
                kind.provider
            )),
        };
    }
    if word == SEQUINS_OWN {
        return Err(format!(
            "{word} is of Sequin's own app, which there is none of here"
        ));
    }
    if word == usual(service) {
        return Ok(&OTHER);
    }
    let known: Vec<&str> = KINDS
        .iter()
        .filter(|kind| kind.provider == service)
        .map(|kind| kind.word)
        .collect();
    let known = match known.is_empty() {
        true => usual(service),
        false => known.join(", "),
    };
    Err(format!(
        "is no kind of credential of {service}; there is {known}"
    ))
}

/// The kind of a word that was accepted for some app.
pub fn named(word: &str) -> &'static Kind {
    let known = KINDS.iter().find(|kind| kind.word == word);
    known.unwrap_or(&OTHER)
}

/// The kind of a connection that was made elsewhere.
pub fn usual(service: &str) -> String {
    let oauth = KINDS
        .iter()
        .find(|kind| kind.provider == service && kind.word.ends_with(ENDING));
    oauth.map_or_else(|| format!("{service}{ENDING}"), |kind| kind.word.to_owned())
}

/// Properties, their secrets apart.
pub struct Read {
    /// Public ones, a mask in place of each secret.
    pub shown: Map<String, Value>,
    /// The account at the provider.
    pub account: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// What gives tokens.
    pub tokens: NewTokens,
}

impl Kind {
    /// The names of the properties that are secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        self.access.into_iter().chain(self.refresh)
    }

    /// Whether a link flow can bring one.
    pub fn is_linked(&self) -> bool {
        self.refresh.is_some()
    }

    /// The property of what is presented.
    pub const fn access_property(&self) -> Option<&'static str> {
        self.access
    }

    /// The property of what renews it.
    pub const fn refresh_property(&self) -> Option<&'static str> {
        self.refresh
    }

    /// Reads the properties of a credential; `kind` is one of them and stays the first.
    pub fn read(&self, mut sent: Map<String, Value>) -> Result<Read> {
        let word = sent.shift_remove("kind").unwrap_or_default();
        // Absent and null are the same, and neither is kept.
        sent.retain(|_, value| !value.is_null());
        fields::check(self.fields, sent.clone()).map_err(below_properties)?;
        let mut secret = |name: Option<&str>| {
            let value = sent.get_mut(name?)?;
            let text = value.as_str().map(str::to_owned);
            *value = MASK.into();
            text.map(Secret::new)
        };
        let (access, refresh) = (secret(self.access), secret(self.refresh));
        let given = [(self.access, &access), (self.refresh, &refresh)];
        let empty = given.iter().find_map(|(name, secret)| {
            let secret = secret.as_ref()?.expose().trim();
            name.filter(|_| secret.is_empty())
        });
        if let Some(name) = empty {
            return Err(Error::invalid(
                format!("properties.{name}"),
                "must not be empty",
            ));
        }
        if access.is_none() && sent.contains_key("expires_in") {
            let of = self.access.unwrap_or("secret");
            return Err(Error::invalid(
                "properties.expires_in",
                format!("is the life of {of}, which is not there"),
            ));
        }
        let number = |name: &str| sent.get(name).and_then(Value::as_u64);
        let account = self.account.and_then(|name| match sent.get(name)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        });
        let scope = match sent.get("scopes").and_then(Value::as_array) {
            Some(scopes) => {
                let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
                Some(scopes.join(" "))
            }
            None => sent.get("scope").and_then(Value::as_str).map(str::to_owned),
        };
        let handle = |secret: &Option<Secret>| {
            let secret = secret.as_ref()?;
            is_handle(secret.expose()).then(|| Secret::new(secret.expose()))
        };
        let handle = handle(&access).or_else(|| handle(&refresh));
        let given = access.is_some() || refresh.is_some();
        let tokens = match (handle, given) {
            (Some(handle), _) => NewTokens::Handle(handle),
            (None, false) if self.access.is_none() => NewTokens::None,
            (None, false) => {
                let names: Vec<String> = self
                    .secrets()
                    .map(|name| format!("properties.{name}"))
                    .collect();
                let message = format!("is required, or {}", names[1..].join(" or "));
                return Err(Error::invalid(names[0].clone(), message));
            }
            (None, true) => NewTokens::Pair(NewPair {
                // A token of unknown age that can be renewed is renewed before it is served.
                expires_in: number("expires_in")
                    .or(refresh.is_some().then_some(0))
                    .map(Duration::from_secs),
                access: access.unwrap_or_else(|| Secret::new("")),
                refresh,
                refresh_ends: None,
                scope,
                metadata: public_facts(&sent),
                servers: None,
            }),
        };
        let mut shown = Map::new();
        shown.insert("kind".to_owned(), word);
        sent.shift_remove("expires_in");
        shown.extend(sent);
        Ok(Read {
            name: shown.get("name").and_then(Value::as_str).map(str::to_owned),
            shown,
            account,
            tokens,
        })
    }
}

/// What whoever is served a token needs beside it.
fn public_facts(sent: &Map<String, Value>) -> Map<String, Value> {
    let fact = sent.get_key_value("instance_url");
    fact.map(|(name, value)| (name.clone(), value.clone()))
        .into_iter()
        .collect()
}

fn below_properties(error: Error) -> Error {
    match error {
        Error::Invalid(problems) => Error::Invalid(
            problems
                .into_iter()
                .map(|problem| {
                    Problem::new(format!("properties.{}", problem.field), problem.message)
                })
                .collect(),
        ),
        error => error,
    }
}

#[cfg(test)]
mod tests;
