//! The consent page and its button (design §7).

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use grantry_core::ids::AuthorizationId;
use grantry_core::limits::{Bound, TOKEN_BYTES_MAX};
use grantry_core::nouns::AuthorizationState;
use grantry_core::{Error, Secret};
use grantry_engine::{Consent, ConsentPage, ConsentResult, Pressed, Settings};
use url::{Url, form_urlencoded};

use super::answer::{form, message, see_other};
use super::browser::{cookie, is_at_home, is_own_post, origin_of, set_cookie};
use super::embedded::Embedded;
use super::look::Look;
use super::message::{BAD_FORM, EXPIRED, OTHER_SITE, Stop, ended};
use crate::App;
use crate::dialects::datagrid::window;
use crate::kit::call::read;
use crate::kit::edge::Failed;

/// A pasted key, every byte of it percent-encoded, and the other fields.
pub(super) const FORM_BYTES_MAX: usize = 3 * TOKEN_BYTES_MAX + 1024;

/// In the query of a link that we have already sent to the public host once. A proxy that hides the
/// host name from us must not make the browser go in circles.
const MOVED: &str = "moved";

/// What the page says above the facts. Fixed words in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The provider gave no usable answer; nothing was stored.
    TryAgain,
    /// Another account than the connected one was signed in to (requirement 21).
    OtherAccount,
    /// An owner of the account has to approve the installation (GitHub).
    Approval,
    /// The pasted text cannot be a key.
    Key,
}

impl Notice {
    const ALL: [Self; 4] = [
        Self::TryAgain,
        Self::OtherAccount,
        Self::Approval,
        Self::Key,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::TryAgain => "try-again",
            Self::OtherAccount => "other-account",
            Self::Approval => "approval",
            Self::Key => "key",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::TryAgain => {
                "The provider did not answer as it should. Nothing was stored; please try again."
            }
            Self::OtherAccount => {
                "You signed in to another account than the one that is connected. Nothing was changed. \
                 Go on only if the other account shall take its place."
            }
            Self::Approval => {
                "You have asked for the installation, and an owner of the organization has to approve it. \
                 Nothing was stored yet: open this link again when they have."
            }
            Self::Key => "That cannot be a key: it has to be one word of visible characters.",
        }
    }

    fn in_query(query: Option<&str>) -> Option<Self> {
        let (_, word) =
            form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "notice")?;
        Self::ALL.into_iter().find(|notice| notice.word() == word)
    }
}

/// Address of a consent page.
pub(super) fn address(settings: &Settings, id: &AuthorizationId, notice: Option<Notice>) -> String {
    let page = settings.url(&format!("/authorize/{id}"));
    match notice {
        Some(notice) => format!("{page}?notice={}", notice.word()),
        None => page,
    }
}

/// The variable part of the path. What is no text that an id could be is as unknown as any other.
pub(crate) type Part = Result<Path<String>, PathRejection>;

fn id_of(part: Part) -> AuthorizationId {
    let id = part.map(|Path(id)| id).unwrap_or_default();
    let fits = !id.chars().any(char::is_control);
    AuthorizationId::from(if fits { id } else { String::new() })
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Ask<'a> {
    look: &'a Look,
    page: &'a ConsentPage,
    here: String,
    notice: Option<Notice>,
    embedded: Option<Embedded>,
}

#[derive(Template)]
#[template(path = "cancel.html")]
struct Cancel<'a> {
    look: &'a Look,
    page: &'a ConsentPage,
    here: String,
}

impl Ask<'_> {
    /// The button says that another account shall take the connected one's place.
    fn replaces(&self) -> bool {
        self.notice == Some(Notice::OtherAccount) && self.page.paste.is_none()
    }

    fn provider_host(&self) -> Option<String> {
        let url = Url::parse(self.page.provider_origin.as_deref()?).ok()?;
        url.host_str().map(str::to_owned)
    }
}

/// `GET /authorize/{request}`: looking changes nothing.
pub(super) async fn show(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let settings = app.engine.settings();
    if let Some(home) = moved(settings, &headers, &uri) {
        return see_other(&home);
    }
    match app.engine.consent(&id_of(part)).await {
        Ok(Consent::Ended(result)) => match told(&app, &result).await {
            Ok(embedded) => {
                let mut said = ended(&result);
                said.embedded = embedded;
                message(StatusCode::OK, &said)
            }
            Err(error) => broken(error),
        },
        Ok(consent) => shown(settings, &consent, Notice::in_query(uri.query())),
        Err(error) => broken(error),
    }
}

