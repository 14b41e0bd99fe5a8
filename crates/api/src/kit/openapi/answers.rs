//! What the document says of answers.

use utoipa::ToSchema;
use utoipa::openapi::response::Responses;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{
    Content, ContentBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Response, ResponseBuilder,
    ResponsesBuilder, Schema,
};

use super::{Schemas, examples};
use crate::dialects::vercel::gateway;
use crate::dialects::{cohere, datagrid, sequin, vercel};
use crate::kit::dialect::Dialect;
use crate::kit::route::{Body, Route};
use crate::native;

/// Writes a type's schema, and those it refers to, into the document, and gives back what refers to it.
pub type Describe = fn(&mut Schemas) -> RefOr<Schema>;

/// [`Describe`] for `T`: the schema comes from the type that is written, so that they cannot differ.
pub fn describe<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let name = name_of::<T>();
    let mut found = vec![(name.clone(), T::schema())];
    T::schemas(&mut found);
    for (name, mut schema) in found {
        require_every_field(&mut schema);
        schemas.insert(name, schema);
    }
    Ref::from_schema_name(name).into()
}

/// `Connector`; for a `List<Connector>` it is `ConnectorList`.
fn name_of<T: ToSchema>() -> String {
    // `…::List<…::Connector<'_>>`: what stands in the first brackets, unless that is a lifetime.
    let of = std::any::type_name::<T>().split(['<', '>']).nth(1);
    let of = of.filter(|of| !of.starts_with('\''));
    let of = of.and_then(|of| of.rsplit("::").next());
    format!("{}{}", of.unwrap_or_default(), T::name())
}

/// Answers name every field: one without a value is there as `null`. What `serde` may leave out says so
/// by a schema that has no `null`.
fn require_every_field(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                require_every_field(property);
                if may_be_null(property) && !object.required.contains(name) {
                    object.required.push(name.clone());
                }
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(require_every_field),
        Schema::OneOf(one) => one.items.iter_mut().for_each(require_every_field),
        _ => {}
    }
}

fn may_be_null(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => is_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => is_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(may_be_null),
        _ => false,
    }
}

fn is_null(kind: &SchemaType) -> bool {
    match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    }
}

/// Every answer of a native route; of another the good one, and what its refusals look like.
pub fn responses(route: &Route, schemas: &mut Schemas) -> Responses {
    let gives = route.gives;
    let mut responses = ResponsesBuilder::new();
    for (status, what) in [(gives.status, gives.what)].into_iter().chain(route.or) {
        let answer = good(route, status, what, schemas);
        responses = responses.response(status.to_string(), answer);
    }
    match route.dialect() {
        Dialect::Native => {
            let refused = describe::<native::error::Details>(schemas);
            for status in route.refusals() {
                let refusal = Response::builder()
                    .description(native::error::meaning(status))
                    .content(
                        "application/problem+json",
                        Content::new(Some(refused.clone())),
                    );
                responses = responses.response(status.to_string(), refusal.build());
            }
        }
        Dialect::Vercel => {
            let mut refused = describe::<vercel::error::Wrapped>(schemas);
            // The gateway's are OAuth's, but for what is refused before it sees the request.
            if gateway::ROUTES.iter().any(|one| one.path == route.path) {
                let oauth = describe::<gateway::Refusal>(schemas);
                refused = OneOfBuilder::new().item(oauth).item(refused).into();
            }
            responses = responses.response("default", refusal(refused));
        }
        Dialect::Sequin => {
            let refused = describe::<sequin::error::Refusal>(schemas);
            responses = responses.response("default", refusal(refused));
        }
        Dialect::Cohere => {
            let refused = describe::<cohere::error::Refusal>(schemas);
            responses = responses.response("default", refusal(refused));
        }
        Dialect::Datagrid => {
            let refused = describe::<datagrid::error::Refusal>(schemas);
            responses = responses.response("default", refusal(refused));
        }
    }
    responses.build()
}

/// Any refusal of a dialect.
fn refusal(schema: RefOr<Schema>) -> Response {
    ResponseBuilder::new()
        .description("What went wrong.")
        .content("application/json", Content::new(Some(schema)))
        .build()
}

fn good(route: &Route, status: u16, what: &str, schemas: &mut Schemas) -> Response {
    let answer = ResponseBuilder::new().description(what);
    let content = |schema: RefOr<Schema>| {
        let mut examples = examples::of(route);
        examples.retain(|(_, example)| example.status == status);
        let examples = examples::values(&examples, |example| example.answer.as_ref());
        let content = ContentBuilder::new().schema(Some(schema));
        content.examples_from_iter(examples).build()
    };
    match route.gives.body {
        Body::Json(describe) => answer.content("application/json", content(describe(schemas))),
        Body::Text(media_type) => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            answer.content(media_type, content(RefOr::T(text.into())))
        }
        Body::Nothing | Body::Unsaid => answer,
    }
    .build()
}
