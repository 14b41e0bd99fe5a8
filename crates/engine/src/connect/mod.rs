//! A consent from the request for it to the stored connection (design §7).
//!
//! - `ask`: somebody wants a user to connect; a link comes back.
//! - `coded`: the same for a requester who chose the verifier of the result before anything was asked for.
//! - `page`: what the link shows.
//! - `flow`: one visit to the provider.
//! - `press`: the button: state, PKCE and binding cookie are made, the browser goes to the provider.
//! - `callback`: the browser comes back; the attacks of requirements 1–19 end here.
//! - `exchange`: the code becomes a connection.
//! - `granted`: what of it the server granted.
//! - `installed`: or an installation and the app's tokens there.
//! - `claimed`: one that was made on a page of the provider's own, which says so and proves nothing.
//! - `link`: the same as Sequin's dialect has it: a start URL, a code, a handle.
//! - `return_url`: where a browser may be sent at the end.
//! - `sign_in`: the same for an application that is no user of ours: the gateway.
//! - `webhook`: telling the requester that it ended.
//! - `identity`: whose account it is, where the provider says so.

mod ask;
mod callback;
mod claimed;
mod coded;
mod confirm;
mod exchange;
mod flow;
mod granted;
mod identity;
mod installed;
mod link;
mod page;
mod press;
mod requests;
mod return_url;
mod sign_in;
mod webhook;

pub use ask::{AskConnection, AskConsent, Requested};
pub use callback::{CallbackEnd, CallbackRefusal};
pub(crate) use coded::{code_ended, code_taken};
pub use link::{AskLink, LinkProof, Linked, LinkedTokens, is_handle};
pub use page::{Consent, ConsentPage, ConsentResult};
pub(crate) use page::{consent_scopes, is_open};
pub use press::Pressed;
pub(crate) use press::browser_cookie;
pub(crate) use return_url::is_loopback;
pub(crate) use sign_in::uri_problems as sign_in_uri_problems;
pub use sign_in::{
    AskSignIn, AskTokens, Denied, SCOPES as SIGN_IN_SCOPES, SignInStart, SignInTokens, TokenProof,
    Told,
};
