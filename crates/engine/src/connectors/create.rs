//! Making connectors (reference/vercel-connect A1).

use grantry_core::ids::{ConnectorId, SecretId, TokenSetId};
use grantry_core::limits::{NAME_BYTES_MAX, UID_BYTES_MAX};
use grantry_core::nouns::{
    Connector, ConnectorType, Environment, EventKind, Link, Project, Sealed, SecretRef,
    TriggerDestination,
};
use grantry_core::store::LinkChange;
use grantry_core::{Error, Problem, Result, Secret, StoreError, Timestamp, entropy};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::destinations::enabled;
use super::icon::{is_digest, is_url};
use super::server::secrets_of;
use super::{ConnectorView, data, links::checked_environments, types};
use crate::permissions::Act;
use crate::{Caller, Engine};

/// What a caller says of a connector to be made. Field names in problems are the Vercel dialect's.
#[derive(Default)]
pub struct NewConnector {
    /// Minted when absent.
    pub id: Option<ConnectorId>,
    /// Without an `id`: mint one from the name, `acme-wiki-4k2x9b`, in place of our own form.
    pub named_id: bool,
    /// A word of [`ConnectorType`].
    pub kind: String,
    /// Generated from service and name when absent.
    pub uid: Option<String>,
    /// The linked project's name when absent.
    pub name: Option<String>,
    /// Catalogue id or URL; taken from `data` when absent.
    pub service: Option<String>,
    /// By which of the service's ways ([`Engine::preset`](super::services)).
    pub connection_method: Option<String>,
    /// For which of the service's parts.
    pub target: Option<String>,
    /// The type's data, secrets included: they are sealed and not kept.
    pub data: Map<String, Value>,
    /// Annotations.
    pub metadata: Map<String, Value>,
    /// Link it at once.
    pub link: Option<NewLink>,
    /// What is missing in `data` is asked for when somebody wants to connect, not now: dialects whose
    /// connectors are filled in step by step.
    pub incomplete: bool,
    /// Take in provider events.
    pub triggers_enabled: bool,
    /// Events wanted.
    pub events: Vec<String>,
    /// One of [`Engine::redirect_uris`]; the first when absent.
    pub redirect_uri: Option<String>,
    /// Where events go.
    pub trigger_destination: Option<TriggerDestination>,
    /// SHA-1 of an uploaded image, or a URL to fetch one from.
    pub icon: Option<String>,
    /// `#rrggbb`
    pub background_color: Option<String>,
    /// `#rrggbb`
    pub accent_color: Option<String>,
}

/// A connector that holds what can be checked without asking anybody, its secrets still apart.
pub struct Checked {
    /// The row, its `secrets` not sealed yet.
    pub connector: Connector,
    /// To be sealed.
    pub secrets: Vec<(String, Secret)>,
    /// The caller chose no uid.
    pub generated_uid: bool,
}

/// A link to be made with a connector.
pub struct NewLink {
    /// Project id or name.
    pub project: String,
    /// All three built-in ones when absent.
    pub environments: Option<Vec<Environment>>,
}

