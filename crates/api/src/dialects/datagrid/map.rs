//! From checked bodies to what the engine takes, and the one table of roles.

use grantry_core::nouns::{Membership, Role, Words};
use grantry_core::{Error, Problem, Result, Secret};
use grantry_engine::{ConnectorChange, McpServerChange, NewConnector};
use serde_json::{Map, Value, json};
use url::Url;

use crate::kit::fields::Fields;

/// Characters of a name.
const NAME_CHARS: usize = 300;
/// Characters of an MCP server's name.
const MCP_NAME_CHARS: usize = 255;

/// What each of the dialect's roles is here. Their words are kept beside ours, so the first row of a role is how it is
/// said of who got it elsewhere.
const ROLES: [(&str, Role); 6] = [
    ("owner", Role::Owner),
    ("admin", Role::Admin),
    ("member", Role::Member),
    // Of agents this server knows nothing: whoever may only use some is a member.
    ("agents-only", Role::Member),
    ("agent-specific", Role::Member),
    ("collaborator", Role::Member),
];

/// What a workload, and a key that reads tokens only, is called.
pub const WORKLOAD: &str = "agents-only";

/// The dialect's word of a role.
pub fn word_of(role: Role) -> &'static str {
    let known = ROLES.iter().find(|(_, ours)| *ours == role);
    known.map_or(WORKLOAD, |(word, _)| word)
}

/// The role in the organization of a person with these places in its teamspaces: the highest of theirs.
pub fn organization_word(places: &[Membership]) -> &'static str {
    let highest = [Role::Owner, Role::Admin]
        .into_iter()
        .find(|role| places.iter().any(|place| place.role == *role));
    word_of(highest.unwrap_or(Role::Member))
}

/// What permissions say, as a role of ours and in their own words; `standing` are those so far, of which stays what is not
/// said.
pub fn permissions(mut body: Fields, standing: Words) -> (Role, Words) {
    let word = body
        .take_text("role")
        .unwrap_or_else(|| "member".to_owned());
    let known = ROLES.iter().find(|(theirs, _)| *theirs == word);
    let role = known.map_or(Role::Member, |(_, role)| *role);
    let mut words = standing;
    words.insert("role".to_owned(), word.into());
    if let Some(ids) = body.take_texts("agent_ids") {
        words.insert("agent_ids".to_owned(), ids.into());
    }
    (role, words)
}

/// Whether a service lets others register OAuth clients, as far as the catalogue's row says.
pub fn has_apps(row: &Map<String, Value>) -> bool {
    let is = |name: &str, word: &str| row.get(name).is_some_and(|value| value == word);
    !is("kind", "api_key") && !is("grant", "client_credentials")
}

/// What is wrong with texts that must say something, if they are there: too long, or empty.
fn problems(body: &Fields, names: &[(&str, usize)]) -> Vec<Problem> {
    let complaint = |(name, chars): &(&str, usize)| {
        let text = body.text(name)?;
        let message = match text.trim().chars().count() {
            0 => "must not be empty".to_owned(),
            count if count > *chars => format!("must be at most {chars} characters"),
            _ => return None,
        };
        Some(Problem::new(*name, message))
    };
    names.iter().filter_map(complaint).collect()
}

fn checked(body: &Fields, names: &[(&str, usize)]) -> Result<()> {
    let problems = problems(body, names);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// The name in a body, which has only that to check.
pub fn name(body: &mut Fields) -> Result<Option<String>> {
    checked(body, &[("name", NAME_CHARS)])?;
    Ok(body.take_text("name"))
}

const PROVIDER: [(&str, usize); 3] = [
    ("name", NAME_CHARS),
    ("client_id", usize::MAX),
    ("client_secret", usize::MAX),
];

/// A new connection provider: an `oauth` connector.
pub fn provider(mut body: Fields, service: String) -> Result<NewConnector> {
    checked(&body, &PROVIDER)?;
    let mut data = client(&mut body);
    if let Some(variables) = body.take_map("variables") {
        data.insert("variables".to_owned(), variables.into());
    }
    Ok(NewConnector {
        kind: "oauth".to_owned(),
        name: body.take_text("name"),
        service: Some(service),
        data,
        ..NewConnector::default()
    })
}

/// What of a connection provider changes.
pub fn provider_change(mut body: Fields) -> Result<ConnectorChange> {
    checked(&body, &PROVIDER)?;
    let data = client(&mut body);
    Ok(ConnectorChange {
        name: body.take_text("name"),
        data: (!data.is_empty()).then_some(data),
        ..ConnectorChange::default()
    })
}

fn client(body: &mut Fields) -> Map<String, Value> {
    let names = [("client_id", "clientId"), ("client_secret", "clientSecret")];
    let given = names
        .into_iter()
        .filter_map(|(theirs, ours)| Some((ours.to_owned(), Value::from(body.take_text(theirs)?))));
    let mut data: Map<String, Value> = given.collect();
    if let Some(scopes) = body.take_texts("scopes") {
        let asked = json!({ "enabled": true, "scopes": scopes });
        data.insert("userAuthorization".to_owned(), asked);
    }
    data
}

/// An MCP server, new or changed.
pub fn mcp_server(mut body: Fields) -> Result<McpServerChange> {
    let mut problems = problems(&body, &[("name", MCP_NAME_CHARS), ("base_url", usize::MAX)]);
    let is_https = |text: &str| {
        Url::parse(text).is_ok_and(|url| {
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
        })
    };
    if body.text("base_url").is_some_and(|url| !is_https(url)) && problems.is_empty() {
        problems.push(Problem::new("base_url", "must be an https URL"));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut data = Map::new();
    for name in ["transport", "icon_url", "protocol_version"] {
        if let Some(change) = body.take_change(name) {
            data.insert(name.to_owned(), change.into());
        }
    }
    Ok(McpServerChange {
        data,
        authorization: body
            .take_change("authorization")
            .map(|change| change.map(Secret::new)),
        authorization_secret_id: body.take_change("authorization_secret_id"),
        name: body.take_text("name"),
        base_url: body.take_text("base_url"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_of_ours_has_a_word_that_leads_back_to_it() {
        for role in [Role::Owner, Role::Admin, Role::Member] {
            let word = word_of(role);
            let body = serde_json::json!({ "role": word });
            let fields = crate::kit::fields::check(
                &[crate::kit::fields::optional(
                    "role",
                    crate::kit::fields::Shape::Text(32),
                    "",
                )],
                body.as_object().cloned().unwrap_or_default(),
            );
            assert_eq!(permissions(fields.unwrap(), Words::new()).0, role, "{word}");
        }
        assert_eq!(word_of(Role::TokenOnly), WORKLOAD);
    }
}
