//! The dialect's part of the route table, and its handlers. The marks A1 … E3 are those of
//! reference/vercel-connect §2.

use axum::response::Response;
use grantry_core::nouns::Environment;
use grantry_core::store::SigningPurpose;
use grantry_core::{Error, Result};
use grantry_engine::Which;
use grantry_engine::permissions::Act;
use serde_json::json;

use super::wire::{self, Reader};
use super::{code, fields, map};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::present;
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageConnectors);
const LISTS: Access = Access::Act(Act::ReadLists);

/// Vercel's rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/v1/connect/connectors",
        MANAGE,
        "createConnector",
        |route| call(route, create),
    )
    .about("A1: makes a connector, and links it to a project where one is named.")
    .takes(Takes::Json(fields::CONNECTOR))
    .json::<wire::Connector>(201, "The connector."),
    Route::new(
        Method::Get,
        "/v1/connect/connectors/{connector}",
        Access::Act(Act::ReadConnector),
        "getConnector",
        |route| call(route, get),
    )
    .about("A6: one connector, by id or uid; a workload reads those it is linked to.")
    .json::<wire::Connector>(200, "The connector."),
    Route::new(
        Method::Delete,
        "/v1/connect/connectors/{connector}",
        MANAGE,
        "deleteConnector",
        |route| call(route, delete),
    )
    .about("A9: deletes a connector, its links and its tokens.")
    .nothing("Deleted."),
    Route::new(
        Method::Get,
        "/v1/connect/connectors/{connector}/projects/{project}",
        LISTS,
        "getConnectorProjectConnection",
        |route| call(route, get_link),
    )
    .about("B3: a project's link; 404 when it has none.")
    .json::<wire::Link>(200, "The link."),
    Route::new(
        Method::Post,
        "/v1/connect/connectors/{connector}/projects/{project}",
        MANAGE,
        "upsertConnectorProjectConnection",
        |route| call(route, put_link),
    )
    .about("B4: links a project, or replaces the environments of its link.")
    .takes(Takes::Json(fields::LINK))
    .json::<wire::Link>(200, "The link."),
    Route::new(
        Method::Delete,
        "/v1/connect/connectors/{connector}/projects/{project}",
        MANAGE,
        "deleteConnectorProjectConnection",
        |route| call(route, delete_link),
    )
    .about("B5: removes a link.")
    .nothing("Removed."),
    Route::new(
        Method::Post,
        "/v1/connect/token/{connector}",
        Access::Act(Act::ReadToken),
        "getConnectorToken",
        |route| call(route, token),
    )
    .about("D1: a token that outlives the validity buffer, refreshed where necessary.")
    .takes(Takes::Json(fields::TOKEN))
    .json::<wire::Token>(200, "The token."),
    Route::new(
        Method::Delete,
        "/v1/connect/connectors/{connector}/tokens",
        Access::Act(Act::RevokeOwn),
        "revokeConnectorTokens",
        |route| call(route, revoke),
    )
    .about("D3: ends a subject's connections; without a subject everybody's, which takes an admin.")
    .takes(Takes::OptionalJson(fields::REVOCATION))
    .json::<wire::Counts>(
        200,
        "How many were found, ended here, and ended at the provider.",
    ),
    Route::new(
        Method::Post,
        "/v1/connect/authorize/{connector}",
        Access::Act(Act::Authorize),
        "createConnectorAuthorizationRequest",
        |route| call(route, authorize),
    )
    .about("E1: makes the link that a user opens to connect.")
    .takes(Takes::Json(fields::AUTHORIZATION))
    .json::<wire::Authorization>(200, "The link, and the verifier of its result."),
    Route::new(
        Method::Get,
        "/v1/connect/result/{verifier}",
        Access::Public("the verifier is the proof: 256 random bits that only the requester was given"),
        "getConnectResult",
        |route| call(route, result),
    )
    .about("E3: how far a consent, or a connector that a person registers, has come. What the CLI waits for is pending until somebody has opened its link.")
    .json::<wire::Outcome>(200, "Its status."),
    Route::new(
        Method::Post,
        "/v1/projects/{project}/token",
        Access::Act(Act::MintWorkloadTokens),
        "createProjectToken",
        |route| call(route, project_token),
    )
    .about("A workload token of a project in its development environment, as `vercel env pull` fetches it.")
    .takes(Takes::OptionalJson(fields::PROJECT_TOKEN))
    .json::<wire::ProjectToken>(200, "The token."),
    Route::new(
        Method::Get,
        "/.well-known/openid-configuration",
        Access::Public("verifiers of workloads' tokens discover the keys here"),
        "getOpenIdConfiguration",
        |route| call(route, discovery),
    )
    .about("Our issuer of workload tokens (OpenID Connect Discovery 1.0 §4). That of sign-ins is `/oauth`.")
    .gives(200, "The metadata."),
    Route::new(
        Method::Get,
        "/.well-known/jwks",
        Access::Public("public keys"),
        "getJwks",
        |route| call(route, jwks),
    )
    .about("The public keys of our issuer (RFC 7517 §5).")
    .gives(200, "The key set."),
];

