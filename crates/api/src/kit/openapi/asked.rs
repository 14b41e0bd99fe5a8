//! What the document says of requests.

use grantry_core::limits::{IDEMPOTENCY_KEY_BYTES_MAX, ITEMS_MAX};
use grantry_engine::permissions::Scope;
use serde_json::{Map, Value};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ArrayItems, SchemaType, Type};
use utoipa::openapi::{
    Content, ContentBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Required, Schema,
    SchemaFormat,
};

use super::examples::{self, Named};
use crate::kit::fields::{Field, SWITCH, Shape};
use crate::kit::route::{Access, Route, Takes};

/// The query parameter that chooses the account.
const ACCOUNT: &[(&str, &str)] = &[(
    "account",
    "Account id; for the server, where there are several.",
)];

/// What stands in the paths.
const IN_PATH: &[(&str, &str)] = &[
    ("account", "Account id."),
    (
        "authorization",
        "Authorization id, or `verifier` where the operation says so.",
    ),
    ("connection", "Connection id."),
    ("setup", "Setup id."),
    ("connector", "Connector id or uid."),
    ("environment", "Environment id or slug."),
    ("installation", "Installation id."),
    ("key", "Key id."),
    ("invite", "Invitation id."),
    ("kid", "Id of a signing key."),
    ("project", "Project id or name."),
    ("secret", "Secret id or name."),
    ("server", "MCP server id."),
    ("service", "Service id."),
    ("digest", "SHA-1 of the image, 40 hex digits."),
    ("owner", "Id of the team that uploaded it."),
    ("start", "What a link flow's start URL ends with."),
    ("team", "Team id or slug."),
    ("user", "User id or mail address."),
    ("verifier", "The `verifier` that came with the link."),
];

/// Text without control characters, as `fields` checks it.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

pub fn parameters(route: &Route) -> Vec<Parameter> {
    let parameter = |name: &str, place: ParameterIn, required: bool| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(if required {
                Required::True
            } else {
                Required::False
            })
    };
    let in_path = names(route.path).map(|name| {
        let about = IN_PATH.iter().find(|(known, _)| *known == name);
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1));
        parameter(name, ParameterIn::Path, true)
            .description(about.map(|(_, about)| *about))
            .schema(Some(schema.build()))
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
            .schema(Some(schema(&row.shape, false)))
    });
    let key = route.takes_idempotency_key().then(|| {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX))
            .pattern(Some(r"^[\u0021-\u007e]+$"));
        parameter("Idempotency-Key", ParameterIn::Header, false)
            .description(Some(
                "Yours, for this request: in the next 24 h its repetition gets the first one's answer, with \
                 `Idempotency-Replayed: true`, and is not carried out again. Another request under it: 409.",
            ))
            .schema(Some(schema.build()))
    });
    let examples = examples::of(route);
    in_path
        .chain(team)
        .chain(query)
        .chain(key)
        .map(|parameter| shown(parameter.build(), &examples))
        .collect()
}

/// The parameter with its values in the examples that name it.
fn shown(mut parameter: Parameter, examples: &[Named]) -> Parameter {
    let values = match parameter.parameter_in {
        ParameterIn::Path => {
            examples::values(examples, |example| example.path.get(&parameter.name))
        }
        ParameterIn::Query => {
            examples::values(examples, |example| example.query.get(&parameter.name))
        }
        _ => return parameter,
    };
    let values: Map<String, Value> = values
        .into_iter()
        .filter_map(|(name, shown)| Some((name, serde_json::to_value(shown).ok()?)))
        .collect();
    if !values.is_empty() {
        // The crate's type has only one `example`, which could not say which body it goes with.
        let mut further = Extensions::default();
        further.insert("examples".to_owned(), values.into());
        parameter.extensions = Some(further);
    }
    parameter
}

/// The parameters in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

