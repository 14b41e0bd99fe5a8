//! D2: tokens that exist already.

use std::time::Duration;

use axum::response::Response;
use grantry_core::limits::{EXTERNAL_ID_BYTES_MAX, LABEL_BYTES_MAX, TOKEN_BYTES_MAX};
use grantry_core::nouns::{Environment, Scopes};
use grantry_core::{Error, Problem, Result, Secret, Timestamp};
use grantry_engine::permissions::Act;
use grantry_engine::{AskToken, NewGrant, NewInstallation, NewPair};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Fields, Shape, optional, present, required};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::subject;

pub(super) const IMPORT: Route = Route::new(
    Method::Post,
    "/v1/connect/token/{connector}/import",
    Access::Act(Act::ImportConnections),
    "importConnectorTokens",
    |route| call(route, import),
)
.about("D2: takes in tokens that exist already, all of them or none; a grant that stands keeps its tokens.")
.takes(Takes::Json(BODY))
.json::<Answer>(200, "How many were in order, how many are new, and each without its secrets.");

const BODY: &[Field] = &[required(
    "tokens",
    Shape::Objects(TOKEN),
    "The tokens, no two of one grant.",
)];

const TOKEN: &[Field] = &[
    required("accessToken", Shape::Lines(TOKEN_BYTES_MAX), "The token."),
    required(
        "expiresAt",
        Shape::Integer(0, 253_402_300_799_999),
        "When it runs out, in milliseconds.",
    ),
    required("subject", Shape::Object(SUBJECT), "Whose it is."),
    required(
        "environment",
        Shape::Filled(128),
        "Where it is used: `production`, `preview`, `development`, or a custom environment's id.",
    ),
    optional(
        "refreshToken",
        Shape::Lines(TOKEN_BYTES_MAX),
        "What it is renewed with.",
    ),
    optional(
        "refreshTokenExpiresAt",
        Shape::Integer(0, 253_402_300_799_999),
        "When that runs out; one that has is not taken in.",
    ),
    optional(
        "installationId",
        Shape::Filled(EXTERNAL_ID_BYTES_MAX),
        "The provider tenant it is for.",
    ),
    optional(
        "audience",
        Shape::Texts(2048),
        "`audience` it was asked with.",
    ),
    optional("scopes", Shape::Texts(1024), "Scopes it was asked with."),
    optional(
        "resources",
        Shape::Texts(2048),
        "RFC 8707 resource indicators.",
    ),
    optional("authorizationDetails", Shape::FreeList, "RFC 9396."),
    optional(
        "name",
        Shape::Text(LABEL_BYTES_MAX),
        "The account's name, for people.",
    ),
    optional(
        "externalSubject",
        Shape::Text(EXTERNAL_ID_BYTES_MAX),
        "The account's id at the provider.",
    ),
    optional(
        "installation",
        Shape::Object(NAMED),
        "The installation, which is made known where it is not.",
    ),
    optional("tenant", Shape::Object(NAMED), "The tenant it is in."),
    optional(
        "data",
        Shape::Free,
        "Public facts that are handed out with the token.",
    ),
];

const SUBJECT: &[Field] = &[subject::TYPE, subject::ID, subject::ISSUER];

/// Subjects that clients may name and that nothing is stored for.
const OTHERS: &[&str] = &["jwt-bearer", "token", "connection"];

const NAMED: &[Field] = &[
    required(
        "id",
        Shape::Filled(EXTERNAL_ID_BYTES_MAX),
        "The provider's id of it.",
    ),
    optional("name", Shape::Text(LABEL_BYTES_MAX), "For people."),
];

/// D2's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelImport)]
struct Answer {
    /// Tokens that were in order.
    accepted: usize,
    /// Grants that are new.
    imported: usize,
    tokens: Vec<Told>,
}

/// A token as it came, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelImportedToken)]
struct Told {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    token: Map<String, Value>,
    /// This token is the one that is stored. Not so where another one was stored for its grant before.
    succeeded: bool,
}

