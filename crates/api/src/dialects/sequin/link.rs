//! The link flow: a start URL, the code that the redirect URL receives, and what that is exchanged for.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use grantry_core::limits::LINK_STATE_BYTES_MAX;
use grantry_core::{Error, Result, Secret};
use grantry_engine::{AskLink, LinkProof, LinkedTokens};
use serde_json::{Map, Value, json};

use super::credentials::app_named;
use super::kinds::{self, Kind};
use super::wire;
use crate::App;
use crate::kit::answer;
use crate::kit::call::Call;
use crate::pages::{Part, start_link};

pub(super) async fn start_auth(mut call: Call) -> Result<Response> {
    let app = app_named(&call).await?;
    let word = call.body.take_text("credential_kind").unwrap_or_default();
    let kind = kinds::of(&word, &app.connector.service);
    let kind = kind.map_err(|why| Error::invalid("credential_kind", why))?;
    if !kind.is_linked() {
        let message = format!("{word} is not linked in a browser: create the credential");
        return Err(Error::invalid("credential_kind", message));
    }
    let state = call.body.take("state").unwrap_or_default();
    if state.to_string().len() > LINK_STATE_BYTES_MAX {
        let message = format!("must be at most {LINK_STATE_BYTES_MAX} bytes of JSON");
        return Err(Error::invalid("state", message));
    }
    let ask = AskLink {
        connector: app.connector.id.to_string(),
        kind: word,
        redirect_url: call.body.take_text("redirect_url").unwrap_or_default(),
        state,
    };
    let token = call.engine.start_link(call.caller()?, ask).await?;
    let path = format!("/sequin/link/oauth2/start/{}", token.expose());
    answer::ok(&wire::Start {
        start_url: call.engine.settings().url(&path),
    })
}

/// `GET /sequin/link/oauth2/start/{start}`: to the provider, once.
pub(super) async fn start(
    State(app): State<App>,
    part: Part,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    start_link(&app, part, &method, &uri, &headers).await
}

pub(super) async fn exchange(mut call: Call) -> Result<Response> {
    let text = |body: &mut crate::kit::fields::Fields, name: &str| {
        body.take_text(name).unwrap_or_default()
    };
    let proof = LinkProof {
        code: Secret::new(text(&mut call.body, "code")),
        connector: text(&mut call.body, "client_id"),
        client_secret: Secret::new(text(&mut call.body, "client_secret")),
    };
    let linked = call.engine.exchange_link(&proof).await?;
    let mut properties = Map::new();
    properties.insert("kind".to_owned(), linked.kind.as_str().into());
    // The kind was one of the app's service when the flow was started.
    let kind = kinds::named(&linked.kind);
    give_out(
        kind,
        &linked.tokens,
        call.engine.clock().now(),
        &mut properties,
    );
    if let Some(scope) = linked.scope {
        let scopes: Vec<&str> = scope.split_whitespace().collect();
        match linked.kind.as_str() {
            "hubspot_oauth2" => properties.insert("scopes".to_owned(), scopes.into()),
            _ => properties.insert("scope".to_owned(), scope.into()),
        };
    }
    let mut body = json!({
        "credential": {
            "oauth_app_id": linked.connector.as_str(),
            "properties": properties,
        },
    });
    // What was never sent is not given back.
    if !linked.state.is_null() {
        body["state"] = linked.state;
    }
    answer::ok(&body)
}

/// The secrets of a kind: the tokens where they are shown, else the handle in place of each.
fn give_out(
    kind: &Kind,
    tokens: &LinkedTokens,
    now: grantry_core::Timestamp,
    properties: &mut Map<String, Value>,
) {
    let mut put = |name: Option<&str>, secret: &Secret| {
        if let Some(name) = name {
            properties.insert(name.to_owned(), secret.expose().into());
        }
    };
    match tokens {
        LinkedTokens::Handle(handle) => {
            put(kind.access_property(), handle);
            put(kind.refresh_property(), handle);
        }
        LinkedTokens::Revealed {
            access,
            refresh,
            expires_at,
        } => {
            put(kind.access_property(), access);
            if let Some(refresh) = refresh {
                put(kind.refresh_property(), refresh);
            }
            if let Some(at) = expires_at {
                let left = at.as_secs().saturating_sub(now.as_secs()).max(0);
                properties.insert("expires_in".to_owned(), left.into());
            }
        }
    }
}
