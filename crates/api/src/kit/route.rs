//! The route table. Its rows feed the router, the OpenAPI document and the refusal test, so that none
//! of them can know an endpoint that the others do not.

use axum::routing::{MethodFilter, MethodRouter};
use grantry_core::limits::{Bound, Limits};
use grantry_engine::permissions::{Act, Scope};
use utoipa::ToSchema;

use super::dialect::Dialect;
use super::fields::Field;
use super::openapi::{Describe, describe};
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
    /// Query parameters beside the team's. Unknown ones are ignored, except where the native API changes
    /// something.
    pub query: &'static [Field],
    /// What its body holds.
    pub takes: Takes,
    /// What success is answered with.
    pub gives: Gives,
    /// Another status of success, and when it is that one. Its body is the same.
    pub or: Option<(u16, &'static str)>,
    /// Statuses of refusals that do not follow from the rest of the row ([`Route::refusals`]).
    pub refuses: &'static [u16],
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
    /// The same, among others that are not looked at.
    SomeJson(&'static [Field]),
    /// A JSON object with these fields, or nothing at all.
    OptionalJson(&'static [Field]),
    /// Text of this content type, of at most so many bytes, by this setting.
    Text(&'static str, fn(&Limits) -> Bound),
    /// A file of whatever content type, of at most so many bytes, by this setting.
    Bytes(fn(&Limits) -> Bound),
    /// Whatever the page's own handler takes.
    Page,
}

/// What success is answered with.
#[derive(Clone, Copy)]
pub struct Gives {
    /// Its status.
    pub status: u16,
    /// What it is, for people.
    pub what: &'static str,
    /// What its body is.
    pub body: Body,
}

/// What an answer's body is.
#[derive(Clone, Copy)]
pub enum Body {
    /// There is none.
    Nothing,
    /// JSON of this schema, which is made from the type that is written.
    Json(Describe),
    /// Text of this content type.
    Text(&'static str),
    /// The document does not say.
    Unsaid,
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
            gives: Gives {
                status: 200,
                what: "Done.",
                body: Body::Unsaid,
            },
            or: None,
            refuses: &[],
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

    /// Names its answer, and leaves open what is in it (pages, answers in the words of others).
    #[must_use]
    pub const fn gives(self, status: u16, what: &'static str) -> Self {
        self.answer(status, what, Body::Unsaid)
    }

    /// Names an answer that is JSON as `T` says it.
    #[must_use]
    pub const fn json<T: ToSchema>(self, status: u16, what: &'static str) -> Self {
        self.answer(status, what, Body::Json(describe::<T>))
    }

    /// Names an answer that is text of this content type.
    #[must_use]
    pub const fn text(self, media_type: &'static str, what: &'static str) -> Self {
        self.answer(200, what, Body::Text(media_type))
    }

    /// Says that success has nothing to show.
    #[must_use]
    pub const fn nothing(self, what: &'static str) -> Self {
        self.answer(204, what, Body::Nothing)
    }

    const fn answer(self, status: u16, what: &'static str, body: Body) -> Self {
        let gives = Gives { status, what, body };
        Self { gives, ..self }
    }

    /// Names another status of success, with the same body.
    #[must_use]
    pub const fn or(self, status: u16, when: &'static str) -> Self {
        let or = Some((status, when));
        Self { or, ..self }
    }

    /// Names the statuses of refusals that do not follow from the rest of the row: 409 where something
    /// can be taken already, 422, 502 and 504 where a provider is asked.
    #[must_use]
    pub const fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    /// Every status that a refusal of a native route can have, in order.
    pub fn refusals(&self) -> Vec<u16> {
        let mut statuses = self.refuses.to_vec();
        let in_path = self.path.contains('{');
        statuses.push(500);
        if let Access::Act(act) = self.access {
            statuses.extend([401, 403, 503, 507]);
            if act.scope() == Scope::Team {
                // `limits.team_requests_per_minute`.
                statuses.push(429);
            }
            if matches!(act.scope(), Scope::Team | Scope::Account) {
                // The team or the account that the request names, or has to.
                statuses.extend([400, 404]);
            }
        }
        if in_path {
            statuses.extend([400, 404]);
        }
        if !self.query.is_empty() {
            statuses.push(400);
        }
        if self.takes_idempotency_key() {
            statuses.extend([400, 409]);
        }
        if !matches!(self.takes, Takes::Nothing | Takes::Page) {
            statuses.extend([400, 413, 415]);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// Whether an answer of this status is one that the document tells of.
    pub fn tells_of(&self, status: u16) -> bool {
        self.gives.status == status
            || self.or.is_some_and(|(or, _)| or == status)
            || self.refusals().contains(&status)
    }

    /// Whether a request may name an `Idempotency-Key`: the native API's writes, and what Datagrid's API makes. A
    /// token is read, though by POST: an answer that is kept would outlive the connection, and give out a token that
    /// nobody counts.
    pub fn takes_idempotency_key(&self) -> bool {
        let takes = match self.dialect() {
            Dialect::Native => self.method != Method::Get,
            Dialect::Datagrid => self.method == Method::Post,
            Dialect::Vercel | Dialect::Sequin | Dialect::Cohere => false,
        };
        takes
            && matches!(self.access, Access::Act(act) if !matches!(act, Act::ReadToken | Act::MintWorkloadTokens))
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
