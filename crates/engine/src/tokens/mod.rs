//! Serving tokens.
//!
//! - `read`: from a caller's question to an answer.
//! - `bounds`: which grants there can be (pure).
//! - `decide`: whether the stored token will do (pure).
//! - `refresh`: the flight that presents a refresh token; the promise of design §6.
//! - `lives`: connections and their tokens, from memory where that can be trusted.
//! - `landing`: making a pair that arrived durable.
//! - `mint`: tokens of the application itself, by client credentials.
//! - `offer`: the link that comes with a refusal.
//! - `pair`: sealing a token response into a row.
//! - `proof`: tokens of our own issuer, for services that trust it.
//! - `status`: whether somebody has to connect.
//! - `retries`: revocations that got no answer yet, tried again.
//! - `revoke`: ending connections, here and at the provider.

mod bounds;
mod decide;
mod flights;
mod installed;
mod kept;
mod key_pair;
mod landing;
mod lives;
mod mint;
mod offer;
mod pair;
mod proof;
mod read;
mod refresh;
mod retries;
mod revoke;
mod status;

pub(crate) use bounds::check_mintable;
pub(crate) use decide::lives;
pub use flights::Flights;
pub(crate) use landing::Home;
pub use landing::{PAUSE, TRIES};
pub(crate) use lives::{KnownTenant, main_set};
pub use offer::Offers;
pub(crate) use pair::Half;
pub use pair::{Arrived, CLAIMS, NewPair, forwarded_claims, forwards_claims};
pub use read::{AskToken, ServedToken, value_for};
pub use refresh::unanswered;
pub use retries::{GIVE_UP_AFTER, Resting};
pub use revoke::{AT_ONCE, BATCH, CLAIM, Revoked, Which};
pub use status::AuthStatus;
