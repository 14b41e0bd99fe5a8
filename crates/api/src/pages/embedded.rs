//! A page that stands in an app's window, or in one that an app opened, and tells it how things go (Datagrid's hosted
//! page, reference/datagrid §2.4). Only then is there a script, one, named by its hash; it speaks to origins that were
//! named, never to whoever listens.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::ids::AuthorizationId;
use grantry_engine::Settings;
use grantry_vault::hash::sha256;
use serde_json::{Value, json};

use super::consent::{Part, address};
use crate::App;
use crate::kit::answer;

const SCRIPT: &str = include_str!("../../templates/embedded.js");

/// Whom a page speaks to, and what it has to say.
pub(super) struct Embedded {
    origins: Vec<String>,
    message: Option<Value>,
    page: String,
}

impl Embedded {
    /// For the page of `id`, which may stand in windows of `origins`.
    pub(super) fn of(
        settings: &Settings,
        id: &AuthorizationId,
        origins: &[String],
        message: Option<Value>,
    ) -> Self {
        // An origin is written as it stands in a header, or it is none.
        let plain = |origin: &&String| {
            origin.starts_with("http")
                && origin
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b";,'\"*".contains(&byte))
        };
        Self {
            origins: origins.iter().filter(plain).cloned().collect(),
            message,
            page: address(settings, id, None),
        }
    }

    /// Separated by blanks.
    fn origins(&self) -> String {
        self.origins.join(" ")
    }

    fn message(&self) -> String {
        self.message
            .as_ref()
            .map_or_else(String::new, Value::to_string)
    }

    fn state(&self) -> String {
        format!("{}/state", self.page)
    }

    /// The element that the script reads, and the script. Everything of others' is an escaped attribute.
    pub(super) fn html(&self) -> String {
        let attribute = |name: &str, value: &str| {
            let value = askama::filters::escape(value, askama::filters::Html);
            let value = value.map_or_else(|_| String::new(), |value| value.to_string());
            format!(" data-{name}=\"{value}\"")
        };
        let attributes = [
            attribute("origins", &self.origins()),
            attribute("message", &self.message()),
            attribute("page", &self.page),
            attribute("state", &self.state()),
        ];
        format!(
            "<div id=\"embedded\" hidden{}></div>\n<script>{SCRIPT}</script>",
            attributes.concat()
        )
    }
}

/// What the content security policy says beside style and forms: scripts, requests, and who may frame the page.
pub(super) fn policy(embedded: Option<&Embedded>) -> String {
    let Some(embedded) = embedded else {
        return "frame-ancestors 'none'".to_owned();
    };
    let hash = STANDARD.encode(sha256(&[SCRIPT.as_bytes()]));
    let ancestors = match embedded.origins.is_empty() {
        true => "'none'".to_owned(),
        false => embedded.origins(),
    };
    format!("script-src 'sha256-{hash}'; connect-src 'self'; frame-ancestors {ancestors}")
}

/// `GET /authorize/{request}/state`: whether a page that waits should look again.
pub(super) async fn state(State(app): State<App>, part: Part) -> Response {
    let id = AuthorizationId::from(part.map(|Path(id)| id).unwrap_or_default());
    // A link that is not known any more is over.
    let over = app.engine.consent_is_over(&id).await;
    match over {
        Ok(over) => answer::json(StatusCode::OK, &json!({ "over": over })),
        Err(grantry_core::Error::NotFound(_)) => {
            answer::json(StatusCode::OK, &json!({ "over": true }))
        }
        Err(_) => answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "over": false })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(origins: &[&str], message: Option<Value>) -> Embedded {
        let public = url::Url::parse("https://connect.example").unwrap();
        let settings = Settings::new(public, "n1".to_owned());
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        Embedded::of(&settings, &"sca_1".into(), &origins, message)
    }

    #[test]
    fn a_page_may_stand_in_the_windows_of_its_origins_only_and_runs_its_own_script_only() {
        let policy = policy(Some(&embedded(
            &["https://app.example", "http://localhost:9"],
            None,
        )));
        assert!(policy.ends_with("frame-ancestors https://app.example http://localhost:9"));
        assert!(policy.starts_with("script-src 'sha256-"), "{policy}");
        assert!(
            !policy.contains('*') && !policy.contains("unsafe-"),
            "{policy}"
        );
        for odd in [
            "null",
            "https://a.example; script-src *",
            "https://a b",
            "*",
        ] {
            let policy = super::policy(Some(&embedded(&[odd], None)));
            assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        }
        assert_eq!(super::policy(None), "frame-ancestors 'none'");
    }

    #[test]
    fn what_others_named_stays_an_attribute() {
        let hostile = "\"><script>alert(1)</script>";
        let html = embedded(&[], Some(json!({ "payload": { "name": hostile } }))).html();
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
        assert!(!SCRIPT.contains("</"));
        assert!(!SCRIPT.contains("'*'") && !SCRIPT.contains("\"*\""));
    }
}
