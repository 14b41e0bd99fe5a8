//! From checked bodies to what the engine takes.

use std::time::Duration;

use grantry_core::nouns::{Actor, ConnectorType, Environment, Scopes, Subject, TriggerDestination};
use grantry_core::store::{ConnectorFilter, ConnectorSort};
use grantry_core::{Error, Problem, Result};
use grantry_engine::{AskConsent, AskToken, Caller, ConnectorChange, NewConnector, NewLink};

use super::fields::SUBJECT_TYPES;
use crate::kit::fields::{Fields, present};
use crate::kit::subject::{self, Named};

/// A1's body.
pub fn connector(mut body: Fields) -> Result<NewConnector> {
    let project = present(body.take_text("projectId"));
    let environments = body.take_texts("environments").map(environments);
    if environments.is_some() && project.is_none() {
        return Err(Error::invalid("environments", "needs projectId"));
    }
    let trigger_destination = match body.take_object("triggerDestination") {
        Some(fields) => Some(destination(fields, project.as_deref())?),
        None => None,
    };
    let params = body.take_map("params").unwrap_or_default();
    let wrong = params
        .iter()
        .filter(|(_, value)| value.as_str().is_none_or(|text| text.len() > 256));
    let wrong: Vec<_> = wrong
        .map(|(key, _)| {
            Problem::new(
                format!("params.{key}"),
                "must be a string of at most 256 bytes",
            )
        })
        .collect();
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    Ok(NewConnector {
        id: None,
        connection_method: present(body.take_text("connectionMethod")),
        params,
        target: present(body.take_text("target")),
        kind: body.take_text("type").unwrap_or_default(),
        uid: body.take_text("uid"),
        name: body.take_text("name"),
        service: body.take_text("service"),
        data: body.take_map("data").unwrap_or_default(),
        link: project.map(|project| NewLink {
            project,
            environments,
        }),
        triggers_enabled: body.flag("triggers").unwrap_or_default(),
        events: body.take_texts("events").unwrap_or_default(),
        trigger_destination,
        icon: present(body.take_text("icon")),
        background_color: present(body.take_text("backgroundColor")),
        accent_color: present(body.take_text("accentColor")),
        ..NewConnector::default()
    })
}

fn destination(fields: Fields, project: Option<&str>) -> Result<TriggerDestination> {
    destination_at("triggerDestination", fields, project)
}

/// A place where events go, which its sender calls `at`.
pub fn destination_at(
    at: &str,
    mut fields: Fields,
    project: Option<&str>,
) -> Result<TriggerDestination> {
    let own = present(fields.take_text("projectId"));
    let Some(project_id) = own.as_deref().or(project) else {
        let message = "is required where there is no top-level projectId";
        return Err(Error::invalid(format!("{at}.projectId"), message));
    };
    let destination = TriggerDestination {
        project_id: project_id.into(),
        branch: present(fields.take_text("branch")),
        custom_environment_id: present(fields.take_text("customEnvironmentId")),
        path: present(fields.take_text("path")),
    };
    if destination.branch.is_some() && destination.custom_environment_id.is_some() {
        let message = "must not be given together with customEnvironmentId";
        return Err(Error::invalid(format!("{at}.branch"), message));
    }
    Ok(destination)
}

/// The environments of a list of words.
pub fn environments(words: Vec<String>) -> Vec<Environment> {
    words
        .iter()
        .map(|word| Environment::from(word.as_str()))
        .collect()
}

