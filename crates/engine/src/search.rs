//! Asking a connector's own search endpoint: `{"query"}` goes out with the credential that the caller has
//! there, `{"results"}` come back (reference/cohere-sequin §1.8).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::http::{self, Failure, Method, Purpose, Silence};
use grantry_core::ids::{ConnectorId, TeamId};
use grantry_core::nouns::{Connector, EventKind};
use grantry_core::{Error, Result, Secret, Timestamp};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::connectors::Entry;
use crate::connectors::types::{self, AppTokens};
use crate::permissions::Act;
use crate::rate::Working;
use crate::tokens::value_for;
use crate::{AskToken, Caller, Engine};

/// What a connector is asked before it is made: a plain word.
const PROBE: &str = "test";

/// What is searched for, and as whom.
pub struct AskSearch {
    /// What to look for.
    pub query: String,
    /// Whose token goes along; as for a token itself.
    pub token: AskToken,
    /// The caller's own token in place of one that is stored here.
    pub own_token: Option<Secret>,
    /// Whether a failure is an answer; as the connector says when absent.
    pub continue_on_failure: Option<bool>,
}

/// What a search brought.
pub struct Searched {
    /// Which connector was asked.
    pub connector: ConnectorId,
    /// Its documents, or why there are none.
    pub results: Result<Vec<Map<String, Value>>, SearchFailure>,
    /// Fields that are kept from language models.
    pub excludes: Vec<String>,
    /// The endpoint's status, where it answered.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// Whether a failure is to be told of in an answer, in place of being one.
    pub continues: bool,
}

/// Why a search brought nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchFailure {
    /// For people, in the words that Cohere's clients know.
    pub message: String,
    /// As an error of ours.
    pub error: Error,
    /// One fixed word, for the log.
    word: &'static str,
}

impl Searched {
    /// The documents as language models may see them.
    pub fn for_prompt(&self) -> Vec<Map<String, Value>> {
        let documents = self.results.iter().flatten().cloned();
        let strip = |mut document: Map<String, Value>| {
            document.retain(|name, _| !self.excludes.contains(name));
            document
        };
        documents.map(strip).collect()
    }
}

/// A connector's endpoint, as its `data.search` says it.
struct Endpoint {
    url: Url,
    scheme: Scheme,
    active: bool,
    continues: bool,
    excludes: Vec<String>,
}

/// How a credential stands in `Authorization`.
#[derive(Clone, Copy)]
enum Scheme {
    Bearer,
    Basic,
    Bare,
}

impl Endpoint {
    fn of(connector: &Connector) -> Option<Self> {
        let search = connector.data.get("search")?.as_object()?;
        let flag = |name: &str| search.get(name).and_then(Value::as_bool);
        let excludes = search.get("excludes").and_then(Value::as_array);
        let excludes = excludes.into_iter().flatten().filter_map(Value::as_str);
        Some(Self {
            url: Url::parse(search.get("url")?.as_str()?).ok()?,
            scheme: match search.get("scheme").and_then(Value::as_str) {
                Some("basic") => Scheme::Basic,
                Some("noscheme") => Scheme::Bare,
                _ => Scheme::Bearer,
            },
            active: flag("active").unwrap_or(true),
            continues: flag("continueOnFailure").unwrap_or(false),
            excludes: excludes.map(str::to_owned).collect(),
        })
    }
}

/// A credential as the header says it. The token is sent as it was given: `Basic` takes the encoded pair.
fn authorization(scheme: Scheme, token: &Secret) -> Zeroizing<String> {
    Zeroizing::new(match scheme {
        Scheme::Bearer => format!("Bearer {}", token.expose()),
        Scheme::Basic => format!("Basic {}", token.expose()),
        Scheme::Bare => token.expose().to_owned(),
    })
}

impl Engine {
    /// Asks a connector's search endpoint, and commits an event of it before the answer. Whoever may read
    /// the token that goes along may have it used: [`Act::ReadToken`].
    ///
    /// # Errors
    /// [`Error::Unresolvable`] for a connector that has no endpoint or is not active; [`Error::Busy`]. What fails at the
    /// endpoint, or for want of a credential, is in [`Searched::results`].
    pub async fn search(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        ask: AskSearch,
    ) -> Result<Searched> {
        caller.require(Act::ReadToken)?;
        let entry = self.usable_connector(caller, connector).await?;
        let refuse = |why: &str| {
            let reason = format!("connector {} {why}", entry.connector.id);
            Err(Error::Unresolvable { reason })
        };
        let Some(endpoint) = Endpoint::of(&entry.connector) else {
            return refuse("has no search url");
        };
        if !endpoint.active {
            return refuse("is not active");
        }
        if ask.query.trim().is_empty() {
            return Err(Error::invalid("query", "must not be empty"));
        }
        let place = self.place_to_search(&caller.team)?;
        // Once it is sent it happened, whether or not somebody still waits for it.
        let (engine, caller) = (Arc::clone(self), caller.clone());
        self.uncancellable(async move {
            let searched = engine.asked(&caller, &entry, endpoint, ask).await;
            drop(place);
            searched
        })
        .await
    }

