//! What every token endpoint is asked with, whoever's it is.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::ACCEPT;

use super::client_auth::Credentials;
use super::{Pairs, is_form};
use crate::faults::Endpoint;
use crate::sandbox::Visit;

/// A request to a token endpoint.
pub(super) struct TokenRequest {
    pub form: Pairs,
    /// Whether the body says that it is a form.
    pub is_form: bool,
    /// Whether it asks for JSON.
    pub wants_json: bool,
    pub credentials: Credentials,
    query: Pairs,
    echo: String,
}

impl TokenRequest {
    pub(super) fn visit(&self) -> Visit<'_> {
        Visit {
            endpoint: Endpoint::Token,
            client_id: self.credentials.id.as_deref(),
            grant_type: self.form.get("grant_type"),
            refresh_token: self.form.get("refresh_token"),
            query: &self.query.0,
            echo: &self.echo,
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for TokenRequest {
    type Rejection = BytesRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, BytesRejection> {
        let headers = request.headers().clone();
        let query = Pairs::query(request.uri());
        let body = Bytes::from_request(request, state).await?;
        let form = Pairs::parse(&body);
        let credentials = Credentials::read(&headers, &form);
        let echo = format!("{} {}", credentials.echo(), String::from_utf8_lossy(&body));
        Ok(Self {
            form,
            is_form: is_form(&headers),
            wants_json: headers
                .get(ACCEPT)
                .and_then(|types| types.to_str().ok())
                .is_some_and(|types| types.contains("json")),
            credentials,
            query,
            echo,
        })
    }
}