/// What a page that stands in an app's window tells it of how the consent ended.
async fn told(app: &App, result: &ConsentResult) -> grantry_core::Result<Option<Embedded>> {
    let Some(origins) = &result.embedded_in else {
        return Ok(None);
    };
    let connection = app.engine.consented_connection(&result.id).await?;
    let message = window::ended(result, connection);
    let settings = app.engine.settings();
    Ok(Some(Embedded::of(settings, &result.id, origins, message)))
}

/// Of a page that is still open.
fn embedded(settings: &Settings, page: &ConsentPage) -> Option<Embedded> {
    let origins = page.embedded_in.as_ref()?;
    Some(Embedded::of(settings, &page.id, origins, None))
}

/// `GET /authorize/{request}/cancel`: asks before the link is ended.
pub(super) async fn cancel(
    State(app): State<App>,
    part: Part,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let settings = app.engine.settings();
    if let Some(home) = moved(settings, &headers, &uri) {
        return see_other(&home);
    }
    let id = id_of(part);
    match app.engine.consent(&id).await {
        Ok(Consent::Ask(page)) => cancelling(settings, &page),
        Ok(Consent::Ended(_) | Consent::Expired) => see_other(&address(settings, &id, None)),
        Err(error) => broken(error),
    }
}

/// `POST /authorize/{request}`: the button.
pub(super) async fn decide(
    State(app): State<App>,
    part: Part,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let settings = app.engine.settings();
    if !is_own_post(&headers, &settings.public_url) {
        return stopped(OTHER_SITE);
    }
    let decision = read(&app.engine, &headers, body, Bound::fixed(FORM_BYTES_MAX)).await;
    let Some(decision) = decision.ok().and_then(|body| Decision::parse(&body)) else {
        return stopped(BAD_FORM);
    };
    let id = id_of(part);
    let cookie = cookie(&headers, &settings.public_url);
    match decided(&app, &id, decision, cookie).await {
        Ok(response) => response,
        // The page itself knows how it ended.
        Err(Error::Gone(_)) => see_other(&address(settings, &id, None)),
        Err(Error::Invalid(_)) => see_other(&address(settings, &id, Some(Notice::Key))),
        Err(Error::Conflict { .. }) => see_other(&address(settings, &id, Some(Notice::TryAgain))),
        Err(error) => broken(error),
    }
}

async fn decided(
    app: &App,
    id: &AuthorizationId,
    decision: Decision,
    cookie: Option<Secret>,
) -> grantry_core::Result<Response> {
    let settings = app.engine.settings();
    Ok(match decision {
        Decision::Connect { replaces } => {
            pressed(settings, &app.engine.press(id, cookie, replaces).await?)
        }
        Decision::Paste(key) => go_on(settings, &app.engine.paste(id, key).await?),
        Decision::Decline => go_on(settings, &app.engine.decline(id).await?),
    })
}

/// What the form says.
enum Decision {
    Connect { replaces: bool },
    Paste(Secret),
    Decline,
}

impl Decision {
    fn parse(body: &[u8]) -> Option<Self> {
        let (mut action, mut key) = (None, None);
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "action" => &mut action,
                "key" => &mut key,
                _ => continue,
            };
            if field.replace(Secret::new(value)).is_some() {
                return None;
            }
        }
        match (action?.expose(), key) {
            ("connect", None) => Some(Self::Connect { replaces: false }),
            ("replace", None) => Some(Self::Connect { replaces: true }),
            ("connect", Some(key)) => Some(Self::Paste(key)),
            ("decline", None) => Some(Self::Decline),
            _ => None,
        }
    }
}

/// Where the browser should be instead: at the public host, where its cookie will be.
pub(super) fn moved(settings: &Settings, headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let query = uri.query().filter(|query| !query.is_empty());
    let again = query.is_some_and(|query| query.rsplit('&').next() == Some(MOVED));
    let home = again || is_at_home(headers, uri, &settings.public_url);
    (!home).then(|| {
        let query = query.map_or(MOVED.to_owned(), |query| format!("{query}&{MOVED}"));
        settings.url(&format!("{}?{query}", uri.path()))
    })
}

