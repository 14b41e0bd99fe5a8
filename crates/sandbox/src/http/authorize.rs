//! `/authorize` (RFC 6749 §4.1.1 with PKCE, RFC 9207): the consent page and its answer.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::{Pairs, is_form};
use crate::config::{Client, User};
use crate::faults::{Callback, Endpoint, Mode};
use crate::model::{Code, Grant};
use crate::pages;
use crate::sandbox::{Sandbox, Visit};

/// Shows the consent page, or answers at once.
pub(super) async fn ask(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let request = match Request::read(&sandbox, query) {
        Ok(request) => request,
        Err(why) => return pages::error(why),
    };
    if let Err(error) = request.check() {
        return request.answer(&sandbox, Err(error));
    }
    let users = &sandbox.config().users;
    let hinted = request.query.get("login_hint");
    let hinted = users
        .iter()
        .find(|user| Some(user.id.as_str()) == hinted)
        .or(users.first());
    let prompt = request.query.get("prompt").unwrap_or_default();
    match hinted {
        // Whatever page the prompt asks for, an automatic user goes through it at once.
        Some(user) if sandbox.config().auto_consent => request.answer(&sandbox, Ok(user)),
        _ if prompt == "none" => request.answer(&sandbox, Err("login_required")),
        _ => pages::consent(&request.client.name, request.scope(), users, hinted, query),
    }
}

/// The button of the consent page: a form with the original query, a user and a decision.
pub(super) async fn decide(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Pairs::parse(&body);
    let request = match Request::read(&sandbox, form.get("query").unwrap_or_default()) {
        Ok(request) if is_form(&headers) => request,
        Ok(_) => return pages::error("The decision must come from the form."),
        Err(why) => return pages::error(why),
    };
    if let Err(error) = request.check() {
        return request.answer(&sandbox, Err(error));
    }
    let users = &sandbox.config().users;
    let user = users
        .iter()
        .find(|u| Some(u.id.as_str()) == form.get("user"));
    match (form.get("decision"), user) {
        (Some("allow"), Some(user)) => request.answer(&sandbox, Ok(user)),
        (Some("allow"), None) => pages::error("There is no such user."),
        _ => request.answer(&sandbox, Err("access_denied")),
    }
}

/// A request whose client and redirect URI are known good, so that errors may be sent there.
struct Request {
    client: Client,
    redirect_uri: String,
    query: Pairs,
}

impl Request {
    /// Errors are for the person at the browser: nothing may be sent to an unproven redirect URI.
    fn read(sandbox: &Sandbox, query: &str) -> Result<Self, &'static str> {
        let query = Pairs::parse(query.as_bytes());
        if query.repeated().is_some() {
            return Err("A parameter occurs twice.");
        }
        let state = sandbox.lock();
        let client = query
            .get("client_id")
            .and_then(|id| state.model.client(id))
            .ok_or("The client is not registered here.")?;
        let redirect_uri = query
            .get("redirect_uri")
            .filter(|uri| client.accepts_redirect(uri))
            .ok_or("The redirect URI is not registered for this client.")?;
        Ok(Self {
            client: client.clone(),
            redirect_uri: redirect_uri.to_owned(),
            query,
        })
    }

    /// The error code of a request that is wrong in a way the client may learn.
    fn check(&self) -> Result<(), &'static str> {
        let is = |name, wanted| self.query.get(name) == Some(wanted);
        // 43 characters of base64url: a SHA-256.
        let challenged = self
            .query
            .get("code_challenge")
            .is_some_and(|challenge| challenge.len() == 43);
        match self.query.get("response_mode") {
            None | Some("query") => {}
            Some(_) => return Err("invalid_request"),
        }
        if !is("response_type", "code") {
            return Err("unsupported_response_type");
        }
        if !challenged || !is("code_challenge_method", "S256") {
            return Err("invalid_request");
        }
        Ok(())
    }

    fn scope(&self) -> &str {
        self.query.get("scope").unwrap_or("profile email")
    }

    /// Sends the browser back with a code for `user`, or an error.
    fn answer(&self, sandbox: &Sandbox, decision: Result<&User, &'static str>) -> Response {
        let mint = sandbox.mint();
        let code = mint.token("code_");
        let mut params = vec![match decision {
            Ok(_) => ("code".to_owned(), code.clone()),
            Err(error) => ("error".to_owned(), error.to_owned()),
        }];
        if let Some(state) = self.query.get("state") {
            params.push(("state".to_owned(), state.to_owned()));
        }
        params.push(("iss".to_owned(), sandbox.issuer().to_owned()));
        let mut callback = Callback {
            params,
            mode: Mode::Query,
            swap_user: false,
        };
        let visit = Visit {
            endpoint: Endpoint::Authorize,
            client_id: Some(&self.client.id),
            grant_type: None,
            refresh_token: None,
            query: &self.query.0,
            echo: "",
        };
        sandbox.spoil(&visit, &mut callback);
        if let (Ok(user), true) = (decision, callback.get("code").is_some()) {
            let user = signed_in(&sandbox.config().users, user, callback.swap_user);
            let code_of = Code {
                grant: Grant {
                    client_id: self.client.id.clone(),
                    user: Some(user.id.clone()),
                    scope: self.scope().to_owned(),
                    resources: self.query.all("resource"),
                    nonce: self.query.get("nonce").map(str::to_owned),
                    workspace: self.query.get("workspace").map(str::to_owned),
                },
                redirect_uri: self.redirect_uri.clone(),
                challenge: self
                    .query
                    .get("code_challenge")
                    .unwrap_or_default()
                    .to_owned(),
            };
            sandbox.lock().model.store_code(&mint, code, code_of);
        }
        send(&self.redirect_uri, &callback)
    }
}

/// `user`, or with `swap` the next one of the list.
fn signed_in<'a>(users: &'a [User], user: &'a User, swap: bool) -> &'a User {
    let others = users.iter().cycle().skip_while(|other| *other != user);
    let mut from_user = others.take(users.len().saturating_add(1));
    from_user.nth(usize::from(swap)).unwrap_or(user)
}

fn send(redirect_uri: &str, callback: &Callback) -> Response {
    let encoded = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&callback.params)
        .finish();
    let join = match callback.mode {
        Mode::Form => return pages::form_post(redirect_uri, &callback.params),
        Mode::Fragment => '#',
        Mode::Query if redirect_uri.contains('?') => '&',
        Mode::Query => '?',
    };
    let location = format!("{redirect_uri}{join}{encoded}");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}
