//! Every page as a file.

use std::path::Path;

use grantry_core::nouns::AuthorizationState;
use grantry_engine::{Consent, ConsentPage, ConsentResult};

use super::super::consent::{Notice, cancelling, shown, stopped};
use super::super::message::STOPS;
use super::{HOSTILE, ask, header, html, page, result, settings};

#[tokio::test]
#[ignore = "writes every page and its policy into target/pages, for people to look at"]
async fn write_the_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pages");
    std::fs::create_dir_all(&folder).unwrap();
    let many = (1..=14)
        .map(|n| format!("https://www.googleapis.com/auth/some.long.scope.{n}.readonly"))
        .collect();
    let consent = |page, notice| shown(&settings(), &ask(page), notice);
    let paste = Some(
        "1. Open your workspace settings.\n2. Choose API keys, then Create.\n3. Copy the key."
            .to_owned(),
    );
    let mut pages = vec![
        ("consent".to_owned(), consent(page(), None)),
        ("consent-minimal".to_owned(), consent(ConsentPage { scopes: vec![], return_url: None, ..page() }, None)),
        ("consent-full".to_owned(), consent(ConsentPage {
            environment: "preview".to_owned(),
            device_code: Some("ABCD-EF23".to_owned()),
            icon: Some("https://connect.example/icons/team_1/0".to_owned()),
            background_color: Some("#ffe01b".to_owned()),
            accent_color: Some("#7a1fa2".to_owned()),
            ..page()
        }, None)),
        ("consent-long".to_owned(), consent(ConsentPage {
            requester: "The extraordinarily long project name of somebody · A team with a name that does not end".to_owned(),
            service: "Google Workspace for Enterprises".to_owned(),
            connector: "google-workspace-for-enterprises/production-eu-west".to_owned(),
            subject: "0195f1c2a7b84cc0a1b2c3d4e5f60718@users.some-identity-provider.example".to_owned(),
            accent_color: Some("#ffe01b".to_owned()),
            scopes: many,
            ..page()
        }, None)),
        ("consent-again".to_owned(), consent(page(), Some(Notice::TryAgain))),
        ("consent-other".to_owned(), consent(page(), Some(Notice::OtherAccount))),
        ("consent-approval".to_owned(), consent(page(), Some(Notice::Approval))),
        ("paste".to_owned(), consent(ConsentPage { paste, provider_origin: None, ..page() }, None)),
        ("hostile".to_owned(), consent(ConsentPage { requester: HOSTILE.to_owned(), service: HOSTILE.to_owned(), ..page() }, None)),
        ("cancel".to_owned(), cancelling(&settings(), &page())),
        ("ended-good".to_owned(), shown(&settings(), &Consent::Ended(Box::new(result())), None)),
        ("ended-no".to_owned(), shown(&settings(), &Consent::Ended(Box::new(ConsentResult { state: AuthorizationState::Canceled, return_url: None, ..result() })), None)),
    ];
    pages.extend(
        STOPS
            .iter()
            .map(|stop| (format!("stop-{}", stop.word), stopped(stop))),
    );
    for (name, response) in pages {
        let policy = header(&response, "content-security-policy").to_owned();
        std::fs::write(folder.join(format!("{name}.csp")), policy).unwrap();
        std::fs::write(folder.join(format!("{name}.html")), html(response).await).unwrap();
    }
}
