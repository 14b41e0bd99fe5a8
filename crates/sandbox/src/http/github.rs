//! `/github/…`: a GitHub App that people install (docs.github.com, "About the setup URL"): its page, which sends the
//! browser back without a code unless the app asks for one, the login by which people prove who they are, and the API that
//! knows what they have to do with and gives the app tokens of its installations.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::salesforce::signed_by;
use super::token::grant;
use super::token_request::TokenRequest;
use super::{Pairs, bearer};
use crate::answer::Answer;
use crate::faults::{Endpoint, form};
use crate::model::tenants::Account;
use crate::model::{Code, Grant, Mint, Model};
use crate::pages;
use crate::sandbox::{Sandbox, Visit};

/// The client whose app this is.
const APP: &str = "demo";

/// Whoever comes: the user of `login_hint`, or the first.
fn person(sandbox: &Sandbox, query: &Pairs) -> String {
    let users = &sandbox.config().users;
    let hinted = users
        .iter()
        .find(|user| Some(user.id.as_str()) == query.get("login_hint"));
    let person = hinted.or(users.first());
    person.map(|user| user.id.clone()).unwrap_or_default()
}

fn code_for(user: String, redirect_uri: &str, challenge: String) -> Code {
    Code {
        grant: Grant {
            client_id: APP.to_owned(),
            user: Some(user),
            scope: String::new(),
            resources: vec![],
            nonce: None,
            workspace: None,
        },
        redirect_uri: redirect_uri.to_owned(),
        challenge,
    }
}

fn back(redirect_uri: &str, params: Vec<(&str, String)>) -> Response {
    let params = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish();
    let location = format!("{redirect_uri}?{params}");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// `GET /apps/{slug}/installations/new`: `callback` is what the app's owner has set as its setup and callback URL;
/// with `oauth` they have asked for people's consent during the installation; with `request` the person is no owner of
/// the account. `login` is the account.
pub(super) async fn install(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let query = Pairs::query(&uri);
    let Some(callback) = query.get("callback") else {
        return pages::error("The app has no setup URL.");
    };
    let mint = sandbox.mint();
    let mut params = vec![("state", query.get("state").unwrap_or_default().to_owned())];
    let user = person(&sandbox, &query);
    let mut state = sandbox.lock();
    if query.get("request").is_some() {
        params.push(("setup_action", "request".to_owned()));
    } else {
        let login = query.get("login").unwrap_or("acme").to_owned();
        let account = Account {
            login,
            user: user.clone(),
            suspended: false,
        };
        let id = state.model.github_install(account);
        params.push(("installation_id", id.to_string()));
        params.push(("setup_action", "install".to_owned()));
    }
    if query.get("oauth").is_some() {
        let code = mint.token("gh_");
        let granted = code_for(user, callback, String::new());
        state.model.store_code(&mint, code.clone(), granted);
        params.push(("code", code));
    }
    back(callback, params)
}

/// `GET /github/login/oauth/authorize`
pub(super) async fn authorize(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let query = Pairs::query(&uri);
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let mint = sandbox.mint();
    let user = person(&sandbox, &query);
    let mut state = sandbox.lock();
    let client = query.get("client_id").and_then(|id| state.model.client(id));
    if !client.is_some_and(|client| client.accepts_redirect(&text("redirect_uri"))) {
        return pages::error("The redirect_uri is not associated with this application.");
    }
    let code = mint.token("gh_");
    let granted = code_for(user, &text("redirect_uri"), text("code_challenge"));
    state.model.store_code(&mint, code.clone(), granted);
    back(
        &text("redirect_uri"),
        vec![("code", code), ("state", text("state"))],
    )
}

/// GitHub's word for what another server calls `code`.
fn words<'a>(code: &'a str, grant_type: Option<&str>) -> &'a str {
    match code {
        "invalid_client" => "incorrect_client_credentials",
        "invalid_grant" if grant_type == Some("refresh_token") => "bad_refresh_token",
        "invalid_grant" => "bad_verification_code",
        code => code,
    }
}

