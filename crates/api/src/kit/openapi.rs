//! The OpenAPI document, made from the route table: what it says of paths, parameters, bodies and
//! credentials is what the router does.

use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ArrayItems, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, KnownFormat, ObjectBuilder, OneOfBuilder,
    OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
    SchemaFormat, ServerBuilder,
};

use grantry_engine::permissions::Scope;

use super::dialect::Dialect;
use super::fields::{Field, ITEMS_MAX, SWITCH, Shape};
use super::route::{Access, Method, Route, Takes};
use crate::all_routes;

const BEARER: &str = "bearer";

/// The query parameter that chooses the account.
const ACCOUNT: &[(&str, &str)] = &[(
    "account",
    "Account id; for the server, where there are several.",
)];

/// The document of a server at `url`.
pub fn document(url: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Grantry")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The native API is under /api/v1; the other paths speak the APIs of other vendors.",
        ));
    let paths = all_routes().fold(PathsBuilder::new(), |paths, route| {
        let method = match route.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Put => HttpMethod::Put,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        paths.path(route.path, PathItem::new(method, operation(route)))
    });
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, bearer)
        .schema("NativeError", native_error())
        .schema("VercelError", vercel_error())
        .schema("SequinError", sequin_error())
        .build();
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url(url).build()]))
        .paths(paths.build())
        .components(Some(components))
        .build()
}

fn operation(route: &Route) -> Operation {
    let (tag, error, media_type) = match route.dialect() {
        Dialect::Native => ("native", "NativeError", "application/problem+json"),
        Dialect::Vercel => ("vercel", "VercelError", "application/json"),
        Dialect::Sequin => ("sequin", "SequinError", "application/json"),
    };
    let (status, what) = route.gives;
    let refused = ResponseBuilder::new()
        .description("What went wrong.")
        .content(media_type, Content::new(Some(Ref::from_schema_name(error))))
        .build();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.operation))
        .summary(Some(route.about))
        .parameters(Some(parameters(route)))
        .request_body(body(route.takes))
        .response(
            status.to_string(),
            ResponseBuilder::new().description(what).build(),
        )
        .response("default", refused);
    operation = match route.takes {
        Takes::Page => operation.tag("pages"),
        _ => operation.tag(tag),
    };
    match route.access {
        Access::Act(act) => operation
            .description(Some(format!("Takes a caller who may: {act:?}.")))
            .security(SecurityRequirement::new(BEARER, [""; 0])),
        Access::Public(reason) => operation
            .description(Some(format!("Public: {reason}.")))
            .security(SecurityRequirement::default()),
    }
    .build()
}

fn parameters(route: &Route) -> Vec<Parameter> {
    let parameter = |name: &str, place: ParameterIn, required: bool| {
        let required = if required {
            Required::True
        } else {
            Required::False
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
    };
    let in_path = route.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        Some(parameter(name, ParameterIn::Path, true).schema(Some(schema)))
    });
    let team: &[(&str, &str)] = match route.access {
        Access::Act(act) => match act.scope() {
            Scope::Team if !route.path.contains("{team}") => route.dialect().team_parameters(),
            Scope::Account if !route.path.contains("{account}") => ACCOUNT,
            _ => &[],
        },
        Access::Public(_) => &[],
    };
    let team = team.iter().map(|(name, about)| {
        parameter(name, ParameterIn::Query, false)
            .description(Some(*about))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
    });
    let query = route.query.iter().map(|row| {
        parameter(row.name, ParameterIn::Query, row.required)
            .description(Some(row.about))
            .schema(Some(schema(&row.shape)))
    });
    in_path
        .chain(team)
        .chain(query)
        .map(ParameterBuilder::build)
        .collect()
}

fn body(takes: Takes) -> Option<RequestBody> {
    let json = |rows: &[Field], required: Required| {
        RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(object(rows))))
            .required(Some(required))
            .build()
    };
    match takes {
        Takes::Nothing | Takes::Page => None,
        Takes::Json(rows) => Some(json(rows, Required::True)),
        Takes::OptionalJson(rows) => Some(json(rows, Required::False)),
        Takes::Text(media_type, _) => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let content = Content::new(Some(text));
            let body = RequestBodyBuilder::new().content(media_type, content);
            Some(body.required(Some(Required::True)).build())
        }
    }
}

