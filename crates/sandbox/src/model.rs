//! What an honest authorization server remembers: clients, codes, families of refresh tokens,
//! access tokens. Pure: time and randomness come in as arguments, nothing goes out but answers.

use std::collections::HashMap;
use std::time::Duration;

use grantry_core::{Entropy, Timestamp, entropy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::Client;
use crate::crypto;
use crate::faults::Effect;

pub(crate) mod slack;
pub(crate) mod tenants;
#[cfg(test)]
mod tests;

/// Life of an authorization code (RFC 6749 §4.1.2 allows ten minutes; ours are redeemed by machines).
const CODE_TTL: Duration = Duration::from_secs(60);
/// Characters of every code, token and generated id: 256 bits.
const TOKEN_CHARS: usize = 43;
/// Expired codes and access tokens are dropped when a map doubles from this size.
const SWEEP_MIN: usize = 1024;

/// The circumstances of one request.
#[derive(Clone, Copy)]
pub(crate) struct Mint<'a> {
    pub entropy: &'a dyn Entropy,
    pub now: Timestamp,
    pub access_ttl: Duration,
    /// Grace for the refresh token that this request replaces.
    pub grace: Duration,
}

impl Mint<'_> {
    /// A fresh token that starts with `prefix`.
    pub(crate) fn token(&self, prefix: &str) -> String {
        format!(
            "{prefix}{}",
            entropy::alphanumeric(self.entropy, TOKEN_CHARS)
        )
    }
}

/// What a user allowed, or what a client got for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub client_id: String,
    /// Absent for the client's own tokens.
    pub user: Option<String>,
    /// Space-separated.
    pub scope: String,
    /// Resource indicators (RFC 8707), in the order asked.
    pub resources: Vec<String>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// The tenant that the client is installed in, for `workspace` in the authorization request.
    pub workspace: Option<String>,
}

/// A code waiting to be redeemed.
pub(crate) struct Code {
    pub grant: Grant,
    pub redirect_uri: String,
    /// S256.
    pub challenge: String,
}

/// A successful answer of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub access_token: String,
    pub expires_at: Timestamp,
    pub refresh_token: Option<String>,
    pub grant: Grant,
}

/// An OAuth error: registered code and a text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: &'static str,
    pub description: &'static str,
}

impl Refusal {
    pub(crate) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    const fn grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }
}

/// Where a refresh token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// All refresh tokens that descend from one consent.
    pub family: u64,
    /// 0 for the token that came with the code, then one more per rotation.
    pub generation: u64,
    /// True for the newest token of a living family: the one that the next refresh needs.
    pub current: bool,
}

/// What is known of a live access token.
pub(crate) struct Access {
    pub grant: Grant,
    pub expires_at: Timestamp,
    family: Option<u64>,
}

struct Stored {
    code: Code,
    expires_at: Timestamp,
    /// The family that redemption made, so that a replay can end it.
    redeemed: Option<u64>,
}

struct Family {
    grant: Grant,
    alive: bool,
    newest: u64,
    /// How the newest generation came about, for repeats within the grace period.
    replaced: Option<Replaced>,
}

struct Replaced {
    grace_ends: Timestamp,
    answer: Issued,
}

/// How a client that registered itself is managed (RFC 7592).
pub(crate) struct Registration {
    /// The registration access token, another one after each change.
    pub token: String,
    /// When the client's secret ends.
    pub secret_ends: Option<Timestamp>,
    /// What the client said of itself last.
    pub metadata: Map<String, Value>,
}

/// See the module's text.
pub(crate) struct Model {
    clients: HashMap<String, Client>,
    registrations: HashMap<String, Registration>,
    codes: HashMap<String, Stored>,
    families: HashMap<u64, Family>,
    /// Token → (family, generation). Old tokens stay: a reused one must be recognised.
    refresh: HashMap<String, (u64, u64)>,
    access: HashMap<String, Access>,
    slack: slack::Codes,
    tenants: tenants::Tenants,
    sweep_at: usize,
    /// Families ended because a refresh token or a code was used twice.
    pub(crate) killed_by_reuse: u64,
}

