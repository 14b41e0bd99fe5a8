//! HTTP: the native API, the dialects of other vendors, and the pages for people.
//!
//! A dialect only translates; the engine decides. Every endpoint is a row of the route table
//! ([`kit::route`]), from which the router, the OpenAPI document and the refusal test are made.

mod clients;
pub mod dialects;
pub mod kit;
pub mod native;
pub mod pages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use grantry_core::Error;
use grantry_engine::Engine;

use kit::dialect::Dialect;
use kit::edge::Edge;
use kit::route::Route;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// True for the control socket: whoever may open it is the operator, and needs no bearer.
    pub local: bool,
}

/// The whole route table.
pub fn all_routes() -> impl Iterator<Item = &'static Route> {
    native::tables()
        .chain([
            dialects::vercel::ROUTES,
            dialects::vercel::flows::ROUTES,
            dialects::vercel::provision::ROUTES,
            dialects::vercel::gateway::ROUTES,
            dialects::vercel::intake::ROUTES,
            dialects::vercel::lists::ROUTES,
            dialects::vercel::changes::ROUTES,
            dialects::vercel::files::ROUTES,
            dialects::vercel::managed::ROUTES,
            dialects::vercel::services::ROUTES,
            dialects::vercel::support::ROUTES,
            dialects::sequin::ROUTES,
            dialects::cohere::ROUTES,
            dialects::datagrid::PROVIDERS,
            dialects::datagrid::CONNECTIONS,
            dialects::datagrid::ORGANIZATION,
            clients::ROUTES,
            pages::ROUTES,
        ])
        .flatten()
}

/// The service for one listener. Unknown paths and wrong methods are answered in the shape of their prefix.
pub fn router(app: App) -> Router {
    let edge = Edge::of(&app.engine);
    all_routes()
        .fold(Router::new(), |router, route| {
            let spellings = route.dialect().spellings(route.path);
            spellings.iter().fold(router, |router, path| {
                router.route(path, (route.handler)(route))
            })
        })
        .fallback(async |request: Request| refuse(&request, &Error::NotFound("path")))
        .method_not_allowed_fallback(async |request: Request| {
            refuse(&request, &Error::MethodNotAllowed)
        })
        .layer(edge)
        .with_state(app)
}

/// The answer to a request that no route sees, in the shape of its prefix.
pub fn refuse(request: &Request, error: &Error) -> Response {
    Dialect::of(request.uri().path()).refuse(error)
}
