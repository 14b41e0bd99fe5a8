//! `/entra/{tenant}/…`: an Entra whose applications are installed by an administrator's consent (learn.microsoft.com,
//! "Admin consent on the Microsoft identity platform"). Whoever comes is an administrator of the tenant that the address
//! names, of [`USUAL`] where it names any, a user of [`PLAIN`], and of [`FOREIGN`] nobody is.

use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Pairs;
use super::token::{grant, refused};
use super::token_request::TokenRequest;
use crate::answer::Answer;
use crate::crypto::Signing;
use crate::model::{Code, Grant, Mint, Model, Refusal};
use crate::pages;
use crate::sandbox::Sandbox;

/// The tenant of who comes to `organizations` or `common`.
const USUAL: &str = "11111111-1111-4111-8111-111111111111";
/// A tenant that nobody who comes here is of.
const FOREIGN: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";
/// A tenant of which whoever comes is a user like any other.
const PLAIN: &str = "33333333-3333-4333-8333-333333333333";
/// A tenant whose ID tokens say nothing of roles, as those of all are where the application's registration does not ask.
const SILENT: &str = "44444444-4444-4444-8444-444444444444";

/// Every user of a tenant.
const USER: &str = "b79fbf4d-3ef9-4689-8143-76b194e85509";
/// Its Global Administrators.
const ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

/// The directory roles of who comes to a tenant, where they are told (`wids`).
fn roles_in(tenant: &str) -> Option<&'static [&'static str]> {
    match tenant {
        SILENT => None,
        PLAIN => Some(&[USER]),
        _ => Some(&[USER, ADMINISTRATOR]),
    }
}

fn tenant_of(named: &str) -> Option<&str> {
    match named {
        "organizations" | "common" => Some(USUAL),
        FOREIGN => None,
        named => Some(named),
    }
}

/// The client, and where it is answered, of a request whose redirect URI is the client's.
fn asked(model: &Model, query: &Pairs) -> Option<(String, String)> {
    let client = model.client(query.get("client_id")?)?;
    let redirect_uri = query.get("redirect_uri")?;
    let known = client.accepts_redirect(redirect_uri);
    known.then(|| (client.id.clone(), redirect_uri.to_owned()))
}

fn back(redirect_uri: &str, params: &[(&str, &str)]) -> Response {
    let params = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish();
    let location = format!("{redirect_uri}?{params}");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// `GET /entra/{tenant}/v2.0/adminconsent`
pub(super) async fn admin_consent(
    State(sandbox): State<Sandbox>,
    Path(named): Path<String>,
    uri: Uri,
) -> Response {
    let query = Pairs::query(&uri);
    let mut state = sandbox.lock();
    let Some((client, redirect_uri)) = asked(&state.model, &query) else {
        return pages::error("AADSTS50011: The redirect URI is not one of the application's.");
    };
    let Some(tenant) = tenant_of(&named) else {
        return pages::error("AADSTS50020: You are not of this tenant.");
    };
    if tenant == PLAIN {
        return pages::error("AADSTS90094: An administrator has to consent.");
    }
    let echoed = query.get("state").unwrap_or_default();
    let scope = query.get("scope").unwrap_or_default();
    if scope.is_empty() {
        let why = "AADSTS900144: The request must contain 'scope'.";
        return back(
            &redirect_uri,
            &[
                ("error", "invalid_request"),
                ("error_description", why),
                ("state", echoed),
            ],
        );
    }
    state.model.entra_install(&client, tenant);
    back(
        &redirect_uri,
        &[
            ("admin_consent", "True"),
            ("tenant", tenant),
            ("state", echoed),
            ("scope", scope),
        ],
    )
}

/// `GET /entra/{tenant}/oauth2/v2.0/authorize`: whoever comes says yes.
pub(super) async fn authorize(
    State(sandbox): State<Sandbox>,
    Path(named): Path<String>,
    uri: Uri,
) -> Response {
    let query = Pairs::query(&uri);
    let mint = sandbox.mint();
    let mut state = sandbox.lock();
    let Some((client_id, redirect_uri)) = asked(&state.model, &query) else {
        return pages::error("AADSTS50011: The redirect URI is not one of the application's.");
    };
    let Some(tenant) = tenant_of(&named) else {
        return pages::error("AADSTS50020: You are not of this tenant.");
    };
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let code = mint.token("entra_");
    let granted = Code {
        grant: Grant {
            client_id,
            user: sandbox.config().users.first().map(|user| user.id.clone()),
            scope: text("scope"),
            resources: vec![],
            nonce: query.get("nonce").map(str::to_owned),
            workspace: Some(tenant.to_owned()),
        },
        redirect_uri: redirect_uri.clone(),
        challenge: text("code_challenge"),
    };
    state.model.store_code(&mint, code.clone(), granted);
    back(&redirect_uri, &[("code", &code), ("state", &text("state"))])
}

/// `POST /entra/{tenant}/oauth2/v2.0/token`: a person's code, or the application in a tenant that knows it.
pub(super) async fn token(
    State(sandbox): State<Sandbox>,
    Path(named): Path<String>,
    asked: TokenRequest,
) -> Response {
    let itself = asked.form.get("grant_type") == Some("client_credentials");
    let work = |model: &mut Model, mint: &Mint<'_>, effect| {
        if let Err(refusal) = asked.credentials.check(model, mint.now).and_then(|client| {
            let known = model.entra_has(&client, &named);
            let scope = asked.form.get("scope").unwrap_or_default();
            match itself {
                true if !known => Err(Refusal::new(
                    "unauthorized_client",
                    "AADSTS700016: The application was not found in the directory.",
                )),
                true if !scope.ends_with("/.default") => Err(Refusal::new(
                    "invalid_scope",
                    "AADSTS1002012: The scope has to end with /.default.",
                )),
                _ => Ok(()),
            }
        }) {
            return refused(refusal, &asked.credentials);
        }
        let issued = match grant(model, mint, effect, &asked.credentials, &asked.form) {
            Ok(issued) => issued,
            Err(refusal) => return refused(refusal, &asked.credentials),
        };
        let person = &issued.grant;
        let home = person.workspace.as_deref();
        if !itself && home != tenant_of(&named) {
            let why = "AADSTS700005: The code is of another tenant.";
            return refused(Refusal::new("invalid_grant", why), &asked.credentials);
        }
        let mut answer = json!({
            "access_token": issued.access_token, "token_type": "Bearer", "ext_expires_in": 3599,
            "expires_in": issued.expires_at.since(mint.now).as_secs(),
        });
        if let Some(user) = &person.user {
            answer["scope"] = person.scope.clone().into();
            answer["refresh_token"] = issued.refresh_token.clone().into();
            let tenant = home.unwrap_or_default();
            let mut claims = json!({
                "iss": format!("{}/entra/{tenant}/v2.0", sandbox.issuer()), "sub": user, "tid": tenant,
                "aud": person.client_id, "nonce": person.nonce,
                "iat": mint.now.as_secs(), "exp": issued.expires_at.as_secs(),
            });
            if let Some(roles) = roles_in(tenant) {
                claims["wids"] = json!(roles);
            }
            let key = sandbox.key();
            answer["id_token"] = key.sign(Signing::Rs256, &key.kid, &claims).into();
        }
        Answer::json(answer)
    };
    sandbox.perform(asked.visit(), work).await
}