impl Model {
    pub(crate) fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        Self {
            clients: clients.into_iter().map(|c| (c.id.clone(), c)).collect(),
            registrations: HashMap::new(),
            codes: HashMap::new(),
            families: HashMap::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            slack: slack::Codes::default(),
            tenants: tenants::Tenants::default(),
            sweep_at: SWEEP_MIN,
            killed_by_reuse: 0,
        }
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id)
    }

    /// Stores a client that registered itself, or what it says of itself anew.
    pub(crate) fn register(&mut self, client: Client, registration: Registration) {
        self.registrations.insert(client.id.clone(), registration);
        self.clients.insert(client.id.clone(), client);
    }

    /// How the client is managed, if it registered itself.
    pub(crate) fn registration(&self, id: &str) -> Option<&Registration> {
        self.registrations.get(id)
    }

    /// Forgets a client (RFC 7592 §2.3), and with it all that was granted to it.
    pub(crate) fn forget(&mut self, id: &str) {
        self.clients.remove(id);
        self.registrations.remove(id);
        self.codes
            .retain(|_, stored| stored.code.grant.client_id != id);
        self.access.retain(|_, access| access.grant.client_id != id);
        for family in self.families.values_mut() {
            family.alive &= family.grant.client_id != id;
        }
    }

    /// Whether the client's secret has run out.
    pub(crate) fn secret_has_ended(&self, id: &str, now: Timestamp) -> bool {
        let registration = self.registrations.get(id);
        let end = registration.and_then(|registration| registration.secret_ends);
        end.is_some_and(|end| end <= now)
    }

    /// Families made so far, dead ones included.
    pub(crate) fn families(&self) -> usize {
        self.families.len()
    }

    /// Stores `code` under the text `name`.
    pub(crate) fn store_code(&mut self, mint: &Mint<'_>, name: String, code: Code) {
        let expires_at = mint.now.after(CODE_TTL);
        self.sweep(mint.now);
        self.codes.insert(
            name,
            Stored {
                code,
                expires_at,
                redeemed: None,
            },
        );
    }

    /// Redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.6). A second use ends what the first one gave.
    pub(crate) fn redeem(
        &mut self,
        mint: &Mint<'_>,
        client_id: &str,
        name: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Issued, Refusal> {
        let stored = self
            .codes
            .get_mut(name)
            .ok_or(Refusal::grant("unknown code"))?;
        if stored.code.grant.client_id != client_id {
            return Err(Refusal::grant("the code was issued to another client"));
        }
        if let Some(family) = stored.redeemed {
            self.kill(family);
            return Err(Refusal::grant("the code was used before"));
        }
        if stored.expires_at <= mint.now {
            return Err(Refusal::grant("the code has expired"));
        }
        if stored.code.redirect_uri != redirect_uri {
            return Err(Refusal::grant("redirect_uri differs from the one asked"));
        }
        if !crypto::equal(&crypto::s256(verifier), &stored.code.challenge) {
            return Err(Refusal::grant("code_verifier does not match"));
        }
        let id = self.families.len() as u64;
        stored.redeemed = Some(id);
        let grant = stored.code.grant.clone();
        Ok(self.begin(mint, grant))
    }

    /// The first tokens of a new family.
    fn begin(&mut self, mint: &Mint<'_>, grant: Grant) -> Issued {
        let id = self.families.len() as u64;
        let refresh_token = mint.token("rt_");
        self.refresh.insert(refresh_token.clone(), (id, 0));
        let family = Family {
            grant: grant.clone(),
            alive: true,
            newest: 0,
            replaced: None,
        };
        self.families.insert(id, family);
        self.issue(mint, grant, Some(id), Some(refresh_token))
    }

    /// Refreshes (RFC 6749 §6), rotating as `effect` says. Use of a rotated token ends its family,
    /// unless it is the one just replaced, its successor is unused and the grace period runs.
    pub(crate) fn refresh(
        &mut self,
        mint: &Mint<'_>,
        client_id: &str,
        token: &str,
        scope: Option<&str>,
        effect: Effect,
    ) -> Result<Issued, Refusal> {
        let unknown = Refusal::grant("unknown refresh token");
        let &(id, generation) = self.refresh.get(token).ok_or(unknown)?;
        let family = self.families.get_mut(&id).ok_or(unknown)?;
        if family.grant.client_id != client_id {
            return Err(Refusal::grant(
                "the refresh token was issued to another client",
            ));
        }
        if !family.alive {
            return Err(Refusal::grant("the grant has ended"));
        }
        if generation != family.newest {
            let repeat = family.replaced.as_ref().filter(|replaced| {
                generation + 1 == family.newest && mint.now < replaced.grace_ends
            });
            if let Some(replaced) = repeat {
                return Ok(replaced.answer.clone());
            }
            self.kill(id);
            return Err(Refusal::grant("the refresh token was used before"));
        }
        let mut grant = family.grant.clone();
        if let Some(asked) = scope {
            if !is_subset(asked, &grant.scope) {
                return Err(Refusal::new(
                    "invalid_scope",
                    "more than the user had granted",
                ));
            }
            asked.clone_into(&mut grant.scope);
        }
        if effect == Effect::Keep {
            return Ok(self.issue(mint, grant, Some(id), None));
        }
        family.newest += 1;
        let refresh_token = mint.token("rt_");
        self.refresh
            .insert(refresh_token.clone(), (id, generation + 1));
        let answer = self.issue(mint, grant, Some(id), Some(refresh_token));
        if let Some(family) = self.families.get_mut(&id) {
            family.replaced = Some(Replaced {
                grace_ends: mint.now.after(mint.grace),
                answer: answer.clone(),
            });
        }
        Ok(answer)
    }

    /// A token for the client itself (RFC 6749 §4.4): no refresh token.
    pub(crate) fn client_credentials(&mut self, mint: &Mint<'_>, grant: Grant) -> Issued {
        self.issue(mint, grant, None, None)
    }

    /// Ends a token (RFC 7009 §2.1): a refresh token with its whole family, an access token alone.
    /// Tokens of other clients and unknown ones are left alone without a word.
    pub(crate) fn revoke(&mut self, client_id: &str, token: &str) {
        if let Some((id, _)) = self.refresh.get(token)
            && let Some(family) = self.families.get_mut(id)
            && family.grant.client_id == client_id
        {
            family.alive = false;
        }
        if let Some(access) = self.access.get(token)
            && access.grant.client_id == client_id
        {
            self.access.remove(token);
        }
    }

    /// The facts of an access token that is still good.
    pub(crate) fn access(&self, now: Timestamp, token: &str) -> Option<&Access> {
        self.access.get(token).filter(|access| {
            access.expires_at > now && access.family.is_none_or(|id| self.is_alive(id))
        })
    }

    /// Where a refresh token stands, dead or alive.
    pub(crate) fn place(&self, token: &str) -> Option<Place> {
        let &(family, generation) = self.refresh.get(token)?;
        let current = self
            .families
            .get(&family)
            .is_some_and(|f| f.alive && f.newest == generation);
        Some(Place {
            family,
            generation,
            current,
        })
    }

    /// The grant behind a refresh token that would still be taken.
    pub(crate) fn refreshable(&self, token: &str) -> Option<&Grant> {
        let place = self.place(token).filter(|place| place.current)?;
        self.families.get(&place.family).map(|family| &family.grant)
    }

    fn is_alive(&self, family: u64) -> bool {
        self.families
            .get(&family)
            .is_some_and(|family| family.alive)
    }

    fn kill(&mut self, id: u64) {
        if let Some(family) = self.families.get_mut(&id)
            && family.alive
        {
            family.alive = false;
            self.killed_by_reuse += 1;
        }
    }

    fn issue(
        &mut self,
        mint: &Mint<'_>,
        grant: Grant,
        family: Option<u64>,
        refresh_token: Option<String>,
    ) -> Issued {
        self.sweep(mint.now);
        let access_token = mint.token("at_");
        let expires_at = mint.now.after(mint.access_ttl);
        self.access.insert(
            access_token.clone(),
            Access {
                grant: grant.clone(),
                expires_at,
                family,
            },
        );
        Issued {
            access_token,
            expires_at,
            refresh_token,
            grant,
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.access.len() + self.codes.len() >= self.sweep_at {
            self.access.retain(|_, access| access.expires_at > now);
            self.codes.retain(|_, stored| stored.expires_at > now);
            self.sweep_at = SWEEP_MIN.max(2 * (self.access.len() + self.codes.len()));
        }
    }
}

fn is_subset(asked: &str, granted: &str) -> bool {
    asked
        .split_whitespace()
        .all(|scope| granted.split_whitespace().any(|g| g == scope))
}