impl Engine {
    /// Makes a connector, and its link. Errors: [`Error::Invalid`] names every wrong field and
    /// nothing is stored; [`Error::Conflict`] for a uid in use.
    #[tracing::instrument(target = "grantry_spans", name = "create_connector", skip_all)]
    pub async fn create_connector(
        &self,
        caller: &Caller,
        new: NewConnector,
    ) -> Result<ConnectorView> {
        caller.require(Act::ManageConnectors)?;
        let project = match &new.link {
            Some(link) => Some(self.project(caller, &link.project).await?),
            None => None,
        };
        let Checked {
            mut connector,
            secrets,
            generated_uid,
        } = self.checked(caller, &new, project.as_ref())?;
        let (incomplete, named_id) = (new.incomplete, new.named_id && new.id.is_none());
        let mut links = match (new.link, project) {
            (Some(link), Some(project)) => vec![self.link_of(&connector, &project, link)?],
            _ => vec![],
        };
        let goes_to = &connector.trigger_destinations;
        let mut problems = Vec::new();
        self.destination_problems(caller, goes_to, "triggerDestination", &mut problems)
            .await?;
        if !problems.is_empty() {
            // There is one, so it has no number.
            problems
                .iter_mut()
                .for_each(|problem| problem.field.truncate("triggerDestination".len()));
            return Err(Error::Invalid(problems));
        }
        for LinkChange { link, .. } in enabled(&connector, goes_to, &links, connector.created_at) {
            links.retain(|standing| standing.project != link.project);
            links.push(link);
        }
        self.check_server(&connector, incomplete).await?;
        self.probe(caller, &connector, &secrets).await?;
        if let Some(icon) = &new.icon {
            connector.icon = Some(self.settled_icon(caller, icon).await?);
        }
        // Before the commit, after which nothing may fail.
        let catalogue = self.catalogue().await?;
        for last in [false, false, true] {
            connector.secrets = self.seal_secrets(&connector, &secrets).await?;
            let event = self
                .draft(EventKind::ConnectorCreated, caller)
                .connector(&connector.id)
                .with("type", connector.kind.as_str())
                .with("uid", connector.uid.as_str())
                .done();
            let store = &self.ports.store;
            match store.create_connector(&connector, &links, &event).await {
                Ok(()) => return Ok(ConnectorView::with(connector, links, &catalogue)),
                // The caller did not choose these, so their being taken is not the caller's business.
                Err(StoreError::Taken("connector.uid")) if generated_uid && !last => {
                    let more = entropy::alphanumeric(self.entropy(), 8).to_lowercase();
                    connector.uid = format!("{}-{more}", connector.uid);
                }
                Err(StoreError::Taken("connector.id")) if named_id && !last => {
                    connector.id = self.named_id(&connector.name);
                    for link in &mut links {
                        link.connector = connector.id.clone();
                    }
                }
                Err(StoreError::Taken("connector.uid")) => {
                    return Err(Error::conflict(format!(
                        "uid: {} is already used by another connector",
                        connector.uid
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Internal)
    }

    /// An id that says what it is of: at most 48 characters of the name's, and six at random.
    fn named_id(&self, name: &str) -> ConnectorId {
        let mut slug = slug(name);
        slug.truncate(48);
        let random = entropy::alphanumeric(self.entropy(), 6).to_lowercase();
        match slug.trim_matches('-') {
            "" => format!("connector-{random}"),
            slug => format!("{slug}-{random}"),
        }
        .into()
    }

    /// Checks everything that can be checked without asking anybody.
    pub(crate) fn checked(
        &self,
        caller: &Caller,
        new: &NewConnector,
        project: Option<&Project>,
    ) -> Result<Checked> {
        let mut problems = Vec::new();
        let kind = ConnectorType::from_word(&new.kind);
        if kind.is_none() {
            let known = ConnectorType::WORDS.join(", ");
            let message = match new.kind.as_str() {
                "" => format!("is required: one of {known}"),
                other => format!(
                    "{other:?} is not a connector type this server offers; it offers {known}"
                ),
            };
            problems.push(Problem::new("type", message));
        }
        let checked = kind.and_then(|kind| {
            let mint = || TokenSetId::mint(self.now(), self.entropy()).to_string();
            data::check(kind, &new.data, new.incomplete, &mint)
                .map_err(|found| problems.extend(found))
                .ok()
        });
        let name = name_of(new, project, kind, &mut problems);
        let uid = new
            .uid
            .as_deref()
            .map(str::trim)
            .filter(|uid| !uid.is_empty());
        if let Some(complaint) = uid.and_then(uid_complaint) {
            problems.push(Problem::new("uid", complaint));
        }
        look_problems(
            new.icon.as_deref(),
            new.background_color.as_deref(),
            new.accent_color.as_deref(),
            &mut problems,
        );
        let redirect_uris = self.redirect_uris(caller);
        if let Some(uri) = &new.redirect_uri
            && !redirect_uris.contains(uri)
        {
            let message = format!("must be one of {}", redirect_uris.join(", "));
            problems.push(Problem::new("redirectUri", message));
        }
        if new
            .service
            .as_deref()
            .is_some_and(|service| service.len() > 512 || service.chars().any(char::is_control))
        {
            problems.push(Problem::new(
                "service",
                "must be a catalogue id or URL of at most 512 bytes",
            ));
        }
        if new.trigger_destination.is_some() && !new.triggers_enabled {
            problems.push(Problem::new(
                "triggerDestination",
                "needs triggers to be enabled",
            ));
        }
        let (Some(kind), Some(checked), true) = (kind, checked, problems.is_empty()) else {
            return Err(Error::Invalid(problems));
        };
        if let Some(found) = super::server::config_problems(&checked.public) {
            return Err(Error::Invalid(found));
        }

        let now = self.now();
        let id = match &new.id {
            Some(id) => id.clone(),
            None if new.named_id => self.named_id(&name),
            None => ConnectorId::mint(now, self.entropy()),
        };
        let service = service_of(new.service.as_deref(), &checked.public, kind);
        let generated = uid.is_none();
        let uid = uid.map_or_else(|| generated_uid(&service, &name), str::to_owned);
        let client_secret = types::of(kind).client.map(|client| client.secret);
        let connector = Connector {
            id,
            team: caller.team.clone(),
            uid,
            name,
            kind,
            service,
            connection_method: new.connection_method.clone(),
            target: new.target.clone(),
            data: checked.public,
            secrets: None,
            client_secret: checked
                .secrets
                .iter()
                .any(|(name, _)| Some(name.as_str()) == client_secret)
                .then(|| self.secret_ref(now)),
            metadata: new.metadata.clone(),
            redirect_uri: new
                .redirect_uri
                .clone()
                .unwrap_or_else(|| self.settings.url("/callback")),
            default_installation: None,
            triggers_enabled: new.triggers_enabled,
            events: new.events.clone(),
            trigger_destinations: new.trigger_destination.iter().cloned().collect(),
            icon: new.icon.clone(),
            background_color: new.background_color.clone(),
            accent_color: new.accent_color.clone(),
            fault: None,
            failed_exchange: None,
            created_by: caller.actor.clone(),
            updated_by: caller.actor.clone(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        Ok(Checked {
            connector,
            secrets: checked.secrets,
            generated_uid: generated,
        })
    }

    fn link_of(&self, connector: &Connector, project: &Project, link: NewLink) -> Result<Link> {
        let all = || Environment::BUILT_IN.map(Environment::from).to_vec();
        let environments = link.environments.unwrap_or_else(all);
        let environments =
            checked_environments(project, environments, "environments").map_err(Error::Invalid)?;
        Ok(Link {
            team: connector.team.clone(),
            connector: connector.id.clone(),
            project: project.id.clone(),
            environments,
            created_at: connector.created_at,
            updated_at: connector.created_at,
        })
    }
}

impl Engine {
    /// What a secret that is given now is known by.
    pub(super) fn secret_ref(&self, at: Timestamp) -> SecretRef {
        SecretRef {
            id: SecretId::mint(at, self.entropy()),
            at,
        }
    }

    /// The connector's secrets as one sealed JSON object; `None` when there are none.
    pub(crate) async fn seal_secrets(
        &self,
        connector: &Connector,
        secrets: &[(String, Secret)],
    ) -> Result<Option<Sealed>> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let mut json = Zeroizing::new(String::from("{"));
        for (index, (name, secret)) in secrets.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let name = serde_json::to_string(name).map_err(|_| Error::Internal)?;
            let value = Zeroizing::new(
                serde_json::to_string(secret.expose()).map_err(|_| Error::Internal)?,
            );
            json.push_str(&format!("{comma}{name}:"));
            json.push_str(&value);
        }
        json.push('}');
        self.keys.ready(&connector.team).await?;
        let sealed = self.keys.seal(secrets_of(connector), json.as_bytes())?;
        Ok(Some(sealed))
    }
}

fn name_of(
    new: &NewConnector,
    project: Option<&Project>,
    kind: Option<ConnectorType>,
    problems: &mut Vec<Problem>,
) -> String {
    let given = new
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let name = match (given, project) {
        (Some(name), _) => name,
        (None, Some(project)) if kind != Some(ConnectorType::ApiKey) => &project.name,
        (None, _) => {
            let message = match kind {
                None | Some(ConnectorType::ApiKey) => "is required",
                Some(_) => "is required, or projectId to take the project's name",
            };
            problems.push(Problem::new("name", message));
            return String::new();
        }
    };
    let complaint = name_complaint(name);
    problems.extend(complaint.map(|message| Problem::new("name", message)));
    name.to_owned()
}

/// What is wrong with a name.
pub fn name_complaint(name: &str) -> Option<String> {
    let good =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    (!good).then(|| format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters"))
}

/// What is wrong with a connector's branding.
pub fn look_problems(
    icon: Option<&str>,
    background_color: Option<&str>,
    accent_color: Option<&str>,
    problems: &mut Vec<Problem>,
) {
    for (field, colour) in [
        ("backgroundColor", background_color),
        ("accentColor", accent_color),
    ] {
        if colour.is_some_and(|colour| !is_colour(colour)) {
            let message = "must be a six-digit hex colour such as #0a84ff";
            problems.push(Problem::new(field, message));
        }
    }
    if icon.is_some_and(|icon| !is_digest(icon) && !is_url(icon)) {
        let message = "must be the SHA-1 (40 hex digits) of an uploaded image, or a URL of one";
        problems.push(Problem::new("icon", message));
    }
}

/// What is wrong with a uid (reference/vercel-connect §1).
pub fn uid_complaint(uid: &str) -> Option<String> {
    const RESERVED_STARTS: [&str; 4] = ["scl_", "sca_", "store_", "ir_"];
    let lower = uid.to_lowercase();
    let host = lower.split_once('/').map(|(host, _)| host);
    if uid.len() > UID_BYTES_MAX {
        Some(format!("is longer than {UID_BYTES_MAX} bytes"))
    } else if uid
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '%' | '#'))
    {
        Some("must not contain white space, control characters, % or #".to_owned())
    } else if RESERVED_STARTS.iter().any(|start| lower.starts_with(start)) {
        Some(format!(
            "must not start with {}",
            RESERVED_STARTS.join(", ")
        ))
    } else if host.is_some_and(|host| {
        host == "vc" || (host.ends_with(".vercel.com") && host != "mcp.vercel.com")
    }) {
        Some("starts with a reserved name".to_owned())
    } else {
        None
    }
}

fn is_colour(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The given service, else the type's, else the host of the server in `data`, else of its search, else the type's
/// word: never empty.
fn service_of(given: Option<&str>, data: &Map<String, Value>, kind: ConnectorType) -> String {
    let host = |value: Option<&Value>| {
        let url = Url::parse(value?.as_str()?).ok()?;
        url.host_str().map(str::to_owned)
    };
    let given = given
        .map(str::trim)
        .filter(|service| !service.is_empty())
        .map(|service| host(Some(&Value::from(service))).unwrap_or_else(|| service.to_owned()));
    let config = data.get("serverConfig");
    let search = data.get("search");
    let known = || types::of(kind).service.map(str::to_owned);
    given
        .or_else(known)
        .or_else(|| host(data.get("serverUrl")))
        .or_else(|| host(config.and_then(|config| config.get("issuer"))))
        .or_else(|| host(config.and_then(|config| config.get("token_endpoint"))))
        .or_else(|| host(search.and_then(|search| search.get("url"))))
        .unwrap_or_else(|| kind.as_str().to_owned())
}

/// `text` in lower case with everything but ASCII letters and digits as single hyphens.
fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// Characters of a name that go into a generated uid.
const SLUG_CHARS: usize = 100;

/// `<service>/<name>`, with what a uid may not contain left out.
fn generated_uid(service: &str, name: &str) -> String {
    let slug: String = name
        .to_lowercase()
        .chars()
        .take(SLUG_CHARS)
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    let service: String = service
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '%' | '#'))
        .collect();
    let slug = slug.trim_matches('-');
    format!(
        "{service}/{}",
        if slug.is_empty() { "connector" } else { slug }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_that_would_be_ambiguous_are_refused() {
        for good in [
            "oauth/acme",
            "slack/my-bot",
            "mcp.vercel.com/x",
            "sclx",
            "büro",
        ] {
            assert_eq!(uid_complaint(good), None, "{good}");
        }
        for bad in [
            "scl_1",
            "SCL_1",
            "sca_x",
            "store_1",
            "ir_1",
            "a b",
            "a%2Fb",
            "a#b",
            "a\u{7}",
            "vc/x",
            "api.vercel.com/x",
        ] {
            assert!(uid_complaint(bad).is_some(), "{bad}");
        }
        assert!(uid_complaint(&"x".repeat(257)).is_some());
    }

    #[test]
    fn a_missing_name_is_told_with_the_way_out_that_there_is() {
        let oauth = "is required, or projectId to take the project's name";
        for (kind, message) in [
            (Some(ConnectorType::Oauth), oauth),
            (Some(ConnectorType::ApiKey), "is required"),
            (None, "is required"),
        ] {
            let mut problems = Vec::new();
            name_of(&NewConnector::default(), None, kind, &mut problems);
            assert_eq!(problems, [Problem::new("name", message)], "{kind:?}");
        }
    }

    #[test]
    fn the_service_is_never_empty_and_a_generated_uid_is_a_legal_one() {
        let data = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let cases = [
            (Some("slack"), "{}", "slack"),
            (Some("https://mcp.linear.app/mcp"), "{}", "mcp.linear.app"),
            (
                None,
                r#"{"serverUrl":"https://as.example/x"}"#,
                "as.example",
            ),
            (
                None,
                r#"{"serverConfig":{"token_endpoint":"http://127.0.0.1:9/t"}}"#,
                "127.0.0.1",
            ),
            (Some(" "), "{}", "oauth"),
        ];
        for (given, text, expected) in cases {
            let service = service_of(given, &data(text), ConnectorType::Oauth);
            assert_eq!(service, expected);
            assert_eq!(
                uid_complaint(&generated_uid(&service, "My Connector! 1")),
                None
            );
        }
        assert_eq!(generated_uid("oauth", "Acme Inc"), "oauth/acme-inc");
        assert_eq!(generated_uid("oauth", "日本"), "oauth/connector");
    }
}
