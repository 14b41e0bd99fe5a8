//! `/linear/…`: the OAuth of a Linear application (linear.app/developers/oauth-2-0-authentication). A request says whom
//! its token acts for (`actor`), scopes have commas between them, and no answer says which workspace it is: GraphQL does.
//! Whoever comes to its page presses "Authorize" at once.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::token::{grant, refused};
use super::token_request::TokenRequest;
use super::{Pairs, bearer};
use crate::answer::Answer;
use crate::faults::Endpoint;
use crate::model::{Code, Grant, Mint, Model};
use crate::pages;
use crate::sandbox::{Sandbox, Visit};

/// The workspace that is picked where the request names none, and the application's own.
const USUAL: &str = "org-usual";

/// `GET /linear/oauth/authorize`: `workspace` says which one the person picks, who is the first user or the one of
/// `login_hint`.
pub(super) async fn authorize(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let query = Pairs::query(&uri);
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let mint = sandbox.mint();
    let mut state = sandbox.lock();
    let client = query
        .get("client_id")
        .and_then(|id| state.model.client(id))
        .filter(|client| client.accepts_redirect(&text("redirect_uri")));
    let Some(client) = client else {
        return pages::error("The application or its redirect URI is not known.");
    };
    let client_id = client.id.clone();
    let users = &sandbox.config().users;
    let hinted = users
        .iter()
        .find(|user| Some(user.id.as_str()) == query.get("login_hint"));
    let person = hinted.or(users.first()).map(|user| user.id.clone());
    let mut scopes: Vec<String> = text("scope").split(',').map(str::to_owned).collect();
    scopes.retain(|scope| !scope.is_empty() && scope != "read");
    scopes.insert(0, "read".to_owned());
    let answer = match (query.get("response_type"), query.get("actor")) {
        (Some("code"), None | Some("user" | "app")) => {
            let code = mint.token("lin_code_");
            let granted = Code {
                grant: Grant {
                    client_id,
                    user: person.filter(|_| query.get("actor") != Some("app")),
                    scope: scopes.join(" "),
                    resources: vec![],
                    nonce: None,
                    workspace: Some(query.get("workspace").unwrap_or(USUAL).to_owned()),
                },
                redirect_uri: text("redirect_uri"),
                challenge: text("code_challenge"),
            };
            state.model.store_code(&mint, code.clone(), granted);
            ("code", code)
        }
        _ => ("error", "invalid_request".to_owned()),
    };
    let params = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(answer.0, &answer.1)
        .append_pair("state", &text("state"))
        .finish();
    let location = format!("{}?{params}", text("redirect_uri"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// `POST /linear/oauth/token`: a code, a refresh token, or the application by itself, which has no refresh token.
pub(super) async fn token(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, effect| match grant(
        model,
        mint,
        effect,
        &asked.credentials,
        &asked.form,
    ) {
        Err(refusal) => refused(refusal, &asked.credentials),
        Ok(issued) => {
            let mut answer = json!({
                "access_token": issued.access_token, "token_type": "Bearer", "scope": issued.grant.scope,
                "expires_in": issued.expires_at.since(mint.now).as_secs(),
            });
            if let Some(refresh_token) = &issued.refresh_token {
                answer["refresh_token"] = refresh_token.clone().into();
            }
            Answer::json(answer)
        }
    };
    sandbox.perform(asked.visit(), work).await
}

/// `POST /linear/graphql`: the workspace and the person, or the application, of the token.
pub(super) async fn graphql(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let query = asked["query"].as_str().unwrap_or_default();
    let visit = Visit {
        endpoint: Endpoint::Resource,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &[],
        echo: "",
    };
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let Some(access) = model.access(mint.now, token) else {
            let error = json!({"message": "Authentication required, not authenticated"});
            let mut answer = Answer::json(json!({ "errors": [error] }));
            answer.status = StatusCode::UNAUTHORIZED;
            return answer;
        };
        let grant = &access.grant;
        let workspace = grant.workspace.as_deref().unwrap_or(USUAL);
        let mut data = Map::new();
        if query.contains("organization") {
            let name = format!("Workspace {workspace}");
            data.insert(
                "organization".to_owned(),
                json!({"id": workspace, "name": name, "urlKey": workspace}),
            );
        }
        if query.contains("viewer") {
            let mut users = sandbox.config().users.iter();
            let viewer = match users.find(|user| Some(&user.id) == grant.user.as_ref()) {
                Some(user) => json!({"id": user.id, "name": user.name, "email": user.email()}),
                None => {
                    json!({"id": format!("app-{}", grant.client_id), "name": "App", "email": null})
                }
            };
            data.insert("viewer".to_owned(), viewer);
        }
        Answer::json(json!({ "data": data }))
    };
    sandbox.perform(visit, work).await
}
