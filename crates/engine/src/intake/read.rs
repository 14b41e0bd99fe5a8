//! What a delivery says, as far as it is about installations. Only what a signature holds for is read.

use std::borrow::Cow;

use grantry_core::limits::{EXTERNAL_ID_BYTES_MAX, ITEMS_MAX};
use grantry_core::nouns::ConnectorType;
use serde::Deserialize;

use super::Delivery;

/// What was said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The provider's name of the event; empty where there is none.
    pub name: String,
    /// What follows here.
    pub hint: Option<Hint>,
}

/// What to look at.
#[derive(Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: the provider wants to hear this.
    Challenge(String),
    /// Nothing: the provider says that it found us.
    Greeting,
    /// An installation of a GitHub App, by its number.
    Installation(String),
    /// Tokens of a Slack workspace.
    Workspace(Ended),
}

/// Which tokens Slack says that it has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The workspace.
    pub team: String,
    /// The organisation that it belongs to.
    pub enterprise: Option<String>,
    /// The bot's.
    pub bot: bool,
    /// Those of these users; of all of them when absent.
    pub users: Option<Vec<String>>,
}

/// Reads a delivery of the provider of `kind`.
pub fn read(kind: ConnectorType, delivery: &Delivery<'_>) -> Said {
    match kind {
        ConnectorType::Github => github(delivery),
        ConnectorType::Slack => slack(delivery.body),
        _ => Said::default(),
    }
}

/// docs.github.com, "Webhook events and payloads".
fn github(delivery: &Delivery<'_>) -> Said {
    #[derive(Deserialize)]
    struct Payload {
        installation: Installation,
    }
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    let name = (delivery.header)("x-github-event").unwrap_or_default();
    let hint = match name {
        "ping" => Some(Hint::Greeting),
        "installation" | "installation_repositories" => {
            let payload: Option<Payload> = serde_json::from_slice(&json_of(delivery.body)).ok();
            payload.map(|payload| Hint::Installation(payload.installation.id.to_string()))
        }
        _ => None,
    };
    Said {
        name: name.to_owned(),
        hint,
    }
}

/// The JSON of a body, which GitHub puts into a form where the app's owner has it so.
fn json_of(body: &[u8]) -> Cow<'_, [u8]> {
    if !body.starts_with(b"payload=") {
        return Cow::Borrowed(body);
    }
    let mut pairs = url::form_urlencoded::parse(body);
    let payload = pairs.next().map(|(_, payload)| payload.into_owned());
    Cow::Owned(payload.unwrap_or_default().into_bytes())
}

/// docs.slack.dev, "The Events API". What it sends besides (commands, interactions) is a form, and says nothing here.
fn slack(body: &[u8]) -> Said {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(rename = "type")]
        kind: String,
        challenge: Option<String>,
        team_id: Option<String>,
        enterprise_id: Option<String>,
        event: Option<Event>,
    }
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        tokens: Option<Tokens>,
    }
    #[derive(Deserialize)]
    struct Tokens {
        oauth: Option<Vec<String>>,
        bot: Option<Vec<String>>,
    }
    let Ok(payload) = serde_json::from_slice::<Payload>(body) else {
        return Said::default();
    };
    if payload.kind == "url_verification" {
        return Said {
            name: payload.kind,
            hint: payload.challenge.map(Hint::Challenge),
        };
    }
    let Some(event) = payload.event else {
        return Said::default();
    };
    let ended = match (event.kind.as_str(), event.tokens) {
        ("app_uninstalled", _) => Some((true, None)),
        ("tokens_revoked", Some(tokens)) => {
            let mut users = tokens.oauth.unwrap_or_default();
            users.retain(|user| is_id(user));
            // Of more all are looked at.
            let users = Some(users).filter(|users| users.len() <= ITEMS_MAX);
            Some((tokens.bot.is_some_and(|bots| !bots.is_empty()), users))
        }
        _ => None,
    };
    let team = payload.team_id.filter(|team| is_id(team));
    let hint = ended.zip(team).map(|((bot, users), team)| {
        Hint::Workspace(Ended {
            team,
            enterprise: payload.enterprise_id.filter(|id| is_id(id)),
            bot,
            users,
        })
    });
    Said {
        name: event.kind,
        hint,
    }
}

