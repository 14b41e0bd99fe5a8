//! What an answer of the token endpoint, or its absence, says about the grant that was presented.
//!
//! This is the table of design §6d. Only an explicit answer may end a grant, so every doubt is [`Outcome::Unknown`].

use std::borrow::Cow;
use std::time::Duration;

use grantry_core::{
    Timestamp,
    http::{Failure, Response, Silence},
};
use serde_json::Value;

use super::{TokenSet, body};
use crate::{
    providers::{Meaning, Quirks, meaning},
    retry_after::retry_after,
    text::{self, Redaction},
};

/// What became of the grant (refresh token, code, assertion) that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server did not get to it: it may be presented again as if nothing had happened.
    NotProcessed {
        /// The server's own wish, 1 s to 1 h.
        retry_after: Option<Duration>,
    },
    /// It may have been used up, and a new pair may be lost.
    Unknown,
    /// The server says that it is dead.
    Rejected,
    /// The server refuses the client, not the grant: the connector's owner must act.
    ClientFault,
    /// The server, or our policy, refuses the request for another reason. The grant is untouched; repeating the request
    /// unchanged cannot help.
    Config,
}

/// An exchange that brought no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct TokenError {
    /// What became of the grant.
    pub outcome: Outcome,
    /// One word, `[a-z0-9_.-]{1,64}`: a code of the server or one of ours.
    code: Cow<'static, str>,
    /// The server's text without our secrets and control characters, at most 200 characters, or ours.
    pub detail: String,
    /// True when no answer came in time.
    pub timeout: bool,
}

/// The code of an error that is no word.
const UNRECOGNISED: &str = "unrecognised";

impl TokenError {
    fn new(outcome: Outcome, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            code: Cow::Borrowed(code),
            detail: detail.into(),
            timeout: false,
        }
    }

    /// The answer is no token answer; a rotated token may be lost in it.
    fn invalid(detail: &'static str) -> Self {
        Self::new(Outcome::Unknown, "invalid_response", detail)
    }

    /// One word, `[a-z0-9_.-]{1,64}`: for logs and events.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The code if it is one of ours or a registered one, else `unrecognised`: for answers to callers.
    pub fn fixed_code(&self) -> &'static str {
        match self.code {
            Cow::Borrowed(code) => code,
            Cow::Owned(_) => UNRECOGNISED,
        }
    }

    /// Whether the server said so in a word of OAuth, rather than by a status or a redirect alone.
    pub fn is_said(&self) -> bool {
        !matches!(
            &*self.code,
            "redirect" | "http_error" | "destination_refused"
        )
    }

    /// Whether the client is known and only may not use this grant type (RFC 6749 §5.2): nothing that its refreshes
    /// would have to rest for.
    pub fn is_about_the_grant_type(&self) -> bool {
        self.code == "unauthorized_client"
    }
}

/// Reads what came of a request to the token endpoint.
///
/// `redaction` is made from the request before it is sent, `now` is the wall clock (for a `Retry-After` date).
pub fn parse(
    result: Result<Response, Failure>,
    quirks: &Quirks,
    redaction: &Redaction,
    now: Timestamp,
) -> Result<TokenSet, TokenError> {
    let response = result.map_err(silence)?;
    let wait = retry_after(&response, now);
    let not_processed = Outcome::NotProcessed { retry_after: wait };
    let http = format!("HTTP {}", response.status);
    match response.status {
        200..=299 => granted(&response, quirks, redaction, wait),
        // Never followed (requirement 47). An answer that points elsewhere did not process what it was sent.
        300..=399 => Err(TokenError::new(Outcome::Config, "redirect", http)),
        408 => Err(TokenError::new(Outcome::Unknown, "request_timeout", http)),
        425 | 429 => Err(TokenError::new(not_processed, "rate_limited", http)),
        400..=499 => Err(refused(&response, quirks, redaction, wait)),
        503 if wait.is_some() => Err(TokenError::new(not_processed, "unavailable", http)),
        _ => Err(TokenError::new(Outcome::Unknown, "server_error", http)),
    }
}