pub(super) fn shown(settings: &Settings, consent: &Consent, notice: Option<Notice>) -> Response {
    match consent {
        Consent::Ask(page) => {
            let background = page.background_color.as_deref();
            let look = Look::branded(page.accent_color.as_deref(), background)
                .with_image(page.icon.as_deref());
            let ask = Ask {
                look: &look,
                page,
                here: address(settings, &page.id, None),
                notice,
                embedded: embedded(settings, page),
            };
            form(&look, &form_targets(page), ask.embedded.as_ref(), &ask)
        }
        Consent::Ended(result) => message(StatusCode::OK, &ended(result)),
        Consent::Expired => stopped(EXPIRED),
    }
}

pub(super) fn cancelling(settings: &Settings, page: &ConsentPage) -> Response {
    let look = Look::plain();
    let cancel = Cancel {
        look: &look,
        page,
        here: address(settings, &page.id, None),
    };
    let embedded = embedded(settings, page);
    form(&look, &form_targets(page), embedded.as_ref(), &cancel)
}

/// To the provider, with the cookie that its answer has to bring along.
pub(super) fn pressed(settings: &Settings, pressed: &Pressed) -> Response {
    let mut response = see_other(pressed.url.as_str());
    if let Some(line) = set_cookie(
        &pressed.cookie,
        &settings.public_url,
        settings.limits.flow_time_max,
    ) {
        response.headers_mut().insert(SET_COOKIE, line);
    }
    response
}

/// Back to where the user came from, else to the page that says how it ended.
fn go_on(settings: &Settings, result: &ConsentResult) -> Response {
    see_other(&onward(settings, result))
}

/// The parameter of the return URL with the code that the requester has to post back.
const CODE: &str = "grantry_code";
/// The same of a link flow's.
const LINK_CODE: &str = "code";
/// How a link flow ended otherwise (RFC 6749 §4.1.2.1).
const LINK_ERROR: &str = "error";

/// Nothing is added to the return URL, as who asked learns the result from the API; but the code, where
/// they have to confirm that the browser with this very address is in their user's session (design §7).
pub(super) fn onward(settings: &Settings, result: &ConsentResult) -> String {
    let back = result
        .return_url
        .as_deref()
        .and_then(|back| Url::parse(back).ok());
    let name = if result.link { LINK_CODE } else { CODE };
    match (&result.return_url, back, &result.code) {
        (Some(_), Some(mut back), Some(code)) => {
            back.query_pairs_mut().append_pair(name, code.expose());
            back.into()
        }
        (Some(_), Some(mut back), None) if result.link => {
            let word = match &result.state {
                AuthorizationState::Error { code } => code,
                _ => "access_denied",
            };
            back.query_pairs_mut().append_pair(LINK_ERROR, word);
            back.into()
        }
        (Some(back), _, _) => back.clone(),
        (None, _, _) => address(settings, &result.id, None),
    }
}

pub(super) fn stopped(stop: &'static Stop) -> Response {
    message(stop.status, &stop.message())
}

/// An error of the engine's, as a page; the log gets the error itself.
pub(super) fn broken(error: Error) -> Response {
    let mut response = stopped((&error).into());
    response.extensions_mut().insert(Failed(error));
    response
}

/// Where the form may lead. Chromium applies `form-action` to every redirect that follows the POST:
/// to the provider, among the provider's own hosts (Slack's workspaces, Microsoft's sign-in), and, when
/// it asks nothing, on through our callback to the return URL. So beside the known origins any https
/// one is allowed where the provider is on https; a page that takes a key sends it nowhere but here.
fn form_targets(page: &ConsentPage) -> String {
    let back = page
        .return_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok());
    let provider = page
        .provider_origin
        .as_deref()
        .filter(|origin| origin.starts_with("http"));
    let mut targets = vec!["'self'".to_owned()];
    targets.extend(provider.map(str::to_owned));
    targets.extend(back.as_ref().map(origin_of));
    if provider.is_some_and(|origin| origin.starts_with("https:")) {
        targets.push("https:".to_owned());
    }
    targets.join(" ")
}

/// The letter on a name's mark.
pub(super) fn initial(name: &str) -> String {
    let letter = name.chars().find(|letter| letter.is_alphanumeric());
    letter.map_or_else(String::new, |letter| letter.to_uppercase().collect())
}