    /// One of the searches that a team may have at work at once: an endpoint is slow at will, and whose it is
    /// takes no other team's place.
    fn place_to_search(&self, team: &TeamId) -> Result<Working> {
        let limits = &self.settings.limits;
        let place = self.searches.begin(team, limits.team_searches_max);
        place.ok_or(Error::Busy {
            what: "searches of a team",
            limit: limits.team_searches_max(),
        })
    }

    async fn asked(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Entry,
        endpoint: Endpoint,
        ask: AskSearch,
    ) -> Result<Searched> {
        let connector = &entry.connector;
        let since = self.ports.clock.boot();
        let continues = ask.continue_on_failure.unwrap_or(endpoint.continues);
        let credential = self
            .search_credential(caller, connector, &endpoint, &ask)
            .await;
        let (status, results) = match credential.map_err(|error| no_credential(connector, error)) {
            Ok(credential) => {
                self.ask_endpoint(&endpoint.url, &ask.query, credential)
                    .await
            }
            Err(failure) => (None, Err(failure?)),
        };
        let took = self.ports.clock.boot().saturating_sub(since);
        let outcome = results.as_ref().map_or_else(|why| why.word, |_| "found");
        self.log_search(caller, connector, took, status, outcome, false)
            .await?;
        Ok(Searched {
            connector: connector.id.clone(),
            results,
            excludes: endpoint.excludes,
            status,
            took,
            continues,
        })
    }

    async fn log_search(
        &self,
        caller: &Caller,
        connector: &Connector,
        took: Duration,
        status: Option<u16>,
        outcome: &str,
        probe: bool,
    ) -> Result<()> {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut draft = self
            .draft(EventKind::ConnectorSearched, caller)
            .connector(&connector.id)
            .with("duration_millis", millis)
            .with("outcome", outcome);
        if let Some(status) = status {
            draft = draft.with("status_code", status);
        }
        if probe {
            draft = draft.with("probe", true);
        }
        let event = draft.done();
        let store = &self.ports.store;
        Ok(store.append_events(std::slice::from_ref(&event)).await?)
    }

    /// What `Authorization` says: the caller's own token, else the stored one of the subject, else nothing.
    async fn search_credential(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &Connector,
        endpoint: &Endpoint,
        ask: &AskSearch,
    ) -> Result<Option<Zeroizing<String>>> {
        if let Some(own) = &ask.own_token {
            return Ok(Some(authorization(Scheme::Bearer, own)));
        }
        if !types::is_searched_with_token(connector) {
            return Ok(None);
        }
        let token = AskToken {
            // It has to outlive the call.
            validity_buffer: self.settings.limits.search_time_max,
            ..ask.token.clone()
        };
        let served = self.token(caller, connector.id.as_str(), token).await?;
        Ok(Some(authorization(endpoint.scheme, &served.token)))
    }

    /// One request to an endpoint: its status, where it answered, and its documents.
    async fn ask_endpoint(
        &self,
        url: &Url,
        query: &str,
        authorization: Option<Zeroizing<String>>,
    ) -> (Option<u16>, Result<Vec<Map<String, Value>>, SearchFailure>) {
        let json = || Zeroizing::new("application/json".to_owned());
        let mut headers = vec![("accept", json()), ("content-type", json())];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let sent = self
            .ports
            .http
            .send(http::Request {
                method: Method::Post,
                url: url.clone(),
                headers,
                body: Zeroizing::new(json!({ "query": query }).to_string().into_bytes()),
                purpose: Purpose::Search,
            })
            .await;
        match sent {
            Err(failure) => (None, Err(self.unanswered(failure))),
            Ok(answer) if !(200..300).contains(&answer.status) => {
                let message = format!("request failed with status code {}", answer.status);
                (Some(answer.status), Err(failed(message, "search_refused")))
            }
            Ok(answer) => (Some(answer.status), documents(&answer.body)),
        }
    }

    fn unanswered(&self, failure: Failure) -> SearchFailure {
        match failure {
            Failure::Refused => SearchFailure {
                message: Error::DestinationRefused.to_string(),
                error: Error::DestinationRefused,
                word: "destination_refused",
            },
            Failure::Unknown(Silence::Timeout) => {
                let seconds = self.settings.limits.search_time_max.as_secs_f64();
                let message = format!("request timed out after {seconds} s");
                let failure = failed(message, "search_timeout");
                let error = Error::Provider {
                    code: "search_timeout",
                    timeout: true,
                    retry_after: None,
                };
                SearchFailure { error, ..failure }
            }
            failure => failed(failure.to_string(), "search_unanswered"),
        }
    }

    /// [`Engine::probe`] of a connector that is about to be changed, if the change reaches how it is asked.
    pub(crate) async fn probe_change(
        &self,
        caller: &Caller,
        old: &Connector,
        new: &Connector,
    ) -> Result<()> {
        let now = self.now();
        let asked = |row: &Connector| {
            let search = row.data.get("search").and_then(Value::as_object);
            let search = search
                .map(|search| ["url", "scheme", "active"].map(|name| search.get(name).cloned()));
            let key = own_key(row, now).map(|key| (key.to_owned(), row.secrets.clone()));
            (search, brought_by_users(row), key)
        };
        if asked(old) == asked(new) {
            return Ok(());
        }
        let secrets = self.connector_secrets(new).await?;
        let secrets: Vec<_> = secrets.into_iter().collect();
        self.probe(caller, new, &secrets).await
    }

