//! The OpenAPI document, made from the route table: what it says of paths, parameters, bodies, answers and
//! credentials is what the router does. Pages are not in it.

mod answers;
mod asked;
mod examples;

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, OperationBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
    RefOr, Schema, ServerBuilder,
};

pub use answers::{Describe, describe};

use super::dialect::Dialect;
use super::route::{Access, Method, Route};
use crate::{all_routes, pages};

const BEARER: &str = "bearer";

/// The schemas that others refer to, by name.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The document of a server at `url`.
pub fn document(url: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Grantry")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The native API is under /api/v1; the other paths speak the APIs of other vendors.",
        ));
    let mut schemas = Schemas::new();
    let paths = documented().fold(PathsBuilder::new(), |paths, route| {
        let method = match route.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Put => HttpMethod::Put,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        let item = PathItem::new(method, operation(route, &mut schemas));
        paths.path(route.path, item)
    });
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, bearer)
        .schemas_from_iter(schemas)
        .build();
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url(url).build()]))
        .paths(paths.build())
        .components(Some(components))
        .build()
}

/// The routes that programs call.
pub fn documented() -> impl Iterator<Item = &'static Route> {
    let page = |route: &Route| pages::ROUTES.iter().any(|page| page.path == route.path);
    all_routes().filter(move |route| !page(route))
}

fn operation(route: &Route, schemas: &mut Schemas) -> Operation {
    let tag = match route.dialect() {
        Dialect::Native => "native",
        Dialect::Vercel => "vercel",
        Dialect::Sequin => "sequin",
        Dialect::Cohere => "cohere",
        Dialect::Datagrid => "datagrid",
    };
    let operation = OperationBuilder::new()
        .operation_id(Some(route.operation))
        .summary(Some(route.about))
        .tag(tag)
        .parameters(Some(asked::parameters(route)))
        .request_body(asked::body(route))
        .responses(answers::responses(route, schemas));
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kit::route::Body;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let text = document("http://127.0.0.1:8787").to_json().unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let paths = document["paths"].as_object().unwrap();
        let mut told: Vec<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let operations = item.as_object().unwrap().keys();
                operations.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let mut routed: Vec<(String, String)> = documented()
            .map(|route| (route.method.as_str().to_owned(), route.path.to_owned()))
            .collect();
        told.sort();
        routed.sort();
        assert_eq!(told, routed);
    }

    #[test]
    fn every_native_answer_says_what_it_holds() {
        for route in documented().filter(|route| route.dialect() == Dialect::Native) {
            let said = match route.gives.body {
                Body::Nothing => route.gives.status == 204,
                Body::Json(_) | Body::Text(_) => route.gives.status != 204,
                Body::Unsaid => false,
            };
            assert!(
                said,
                "{}: .json::<wire::…>, .text or .nothing",
                route.operation
            );
        }
    }

    #[test]
    fn the_checked_in_document_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        let document = document("http://127.0.0.1:8787").to_pretty_json().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the developer's wish")]
        let update = std::env::var("UPDATE_DOCS").is_ok();
        if update {
            return std::fs::write(path, document + "\n").unwrap();
        }
        assert!(
            checked_in.trim_end() == document,
            "docs/openapi.json is not what the routes say: cargo run -p grantry -- openapi > docs/openapi.json, or UPDATE_DOCS=1"
        );
    }

    #[test]
    fn no_two_schemas_have_one_name() {
        // What a name stands for must not depend on which route came last.
        let mut all = Schemas::new();
        for route in documented() {
            let mut own = Schemas::new();
            operation(route, &mut own);
            for (name, schema) in own {
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                assert!(plain, "{name} of {}", route.operation);
                let before = all.entry(name.clone()).or_insert_with(|| schema.clone());
                assert!(*before == schema, "{name} of {}", route.operation);
            }
        }
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