/// A4's and A5's query but for the project, which has to be looked up; `None` when it asks for types
/// that no connector has.
pub fn filter(query: &Fields) -> Option<ConnectorFilter> {
    let words = |name: &str| -> Vec<String> {
        let list = query.text(name).unwrap_or_default().split(',');
        list.map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let types = words("type");
    let kinds: Vec<ConnectorType> = types
        .iter()
        .filter_map(|word| ConnectorType::from_word(word))
        .collect();
    let text = |name: &str| query.text(name).filter(|text| !text.is_empty());
    (kinds.is_empty() == types.is_empty()).then(|| ConnectorFilter {
        project: None,
        kinds,
        services: words("service"),
        search: text("search").map(str::to_owned),
        sort: match query.text("sort") {
            Some("name") => ConnectorSort::Name,
            Some("updatedAt") => ConnectorSort::Updated,
            _ => ConnectorSort::Created,
        },
        ..ConnectorFilter::default()
    })
}

/// A7's and A8's body. An empty text clears what may be empty.
pub fn change(mut body: Fields) -> ConnectorChange {
    ConnectorChange {
        uid: body.take_text("uid"),
        name: body.take_text("name"),
        data: body.take_map("data"),
        triggers_enabled: body.flag("triggers"),
        events: body.take_texts("events"),
        icon: body.take_change("icon"),
        background_color: body.take_change("backgroundColor"),
        accent_color: body.take_change("accentColor"),
        ..ConnectorChange::default()
    }
}

/// Whom `subject` names: a user without an id is the person who asks.
fn whose(body: &mut Fields, caller: &Caller) -> Result<Option<Named>> {
    let Some(fields) = body.take_object("subject") else {
        return Ok(None);
    };
    let kind = fields.text("type").unwrap_or_default();
    if !kind.is_empty() && !SUBJECT_TYPES.contains(&kind) {
        let kind: String = kind.chars().take(64).collect();
        return Err(Error::Unresolvable {
            reason: format!("no connector has tokens for the subject type {kind:?}"),
        });
    }
    // An empty one is mostly a variable that is not set, and no name.
    let nameless = fields.text("id").is_none();
    match &caller.actor {
        Actor::User { id } if kind == "user" && nameless => {
            let issuer = present(fields.text("issuer").map(str::to_owned));
            Ok(Some(Named {
                subject: Subject::User {
                    id: id.clone(),
                    issuer,
                },
                token: None,
            }))
        }
        _ => subject::named(fields, &[], "additionalClaims").map(Some),
    }
}

/// The subject, where one was sent.
pub fn subject(body: &mut Fields, caller: &Caller) -> Result<Option<Subject>> {
    let named = whose(body, caller)?;
    if named.as_ref().is_some_and(|named| named.token.is_some()) {
        let reason = "tokens that were exchanged for a caller's own are not kept".to_owned();
        return Err(Error::Unresolvable { reason });
    }
    Ok(named.map(|named| named.subject))
}

/// D1's body.
pub fn token(body: &mut Fields, caller: &Caller) -> Result<AskToken> {
    let named = whose(body, caller)?;
    let (subject, subject_token) =
        named.map_or((None, None), |named| (Some(named.subject), named.token));
    Ok(AskToken {
        subject,
        subject_token,
        environment: None,
        installation: present(body.take_text("installationId")),
        scopes: Scopes::from_list(body.take_texts("scopes").unwrap_or_default()),
        audience: body.take_texts("audience").unwrap_or_default(),
        resources: body.take_texts("resources").unwrap_or_default(),
        details: body.take_list("authorizationDetails").unwrap_or_default(),
        validity_buffer: Duration::from_millis(body.count("validityBufferMs").unwrap_or_default()),
    })
}

/// E1's body.
pub fn consent(mut body: Fields, caller: &Caller) -> Result<AskConsent> {
    Ok(AskConsent {
        token: token(&mut body, caller)?,
        return_url: present(body.take_text("returnUrl")),
        prompt: present(body.take_text("prompt")),
        device_code: body.flag("deviceCode").unwrap_or_default(),
        expires_in: body.count("expiresInMs").map(Duration::from_millis),
        additional_params: body.take_map("additionalParams").unwrap_or_default(),
        webhook: present(body.take_text("webhook")),
        ..AskConsent::default()
    })
}
