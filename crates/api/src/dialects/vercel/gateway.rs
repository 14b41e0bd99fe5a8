//! G1: signing in through a connector (reference/vercel-connect §9, docs/sign-in.md). Requests and errors are those of
//! OAuth 2.0: what an application hears are RFC 6749's §5.2. Where its
//! people's browsers begin is a page (`pages::sign_in`).

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::store::SigningPurpose;
use grantry_core::{Result, Secret};
use grantry_engine::{AskTokens, Denied, SIGN_IN_SCOPES, Settings, SignInTokens, TokenProof, Told};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::App;
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::edge::Failed;
use crate::kit::route::{Access, Method, Route, Takes};

const BY_SECRET: Access = Access::Public("OAuth: the client's secret is the workload's token");

/// Its rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/oauth/token",
        BY_SECRET,
        "redeemSignIn",
        |_| post(token),
    )
    .about("G1: redeems a code or a refresh token (RFC 6749 §4.1.3, §6).")
    .takes(Takes::Page)
    .gives(200, "Tokens."),
    Route::new(
        Method::Post,
        "/oauth/revoke",
        BY_SECRET,
        "revokeSignIn",
        |_| post(revoke),
    )
    .about("G1: ends a sign-in (RFC 7009).")
    .takes(Takes::Page)
    .gives(200, "Nothing."),
    Route::new(
        Method::Get,
        "/oauth/userinfo",
        Access::Public("OAuth: by the access token of a sign-in, which says whose"),
        "getSignInUserinfo",
        |_| get(userinfo),
    )
    .about("G1: who has signed in (OpenID Connect Core §5.3).")
    .gives(200, "Claims."),
    Route::new(
        Method::Post,
        "/oauth/userinfo",
        Access::Public("OAuth: by the access token of a sign-in, which says whose"),
        "postSignInUserinfo",
        |_| post(userinfo),
    )
    .about("The same.")
    .takes(Takes::Page)
    .gives(200, "Claims."),
    Route::new(
        Method::Get,
        "/oauth/.well-known/openid-configuration",
        Access::Public("applications that sign people in discover the endpoints here"),
        "getSignInConfiguration",
        |route| call(route, discovery),
    )
    .about("G1: the issuer of sign-ins (OpenID Connect Discovery 1.0 §4).")
    .gives(200, "The metadata."),
    Route::new(
        Method::Get,
        "/.well-known/oauth-authorization-server/oauth",
        Access::Public("applications that sign people in discover the endpoints here"),
        "getSignInOauthMetadata",
        |route| call(route, discovery),
    )
    .about("The same at its other place (RFC 8414 §3).")
    .gives(200, "The metadata."),
    Route::new(
        Method::Get,
        "/oauth/jwks",
        Access::Public("public keys"),
        "getSignInJwks",
        |route| call(route, jwks),
    )
    .about("The public keys of the issuer of sign-ins (RFC 7517 §5): none that signs for workloads is among them.")
    .gives(200, "The key set."),
];

/// RFC 6749 §5.2
#[derive(Serialize, ToSchema)]
#[schema(as = OauthRefusal)]
pub struct Refusal {
    error: &'static str,
    error_description: String,
}

/// Parameters by name. `None` when one comes twice (RFC 6749 §3.1).
pub(crate) fn parameters(text: &[u8]) -> Option<HashMap<String, String>> {
    let mut found = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        if found
            .insert(name.into_owned(), value.into_owned())
            .is_some()
        {
            return None;
        }
    }
    // A parameter without a value is none.
    found.retain(|_, value| !value.is_empty());
    Some(found)
}

pub(crate) const TWICE: &str = "a parameter comes twice";

/// What an application sent, and its proof.
struct Asked {
    given: HashMap<String, String>,
    proof: TokenProof,
    by_header: bool,
}

/// Reads a form and proves who sent it: by HTTP Basic, whose parts are form-encoded (RFC 6749 §2.3.1), or in the form.
async fn asked(app: &App, headers: &HeaderMap, body: &Bytes) -> Result<Asked, Response> {
    let invalid = |why: &str| refused(Denied::Oauth("invalid_request", why.to_owned()), false);
    let form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let form = form
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !form.is_some_and(|form| form.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(invalid(
            "the body must be application/x-www-form-urlencoded",
        ));
    }
    let Some(mut given) = parameters(body) else {
        return Err(invalid(TWICE));
    };
    let in_form = (
        given.remove("client_id"),
        given.remove("client_secret").map(Secret::new),
    );
    let (by_header, (client, secret)) = match (headers.get(AUTHORIZATION), in_form) {
        (None, (Some(client), Some(secret))) => (false, (client, secret)),
        (None, _) => {
            let why =
                "a client has to prove itself: by HTTP Basic, or with client_id and client_secret";
            return Err(refused(
                Denied::Oauth("invalid_client", why.to_owned()),
                true,
            ));
        }
        (Some(_), (_, Some(_))) => return Err(invalid("a client proves itself in one way only")),
        (Some(value), (named, None)) => {
            let Some((client, secret)) = basic(value) else {
                let why =
                    "Authorization must be Basic, of the form-encoded client id and workload token";
                return Err(refused(
                    Denied::Oauth("invalid_client", why.to_owned()),
                    true,
                ));
            };
            if named.is_some_and(|named| named != client) {
                return Err(invalid("client_id is not that of the Authorization header"));
            }
            (true, (client, secret))
        }
    };
    match app.engine.prove_application(&client, &secret).await {
        Ok(proof) => Ok(Asked {
            given,
            proof,
            by_header,
        }),
        Err(denied) => Err(refused(denied, by_header)),
    }
}