fn object(rows: &[Field]) -> Schema {
    let mut object = ObjectBuilder::new().schema_type(Type::Object);
    for row in rows {
        object = object.property(row.name, described(&row.shape, row.about));
        if row.required {
            object = object.required(row.name);
        }
    }
    let closed = AdditionalProperties::FreeForm(false);
    object.additional_properties(Some(closed)).build().into()
}

/// A description stands beside any schema, so it is wrapped rather than built into each kind.
fn described(shape: &Shape, about: &str) -> RefOr<Schema> {
    let mut schema = schema(shape);
    match &mut schema {
        Schema::Object(object) => object.description = Some(about.to_owned()),
        Schema::Array(array) => array.description = Some(about.to_owned()),
        Schema::OneOf(one) => one.description = Some(about.to_owned()),
        _ => {}
    }
    schema.into()
}

fn schema(shape: &Shape) -> Schema {
    let of = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::new(kind));
    match shape {
        Shape::Text(max) => of(Type::String).max_length(Some(*max)).build().into(),
        Shape::Word(words) => of(Type::String)
            .enum_values(Some(words.iter().copied()))
            .build()
            .into(),
        Shape::Time => of(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .build()
            .into(),
        Shape::Bool => of(Type::Boolean).build().into(),
        Shape::Switch => OneOfBuilder::new()
            .item(schema(&Shape::Bool))
            .item(object(SWITCH))
            .build()
            .into(),
        Shape::Integer(least, most) => of(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(*least))
            .maximum(Some(*most))
            .build()
            .into(),
        Shape::Texts(max) => ArrayBuilder::new()
            .items(ArrayItems::from(RefOr::T(schema(&Shape::Text(*max)))))
            .max_items(Some(ITEMS_MAX))
            .build()
            .into(),
        Shape::Object(rows) => object(rows),
        Shape::Free => of(Type::Object).build().into(),
        Shape::FreeList => ArrayBuilder::new()
            .items(ArrayItems::from(RefOr::T(schema(&Shape::Free))))
            .max_items(Some(ITEMS_MAX))
            .build()
            .into(),
    }
}

fn native_error() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let wrong = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("field", text())
        .property("message", text())
        .required("field")
        .required("message");
    let mut error = ObjectBuilder::new().schema_type(Type::Object);
    for name in ["type", "title", "detail", "code"] {
        error = error.property(name, text()).required(name);
    }
    error
        .property(
            "status",
            ObjectBuilder::new().schema_type(Type::Integer).build(),
        )
        .required("status")
        .property("errors", ArrayBuilder::new().items(wrong.build()).build())
        .property("reason", text())
        .property("authorization_url", text())
        .description(Some("RFC 9457; `code` is stable."))
        .build()
        .into()
}

fn vercel_error() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let inner = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", text())
        .property("message", text())
        .property("authorizationUrl", text())
        .required("code")
        .required("message");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("error", inner.build())
        .required("error")
        .build()
        .into()
}

fn sequin_error() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let reasons = ArrayBuilder::new().items(text()).build();
    let fields = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(Schema::from(reasons)));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("summary", text())
        .property("validation_errors", fields.build())
        .required("summary")
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let text = document("http://127.0.0.1:8787").to_json().unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let paths = document["paths"].as_object().unwrap();
        let mut documented: Vec<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let operations = item.as_object().unwrap().keys();
                operations.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let mut routed: Vec<(String, String)> = all_routes()
            .map(|route| (route.method.as_str().to_owned(), route.path.to_owned()))
            .collect();
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
        let mut ids: Vec<&str> = all_routes().map(|route| route.operation).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for route in all_routes() {
            assert!(route.about.ends_with('.'), "{}", route.operation);
        }
    }
}
