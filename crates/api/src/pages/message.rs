//! Every text of a page that is not the consent page: what happened, and what to do next.
//!
//! Only fixed words of ours are shown; a provider's words are in the log (requirement 14).

use std::borrow::Cow;

use askama::Template;
use axum::http::StatusCode;
use grantry_core::Error;
use grantry_core::nouns::AuthorizationState;
use grantry_engine::{CallbackRefusal, ConsentResult};
use url::Url;

use super::embedded::Embedded;
use super::look::Look;

/// A page that says something.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message<'a> {
    pub(super) look: Look,
    title: Cow<'a, str>,
    what: Cow<'a, str>,
    next: &'a str,
    good: bool,
    link: Option<Link<'a>>,
    pub(super) embedded: Option<Embedded>,
}

struct Link<'a> {
    href: &'a str,
    label: String,
}

/// Why a visit ends here. The word is the last part of its page's address.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) word: &'static str,
    pub(super) status: StatusCode,
    title: &'static str,
    what: &'static str,
    next: &'static str,
}

macro_rules! stops {
    ($($name:ident = $status:ident $word:literal $title:literal $what:literal $next:literal;)*) => {
        $(pub(super) const $name: &Stop = &Stop {
            word: $word,
            status: StatusCode::$status,
            title: $title,
            what: $what,
            next: $next,
        };)*

        /// All of them.
        pub(super) const STOPS: &[&Stop] = &[$($name,)*];
    };
}

stops! {
    UNKNOWN = NOT_FOUND "unknown"
        "This link is not known"
        "It may have been copied without its last characters."
        "Open the link again from where you got it, or ask for a new link.";
    EXPIRED = GONE "expired"
        "This link has expired"
        "Nobody used it in time, so nothing was connected."
        "Go back to the application and ask for a new link.";
    MALFORMED = BAD_REQUEST "malformed"
        "The answer could not be read"
        "You came back from the provider with an answer that is not in order. Nothing was connected."
        "Open the link from the application again.";
    NOT_WAITING = BAD_REQUEST "not-waiting"
        "This browser is not waiting for an answer"
        "The connection was started in another browser, or more than 10 minutes ago. Nothing was connected just now."
        "Open the link from the application again and finish in this browser.";
    ALREADY_USED = CONFLICT "already-used"
        "This step was done before"
        "An answer of the provider counts once. What it connected stays connected."
        "Look in the application. If it still asks you to connect, open its link again.";
    WRONG_SERVER = BAD_REQUEST "wrong-server"
        "The answer came from an unexpected place"
        "It is not from the provider that you were sent to, so it was not used. Nothing was connected."
        "Open the link from the application again. If you see this twice, tell whoever runs the application.";
    PROVIDER_ERROR = BAD_REQUEST "provider-error"
        "The provider did not go on"
        "It sent you back without saying which request it means. Nothing was connected."
        "Open the link from the application again.";
    UNASKED = BAD_REQUEST "unasked"
        "The application was installed or changed there"
        "That took effect at the provider. No link of an application led you there, so nothing was connected here."
        "To connect it as well, open the link from the application again.";
    OTHER_SITE = FORBIDDEN "other-site"
        "Please press the button yourself"
        "Another website tried to press it for you, so nothing was done."
        "Open the link from the application again and press the button there.";
    BAD_FORM = BAD_REQUEST "bad-form"
        "The form could not be read"
        "Nothing was connected."
        "Open the link from the application again.";
    WRONG_METHOD = METHOD_NOT_ALLOWED "wrong-method"
        "The answer came in a way that is not accepted"
        "The provider is set up to send it as a form, and that is not safe here. Nothing was connected."
        "Tell whoever runs the application, then open its link again.";
    NOT_SET_UP = BAD_GATEWAY "not-set-up"
        "This connection is not set up right"
        "The provider does not accept its settings. Nothing was connected."
        "Tell whoever runs the application, then open its link again.";
    NO_ANSWER = BAD_GATEWAY "no-answer"
        "The provider does not answer"
        "Nothing was connected."
        "Wait a minute, then open the link from the application again.";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable"
        "Not available right now"
        "Nothing was lost."
        "Wait a minute, then open the link from the application again.";
    INTERNAL = INTERNAL_SERVER_ERROR "internal"
        "Something went wrong on our side"
        "It has been noted for whoever runs this server."
        "Open the link from the application again.";
}