fn basic(value: &HeaderValue) -> Option<(String, Secret)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let pair = format!("x={}", part.replace('&', "%26"));
        let value = url::form_urlencoded::parse(pair.as_bytes()).next();
        value
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    Some((decoded(client), Secret::new(decoded(secret))))
}

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    scope: &'a str,
}

impl<'a> From<&'a SignInTokens> for Tokens<'a> {
    fn from(tokens: &'a SignInTokens) -> Self {
        Self {
            access_token: tokens.access.expose(),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh.as_ref().map(Secret::expose),
            id_token: tokens.id_token.as_ref().map(Secret::expose),
            scope: &tokens.scope,
        }
    }
}

async fn token(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Asked {
        mut given,
        proof,
        by_header,
    } = match asked(&app, &headers, &body).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let ask = match tokens_asked(&mut given) {
        Ok(ask) => ask,
        Err(denied) => return refused(denied, by_header),
    };
    match app.engine.redeem(proof, ask).await {
        Ok(tokens) => answer::json(StatusCode::OK, &Tokens::from(&tokens)),
        Err(denied) => refused(denied, by_header),
    }
}

fn tokens_asked(given: &mut HashMap<String, String>) -> Told<AskTokens> {
    let missing = |name: &str| Denied::Oauth("invalid_request", format!("{name} is required"));
    let grant_type = given
        .remove("grant_type")
        .ok_or_else(|| missing("grant_type"))?;
    let mut required = |name: &str| given.remove(name).ok_or_else(|| missing(name));
    match grant_type.as_str() {
        "authorization_code" => Ok(AskTokens::Code {
            code: Secret::new(required("code")?),
            redirect_uri: required("redirect_uri")?,
            verifier: Secret::new(required("code_verifier")?),
        }),
        "refresh_token" => Ok(AskTokens::Refresh {
            token: Secret::new(required("refresh_token")?),
            scope: given.remove("scope"),
        }),
        _ => {
            let why = "grant_type must be authorization_code or refresh_token";
            Err(Denied::Oauth("unsupported_grant_type", why.to_owned()))
        }
    }
}

async fn revoke(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Asked {
        mut given,
        proof,
        by_header,
    } = match asked(&app, &headers, &body).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let Some(token) = given.remove("token").map(Secret::new) else {
        let why = "token is required".to_owned();
        return refused(Denied::Oauth("invalid_request", why), by_header);
    };
    match app.engine.revoke_sign_in(&proof, &token).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(denied) => refused(denied, by_header),
    }
}

async fn userinfo(State(app): State<App>, headers: HeaderMap) -> Response {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = bearer
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Secret::new(token.trim()));
    let Some(token) = token else {
        let mut refusal = StatusCode::UNAUTHORIZED.into_response();
        let scheme = HeaderValue::from_static("Bearer");
        refusal.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        return refusal;
    };
    match app.engine.userinfo(&token).await {
        Ok(claims) => answer::json(StatusCode::OK, &claims),
        Err(denied) => refused(denied, false),
    }
}

/// An error as RFC 6749 §5.2 and RFC 6750 §3.1 say it. `by_header`: the client had tried by `Authorization`.
pub(crate) fn refused(denied: Denied, by_header: bool) -> Response {
    let (status, code, why) = match &denied {
        Denied::Oauth(code, why) => {
            let status = match *code {
                "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, *code, why.clone())
        }
        Denied::Other(error) => {
            let status = answer::status(error, StatusCode::BAD_REQUEST);
            let code = match status {
                StatusCode::FORBIDDEN => "unauthorized_client",
                status if status.is_server_error() => "server_error",
                StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => "temporarily_unavailable",
                _ => "invalid_request",
            };
            (status, code, error.to_string())
        }
    };
    let mut refusal = answer::json(
        status,
        &Refusal {
            error: code,
            error_description: why,
        },
    );
    let challenge = match code {
        "invalid_token" => Some("Bearer error=\"invalid_token\""),
        "invalid_client" if by_header => Some("Basic realm=\"grantry\""),
        _ => None,
    };
    if let Some(challenge) = challenge {
        let challenge = HeaderValue::from_static(challenge);
        refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Denied::Other(error) = denied {
        refusal = answer::with_headers(refusal, &error);
        if status.is_server_error() {
            refusal.extensions_mut().insert(Failed(error));
        }
    }
    refusal
}

async fn discovery(call: Call) -> Result<Response> {
    answer::public(&metadata(call.engine.settings()))
}

async fn jwks(call: Call) -> Result<Response> {
    answer::public(&call.engine.jwks(SigningPurpose::SignIn).await?)
}

/// What the discovery document says (RFC 8414 §2, OpenID Connect Discovery 1.0 §3).
fn metadata(settings: &Settings) -> Value {
    let methods = ["client_secret_basic", "client_secret_post"];
    json!({
        "issuer": settings.sign_in_issuer(),
        "jwks_uri": settings.url("/oauth/jwks"),
        "authorization_endpoint": settings.url("/oauth/authorize"),
        "token_endpoint": settings.url("/oauth/token"),
        "revocation_endpoint": settings.url("/oauth/revoke"),
        "userinfo_endpoint": settings.url("/oauth/userinfo"),
        "scopes_supported": SIGN_IN_SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "iss", "sub", "aud", "azp", "exp", "iat", "nonce", "auth_time", "team", "project", "environment",
            "email", "email_verified", "name", "picture",
        ],
    })
}