/// `POST /github/login/oauth/access_token`: errors come under status 200, and all of it as a form unless JSON is asked for
/// (docs.github.com, "Troubleshooting OAuth app access token request errors").
pub(super) async fn token(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, effect| {
        let granted = grant(model, mint, effect, &asked.credentials, &asked.form);
        let mut answer = Answer::json(match granted {
            Err(refusal) => json!({
                "error": words(refusal.code, asked.form.get("grant_type")),
                "error_description": refusal.description, "error_uri": "https://docs.github.com/",
            }),
            Ok(issued) => json!({
                "access_token": issued.access_token, "token_type": "bearer", "scope": "",
                "expires_in": issued.expires_at.since(mint.now).as_secs(),
                "refresh_token": issued.refresh_token, "refresh_token_expires_in": 15_897_600,
            }),
        });
        if !asked.wants_json {
            form(&mut answer);
        }
        answer
    };
    sandbox.perform(asked.visit(), work).await
}

fn visit<'a>() -> Visit<'a> {
    Visit {
        endpoint: Endpoint::Resource,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &[],
        echo: "",
    }
}

/// `GET /github/api/user/installations`
pub(super) async fn of_user(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let user = model.access(mint.now, token);
        let Some(user) = user.and_then(|access| access.grant.user.clone()) else {
            let mut answer = Answer::json(json!({"message": "Bad credentials"}));
            answer.status = StatusCode::UNAUTHORIZED;
            return answer;
        };
        let all = model.github_of(&user);
        let rows: Vec<Value> = all
            .into_iter()
            .map(|(id, account)| json!({"id": id, "account": {"login": account.login}}))
            .collect();
        Answer::json(json!({"total_count": rows.len(), "installations": rows}))
    };
    sandbox.perform(visit(), work).await
}

fn fails(status: StatusCode, message: &str) -> Answer {
    let mut answer = Answer::json(json!({ "message": message }));
    answer.status = status;
    answer
}

/// The account of an installation, for who speaks for the app.
fn account_for<'a>(model: &'a Model, jwt: &str, id: u64) -> Result<&'a Account, Box<Answer>> {
    let app = model.client(APP).and_then(|app| app.assertion_key.as_ref());
    if !app.is_some_and(|key| signed_by(key, jwt)) {
        let message = "A JSON web token could not be decoded";
        return Err(Box::new(fails(StatusCode::UNAUTHORIZED, message)));
    }
    let account = model.github_account(id);
    account.ok_or_else(|| Box::new(fails(StatusCode::NOT_FOUND, "Not Found")))
}

/// `GET /github/api/app/installations/{id}`
pub(super) async fn installation(
    State(sandbox): State<Sandbox>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let jwt = bearer(&headers).unwrap_or_default();
    let work = |model: &mut Model, _: &Mint<'_>, _| match account_for(model, jwt, id) {
        Err(refused) => *refused,
        Ok(account) => {
            let since = account.suspended.then_some("2026-11-01T00:00:00Z");
            Answer::json(json!({
                "id": id, "account": {"login": account.login}, "suspended_at": since,
            }))
        }
    };
    sandbox.perform(visit(), work).await
}

/// `POST /github/api/app/installations/{id}/access_tokens`
pub(super) async fn of_installation(
    State(sandbox): State<Sandbox>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let jwt = bearer(&headers).unwrap_or_default();
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        match account_for(model, jwt, id) {
            Err(refused) => return *refused,
            Ok(account) if account.suspended => {
                let message = "This installation has been suspended";
                return fails(StatusCode::FORBIDDEN, message);
            }
            Ok(_) => {}
        }
        let mut answer = Answer::json(json!({
            "token": mint.token("ghs_"), "permissions": {"contents": "read", "metadata": "read"},
            "repository_selection": "all",
        }));
        answer.status = StatusCode::CREATED;
        answer
    };
    sandbox.perform(visit(), work).await
}

/// `DELETE /github/api/applications/{client}/token`: ends a person's token.
pub(super) async fn revoke(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Response {
    let token = body["access_token"].as_str().unwrap_or_default();
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let mut answer = Answer::empty();
        answer.status = match model.slack_revoke(mint.now, token) {
            true => StatusCode::NO_CONTENT,
            false => StatusCode::NOT_FOUND,
        };
        answer
    };
    let visit = Visit {
        endpoint: Endpoint::Revoke,
        ..visit()
    };
    sandbox.perform(visit, work).await
}