impl<'a> Message<'a> {
    /// What happened and what to do next, in words of the caller's.
    pub(super) fn said(good: bool, title: String, what: String, next: &'a str) -> Self {
        Self {
            look: Look::plain(),
            title: title.into(),
            what: what.into(),
            next,
            good,
            link: None,
            embedded: None,
        }
    }

    /// With a link to go on by, where there is one.
    pub(super) fn leading_to(mut self, href: Option<&'a str>, label: &str) -> Self {
        self.link = href.map(|href| Link {
            href,
            label: label.to_owned(),
        });
        self
    }
}

impl Stop {
    /// By the last part of its page's address.
    pub(super) fn from_word(word: &str) -> Option<&'static Self> {
        STOPS.iter().copied().find(|stop| stop.word == word)
    }

    pub(super) fn message(&self) -> Message<'_> {
        Message {
            look: Look::plain(),
            title: self.title.into(),
            what: self.what.into(),
            next: self.next,
            good: false,
            link: None,
            embedded: None,
        }
    }
}

impl From<CallbackRefusal> for &'static Stop {
    fn from(refusal: CallbackRefusal) -> Self {
        match refusal {
            CallbackRefusal::Malformed => MALFORMED,
            CallbackRefusal::NotWaiting => NOT_WAITING,
            CallbackRefusal::AlreadyUsed => ALREADY_USED,
            CallbackRefusal::WrongServer => WRONG_SERVER,
            CallbackRefusal::ProviderError => PROVIDER_ERROR,
            CallbackRefusal::Unasked => UNASKED,
        }
    }
}

impl From<&Error> for &'static Stop {
    fn from(error: &Error) -> Self {
        match error {
            Error::NotFound(_) => UNKNOWN,
            Error::Gone(_) => EXPIRED,
            Error::Conflict { .. } => ALREADY_USED,
            Error::Invalid(_) | Error::Body(_) => BAD_FORM,
            Error::MethodNotAllowed => WRONG_METHOD,
            Error::Unresolvable { .. } | Error::DestinationRefused | Error::ConnectorFault => {
                NOT_SET_UP
            }
            Error::Provider { .. } => NO_ANSWER,
            Error::RateLimited { .. } | Error::Busy { .. } | Error::Unavailable | Error::Full => {
                UNAVAILABLE
            }
            // The pages ask for nothing that needs a key or a connection; the one that asks for a key tells of it itself.
            Error::Unauthenticated
            | Error::Forbidden(_)
            | Error::AuthorizationRequired(_)
            | Error::InstallationRequired(_)
            | Error::Internal => INTERNAL,
        }
    }
}

/// How a consent ended.
pub(super) fn ended(result: &ConsentResult) -> Message<'_> {
    let ConsentResult {
        service, requester, ..
    } = result;
    let good = matches!(result.state, AuthorizationState::Success { .. });
    let (title, what, next) = match &result.state {
        AuthorizationState::Success { .. } if result.installation.is_some() => (
            format!("Installed in {service}").into(),
            format!("{requester} can now work in your organization's {service}.").into(),
            "You can close this window.",
        ),
        AuthorizationState::Success { .. } => (
            format!("{service} is connected").into(),
            format!("{requester} can now use your {service} account.").into(),
            "You can close this window.",
        ),
        AuthorizationState::Canceled => (
            "Nothing was connected".into(),
            format!("{requester} was told no and cannot use your {service} account.").into(),
            "If that was not meant, ask for a new link in the application.",
        ),
        AuthorizationState::Error { code } => {
            let (what, next) = explain(code);
            ("Nothing was connected".into(), what.into(), next)
        }
        AuthorizationState::Unconfirmed => (
            format!("{service} is not connected yet").into(),
            format!("You said yes. {requester} has to confirm that it was you who asked.").into(),
            "Go back to the application: it goes on there.",
        ),
        AuthorizationState::Pending => (
            format!("{service} is not connected yet").into(),
            "Nobody has decided yet.".into(),
            "Open the link from the application again.",
        ),
    };
    let link = result.return_url.as_deref().map(|href| Link {
        href,
        label: match Url::parse(href).ok().as_ref().and_then(Url::host_str) {
            Some(host) => format!("Return to {host}"),
            None => "Return".to_owned(),
        },
    });
    Message {
        look: Look::plain(),
        title,
        what,
        next,
        good,
        link,
        embedded: None,
    }
}

