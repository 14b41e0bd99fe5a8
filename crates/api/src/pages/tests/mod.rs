//! - `shown`: what the pages show and send, without a server behind them.
//! - `walks`: a browser walks through the pages of a whole server, which is in `server`.
//! - `sheet`: every page as a file, for people to look at.

mod server;
mod sheet;
mod shown;
mod walks;

use axum::body::to_bytes;
use axum::response::Response;
use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::AuthorizationState;
use grantry_engine::{Consent, ConsentPage, ConsentResult, Settings};
use url::Url;

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror='x'>&{{7*7}}\u{202e}";

fn settings() -> Settings {
    Settings::new(
        Url::parse("https://connect.example").unwrap(),
        "n1".to_owned(),
    )
}

fn page() -> ConsentPage {
    ConsentPage {
        id: AuthorizationId::from("sca_1"),
        requester: "Support desk · Acme".to_owned(),
        connector: "Acme GitHub".to_owned(),
        service: "GitHub".to_owned(),
        subject: "dana@acme.example".to_owned(),
        environment: "production".to_owned(),
        scopes: vec!["repo".to_owned(), "read:user".to_owned()],
        install: false,
        device_code: None,
        provider_origin: Some("https://github.com".to_owned()),
        paste: None,
        icon: None,
        background_color: None,
        accent_color: None,
        return_url: Some("https://desk.acme.example/done?tab=1".to_owned()),
        embedded_in: None,
    }
}

pub(super) fn result() -> ConsentResult {
    ConsentResult {
        id: AuthorizationId::from("sca_1"),
        state: AuthorizationState::Success {
            connection: "conn_1".into(),
        },
        connector: "scl_1".to_owned(),
        requester: "Support desk · Acme".to_owned(),
        service: "GitHub".to_owned(),
        return_url: Some("https://desk.acme.example/done?tab=1".to_owned()),
        code: None,
        link: false,
        embedded_in: None,
        asked_at: grantry_core::Timestamp(0),
        installation: None,
    }
}

fn ask(page: ConsentPage) -> Consent {
    Consent::Ask(Box::new(page))
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn html(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}