fn silence(failure: Failure) -> TokenError {
    let (outcome, code) = match failure {
        Failure::Refused => (Outcome::Config, "destination_refused"),
        Failure::NotSent => (Outcome::NotProcessed { retry_after: None }, "unreachable"),
        Failure::Unknown(Silence::Timeout) => (Outcome::Unknown, "timeout"),
        Failure::Unknown(Silence::Cut) => (Outcome::Unknown, "cut"),
        Failure::Unknown(Silence::BadBody) => (Outcome::Unknown, "invalid_response"),
        Failure::Unknown(Silence::Redirect) => (Outcome::Config, "redirect"),
    };
    TokenError {
        timeout: failure == Failure::Unknown(Silence::Timeout),
        ..TokenError::new(outcome, code, failure.to_string())
    }
}

fn granted(
    response: &Response,
    quirks: &Quirks,
    redaction: &Redaction,
    wait: Option<Duration>,
) -> Result<TokenSet, TokenError> {
    let members = body::members(response, quirks.form_response)
        .ok_or_else(|| TokenError::invalid("the answer is not one JSON object"))?;
    let denied = is_text(members.get("error")) || members.get("ok") == Some(&Value::Bool(false));
    let error = said(&members, quirks);
    let at = members.pointer(quirks.token_at);
    let tokens = match at.filter(|part| !quirks.token_of_user || part.get("access_token").is_some())
    {
        Some(part) => part,
        None if quirks.token_of_user => &members,
        None => &Value::Null,
    };
    let read = TokenSet::read(tokens, quirks).map(|mut set| {
        if quirks.token_of_user {
            set.keep_beside(&members);
        }
        set
    });
    match (read, error) {
        (Ok(_), _) if denied => Err(TokenError::invalid("both a token and an error")),
        (Ok(tokens), _) => Ok(tokens),
        // A code that nobody knows, under a status that says success: it may mean anything.
        (Err(_), Some(said)) => Err(said.classify(quirks, redaction, wait, Outcome::Unknown)),
        (Err(_), None) if denied => Err(TokenError::new(Outcome::Unknown, UNRECOGNISED, "")),
        (Err(problem), None) => Err(TokenError::invalid(problem)),
    }
}

fn refused(
    response: &Response,
    quirks: &Quirks,
    redaction: &Redaction,
    wait: Option<Duration>,
) -> TokenError {
    let members = body::members(response, quirks.form_response);
    match members.and_then(|members| said(&members, quirks)) {
        Some(said) => said.classify(quirks, redaction, wait, Outcome::Config),
        // RFC 6749 §5.2 has no other use for 401. But whether it is the server's word about the client, or that of a
        // gateway before it, is not known.
        None if response.status == 401 => {
            TokenError::new(Outcome::ClientFault, "unauthorized", "HTTP 401")
        }
        None => {
            let detail = format!("HTTP {} without an OAuth error", response.status);
            TokenError::new(Outcome::Config, "http_error", detail)
        }
    }
}

/// An error as the server put it.
struct Said {
    code: String,
    text: String,
}

fn is_text(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty())
}

fn said(members: &Value, quirks: &Quirks) -> Option<Said> {
    let first = |pointers: &[&str]| {
        let mut texts = pointers.iter().filter_map(|p| members.pointer(p)?.as_str());
        texts.find(|text| !text.is_empty()).map(str::to_owned)
    };
    Some(Said {
        code: first(quirks.error_at)?,
        text: first(quirks.error_text_at).unwrap_or_default(),
    })
}

impl Said {
    /// By the table of codes; `otherwise` for a code that is not in it.
    fn classify(
        self,
        quirks: &Quirks,
        redaction: &Redaction,
        retry_after: Option<Duration>,
        otherwise: Outcome,
    ) -> TokenError {
        let known = text::code(&self.code).and_then(|code| meaning(quirks.codes, &code));
        let outcome = match known {
            Some((_, Meaning::Rejected)) => Outcome::Rejected,
            Some((_, Meaning::ClientFault)) => Outcome::ClientFault,
            Some((_, Meaning::Config)) => Outcome::Config,
            Some((_, Meaning::NotProcessed)) => Outcome::NotProcessed { retry_after },
            Some((_, Meaning::Unknown)) => Outcome::Unknown,
            None => otherwise,
        };
        let code = match known {
            Some((code, _)) => Cow::Borrowed(code),
            // Scrubbed: a server may put our secret where its code belongs.
            None => text::code(&redaction.scrub(&self.code))
                .map_or(Cow::Borrowed(UNRECOGNISED), Cow::Owned),
        };
        TokenError {
            outcome,
            code,
            detail: redaction.scrub(&self.text),
            timeout: false,
        }
    }
}