/// What an OAuth error code means to the person in front of the page, and what helps.
fn explain(code: &str) -> (&'static str, &'static str) {
    match code {
        "invalid_scope" | "invalid_target" => (
            "The provider does not know what was asked for.",
            "Tell whoever runs the application, then ask for a new link.",
        ),
        "invalid_client"
        | "unauthorized"
        | "unauthorized_client"
        | "invalid_request"
        | "unsupported_response_type" => (
            "The provider does not accept how this connection is set up.",
            "Tell whoever runs the application, then ask for a new link.",
        ),
        "no_installation" => (
            "The provider did not say where the application was installed.",
            "Tell whoever runs the application, then ask for a new link.",
        ),
        "other_installation" | "other_tenant" => (
            "You chose another organization than the one that was asked for.",
            "Ask for a new link in the application, and choose the right one.",
        ),
        "foreign_installation" => (
            "The provider says that this installation is not one of yours.",
            "Ask for a new link in the application, and sign in as somebody who works with that organization.",
        ),
        "not_an_administrator" => (
            "You are no administrator of this organization.",
            "Ask for a new link in the application, and give it to an administrator.",
        ),
        "roles_unsaid" => (
            "The provider does not tell whether you are an administrator of this organization.",
            "Tell whoever runs the application: its registration at the provider has to tell of directory roles (groupMembershipClaims).",
        ),
        "suspended" => (
            "The application is suspended in this organization.",
            "Whoever runs the application has suspended it there. Ask them to lift that, then for a new link.",
        ),
        "not_granted" => (
            "The application has no access where it was installed.",
            "Tell whoever runs the application, then ask for a new link.",
        ),
        "expired" => (
            "Nobody decided in time.",
            "Ask for a new link in the application.",
        ),
        "server_error" | "temporarily_unavailable" => (
            "The provider has a problem of its own.",
            "Wait a minute, then ask for a new link in the application.",
        ),
        _ => (
            "The provider ended the request.",
            "Ask for a new link in the application. If this happens again, tell whoever runs it.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_says_what_to_do_next_and_is_found_by_its_word() {
        for stop in STOPS {
            assert_eq!(Stop::from_word(stop.word).unwrap().title, stop.title);
            assert!(stop.status.is_client_error() || stop.status.is_server_error());
            assert!(
                stop.next.contains("again") || stop.next.contains("new link"),
                "{}",
                stop.word
            );
            assert!(
                stop.word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            );
        }
        let mut words: Vec<_> = STOPS.iter().map(|stop| stop.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), STOPS.len());
        assert!(Stop::from_word("<script>").is_none());
    }

    #[test]
    fn requirement_14_no_code_of_a_provider_is_shown() {
        for code in [
            "access_denied",
            "invalid_scope",
            "server_error",
            "weird.word-of-theirs",
        ] {
            let result = ConsentResult {
                state: AuthorizationState::Error {
                    code: code.to_owned(),
                },
                ..super::super::tests::result()
            };
            let html = ended(&result).render().unwrap();
            assert!(!html.contains(code), "{code}");
            assert!(html.contains("new link"), "{code}");
        }
    }
}
