//! Images for connectors: uploaded (`POST /v2/files`, reference/vercel-connect §4, §10) and shown.

use axum::body::Body;
use axum::http::{HeaderValue, header};
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
    .gives(200, "The image."),
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

/// The image as what it was checked to be, and nothing that a browser could run. It never changes.
async fn show(call: Call) -> Result<Response> {
    let icon = call
        .engine
        .icon(&call.path("owner").into(), call.path("digest"))
        .await?;
    let mut answer = Response::new(Body::from(icon.content));
    let media_type = HeaderValue::from_str(&icon.media_type).map_err(|_| Error::Internal)?;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    for (name, value) in [
        (header::CACHE_CONTROL, "public, max-age=86400, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}