    /// Asks the endpoint of a connector that is about to be stored, with the credential that a search would send, and
    /// commits an event of it. A user's is not there yet: an endpoint that wants one shows by refusing that it is
    /// there.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] in Cohere's words, when it does not answer as an endpoint does.
    pub(crate) async fn probe(
        &self,
        caller: &Caller,
        connector: &Connector,
        secrets: &[(String, Secret)],
    ) -> Result<()> {
        let endpoint = Endpoint::of(connector).filter(|endpoint| endpoint.active);
        let Some(endpoint) = endpoint.filter(|_| self.settings.search_probe) else {
            return Ok(());
        };
        let named = own_key(connector, self.now());
        let key = secrets
            .iter()
            .find(|(name, _)| Some(name.as_str()) == named);
        let key = key.map(|(_, key)| authorization(endpoint.scheme, key));
        let _place = self.place_to_search(&connector.team)?;
        let since = self.ports.clock.boot();
        let (status, results) = self.ask_endpoint(&endpoint.url, PROBE, key).await;
        let took = self.ports.clock.boot().saturating_sub(since);
        let outcome = results.as_ref().map_or_else(|why| why.word, |_| "found");
        self.log_search(caller, connector, took, status, outcome, true)
            .await?;
        match (status, results) {
            (_, Ok(_)) => Ok(()),
            (Some(401 | 403), Err(_)) if brought_by_users(connector) => Ok(()),
            (_, Err(failure)) => {
                let (url, message) = (&endpoint.url, failure.message);
                Err(Error::Unresolvable {
                    reason: format!("connector not reachable at {url}. error: {message}"),
                })
            }
        }
    }
}

/// Whether the credential of a search is its user's.
fn brought_by_users(connector: &Connector) -> bool {
    types::user_tokens(connector).is_some()
}

/// The name of the connector's own secret that a search sends, where it has one.
fn own_key(connector: &Connector, now: Timestamp) -> Option<&str> {
    match types::app_tokens(connector)? {
        AppTokens::Stored => value_for(connector, None, now)?.get("id")?.as_str(),
        AppTokens::Kept { secret, .. } => Some(secret),
        AppTokens::ClientCredentials
        | AppTokens::Installation
        | AppTokens::KeyPair
        | AppTokens::Proof(_)
        | AppTokens::Bearer => None,
    }
}

const fn failed(message: String, code: &'static str) -> SearchFailure {
    SearchFailure {
        message,
        error: Error::Provider {
            code,
            timeout: false,
            retry_after: None,
        },
        word: code,
    }
}

/// What a connector without a credential fails with; what was wrong with the request or with us stays an error.
fn no_credential(connector: &Connector, error: Error) -> Result<SearchFailure> {
    let (why, word) = match &error {
        Error::AuthorizationRequired(reconnect) => {
            let id = &connector.id;
            let word = match reconnect.reason {
                ReconnectReason::NeverConnected => "needs_consent",
                other => other.as_str(),
            };
            (
                format!("user is not authenticated for connector {id}"),
                word,
            )
        }
        Error::Provider { .. } => (error.to_string(), "token_unanswered"),
        Error::ConnectorFault => (error.to_string(), "connector_fault"),
        Error::Unresolvable { .. } => (error.to_string(), "no_token"),
        _ => return Err(error),
    };
    Ok(SearchFailure {
        message: format!("failed to get auth token: {why}"),
        error,
        word,
    })
}

/// The documents of an answer.
fn documents(body: &[u8]) -> Result<Vec<Map<String, Value>>, SearchFailure> {
    #[derive(serde::Deserialize)]
    struct Answer {
        results: Vec<Map<String, Value>>,
    }
    let answer: Result<Answer, _> = serde_json::from_slice(body);
    answer.map(|answer| answer.results).map_err(|_| {
        let message = "the answer is not {\"results\": [documents]}".to_owned();
        failed(message, "search_unreadable")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_sent_as_its_scheme_says_and_not_encoded_again() {
        let token = Secret::new("dXNlcjpwdw==");
        for (scheme, header) in [
            (Scheme::Bearer, "Bearer dXNlcjpwdw=="),
            (Scheme::Basic, "Basic dXNlcjpwdw=="),
            (Scheme::Bare, "dXNlcjpwdw=="),
        ] {
            assert_eq!(*authorization(scheme, &token), header);
        }
    }

    #[test]
    fn an_answer_is_a_list_of_objects() {
        let ok = documents(br#"{"results":[{"id":1,"text":"t"}],"more":0}"#).unwrap();
        assert_eq!(Value::from(ok), json!([{"id": 1, "text": "t"}]));
        for bad in ["", "[]", "{}", r#"{"results":{}}"#, r#"{"results":["t"]}"#] {
            assert!(documents(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
