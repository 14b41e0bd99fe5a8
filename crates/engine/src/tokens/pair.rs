//! From a token response to the row that keeps it.

use std::time::Duration;

use grantry_core::ids::{ConnectionId, TeamId, TokenSetId};
use grantry_core::limits::{REFRESH_END_DOUBT_TIME, TOKEN_EXTRA_BYTES_MAX, TOKEN_LIFE_MAX};
use grantry_core::nouns::{Connector, TokenSet};
use grantry_core::{Result, Secret, Timestamp};
use grantry_vault::envelope::Place;
use serde_json::{Map, Value, json};

use crate::Engine;
use crate::connectors::{OauthClient, keeps_refresh_tokens, types};

/// The one kind of token set that connections have: a Slack bot and a user are connections of their own.
pub const MAIN: &str = "main";

const TABLE: &str = "token_sets";

/// Which of a pair's two tokens.
#[derive(Clone, Copy)]
pub enum Half {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
}

impl Half {
    const fn field(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A pair in the clear, on its way into a row.
#[derive(Clone)]
pub struct NewPair {
    /// The access token; empty where only a refresh token is known: what is none is renewed, and never served.
    pub access: Secret,
    /// Its life from now; `None` when nobody knows.
    pub expires_in: Option<Duration>,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// From when on the provider takes that no more, as it said itself; `None` when it did not.
    pub refresh_ends: Option<Timestamp>,
    /// What was granted, space-separated.
    pub scope: Option<String>,
    /// Public facts.
    pub metadata: Map<String, Value>,
    /// [`grantry_core::nouns::TokenSet::servers`]; who imports leaves it to the engine.
    pub servers: Option<String>,
}

/// The member of a set's metadata under which the claims lie that its connector forwards.
pub const CLAIMS: &str = "claims";

/// The member of a set's metadata that says when its refresh token ends, in milliseconds, and of which set that is said: a
/// binary that does not know it carries it on to the next one.
pub const REFRESH_ENDS: &str = "grantry.refresh_ends";

/// Whether the refresh token of `set` is good for nothing any more. A clock that is fast must not end a connection, and one
/// that is presented too late brings a refusal at worst.
pub fn is_over(set: &TokenSet, now: Timestamp) -> bool {
    refresh_ends(set).is_some_and(|ends| ends.after(REFRESH_END_DOUBT_TIME) <= now)
}

/// When the refresh token of `set` ends, as its provider said when it came.
fn refresh_ends(set: &TokenSet) -> Option<Timestamp> {
    let told = set.metadata.get(REFRESH_ENDS)?;
    let is_of_it = told.get("set")?.as_str()? == set.id.as_str();
    let ends = told.get("at")?.as_i64().filter(|_| is_of_it)?;
    Some(Timestamp::from_millis(ends))
}

/// The names of the ID token's claims that the connector forwards (`forwardedClaims.idToken`).
fn forwarded(connector: &Connector) -> impl Iterator<Item = &str> {
    let forwarded = connector.data.get("forwardedClaims");
    let names = forwarded.and_then(|forwarded| forwarded.get("idToken")?.as_array());
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether the connector forwards claims of the ID token.
pub fn forwards_claims(connector: &Connector) -> bool {
    forwarded(connector).next().is_some()
}

/// Of verified `claims` those that the connector forwards, and no more than are worth keeping.
pub fn forwarded_claims(connector: &Connector, claims: &Map<String, Value>) -> Map<String, Value> {
    let named =
        forwarded(connector).filter_map(|name| Some((name.to_owned(), claims.get(name)?.clone())));
    let kept: Map<String, Value> = named.collect();
    let size = serde_json::to_vec(&kept).map_or(usize::MAX, |text| text.len());
    match size > TOKEN_EXTRA_BYTES_MAX {
        true => Map::new(),
        false => kept,
    }
}

/// The facts that a refresh brought, over those of the pair that it renews: many providers name an instance, a bot or a
/// workspace once, with the first tokens. What is named again is as it is named now, `null` too. Where both are more than
/// is kept, the new ones are.
pub fn beside(earlier: &Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let mut all = earlier.clone();
    // They were verified, or are of the token itself, and stay or go by another rule.
    all.remove(CLAIMS);
    all.remove(REFRESH_ENDS);
    all.extend(new.clone());
    let size = serde_json::to_vec(&all).map_or(usize::MAX, |text| text.len());
    match size > TOKEN_EXTRA_BYTES_MAX {
        true => new,
        false => all,
    }
}

/// When a refresh token ends whose life was `told` now. One that was presented and goes on may live longer than it was
/// said when it came, so without a word its end is not known.
fn end_of(told: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
    // One that was cut to the longest life that counts may be longer.
    let life = told.filter(|life| *life < TOKEN_LIFE_MAX)?;
    Some(now.after(life))
}

/// A token response as the parser read it, with the lifetime that applies where it names none.
pub struct Arrived(pub grantry_oauth::token::TokenSet);

impl Arrived {
    /// The pair to store; `kept` is the refresh token that stays when the answer brought none
    /// (requirement 36). A connector whose `refreshTokens.enabled` is false keeps none.
    pub fn pair(
        self,
        connector: &Connector,
        oauth: &OauthClient,
        kept: Option<Secret>,
        now: Timestamp,
    ) -> NewPair {
        let (tokens, quirks) = (self.0, &oauth.quirks);
        let refresh_ends = end_of(tokens.refresh_expires_in, now);
        let configured = connector
            .data
            .get("defaultTokenExpiresIn")
            .and_then(Value::as_u64)
            .map(Duration::from_secs);
        NewPair {
            access: tokens.access_token,
            expires_in: tokens
                .expires_in
                .or(configured)
                .or(quirks.default_expires_in),
            refresh: tokens
                .refresh_token
                .or(kept)
                .filter(|_| keeps_refresh_tokens(&connector.data)),
            refresh_ends,
            scope: tokens.scope.map(|scopes| scopes.join(" ")),
            metadata: renamed(connector, tokens.extra),
            servers: Some(oauth.servers().to_owned()),
        }
    }
}

impl Engine {
    /// Seals `pair` into a fresh token set of `connection`.
    pub(crate) async fn token_set(
        &self,
        team: &TeamId,
        connection: &ConnectionId,
        pair: NewPair,
    ) -> Result<TokenSet> {
        self.keys.ready(team).await?;
        let now = self.now();
        let id = TokenSetId::mint(now, self.entropy());
        let life = match pair.access.is_empty() {
            true => Some(Duration::ZERO),
            false => pair.expires_in,
        };
        let seal = |half: Half, token: &Secret| {
            self.keys
                .seal(place(team, &id, half), token.expose().as_bytes())
        };
        let mut metadata = pair.metadata;
        metadata.remove(REFRESH_ENDS);
        if let Some(ends) = pair.refresh_ends {
            let told = json!({"set": id.as_str(), "at": ends.as_millis()});
            metadata.insert(REFRESH_ENDS.to_owned(), told);
        }
        Ok(TokenSet {
            team: team.clone(),
            connection: connection.clone(),
            kind: MAIN.to_owned(),
            access: seal(Half::Access, &pair.access)?,
            access_expires_at: life
                .map(|life| now.after(life.min(self.settings.limits.token_life_max))),
            refresh: pair
                .refresh
                .as_ref()
                .map(|token| seal(Half::Refresh, token))
                .transpose()?,
            scope: pair.scope,
            metadata,
            servers: pair.servers,
            received_at: now,
            failures: 0,
            not_before: Timestamp(0),
            id,
        })
    }

    /// Opens one token of a set.
    pub(crate) async fn open_token(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        half: Half,
        sealed: &grantry_core::nouns::Sealed,
    ) -> Result<Secret> {
        self.keys.open_text(place(team, set, half), sealed).await
    }
}

/// What of an answer goes into a token's metadata, under the names that it has there.
fn renamed(connector: &Connector, mut answer: Map<String, Value>) -> Map<String, Value> {
    // Under this name lie claims that were verified, and nothing that stands beside the tokens.
    answer.remove(CLAIMS);
    for (theirs, ours) in types::of(connector.kind).renamed {
        if let Some(value) = answer.remove(*theirs) {
            answer.insert((*ours).to_owned(), value);
        }
    }
    answer
}

fn place<'a>(team: &'a TeamId, set: &'a TokenSetId, half: Half) -> Place<'a> {
    Place {
        team: team.as_str(),
        table: TABLE,
        row: set.as_str(),
        field: half.field(),
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::Sealed;

    use super::*;

    fn of(earlier: &Value, new: &Value) -> Value {
        let object = |value: &Value| value.as_object().cloned().unwrap();
        Value::Object(beside(&object(earlier), object(new)))
    }

    #[test]
    fn a_refresh_forgets_what_it_names_anew_and_keeps_the_rest_within_bounds() {
        let earlier =
            json!({"team": {"id": "T1"}, "url": "https://a.example", CLAIMS: {"sub": "u"}});
        let new = json!({"url": null, "bot": "B1"});
        let both = json!({"team": {"id": "T1"}, "url": null, "bot": "B1"});
        assert_eq!(of(&earlier, &new), both);
        assert_eq!(of(&json!({}), &new), new);
        let long = "x".repeat(TOKEN_EXTRA_BYTES_MAX - 10);
        assert_eq!(of(&json!({ "long": long }), &new), new);
        // The end of the refresh token that was presented is not that of the one that came.
        assert_eq!(of(&json!({REFRESH_ENDS: 1}), &new), new);
        let ends = json!({REFRESH_ENDS: 2});
        assert_eq!(of(&json!({REFRESH_ENDS: 1}), &ends), ends);
    }

    #[test]
    fn a_refresh_token_ends_when_it_was_said_to() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let minute = Some(Duration::from_secs(60));
        for (told, expected) in [
            (None, None),
            (minute, Some(at(160))),
            (Some(TOKEN_LIFE_MAX), None),
        ] {
            assert_eq!(end_of(told, at(100)), expected, "{told:?}");
        }
    }

    #[test]
    fn an_end_is_of_the_set_that_it_was_said_of_and_held_against_it_a_day_later() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let day = 24 * 3600;
        let set = |told: Value| TokenSet {
            metadata: Map::from_iter([(REFRESH_ENDS.to_owned(), told)]),
            ..token_set()
        };
        let over = set(json!({"set": "set_1", "at": 5_000}));
        assert!(!is_over(&over, at(5)));
        assert!(!is_over(&over, at(day + 4)));
        assert!(is_over(&over, at(day + 5)));
        // Carried on from another set by a binary that does not know it, or said by somebody else.
        for told in [
            json!({"set": "set_0", "at": 5_000}),
            json!(5),
            json!({"at": 5}),
        ] {
            assert!(!is_over(&set(told), at(10 * day)));
        }
    }

    fn token_set() -> TokenSet {
        TokenSet {
            id: "set_1".into(),
            team: "team_1".into(),
            connection: "conn_1".into(),
            kind: MAIN.to_owned(),
            access: Sealed(vec![]),
            access_expires_at: None,
            refresh: None,
            scope: None,
            metadata: Map::new(),
            servers: None,
            received_at: Timestamp(0),
            failures: 0,
            not_before: Timestamp(0),
        }
    }
}
