//! How a connector's application is installed in a tenant of its provider: what its type's data say (reference/
//! vercel-connect E2). An installation is an app-level grant, so what comes of it are the app's tokens there.

use grantry_core::limits::EXTERNAL_ID_BYTES_MAX;
use grantry_core::nouns::Connector;
use grantry_core::{Error, Result};
use grantry_oauth::providers::{github, microsoft};
use grantry_oauth::server::{Endpoint, Server};
use serde_json::{Map, Value};
use url::Url;

use super::grants::app_scopes;
use super::types::{self, Installs, Page, Told};
use crate::Engine;

/// The way in, and where the provider's answer tells what was installed.
#[derive(Default)]
pub struct Installing<'a> {
    /// The provider's page, where that is not its authorization endpoint.
    pub page: Option<&'a str>,
    /// What the application asks for; what is asked of users where nothing says so.
    pub scopes: Option<Vec<String>>,
    /// Parameters of the request, beside the usual ones.
    pub params: Option<&'a Map<String, Value>>,
    /// Parameters that are nobody's to choose.
    pub fixed: &'static [(&'static str, &'static str)],
    /// What the provider's API is asked with the new token, where its answer does not say what was installed.
    pub query: Option<&'static str>,
    id: Vec<&'a str>,
    tenant: Vec<&'a str>,
    name: Vec<&'a str>,
}

/// What was installed where.
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    /// The provider's id of the installation.
    pub external_id: String,
    /// The provider's id of the tenant, where that is another one.
    pub tenant: Option<String>,
    /// For people.
    pub name: Option<String>,
}

/// The way in, for a connector that is installed in tenants: as its type is, or as its own `data.installation` says.
pub fn installing(connector: &Connector) -> Option<Installing<'_>> {
    let of_type = types::of(connector.kind).installs(&connector.data);
    if let Some(way_in) = of_type {
        let plain = Installing {
            scopes: Some(app_scopes(connector)),
            ..Installing::default()
        };
        return Some(match way_in {
            // Only what is asked for there: see `install_page`.
            Installs::Page(_) => plain,
            Installs::Consent { params, told } => Installing {
                fixed: params,
                query: told.query,
                id: told.id.to_vec(),
                tenant: told.tenant.to_vec(),
                name: told.name.to_vec(),
                ..plain
            },
        });
    }
    // Only types whose fields have it.
    let (data, id) = own_way_in(connector)?;
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    Some(Installing {
        page: text("url"),
        scopes: Some(texts(data.get("scopes"))).filter(|scopes| !scopes.is_empty()),
        params: data.get("params").and_then(Value::as_object),
        id: vec![id],
        tenant: text("tenant").into_iter().collect(),
        name: text("name").into_iter().collect(),
        ..Installing::default()
    })
}

/// Whether the application's tokens of an installation are what its consent brought. Its provider knows of no environments:
/// whoever installs once more where it is installed may get the same tokens, and ends all by ending one's. So there is one
/// connection of it, for all environments (`@vercel/sdk`, `AppTokens.requiresReinstallation`).
pub fn brought(connector: &Connector, installation: Option<&str>) -> bool {
    installation.is_some() && by_consent(connector)
}

/// Whether the connector's application is installed by a consent that brings its tokens, and on no page.
pub fn by_consent(connector: &Connector) -> bool {
    way_in(connector) == Some(WayIn::Consent)
}

/// Whether the application's token of `installation`, or without one, is asked for with what the connector itself has.
pub fn mints(connector: &Connector, installation: Option<&str>) -> bool {
    match (installation, way_in(connector)) {
        (Some(_), Some(way_in)) => way_in != WayIn::Consent,
        _ => types::app_tokens(connector).is_some(),
    }
}

/// The page that a connector's application is installed on, where it is one of the provider's own.
pub fn install_page(connector: &Connector) -> Option<Page> {
    match way_in(connector)? {
        WayIn::Page(page) => Some(page),
        WayIn::Consent => None,
    }
}

/// How an application is installed.
#[derive(PartialEq, Eq)]
enum WayIn {
    Page(Page),
    Consent,
}

/// What of [`installing`] is asked for at every read: nothing is put together for it.
fn way_in(connector: &Connector) -> Option<WayIn> {
    match types::of(connector.kind).installs(&connector.data) {
        Some(Installs::Page(page)) => Some(WayIn::Page(page)),
        Some(Installs::Consent { .. }) => Some(WayIn::Consent),
        None => own_way_in(connector).map(|_| WayIn::Consent),
    }
}

