//! Images for connectors: uploaded (`POST /v2/files`, reference/vercel-connect §4, §10) and shown.

use axum::http::header;
use axum::response::Response;
use grantry_core::limits::{Bound, ICON_BYTES_MAX};
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::call::{Call, call, header_text};
use crate::kit::route::{Access, Method, Route, Takes};

/// Who names the digest how: the documentation, then the CLI.
const DIGESTS: [&str; 2] = ["x-vercel-digest", "x-now-digest"];

/// Uploads, and where they are shown.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/v2/files",
        Access::Act(Act::ManageConnectors),
        "uploadFile",
        |route| call(route, upload),
    )
    .about("Takes in a PNG or JPEG of at least 640 by 640 pixels; `x-vercel-digest` (or `x-now-digest`) is its SHA-1.")
    .takes(Takes::Bytes(|_| Bound::fixed(ICON_BYTES_MAX)))
    .json::<Uploaded>(200, "Its digest, and where it is shown."),
    Route::new(
        Method::Get,
        "/icons/{owner}/{digest}",
        Access::Public("images of pages that anybody can open"),
        "getIcon",
        |route| call(route, show),
    )
    .about("An uploaded image.")
    .gives(200, "The image.")
    .or(304, "It is the one that `If-None-Match` names."),
];

#[derive(Serialize, ToSchema)]
#[schema(as = VercelFile)]
struct Uploaded<'a> {
    /// What `icon` is set to.
    digest: &'a str,
    /// Where anybody sees it.
    url: String,
}

async fn upload(call: Call) -> Result<Response> {
    let named = DIGESTS
        .iter()
        .find_map(|name| header_text(&call.headers, name));
    let Some(named) = named else {
        let message = "is required: the SHA-1 of the body";
        return Err(Error::invalid(DIGESTS[0], message));
    };
    let icon = call
        .engine
        .put_icon(call.caller()?, named, &call.bytes)
        .await?;
    answer::ok(&Uploaded {
        digest: &icon.digest,
        url: call.engine.icon_url(&icon.team, &icon.digest),
    })
}

/// What stands at a digest never changes.
async fn show(call: Call) -> Result<Response> {
    let icon = call
        .engine
        .icon(&call.path("owner").into(), call.path("digest"))
        .await?;
    let known = header_text(&call.headers, header::IF_NONE_MATCH.as_str());
    let keep = "public, max-age=86400, immutable";
    answer::image(icon, keep, known)
}