pub fn body(route: &Route) -> Option<RequestBody> {
    let content = |schema: Schema| -> Content {
        let examples = examples::of(route);
        let examples = examples::values(&examples, |example| example.body.as_ref());
        let content = ContentBuilder::new().schema(Some(schema));
        content.examples_from_iter(examples).build()
    };
    let json = |rows: &[Field], required: Required| {
        RequestBodyBuilder::new()
            .content("application/json", content(object(rows, false)))
            .required(Some(required))
            .build()
    };
    match route.takes {
        Takes::Nothing | Takes::Page => None,
        Takes::Json(rows) | Takes::SomeJson(rows) => Some(json(rows, Required::True)),
        Takes::OptionalJson(rows) => Some(json(rows, Required::False)),
        Takes::Bytes(_) => {
            let file = ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
            let body = RequestBodyBuilder::new()
                .content("application/octet-stream", content(file.build().into()));
            Some(body.required(Some(Required::True)).build())
        }
        Takes::Text(media_type, _) => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let body = RequestBodyBuilder::new().content(media_type, content(text.into()));
            Some(body.required(Some(Required::True)).build())
        }
    }
}

fn object(rows: &[Field], nullable: bool) -> Schema {
    let mut object = ObjectBuilder::new().schema_type(kind(Type::Object, nullable));
    for row in rows {
        object = object.property(row.name, described(row));
        if row.required {
            object = object.required(row.name);
        }
    }
    let closed = AdditionalProperties::FreeForm(false);
    object.additional_properties(Some(closed)).build().into()
}

/// A description stands beside any schema, so it is wrapped rather than built into each kind.
fn described(row: &Field) -> RefOr<Schema> {
    let mut schema = schema(&row.shape, !row.required);
    let about = Some(row.about.to_owned());
    match &mut schema {
        Schema::Object(object) => object.description = about,
        Schema::Array(array) => array.description = about,
        Schema::OneOf(one) => one.description = about,
        _ => {}
    }
    schema.into()
}

/// In a body, `null` is the same as absence.
fn kind(kind: Type, nullable: bool) -> SchemaType {
    if nullable {
        SchemaType::from_iter([kind, Type::Null])
    } else {
        SchemaType::new(kind)
    }
}

fn schema(shape: &Shape, nullable: bool) -> Schema {
    let of = |of: Type| ObjectBuilder::new().schema_type(kind(of, nullable));
    let list = |items: &Shape| {
        ArrayBuilder::new()
            .schema_type(kind(Type::Array, nullable))
            .items(ArrayItems::from(RefOr::T(schema(items, false))))
            .max_items(Some(ITEMS_MAX))
            .build()
            .into()
    };
    match shape {
        Shape::Text(max) => of(Type::String)
            .max_length(Some(*max))
            .pattern(Some(NO_CONTROLS))
            .build()
            .into(),
        Shape::Filled(max) => of(Type::String)
            .min_length(Some(1))
            .max_length(Some(*max))
            .pattern(Some(NO_CONTROLS))
            .build()
            .into(),
        Shape::Word(words) => {
            let words = words.iter().copied().map(Value::from);
            let null = nullable.then_some(Value::Null);
            of(Type::String)
                .enum_values(Some(words.chain(null)))
                .build()
                .into()
        }
        Shape::Time => of(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .build()
            .into(),
        Shape::Bool => of(Type::Boolean).build().into(),
        Shape::Switch => OneOfBuilder::new()
            .item(schema(&Shape::Bool, nullable))
            .item(object(SWITCH, false))
            .build()
            .into(),
        Shape::Integer(least, most) | Shape::Whole(least, most) => of(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(*least))
            .maximum(Some(*most))
            .build()
            .into(),
        Shape::Texts(max) => list(&Shape::Text(*max)),
        Shape::Object(rows) | Shape::Typed(rows, _) => object(rows, nullable),
        Shape::Free => of(Type::Object).build().into(),
        Shape::Any => ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .build()
            .into(),
        Shape::FreeList => list(&Shape::Free),
        Shape::Objects(rows) => list(&Shape::Object(rows)),
        Shape::Prose(max) => of(Type::String).max_length(Some(*max)).build().into(),
        Shape::Lines(max) => of(Type::String)
            .min_length(Some(1))
            .max_length(Some(*max))
            .build()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::openapi::documented;

    #[test]
    fn every_parameter_in_a_path_is_explained() {
        for route in documented() {
            for name in names(route.path) {
                let known = IN_PATH.iter().any(|(known, _)| *known == name);
                assert!(known, "{name} of {}", route.path);
            }
        }
    }
}
