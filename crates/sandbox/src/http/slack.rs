//! `/slack/…`: the OAuth of a Slack app with token rotation. Slack answers errors with status 200, knows no PKCE, and
//! gives the bot and the person who installed it a token each. Whoever comes to its page presses "Allow" at once.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::client_auth::Credentials;
use super::token_request::TokenRequest;
use super::{Pairs, bearer};
use crate::answer::Answer;
use crate::faults::{Effect, Endpoint};
use crate::model::slack::{Bought, Consent};
use crate::model::{Issued, Mint, Model};
use crate::pages;
use crate::sandbox::{Sandbox, Visit};

/// The workspace that is picked where the request names none.
const USUAL_TEAM: &str = "T0001";
/// The organisation that workspaces of organisations (`TE…`) belong to.
const ORGANISATION: &str = "E0001";

/// `GET /slack/oauth/v2/authorize`: `team` says which workspace, or organisation (`E…`), it is installed in; the person
/// is the first user, or the one of `login_hint`.
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
        return pages::error("The app or its redirect URI is not known.");
    };
    let users = &sandbox.config().users;
    let hinted = users
        .iter()
        .find(|user| Some(user.id.as_str()) == query.get("login_hint"));
    let person = hinted.or(users.first());
    let consent = Consent {
        client_id: client.id.clone(),
        redirect_uri: text("redirect_uri"),
        person: person.map(|user| user.id.clone()).unwrap_or_default(),
        tenant: query.get("team").unwrap_or(USUAL_TEAM).to_owned(),
        bot: text("scope").replace(',', " "),
        user: text("user_scope").replace(',', " "),
    };
    let answer = if consent.bot.is_empty() && consent.user.is_empty() {
        ("error", "invalid_scope".to_owned())
    } else {
        ("code", state.model.slack_code(&mint, consent))
    };
    let params = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(answer.0, &answer.1)
        .append_pair("state", &text("state"))
        .finish();
    let location = format!("{}?{params}", text("redirect_uri"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// `POST /slack/api/oauth.v2.access`: a code, or a refresh token.
pub(super) async fn access(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, effect| {
        let answer = match asked.is_form {
            true => exchange(model, mint, effect, &asked.credentials, &asked.form),
            false => Err("invalid_form_data"),
        };
        Answer::json(answer.unwrap_or_else(|error| json!({"ok": false, "error": error})))
    };
    sandbox.perform(asked.visit(), work).await
}

fn exchange(
    model: &mut Model,
    mint: &Mint<'_>,
    effect: Effect,
    credentials: &Credentials,
    form: &Pairs,
) -> Result<Value, &'static str> {
    let known = credentials.id.as_deref().and_then(|id| model.client(id));
    known.ok_or("invalid_client_id")?;
    let client = credentials.check(model, mint.now);
    let client = client.map_err(|_| "bad_client_secret")?;
    match form.get("grant_type") {
        // Slack's own way leaves it out.
        None | Some("authorization_code") => {
            let code = form.get("code").ok_or("invalid_code")?;
            let bought = model.slack_redeem(mint, &client, code, form.get("redirect_uri"))?;
            Ok(installed(mint, &bought))
        }
        Some("refresh_token") => {
            let token = form.get("refresh_token").ok_or("invalid_refresh_token")?;
            let renewed = model.refresh(mint, &client, token, None, effect);
            let renewed = renewed.map_err(|_| "invalid_refresh_token")?;
            let tenant = renewed.grant.workspace.clone().unwrap_or_default();
            let mut answer = tokens(mint, &renewed);
            extend(&mut answer, place(&tenant));
            Ok(answer)
        }
        Some(_) => Err("invalid_grant_type"),
    }
}

/// What a code bought: the bot's tokens beside the person's, either of which may be missing.
fn installed(mint: &Mint<'_>, bought: &Bought) -> Value {
    let mut answer = json!({"ok": true});
    if let Some(bot) = &bought.bot {
        answer = tokens(mint, bot);
    }
    extend(&mut answer, place(&bought.consent.tenant));
    let mut person = match &bought.user {
        Some(user) => tokens(mint, user),
        None => json!({}),
    };
    if let Some(person) = person.as_object_mut() {
        person.remove("ok");
    }
    person["id"] = bought.consent.person.clone().into();
    answer["authed_user"] = person;
    answer
}

/// One set of tokens; a bot's names the bot.
fn tokens(mint: &Mint<'_>, issued: &Issued) -> Value {
    let mut answer = json!({
        "ok": true,
        "access_token": issued.access_token,
        "token_type": if issued.grant.user.is_some() { "user" } else { "bot" },
        "scope": issued.grant.scope.replace(' ', ","),
        "expires_in": issued.expires_at.since(mint.now).as_secs(),
    });
    if let Some(refresh) = &issued.refresh_token {
        answer["refresh_token"] = refresh.clone().into();
    }
    if issued.grant.user.is_none() {
        answer["bot_user_id"] = "U0BOT".into();
    }
    answer
}

/// Where it was installed: an organisation has no team, and a workspace may have an organisation.
fn place(tenant: &str) -> Value {
    let of_all = tenant.starts_with('E');
    let team = json!({"id": tenant, "name": format!("Workspace {tenant}")});
    let organisation = match tenant {
        _ if of_all => tenant,
        _ if tenant.starts_with("TE") => ORGANISATION,
        _ => "",
    };
    let enterprise = json!({"id": organisation, "name": format!("Organisation {organisation}")});
    json!({
        "app_id": "A0SANDBOX",
        "team": if of_all { Value::Null } else { team },
        "enterprise": if organisation.is_empty() { Value::Null } else { enterprise },
        "is_enterprise_install": of_all,
    })
}

fn extend(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
}

/// `POST /slack/api/auth.revoke`: the token of the request ends, and what refreshes it.
pub(super) async fn revoke(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        Answer::json(match model.slack_revoke(mint.now, token) {
            true => json!({"ok": true, "revoked": true}),
            false => json!({"ok": false, "error": "invalid_auth"}),
        })
    };
    sandbox.perform(visit(Endpoint::Revoke), work).await
}

/// `POST /slack/api/auth.test`: whose token it is.
pub(super) async fn test(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let access = model.access(mint.now, token);
        Answer::json(match access.map(|access| &access.grant) {
            Some(grant) => json!({
                "ok": true, "team_id": grant.workspace, "user_id": grant.user.as_deref().unwrap_or("U0BOT"),
            }),
            None => json!({"ok": false, "error": "token_revoked"}),
        })
    };
    sandbox.perform(visit(Endpoint::Resource), work).await
}

fn visit<'a>(endpoint: Endpoint) -> Visit<'a> {
    Visit {
        endpoint,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &[],
        echo: "",
    }
}