/// A connector's own `data.installation`, where it is on and says by what an installation is known.
fn own_way_in(connector: &Connector) -> Option<(&Map<String, Value>, &str)> {
    let data = connector.data.get("installation")?.as_object()?;
    let on = data.get("enabled") == Some(&Value::Bool(true));
    Some((data, data.get("id")?.as_str()?)).filter(|_| on)
}

impl Page {
    /// The parameter of the way back that names the installation.
    pub const fn param(self) -> &'static str {
        match self {
            Self::Github => "installation_id",
            Self::Entra => "tenant",
        }
    }

    /// Whether `id` can be an installation's.
    pub fn is_id(self, id: &str) -> bool {
        match self {
            Self::Github => github::is_installation(id),
            Self::Entra => microsoft::is_tenant(id),
        }
    }

    /// What an id is, for who gave something else.
    pub const fn id_rule(self) -> &'static str {
        match self {
            Self::Github => "must be the number of one installation",
            Self::Entra => {
                "must be a tenant's id: 32 hexadecimal digits in lower case, 8-4-4-4-12 with hyphens"
            }
        }
    }

    /// What a person is asked for who has to prove that an installation is theirs: no more than who they are.
    pub fn proof_scopes(self) -> Vec<String> {
        match self {
            Self::Github => vec![],
            Self::Entra => ["openid", "profile"].map(str::to_owned).to_vec(),
        }
    }

    /// Where the page is, by what is known of the server in the tenant that it is for.
    pub fn at(self, connector: &Connector, server: &Server) -> Option<Url> {
        match self {
            Self::Github => {
                let slug = connector.data.get("appSlug")?.as_str()?;
                github::install_page(&server.url(Endpoint::Authorization).ok()?, slug)
            }
            Self::Entra => server.admin_consent(),
        }
    }
}

impl Engine {
    /// Refuses an installation before anybody consents to it, where nobody could say afterwards what was installed.
    pub(crate) async fn require_tellable(&self, connector: &Connector) -> Result<()> {
        if installing(connector).is_none_or(|way_in| way_in.query.is_none()) {
            return Ok(());
        }
        let layered = self.resolve_server(connector).await?;
        match layered.server.api() {
            Some(_) => Ok(()),
            None => Err(Error::Unresolvable {
                reason: "the connector is not complete: data.serverConfig.api_base_url is required to install it, because only that API says where it was installed".to_owned(),
            }),
        }
    }
}

pub(super) fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Installing<'_> {
    /// What an answer tells; `None` where it does not tell which installation it is.
    pub fn read(&self, answer: &Map<String, Value>) -> Option<Installed> {
        let external_id = first(answer, &self.id)?;
        // `*` stands for all of them in a token request.
        (external_id != "*").then_some(())?;
        Some(Installed {
            tenant: first(answer, &self.tenant).filter(|tenant| *tenant != external_id),
            name: first(answer, &self.name),
            external_id,
        })
    }
}

impl Told {
    /// Whose account it is, and its name for people, as `answer` tells.
    pub fn account(&self, answer: &Map<String, Value>) -> (Option<String>, Option<String>) {
        (first(answer, self.id), first(answer, self.name))
    }
}

fn first(answer: &Map<String, Value>, places: &[&str]) -> Option<String> {
    places.iter().find_map(|place| told_at(answer, place))
}

/// The text or number at `place`: a member's name, or a JSON pointer (RFC 6901).
pub fn told_at(answer: &Map<String, Value>, place: &str) -> Option<String> {
    let value = match place.strip_prefix('/') {
        None => answer.get(place)?,
        Some(path) => {
            let mut parts = path
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"));
            let first = answer.get(&parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(&part))?
        }
    };
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty()
        && text.len() <= EXTERNAL_ID_BYTES_MAX
        && !text.chars().any(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(place: &str, answer: &Value) -> Option<String> {
        told_at(answer.as_object().unwrap(), place)
    }

    #[test]
    fn an_installation_is_found_by_name_or_pointer_and_only_as_a_plain_text() {
        let answer = json!({
            "workspace_id": "w", "team": {"id": "T1", "a/b": "slash"}, "number": 42, "flag": true,
            "empty": "", "line": "a\nb", "long": "x".repeat(600), "list": [{"id": "L"}],
        });
        for (place, expected) in [
            ("workspace_id", Some("w")),
            ("/team/id", Some("T1")),
            ("/team/a~1b", Some("slash")),
            ("/number", Some("42")),
            ("team", None),
            ("flag", None),
            ("empty", None),
            ("line", None),
            ("long", None),
            ("/team/nothing", None),
            ("/team/id/deeper", None),
            ("/list/id", None),
            ("/", None),
            ("nothing", None),
        ] {
            assert_eq!(read(place, &answer).as_deref(), expected, "{place}");
        }
    }
}
