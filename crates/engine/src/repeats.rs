//! `Idempotency-Key`: a request that names one is carried out at most once in 24 h.
//!
//! The key is reserved, durably, before anything is done; what was done is answered, and the sealed answer
//! kept; a repetition gets that answer. A refusal has changed nothing, so it frees the key. What is lost
//! between reservation and kept answer (a crash, a database that went away) is *unknown*, and stays so:
//! its repetition is refused, never carried out a second time.

use std::borrow::Cow;

use grantry_core::ids::TeamId;
use grantry_core::limits::{IDEMPOTENCY_KEY_LIFE, REPEAT_UNDER_WAY_TIME_MAX};
use grantry_core::nouns::{Actor, Digest, KeyedRequest};
use grantry_core::{Error, Result, Secret};
use grantry_vault::envelope::Place;
use grantry_vault::hash::sha256;
use grantry_vault::ring::SERVER;

use crate::Engine;
use crate::permissions::Standing;

/// Who repeats: two callers never share a key.
#[derive(Clone, Debug)]
pub struct Repeater<'a> {
    /// The team acted in; `None` above teams.
    pub team: Option<&'a TeamId>,
    /// As events remember them.
    pub actor: Cow<'a, Actor>,
    /// What they may do: a lesser key of the same person does not get a greater one's answers.
    pub standing: Standing,
}

/// A request that is to be carried out now, by whoever holds this.
#[derive(Debug)]
pub struct Reserved {
    row: KeyedRequest,
    team: TeamId,
}

/// A hash of `parts`, one after the other, that stands for a request.
pub fn fingerprint(parts: &[&[u8]]) -> Digest {
    sha256(parts)
}

/// What to do with a request.
pub enum Repeat {
    /// Carry it out, then say how it went: [`Engine::answered`] or [`Engine::released`].
    First(Reserved),
    /// It was carried out before, and this was the answer.
    Answer(Secret),
}

impl Engine {
    /// Reserves `key` for `request`, the hash of all that is asked.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key stands for another request, or for this one with an outcome that
    /// is not known (yet).
    pub async fn reserve(&self, who: Repeater<'_>, key: &str, request: Digest) -> Result<Repeat> {
        let team = who.team.map_or(SERVER, TeamId::as_str);
        let scope = serde_json::to_string(&(team, &*who.actor)).map_err(|_| Error::Internal)?;
        let standing = format!("{:?}", who.standing);
        let id = sha256(&[
            &sha256(&[scope.as_bytes()]),
            &sha256(&[standing.as_bytes()]),
            key.as_bytes(),
        ]);
        let now = self.now();
        let row = KeyedRequest {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            request,
            answer: None,
            created_at: now,
            expires_at: now.after(IDEMPOTENCY_KEY_LIFE),
        };
        let team = TeamId::from(team);
        let Some(standing) = self.ports.store.reserve_request(&row).await? else {
            return Ok(Repeat::First(Reserved { row, team }));
        };
        if standing.request != request {
            return Err(Error::conflict(
                "this Idempotency-Key was used for another request in the last 24 h: take a new one",
            ));
        }
        match &standing.answer {
            Some(answer) => {
                self.keys.ready(&team).await?;
                let place = place(&team, &standing.id);
                Ok(Repeat::Answer(self.keys.open_text(place, answer).await?))
            }
            None if now.since(standing.created_at) < REPEAT_UNDER_WAY_TIME_MAX => Err(Error::busy(
                "the request with this Idempotency-Key is being carried out: repeat it in a moment",
            )),
            None => Err(Error::conflict(
                "the request with this Idempotency-Key was cut short, and whether it was carried out is not \
                 known: look at what is there, then take a new key",
            )),
        }
    }

    /// Keeps the answer to what was carried out. What cannot be kept is answered all the same, once.
    pub async fn answered(&self, reserved: Reserved, answer: &Secret) {
        let Reserved { row, team } = reserved;
        let kept = async {
            self.keys.ready(&team).await?;
            let place = place(&team, &row.id);
            let sealed = self.keys.seal(place, answer.expose().as_bytes())?;
            self.ports.store.answer_request(&row, &sealed).await?;
            Ok::<(), Error>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the answer to a request with an idempotency key was not kept");
        }
    }

    /// Frees the key of a request that ended with `error`, unless that leaves open what was done.
    pub async fn released(&self, reserved: Reserved, error: &Error) {
        if matches!(error, Error::Unavailable | Error::Internal) {
            return;
        }
        if let Err(error) = self.ports.store.release_request(&reserved.row).await {
            tracing::warn!(%error, "an idempotency key of a refused request was not freed");
        }
    }
}

fn place<'a>(team: &'a TeamId, id: &'a str) -> Place<'a> {
    Place {
        team: team.as_str(),
        table: "keyed_requests",
        row: id,
        field: "answer",
    }
}