fn is_id(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric();
    (1..=EXTERNAL_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ConnectorType, event: &str, body: &str) -> Said {
        let header = |name: &str| (name == "x-github-event").then_some(event);
        read(
            kind,
            &Delivery {
                header: &header,
                body: body.as_bytes(),
            },
        )
    }

    fn form(body: &str) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", body)
            .finish()
    }

    #[test]
    fn github_hints_at_an_installation_by_its_number_alone() {
        let body = r#"{"action":"deleted","installation":{"id":42,"account":{"login":"acme"}},"repositories":[]}"#;
        for event in ["installation", "installation_repositories"] {
            for body in [body.to_owned(), form(body)] {
                let found = said(ConnectorType::Github, event, &body);
                assert_eq!(found.hint, Some(Hint::Installation("42".to_owned())));
                assert_eq!(found.name, event);
            }
        }
        let ping = said(ConnectorType::Github, "ping", "{}");
        assert_eq!(ping.hint, Some(Hint::Greeting));
        for (event, body) in [
            ("push", body),
            ("", body),
            ("installation", "{}"),
            ("installation", "payload="),
            ("installation", "[1]"),
            ("installation", r#"{"installation":{"id":"42"}}"#),
            ("installation", r#"{"installation":{"id":-1}}"#),
            (
                "installation",
                r#"{"installation":{"id":1},"installation":{"id":2}}"#,
            ),
        ] {
            let found = said(ConnectorType::Github, event, body);
            assert_eq!(found.hint, None, "{event} {body}");
        }
    }

    #[test]
    fn slack_hints_at_a_workspace_and_at_whose_tokens_ended() {
        let hint = |body: &str| said(ConnectorType::Slack, "", body).hint;
        let ended = |bot, users: Option<&[&str]>| {
            Some(Hint::Workspace(Ended {
                team: "T1".to_owned(),
                enterprise: None,
                bot,
                users: users.map(|users| users.iter().map(|&user| user.to_owned()).collect()),
            }))
        };
        let event = |event: &str| {
            format!(
                r#"{{"type":"event_callback","team_id":"T1","enterprise_id":null,"event":{event}}}"#
            )
        };
        let uninstalled = event(r#"{"type":"app_uninstalled"}"#);
        assert_eq!(hint(&uninstalled), ended(true, None));
        let revoked = event(r#"{"type":"tokens_revoked","tokens":{"oauth":["U1"],"bot":[]}}"#);
        assert_eq!(hint(&revoked), ended(false, Some(&["U1"])));
        let bots = event(r#"{"type":"tokens_revoked","tokens":{"bot":["U0"]}}"#);
        assert_eq!(hint(&bots), ended(true, Some(&[])));
        let odd = event(r#"{"type":"tokens_revoked","tokens":{"oauth":["U_1","","U1","U%"]}}"#);
        assert_eq!(hint(&odd), ended(false, Some(&["U1"])));
        let many = vec!["U"; ITEMS_MAX + 1];
        let many = format!(r#"{{"type":"tokens_revoked","tokens":{{"oauth":{many:?}}}}}"#);
        assert_eq!(hint(&event(&many)), ended(false, None));
        let asked = r#"{"type":"url_verification","token":"t","challenge":"c"}"#;
        assert_eq!(hint(asked), Some(Hint::Challenge("c".to_owned())));
        for nothing in [
            event(r#"{"type":"app_mention"}"#),
            event(r#"{"type":"tokens_revoked"}"#),
            r#"{"type":"url_verification"}"#.to_owned(),
            r#"{"type":"event_callback","event":{"type":"app_uninstalled"}}"#.to_owned(),
            r#"{"type":"event_callback","team_id":"T1\" OR","event":{"type":"app_uninstalled"}}"#
                .to_owned(),
            "command=%2Facme&team_id=T1".to_owned(),
            String::new(),
        ] {
            assert_eq!(hint(&nothing), None, "{nothing}");
        }
    }
}
