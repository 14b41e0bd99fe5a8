//! Pages for people: the consent page, and where the provider sends the browser back to (design §7).
//!
//! HTML and one style sheet, no script but where a page stands in an app's window, nothing from elsewhere. Every value is escaped by the templates.
//!
//! - `consent`: what the link shows, and its button.
//! - `by_key`: a link that the `vercel` CLI prints: a person says with a key who they are, and goes on to a consent.
//! - `callback`: the browser comes back.
//! - `register`: a person registers a connector at its service.
//! - `link`: the start of a link flow, which goes on to the provider at once.
//! - `sign_in`: the start of a sign-in, which does so, too.
//! - `docs`: the reference of the native API.
//! - `message`: every text of the other pages.
//! - `embedded`: pages in an app's window, the only ones with a script.
//! - `markdown`: a connector's instructions.
//! - `browser`: what a browser says about itself.
//! - `answer`, `look`: headers and style.

mod answer;
mod browser;
mod by_key;
pub(crate) mod callback;
mod consent;
mod docs;
mod embedded;
mod link;
mod look;
mod markdown;
mod message;
mod register;
mod sign_in;
#[cfg(test)]
mod tests;

pub(crate) use consent::Part;
pub(crate) use link::start_link;

use axum::routing::{get, post};

use crate::kit::route::{Access, Method, Route, Takes};

const BY_LINK: Access =
    Access::Public("the link is the credential; what it can do is said on the page");

const BY_KEY: Access =
    Access::Public("looking tells nothing of what there is; the form asks for a key");

use callback::BY_STATE;

/// The pages' rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/docs",
        Access::Public("documentation, the same for everybody"),
        "showDocs",
        |_| get(docs::show),
    )
    .about("The reference of the native API.")
    .gives(200, "A page."),
    Route::new(
        Method::Get,
        "/authorize/{request}",
        BY_LINK,
        "showConsent",
        |_| get(consent::show),
    )
    .about("The consent page. Looking changes nothing.")
    .gives(200, "A page."),
    Route::new(
        Method::Post,
        "/authorize/{request}",
        BY_LINK,
        "decideConsent",
        |_| post(consent::decide),
    )
    .about("The button of the consent page.")
    .takes(Takes::Page)
    .gives(303, "To the provider, or to where the user came from."),
    Route::new(
        Method::Get,
        "/authorize/{request}/cancel",
        BY_LINK,
        "showCancelConsent",
        |_| get(consent::cancel),
    )
    .about("Asks whether the user wants to say no.")
    .gives(200, "A page."),
    Route::new(
        Method::Get,
        "/authorize/{request}/state",
        BY_LINK,
        "showConsentState",
        |_| get(embedded::state),
    )
    .about("Whether the consent is over, for the page that waits for it.")
    .gives(200, "Yes or no, as JSON."),
    Route::new(
        Method::Get,
        "/install/{request}",
        BY_LINK,
        "showInstall",
        |_| get(consent::show),
    )
    .about("The page that asks before an application is installed. Looking changes nothing.")
    .gives(200, "A page."),
    Route::new(
        Method::Post,
        "/install/{request}",
        BY_LINK,
        "decideInstall",
        |_| post(consent::decide),
    )
    .about("Its button.")
    .takes(Takes::Page)
    .gives(303, "To the provider, or to where the user came from."),
    Route::new(
        Method::Get,
        "/api/v1/connect/authorize/{connector}",
        BY_KEY,
        "showAuthorizationByKey",
        |_| get(by_key::show),
    )
    .about("E4: the page behind the link that the `vercel` CLI prints for a consent. Looking changes nothing.")
    .query(by_key::QUERY)
    .gives(200, "A page that asks for a key."),
    Route::new(
        Method::Post,
        "/api/v1/connect/authorize/{connector}",
        BY_KEY,
        "beginAuthorizationByKey",
        |_| post(by_key::begin),
    )
    .about("Its button: a consent for whose key it is, with the result under the link's `request_code`.")
    .query(by_key::QUERY)
    .takes(Takes::Page)
    .gives(303, "To the page of the consent."),
    Route::new(
        Method::Get,
        "/api/v1/connect/install/{connector}",
        BY_KEY,
        "showInstallationByKey",
        |_| get(by_key::show),
    )
    .about("E4: the page behind the link that the `vercel` CLI prints for an installation. Looking changes nothing.")
    .query(by_key::QUERY)
    .gives(200, "A page that asks for a key."),
    Route::new(
        Method::Post,
        "/api/v1/connect/install/{connector}",
        BY_KEY,
        "beginInstallationByKey",
        |_| post(by_key::begin),
    )
    .about("Its button: an installation for whose key it is, with the result under the link's `request_code`.")
    .query(by_key::QUERY)
    .takes(Takes::Page)
    .gives(303, "To the page of the consent."),
    Route::new(
        Method::Get,
        "/oauth/authorize",
        Access::Public("OAuth: a browser that wants to sign in; it goes on to a provider, and back to a declared address only"),
        "authorizeSignIn",
        |_| get(sign_in::authorize),
    )
    .about("G1: begins a sign-in through a connector (RFC 6749 §4.1.1, PKCE with S256).")
    .gives(303, "To the provider, or back with an error."),
    Route::new(
        Method::Get,
        "/register/{setup}",
        BY_LINK,
        "showSetup",
        |_| get(register::show),
    )
    .about("The page on which a connector that somebody asked for is registered at its service. Looking changes nothing.")
    .gives(200, "A page."),
    Route::new(
        Method::Post,
        "/register/{setup}",
        BY_LINK,
        "decideSetup",
        |_| post(register::decide),
    )
    .about("Its buttons.")
    .takes(Takes::Page)
    .gives(303, "To the page, which says how far it has come, or to the one that installs the application."),
    Route::new(
        Method::Get,
        "/register/{setup}/cancel",
        BY_LINK,
        "showCancelSetup",
        |_| get(register::cancel),
    )
    .about("Asks whether it shall be called off.")
    .gives(200, "A page."),
    Route::new(
        Method::Get,
        "/register/{setup}/github",
        BY_STATE,
        "madeByGithub",
        |_| get(register::made_by_github),
    )
    .about("Where GitHub sends browsers back to that made an app of a manifest.")
    .gives(303, "To the page, which says how far it has come."),
    Route::new(Method::Get, "/callback", BY_STATE, "callback", |_| {
        get(callback::arrive)
    })
    .about("Where providers send browsers back to.")
    .gives(
        303,
        "To where the user came from, or to a page that says what happened.",
    ),
    Route::new(Method::Post, "/callback", BY_STATE, "callbackForm", |_| {
        post(callback::wrong_method)
    })
    .about("Answers of providers are not accepted as forms.")
    .takes(Takes::Page)
    .gives(405, "A page."),
    Route::new(
        Method::Get,
        "/callback/{team}",
        BY_STATE,
        "callbackOfTeam",
        |_| get(callback::arrive),
    )
    .about("The same, with a redirect URI of the team's own.")
    .gives(
        303,
        "To where the user came from, or to a page that says what happened.",
    ),
    Route::new(
        Method::Post,
        "/callback/{team}",
        BY_STATE,
        "callbackFormOfTeam",
        |_| post(callback::wrong_method),
    )
    .about("Answers of providers are not accepted as forms.")
    .takes(Takes::Page)
    .gives(405, "A page."),
    Route::new(
        Method::Get,
        "/problem/{word}",
        Access::Public("fixed texts"),
        "showProblem",
        |_| get(callback::problem),
    )
    .about("Says why a browser's visit ended, and what to do next.")
    .gives(200, "A page, with the status of what happened."),
];
