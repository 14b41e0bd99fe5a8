//! The one way out: every HTTP request of the house leaves through [`Egress`], which implements
//! core's `Http` port (design §7; requirements 46, 47, 49, 56–66).
//!
//! What egress **never** does:
//!
//! - connect to an address it has not checked: a name is resolved once per connection, every
//!   address of the answer is judged, and the connection goes to one of exactly those addresses;
//! - try the good half of a mixed answer: one forbidden address refuses the whole host;
//! - send an http request, or one to an odd port, to a place the deployment has not listed;
//! - follow a redirect that is not the GET of a metadata document, or follow it unchecked;
//! - repeat a request: a body is handed out once and cannot be copied, and retries are off;
//! - read proxy variables or `.netrc`, keep cookies, or send a `Referer`;
//! - wait longer than the deadline or read more than the cap of the request's purpose;
//! - accept a certificate that the system's roots (and the deployment's extra CA) do not vouch for;
//!   there is no switch to turn that off;
//! - tell its caller why a destination was refused. The log of the deployment says it.
//!
//! It speaks HTTP/1.1 only: there, "has a byte of this request left?" has an exact answer, and that
//! answer decides whether a refresh token may be presented again (design §6d).
//!
//! [`Local`] is the exception that proves the rule: our own command line talking to its own server,
//! at a place the operator named.

mod bulkhead;
mod client;
mod departure;
mod explain;
mod forbidden;
mod lines;
mod local;
mod policy;
mod resolver;
mod transport;

#[cfg(test)]
mod tests;

pub use client::{Egress, Options};
pub use explain::Verdict;
pub use lines::{Lines, TooLong};
pub use local::{Local, LocalError, Reply};
pub use policy::{BadRule, Policy};
pub use resolver::{Lookup, SystemLookup};
pub use transport::SetupError;
