//! The dialect's JSON. Absent fields are left out, never `null`, which the 4.x clients cannot read
//! (reference/cohere-sequin §1.4).

use grantry_core::Timestamp;
use grantry_core::nouns::Connector as Row;
use grantry_engine::{
    AuthStatus, ConnectorView, Principal, PrincipalKind, Searched as Found, types,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One connector.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereOne)]
pub struct One<'a> {
    /// It.
    pub connector: Connector<'a>,
}

/// A page.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereConnectors)]
pub struct List<'a> {
    /// Its rows.
    pub connectors: Vec<Connector<'a>>,
    /// Rows that there are in all.
    pub total_count: u64,
}

/// Where to send the user.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereAuthorize)]
pub struct Authorize {
    /// The link.
    pub redirect_url: String,
}

/// What a search brought: the fields of a chat's answer that tell of its connectors, and what of the documents
/// would go to the model.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereSearched)]
pub struct Searched<'a> {
    search_results: [SearchResult<'a>; 1],
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Map<String, Value>>,
    #[schema(value_type = Vec<Object>)]
    prompt_documents: Vec<Map<String, Value>>,
}

/// One connector's part.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereSearchResult)]
struct SearchResult<'a> {
    search_query: SearchQuery<'a>,
    connector: Id<'a>,
    document_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_message: Option<&'a str>,
    continue_on_failure: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CohereSearchQuery)]
struct SearchQuery<'a> {
    text: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CohereConnectorId)]
struct Id<'a> {
    id: &'a str,
}

impl<'a> Searched<'a> {
    /// What `found` holds. A document's id is the connector's and its place.
    pub fn of(found: &'a Found, query: &'a str) -> Self {
        let connector = found.connector.as_str();
        let id = |place: usize| format!("{connector}_{place}");
        let with_ids = |documents: Vec<Map<String, Value>>| {
            let numbered = documents.into_iter().enumerate();
            let numbered = numbered.map(|(place, mut document)| {
                document.insert("id".to_owned(), id(place).into());
                document
            });
            numbered.collect()
        };
        let documents = found.results.as_ref().map_or(&[][..], Vec::as_slice);
        Self {
            search_results: [SearchResult {
                search_query: SearchQuery { text: query },
                connector: Id { id: connector },
                document_ids: (0..documents.len()).map(id).collect(),
                error_message: found.results.as_ref().err().map(|why| why.message.as_str()),
                continue_on_failure: found.continues,
            }],
            documents: with_ids(documents.to_vec()),
            prompt_documents: with_ids(found.for_prompt()),
        }
    }
}

/// What has nothing to show: `{}`, as no client reads an empty body.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereDone)]
pub struct Done {}

/// Whose a key is.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereKeyCheck)]
pub struct KeyCheck {
    valid: bool,
    organization_id: String,
    owner_id: String,
}

/// A connector, whatever dialect it was made in.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereConnector)]
pub struct Connector<'a> {
    id: &'a str,
    organization_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<&'a str>,
    created_at: Time,
    updated_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Vec<String>)]
    excludes: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    oauth: Option<Oauth<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    continue_on_failure: Option<bool>,
}

/// An OAuth client without its secret. The 4.x clients need both URLs.
#[derive(Serialize, ToSchema)]
#[schema(as = CohereOauth)]
struct Oauth<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<&'a str>,
    authorize_url: &'a str,
    token_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
}

impl<'a> Connector<'a> {
    /// `view` as somebody with this status sees it.
    pub fn of(view: &'a ConnectorView, status: Option<AuthStatus>) -> Self {
        let row = &view.connector;
        let search = row.data.get("search").and_then(Value::as_object);
        let text = |name: &str| search?.get(name)?.as_str();
        let oauth = types::speaks_oauth(row);
        let flag = |name: &str, default: bool| {
            search.map(|search| search.get(name).and_then(Value::as_bool).unwrap_or(default))
        };
        Self {
            id: row.id.as_str(),
            organization_id: row.team.as_str(),
            name: &row.name,
            description: text("description"),
            url: text("url"),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
            excludes: search.and_then(|search| search.get("excludes")),
            auth_type: if oauth {
                Some("oauth")
            } else if !types::is_searched_with_token(row) {
                None
            } else {
                Some("service_auth")
            },
            oauth: oauth.then(|| Oauth::of(row)),
            auth_status: status.map(|status| match status {
                AuthStatus::Valid => "valid",
                AuthStatus::Expired => "expired",
            }),
            active: flag("active", true),
            continue_on_failure: flag("continueOnFailure", false),
        }
    }
}

impl<'a> Oauth<'a> {
    fn of(row: &'a Row) -> Self {
        let object = |name: &str| row.data.get(name).and_then(Value::as_object);
        let endpoint = |name: &str| text(object("serverConfig"), name).unwrap_or_default();
        let scopes = object("userAuthorization")
            .and_then(|grant| grant.get("scopes")?.as_array())
            .filter(|scopes| !scopes.is_empty());
        let scopes = scopes.map(|scopes| scopes.iter().filter_map(Value::as_str).collect());
        Self {
            client_id: types::client_id(row),
            authorize_url: endpoint("authorization_endpoint"),
            token_url: endpoint("token_endpoint"),
            scope: scopes.map(|scopes: Vec<&str>| scopes.join(" ")),
        }
    }
}

fn text<'a>(object: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a str> {
    object?.get(name)?.as_str()
}

impl KeyCheck {
    /// What `principal` is: its team (or account) stands for the organisation, its person (or itself) for the owner.
    pub fn of(principal: &Principal) -> Self {
        let (organization, owner) = match &principal.kind {
            PrincipalKind::Server => (String::new(), "server".to_owned()),
            PrincipalKind::Account {
                account, user, key, ..
            } => {
                let owner = user.as_ref().map_or(key.as_str(), |user| user.as_str());
                (account.to_string(), owner.to_owned())
            }
            PrincipalKind::Team {
                team, user, key, ..
            } => {
                let owner = user.as_ref().map_or(key.as_str(), |user| user.as_str());
                (team.to_string(), owner.to_owned())
            }
            PrincipalKind::Workload { team, project, .. } => {
                (team.to_string(), project.to_string())
            }
        };
        Self {
            valid: true,
            organization_id: organization,
            owner_id: owner,
        }
    }
}

/// RFC 3339 with `Z` and at most six digits of a second's fraction.
#[derive(ToSchema)]
#[schema(as = CohereTime, value_type = String, format = DateTime)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