async fn import(mut call: Call) -> Result<Response> {
    let now = call.engine.now();
    let sent = call.body.take_objects("tokens").unwrap_or_default();
    let told: Vec<_> = sent
        .iter()
        .map(|token| token.without(&["accessToken", "refreshToken"]))
        .collect();
    let mut problems = Vec::new();
    let mut grants = Vec::with_capacity(sent.len());
    for (index, token) in sent.into_iter().enumerate() {
        match grant(token, now) {
            Ok(grant) => grants.push(grant),
            Err(Error::Invalid(found)) => problems.extend(found.into_iter().map(|found| {
                Problem::new(format!("tokens[{index}].{}", found.field), found.message)
            })),
            Err(other) => return Err(other),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let imported = call
        .engine
        .import_grants(call.caller()?, call.path("connector"), grants)
        .await?;
    answer::ok(&Answer {
        accepted: imported.len(),
        imported: imported.iter().filter(|one| one.new).count(),
        tokens: told
            .into_iter()
            .zip(&imported)
            .map(|(token, one)| Told {
                token,
                succeeded: one.stored,
            })
            .collect(),
    })
}

/// What the engine takes in for a token of the list.
fn grant(mut token: Fields, now: Timestamp) -> Result<NewGrant> {
    let mut problems = Vec::new();
    let subject = match token
        .take_object("subject")
        .map(|fields| subject::of(fields, OTHERS))
    {
        Some(Ok(subject)) => Some(subject),
        Some(Err(Error::Invalid(found))) => {
            problems.extend(found);
            None
        }
        Some(Err(Error::Unresolvable { reason })) => {
            problems.push(Problem::new("subject.type", reason));
            None
        }
        Some(Err(other)) => return Err(other),
        None => None,
    };
    let until = |name: &str| {
        token
            .count(name)
            .map(|at| Timestamp::from_millis(at.cast_signed()))
    };
    let (expires, refresh_until) = (until("expiresAt"), until("refreshTokenExpiresAt"));
    let renewable = refresh_until.is_none_or(|until| now < until);
    let refresh = token.take_text("refreshToken").filter(|_| renewable);
    if refresh.is_none() && expires.is_some_and(|expires| expires <= now) {
        let message = "has passed, and there is no refresh token to get a new one with";
        problems.push(Problem::new("expiresAt", message));
    }
    let mut named = |field: &str| {
        let object = token.take_object(field);
        object.map(|mut fields| {
            let id = fields.take_text("id").unwrap_or_default();
            (id, present(fields.take_text("name")))
        })
    };
    let (installation, tenant) = (named("installation"), named("tenant"));
    let external = token.take_text("installationId");
    if let (Some(external), Some((id, _))) = (&external, &installation)
        && external != id
    {
        let message = format!("must be {external}, as installationId says");
        problems.push(Problem::new("installation.id", message));
    }
    if installation.is_none() && tenant.is_some() && external.is_none() {
        problems.push(Problem::new(
            "tenant",
            "needs installation or installationId",
        ));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let (tenant_id, tenant_name) = tenant.unzip();
    let known = match (installation, &external) {
        (Some((id, name)), _) => Some((id, name)),
        (None, Some(external)) if tenant_id.is_some() => Some((external.clone(), None)),
        _ => None,
    };
    let installation = known.map(|(external_id, name)| NewInstallation {
        external_id,
        tenant: tenant_id,
        name: name.or_else(|| tenant_name.flatten()),
        default: false,
    });
    let texts = |token: &mut Fields, name: &str| token.take_texts(name).unwrap_or_default();
    Ok(NewGrant {
        token: AskToken {
            subject_token: None,
            subject,
            environment: token.text("environment").map(Environment::from),
            installation: external.or_else(|| {
                let installation = installation.as_ref();
                installation.map(|installation| installation.external_id.clone())
            }),
            scopes: Scopes::from_list(texts(&mut token, "scopes")),
            audience: texts(&mut token, "audience"),
            resources: texts(&mut token, "resources"),
            details: token.take_list("authorizationDetails").unwrap_or_default(),
            validity_buffer: Duration::ZERO,
        },
        name: present(token.take_text("name")),
        external_subject: present(token.take_text("externalSubject")),
        installation,
        pair: NewPair {
            servers: None,
            access: Secret::new(token.take_text("accessToken").unwrap_or_default()),
            expires_in: expires.map(|expires| expires.since(now)),
            refresh_ends: refresh_until.filter(|_| refresh.is_some()),
            refresh: refresh.map(Secret::new),
            scope: None,
            metadata: token.take_map("data").unwrap_or_default(),
        },
    })
}