async fn create(mut call: Call) -> Result<Response> {
    let new = map::connector(std::mem::take(&mut call.body))?;
    let made = call.engine.create_connector(call.caller()?, new).await?;
    answer::created(&wire::Connector::of(&made, Reader::of(&call.headers)))
}

async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .connector(call.caller()?, call.path("connector"))
        .await?;
    answer::ok(&wire::Connector::of(&found, Reader::of(&call.headers)))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_connector(call.caller()?, call.path("connector"))
        .await?;
    answer::nothing()
}

async fn get_link(call: Call) -> Result<Response> {
    let (link, project) = call
        .engine
        .link(call.caller()?, call.path("connector"), call.path("project"))
        .await?;
    answer::ok(&wire::Link::of(&link, &project))
}

async fn put_link(mut call: Call) -> Result<Response> {
    let environments = call.body.take_texts("environments").unwrap_or_default();
    let (link, project) = call
        .engine
        .put_link(
            call.caller()?,
            call.path("connector"),
            call.path("project"),
            map::environments(environments),
        )
        .await?;
    answer::ok(&wire::Link::of(&link, &project))
}

async fn delete_link(call: Call) -> Result<Response> {
    call.engine
        .delete_link(call.caller()?, call.path("connector"), call.path("project"))
        .await?;
    answer::nothing()
}

async fn token(mut call: Call) -> Result<Response> {
    let mut body = std::mem::take(&mut call.body);
    let ask = map::token(&mut body, call.caller()?)?;
    let served = call
        .engine
        .token(call.caller()?, call.path("connector"), ask)
        .await?;
    answer::ok(&wire::Token::of(&served, call.engine.now()))
}

async fn revoke(mut call: Call) -> Result<Response> {
    let mut body = std::mem::take(&mut call.body);
    let subject = map::subject(&mut body, call.caller()?)?;
    let installation = body.take_text("installationId");
    // An empty one is an absent one, but not where that would make a part the whole.
    if subject.is_none() && installation.as_deref() == Some("") {
        let message = "must not be empty where nothing else says whose tokens are meant";
        return Err(Error::invalid("installationId", message));
    }
    let which = Which {
        subject,
        environment: None,
        installation: present(installation),
    };
    let revoked = call
        .engine
        .revoke(call.caller()?, call.path("connector"), which)
        .await?;
    answer::ok(&wire::Counts::from(revoked))
}

async fn authorize(mut call: Call) -> Result<Response> {
    let body = std::mem::take(&mut call.body);
    let ask = map::consent(body, call.caller()?)?;
    let requested = call
        .engine
        .authorize(call.caller()?, call.path("connector"), ask)
        .await?;
    answer::ok(&wire::Authorization::of(&requested))
}

async fn result(call: Call) -> Result<Response> {
    let verifier = call.path("verifier");
    if let Some(setup) = call.engine.setup_result(verifier).await? {
        return answer::ok(&wire::Outcome::of_setup(&setup));
    }
    match call.engine.consent_result(verifier).await {
        Ok((_, result)) => answer::ok(&wire::Outcome::of(&result)),
        Err(Error::NotFound(_)) if code::is_of_the_cli(verifier) => {
            answer::ok(&wire::Outcome::not_begun())
        }
        Err(error) => Err(error),
    }
}

async fn project_token(call: Call) -> Result<Response> {
    let minted = call
        .engine
        .mint_workload_token(
            call.caller()?,
            call.path("project"),
            Environment::from("development"),
            None,
        )
        .await?;
    answer::ok(&wire::ProjectToken {
        token: minted.token.expose(),
    })
}

async fn discovery(call: Call) -> Result<Response> {
    let settings = call.engine.settings();
    answer::public(&json!({
        "issuer": settings.issuer(),
        "jwks_uri": settings.url("/.well-known/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti",
            "owner", "owner_id", "project", "project_id", "environment",
        ],
    }))
}

async fn jwks(call: Call) -> Result<Response> {
    answer::public(&call.engine.jwks(SigningPurpose::Workload).await?)
}
