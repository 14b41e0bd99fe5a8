//! The nouns of Grantry, the ports that the outside world plugs into, and the closed error type.
//!
//! Nothing here does I/O, knows an async runtime, or speaks HTTP status codes. Every other crate
//! depends on this one and on few others; `crates/it/tests/it/laws.rs` keeps the arrows.

pub mod clock;
pub mod entropy;
pub mod error;
pub mod http;
pub mod ids;
pub mod limits;
pub mod meter;
pub mod nouns;
pub mod secret;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use clock::Clock;
pub use entropy::Entropy;
pub use error::{Error, Problem, Result};
pub use meter::Meter;
pub use secret::Secret;
pub use store::{Store, StoreError};
pub use time::Timestamp;
