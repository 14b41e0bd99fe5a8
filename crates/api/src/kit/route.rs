//! The route table. Its rows feed the router, the OpenAPI document and the refusal test, so that none
//! of them can know an endpoint that the others do not.

use axum::routing::{MethodFilter, MethodRouter};
use grantry_core::limits::Limits;
use grantry_engine::permissions::Act;

use super::dialect::Dialect;
use super::fields::Field;
use crate::App;

/// One endpoint.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path in the router's notation: `/v1/connect/connectors/{connector}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its operation id, unique in the table.
    pub operation: &'static str,
    /// One sentence for people.
    pub about: &'static str,
    /// Query parameters beside the team's. Unknown ones are ignored.
    pub query: &'static [Field],
    /// What its body holds.
    pub takes: Takes,
    /// Status of success, and what the answer is.
    pub gives: (u16, &'static str),
    /// Makes its handler: `|route| call(route, …)` for an API call, any axum handler for a page.
    pub handler: fn(&'static Route) -> MethodRouter<App>,
}

/// Methods of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and with it HEAD.
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, for this reason.
    Public(&'static str),
    /// Callers whose standing includes the act (`grantry_engine::permissions`).
    Act(Act),
}

/// What a route's body is.
#[derive(Clone, Copy)]
pub enum Takes {
    /// It has none; what is sent is not read.
    Nothing,
    /// A JSON object with these fields.
    Json(&'static [Field]),
    /// The same, or nothing at all.
    OptionalJson(&'static [Field]),
    /// Text of this content type, of at most so many bytes.
    Text(&'static str, fn(&Limits) -> usize),
    /// Whatever the page's own handler takes.
    Page,
}

impl Route {
    /// A row. What is not said: no query, no body, an answer of 200.
    pub const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        operation: &'static str,
        handler: fn(&'static Self) -> MethodRouter<App>,
    ) -> Self {
        Self {
            method,
            path,
            access,
            operation,
            about: "",
            query: &[],
            takes: Takes::Nothing,
            gives: (200, "Done."),
            handler,
        }
    }

    /// Says what it does.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Names its query parameters.
    #[must_use]
    pub const fn query(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    /// Names its body.
    #[must_use]
    pub const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Names its answer.
    #[must_use]
    pub const fn gives(self, status: u16, what: &'static str) -> Self {
        Self {
            gives: (status, what),
            ..self
        }
    }

    /// The dialect of its path.
    pub fn dialect(&self) -> Dialect {
        Dialect::of(self.path)
    }
}

impl Method {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// As the router takes it.
    pub const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}
