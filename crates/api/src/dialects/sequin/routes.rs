//! The dialect's part of the route table.

use axum::routing::get;
use grantry_engine::permissions::Act;

use super::{apps, credentials, fields, link, wire};
use crate::kit::call::call;
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageConnectors);
const IMPORT: Access = Access::Act(Act::ImportConnections);
const READ: Access = Access::Act(Act::ReadLists);

/// Sequin's rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/sequin/v1/oauth-apps",
        READ,
        "sequinListOauthApps",
        |route| call(route, apps::list),
    )
    .about("The team's OAuth apps, newest first, all of them.")
    .query(fields::APPS)
    .json::<wire::Apps<'_>>(200, "The apps."),
    Route::new(
        Method::Post,
        "/sequin/v1/oauth-apps",
        MANAGE,
        "sequinCreateOauthApp",
        |route| call(route, apps::create),
    )
    .about("Makes an OAuth app.")
    .takes(Takes::Json(fields::APP))
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Get,
        "/sequin/v1/oauth-apps/{connector}",
        Access::Act(Act::ReadConnector),
        "sequinGetOauthApp",
        |route| call(route, apps::get),
    )
    .about("One OAuth app.")
    .query(fields::ONE)
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Patch,
        "/sequin/v1/oauth-apps/{connector}",
        MANAGE,
        "sequinUpdateOauthApp",
        |route| call(route, apps::update),
    )
    .about("Changes an OAuth app; what is not sent stays. Its connections keep their tokens.")
    .takes(Takes::Json(fields::APP_CHANGE))
    .json::<wire::App<'_>>(200, "The app, its secret masked."),
    Route::new(
        Method::Delete,
        "/sequin/v1/oauth-apps/{connector}",
        MANAGE,
        "sequinDeleteOauthApp",
        |route| call(route, apps::delete),
    )
    .about("Deletes an OAuth app: its secrets are destroyed and its connections ended.")
    .nothing("Deleted."),
    Route::new(
        Method::Get,
        "/sequin/v1/credentials",
        READ,
        "sequinListCredentials",
        |route| call(route, credentials::list),
    )
    .about("The team's credentials, newest first, all of them; a member's own for a member.")
    .query(fields::CREDENTIALS)
    .json::<wire::Credentials>(200, "The credentials, their secrets masked."),
    Route::new(
        Method::Post,
        "/sequin/v1/credentials",
        IMPORT,
        "sequinCreateCredential",
        |route| call(route, credentials::create),
    )
    .about("Takes a credential in: new, or once more for the same account at the provider.")
    .takes(Takes::Json(fields::CREDENTIAL))
    .json::<wire::Credential>(200, "The credential, its secrets masked."),
    Route::new(
        Method::Post,
        "/sequin/v1/credentials/start-auth",
        IMPORT,
        "sequinStartAuth",
        |route| call(route, link::start_auth),
    )
    .about("Makes a URL that sends a user to the provider, once, within five minutes.")
    .takes(Takes::Json(fields::START))
    .json::<wire::Start>(200, "The URL."),
    Route::new(
        Method::Get,
        "/sequin/v1/credentials/{connection}",
        READ,
        "sequinGetCredential",
        |route| call(route, credentials::get),
    )
    .about("One credential.")
    .json::<wire::Credential>(200, "The credential, its secrets masked."),
    Route::new(
        Method::Patch,
        "/sequin/v1/credentials/{connection}",
        IMPORT,
        "sequinUpdateCredential",
        |route| call(route, credentials::update),
    )
    .about("Changes a credential's name and metadata; what is not sent stays.")
    .takes(Takes::Json(fields::CREDENTIAL_CHANGE))
    .json::<wire::Credential>(200, "The credential, its secrets masked."),
    Route::new(
        Method::Get,
        "/sequin/link/oauth2/start/{start}",
        Access::Public("the URL is the credential, and works once"),
        "sequinStartLink",
        |_| get(link::start),
    )
    .about("Sends a browser to the provider.")
    .gives(303, "To the provider."),
    Route::new(
        Method::Post,
        "/sequin/link/oauth2/token",
        Access::Public("the code and the app's own client secret prove who asks"),
        "sequinExchangeLink",
        |route| call(route, link::exchange),
    )
    .about("Exchanges the code that the redirect URL received, once, within five minutes.")
    .takes(Takes::Json(fields::EXCHANGE))
    .gives(
        200,
        "A credential to be created: a handle stands in place of each secret.",
    ),
];
