//! What can be connected and how: F1 and F2 of reference/vercel-connect §9.

use axum::response::Response;
use grantry_core::nouns::ConnectorType;
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{ServiceWays, Way, input_schema};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional, required};
use crate::kit::route::{Access, Method, Route, Takes};

const SERVICE: &[Field] = &[optional(
    "schemas",
    Shape::Bool,
    "Tell the JSON schema of each type's data, too.",
)];

const CONTACT: &[Field] = &[required(
    "phoneNumber",
    Shape::Text(16),
    "E.164: `+12025551234`.",
)];

/// The dialect's calls on services.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/v1/connect/services/{service}",
        Access::Act(Act::ReadLists),
        "getConnectService",
        |route| call(route, service),
    )
    .about("F1: how a service is connected: one of the catalogue, or a server that is named by its URL.")
    .query(SERVICE)
    .json::<ServiceAnswer>(200, "Its types and connection methods."),
    Route::new(
        Method::Post,
        "/v1/connect/connectors/{connector}/contacts",
        Access::Act(Act::ManageConnectors),
        "addConnectorContact",
        |route| call(route, contact),
    )
    .about("F2: a contact of a connector that has telephone lines. Every type refuses: this server speaks to no such provider.")
    .takes(Takes::Json(CONTACT))
    .nothing("Never: every type refuses."),
];

/// F1's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelService)]
#[serde(rename_all = "camelCase")]
struct ServiceAnswer {
    service: String,
    name: String,
    types: Vec<TypeAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    discovery: Option<DiscoveryAnswer>,
    /// What a client takes that was not told which: the first. Without it the CLI asks, or refuses where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolved_connection_method: Option<&'static str>,
    connection_methods: Vec<MethodAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelServiceType)]
#[serde(rename_all = "camelCase")]
struct TypeAnswer {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    create_input_schema: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(required = false, value_type = Object)]
    create_input_defaults: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    encrypted_fields: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelServiceDiscovery)]
#[serde(rename_all = "camelCase")]
struct DiscoveryAnswer {
    server_url: String,
    r#type: TypeAnswer,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelConnectionMethod)]
#[serde(rename_all = "camelCase")]
struct MethodAnswer {
    connection_method: &'static str,
    label: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    doc_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    settings_url: Option<String>,
    /// Markdown. It names the redirect URI of this server: the CLI names Vercel's by itself.
    instructions: String,
    create: CreateAnswer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    template_fields: Vec<TemplateField>,
    r#type: TypeAnswer,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelConnectionMethodCreate)]
struct CreateAnswer {
    managed: bool,
    manual: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelTemplateField)]
struct TemplateField {
    key: String,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    placeholder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    help: Option<String>,
}

/// `login_host` as people write it.
fn label(key: &str) -> String {
    let mut words = key.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl TypeAnswer {
    fn of(way: &Way, schemas: bool) -> Self {
        Self {
            r#type: way.kind.as_str(),
            create_input_schema: schemas.then(|| way.schema()),
            create_input_defaults: way.defaults.clone(),
            encrypted_fields: way.sealed_fields(),
        }
    }
}

/// What `data` of a type takes that clients do not know by themselves, as the CLI says it of those that it knows.
fn data_of(way: &Way) -> Option<String> {
    if matches!(way.kind, ConnectorType::Oauth | ConnectorType::ApiKey) {
        return None;
    }
    let fields = way.asked_fields().into_iter();
    let fields = fields.map(|(name, required)| match required {
        true => format!("{name} (required)"),
        false => name,
    });
    let fields: Vec<_> = fields.collect();
    Some(format!(
        "Or bring your own: data with {}.",
        fields.join(", ")
    ))
}

impl MethodAnswer {
    fn of(way: Way, schemas: bool, redirect_uri: &str) -> Self {
        let redirects = way.redirects().then(|| {
            format!("The redirect URI of this server is **{redirect_uri}**: add exactly that one.")
        });
        let instructions: Vec<String> = redirects.into_iter().chain(data_of(&way)).collect();
        Self {
            connection_method: way.word,
            label: way.label,
            instructions: instructions.join(" "),
            create: CreateAnswer {
                // A client that leaves the rest to our page has no way to say the variables.
                managed: way.variables.is_empty(),
                manual: true,
            },
            r#type: TypeAnswer::of(&way, schemas),
            template_fields: way
                .variables
                .into_iter()
                .map(|variable| TemplateField {
                    label: label(&variable.key),
                    // A client that shows the one shows the other beside it.
                    help: match variable.example {
                        Some(_) => None,
                        None => variable.help(),
                    },
                    key: variable.key,
                    default: variable.default,
                    placeholder: variable.example,
                })
                .collect(),
            doc_url: way.docs_url,
            settings_url: way.settings_url,
        }
    }
}

async fn service(call: Call) -> Result<Response> {
    let schemas = call.query.flag("schemas").unwrap_or_default();
    let caller = call.caller()?;
    let ServiceWays {
        id,
        name,
        server_url,
        ways,
    } = call
        .engine
        .service_ways(caller, call.path("service"))
        .await?;
    let oauth = || TypeAnswer {
        r#type: ConnectorType::Oauth.as_str(),
        create_input_schema: schemas.then(|| input_schema(ConnectorType::Oauth)),
        create_input_defaults: Map::new(),
        encrypted_fields: Vec::new(),
    };
    let mut types: Vec<TypeAnswer> = Vec::new();
    for way in &ways {
        if !types.iter().any(|known| known.r#type == way.kind.as_str()) {
            types.push(TypeAnswer::of(way, schemas));
        }
    }
    if types.is_empty() {
        types.push(oauth());
    }
    let redirect_uri = &call.engine.redirect_uris(caller)[0];
    answer::ok(&ServiceAnswer {
        service: id,
        name,
        types,
        discovery: server_url.map(|server_url| DiscoveryAnswer {
            server_url,
            r#type: oauth(),
        }),
        resolved_connection_method: ways.first().map(|way| way.word),
        connection_methods: ways
            .into_iter()
            .map(|way| MethodAnswer::of(way, schemas, redirect_uri))
            .collect(),
    })
}

/// Telephone lines are what the types `photon`, `sendblue` and `linq` have. Taking a number in without telling the
/// provider would be a lie.
async fn contact(call: Call) -> Result<Response> {
    let (caller, named) = (call.caller()?, call.path("connector"));
    let found = call.engine.connector(caller, named).await?;
    let number = call.body.text("phoneNumber").unwrap_or_default();
    let digits = number.strip_prefix('+').unwrap_or_default();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || !(2..=15).contains(&digits.len()) || digits.starts_with('0') {
        let message = "must be an E.164 number such as +12025551234";
        return Err(Error::invalid("phoneNumber", message));
    }
    let kind = found.connector.kind.as_str();
    Err(Error::invalid(
        "connector",
        format!("is of type {kind}, for which this server takes no contacts"),
    ))
}
