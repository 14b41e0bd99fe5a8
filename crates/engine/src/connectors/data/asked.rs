//! The fields of a type's `data` that a person is asked for who has an application registered and its credentials at
//! hand: what is required, and what is sealed.

use grantry_core::nouns::ConnectorType;
use serde_json::{Map, Number, Value, json};

use super::{Field, Shape, rows};

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedField {
    /// Where it lies in `data`: `clientSecret`, `variables.domain`.
    pub name: String,
    /// For people.
    pub label: String,
    /// It must not be left empty.
    pub required: bool,
    /// It is not shown again.
    pub secret: bool,
    /// It has several lines.
    pub lines: bool,
    /// What it may be, where that is a fixed choice.
    pub words: &'static [&'static str],
    /// What stands in it at first.
    pub default: Option<String>,
    /// What has to be said of it.
    pub help: Option<String>,
    takes: Takes,
}

/// What a field's text becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Text,
    Number,
    /// Words that are separated by spaces or commas.
    Words,
    /// The one value of a list of keys.
    Key,
}

/// Sealed fields that nobody needs any more.
const UNWANTED: &[&str] = &["verificationToken"];

/// Fields that are neither required nor sealed, and asked for all the same.
const WANTED: &[(ConnectorType, &str)] = &[
    // Without them there are no tokens of the application.
    (ConnectorType::AwsAlpha, "roleArn"),
    (ConnectorType::AwsAlpha, "region"),
    (ConnectorType::Linear, "appScopes"),
    (ConnectorType::Linear, "userScopes"),
    (ConnectorType::Linq, "phoneNumbers"),
    (ConnectorType::MicrosoftEntra, "tenantId"),
    (ConnectorType::MicrosoftTeams, "tenantId"),
    (ConnectorType::Oauth, "clientId"),
    (ConnectorType::Sendblue, "phoneNumbers"),
    // Whom the key speaks for.
    (ConnectorType::Salesforce, "username"),
    (ConnectorType::Slack, "botScopes"),
    (ConnectorType::Slack, "userScopes"),
    (ConnectorType::Snowflake, "clientId"),
    (ConnectorType::Snowflake, "user"),
    (ConnectorType::SnowflakeWif, "accountIdentifier"),
    (ConnectorType::SnowflakeWif, "defaultSessionRole"),
];

/// The fields that a connector of this type is asked for, in the order of its rows.
pub fn asked_fields(kind: ConnectorType) -> Vec<AskedField> {
    rows(kind)
        .iter()
        .filter_map(|row| asked(kind, row))
        .collect()
}

fn asked(kind: ConnectorType, row: &Field) -> Option<AskedField> {
    let wanted = WANTED.contains(&(kind, row.name));
    let plain = AskedField {
        name: row.name.to_owned(),
        label: label(row.name),
        required: row.required,
        secret: false,
        lines: false,
        words: &[],
        default: None,
        help: None,
        takes: Takes::Text,
    };
    let field = match &row.shape {
        Shape::Values => AskedField {
            label: "Key".to_owned(),
            required: true,
            secret: true,
            takes: Takes::Key,
            ..plain
        },
        Shape::Secret(_) => AskedField {
            secret: true,
            ..plain
        },
        Shape::Pem(_) => AskedField {
            label: format!("{} (PEM)", label(row.name.trim_end_matches("Pem"))),
            secret: true,
            lines: true,
            ..plain
        },
        Shape::Texts(_) | Shape::Phones if wanted => AskedField {
            help: Some("Separated by spaces or commas.".to_owned()),
            takes: Takes::Words,
            ..plain
        },
        _ if !row.required && !wanted => return None,
        Shape::Integer(_) => AskedField {
            takes: Takes::Number,
            ..plain
        },
        Shape::OneOf(words) => AskedField { words, ..plain },
        Shape::Text(_) | Shape::Formed(_) | Shape::Url | Shape::BareUrl => plain,
        _ => return None,
    };
    (!UNWANTED.contains(&row.name)).then_some(field)
}

impl AskedField {
    /// A part of the service's endpoints that differs between its customers.
    pub fn variable(key: &str, default: Option<&str>, help: Option<String>) -> Self {
        Self {
            name: format!("variables.{key}"),
            label: label(key),
            required: default.is_none(),
            secret: false,
            lines: false,
            words: &[],
            default: default.map(str::to_owned),
            help,
            takes: Takes::Text,
        }
    }

    /// Puts what was typed where it belongs in `data`; what cannot be read is put there as it is, for the check to
    /// name. Nothing typed puts nothing there.
    pub fn fill(&self, data: &mut Map<String, Value>, typed: &str) {
        let typed = typed.trim();
        if typed.is_empty() {
            return;
        }
        let value = match self.takes {
            Takes::Text => Value::from(typed),
            Takes::Number => match typed.parse::<i64>() {
                Ok(number) => Value::Number(Number::from(number)),
                Err(_) => Value::from(typed),
            },
            Takes::Words => {
                let words = typed.split([' ', ',', '\n', '\r', '\t']);
                words.filter(|word| !word.is_empty()).collect()
            }
            Takes::Key => json!([{"value": typed}]),
        };
        match self.name.split_once('.') {
            None => {
                data.insert(self.name.clone(), value);
            }
            Some((object, name)) => {
                let object = data.entry(object).or_insert_with(|| json!({}));
                if let Some(object) = object.as_object_mut() {
                    object.insert(name.to_owned(), value);
                }
            }
        }
    }

    /// Whether a problem at `field` (`data.clientId`) is of this one.
    pub fn is_at(&self, field: &str) -> bool {
        let at = field.strip_prefix("data.").unwrap_or(field);
        at.strip_prefix(&self.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// `clientId` and `login_host` as people write them.
fn label(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(match letter {
            '_' => ' ',
            other => other.to_ascii_lowercase(),
        });
    }
    let words: Vec<&str> = words
        .split(' ')
        .map(|word| match word {
            "id" => "ID",
            "url" => "URL",
            "api" => "API",
            other => other,
        })
        .collect();
    let mut words = words.join(" ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: ConnectorType) -> Vec<String> {
        let fields = asked_fields(kind).into_iter();
        fields.map(|field| field.name).collect()
    }

    #[test]
    fn who_has_the_credentials_is_asked_for_them_and_for_nothing_else() {
        assert_eq!(names(ConnectorType::Oauth), ["clientId", "clientSecret"]);
        let slack = names(ConnectorType::Slack);
        for name in [
            "appId",
            "clientId",
            "clientSecret",
            "signingSecret",
            "botScopes",
        ] {
            assert!(slack.iter().any(|known| known == name), "{name}");
        }
        assert!(!slack.iter().any(|name| name == "verificationToken"));
        assert_eq!(names(ConnectorType::ApiKey), ["values"]);
        let teams = ["appId", "clientSecret", "tenantId"];
        assert_eq!(names(ConnectorType::MicrosoftTeams), teams);
        let sendblue = ["apiKeyId", "apiSecretKey", "phoneNumbers"];
        assert_eq!(names(ConnectorType::Sendblue), sendblue);
        for kind in ConnectorType::ALL {
            for field in asked_fields(*kind) {
                assert!(!field.label.is_empty(), "{kind:?} {}", field.name);
            }
        }
    }

    #[test]
    fn what_is_typed_lies_where_the_check_looks_for_it() {
        let mut data = Map::new();
        for (kind, name, typed) in [
            (ConnectorType::Github, "appId", " 42 "),
            (
                ConnectorType::Slack,
                "botScopes",
                "chat:write, channels:read",
            ),
            (ConnectorType::ApiKey, "values", "k-1"),
            (
                ConnectorType::Linq,
                "phoneNumbers",
                "+14155550100 +4930123456",
            ),
            (ConnectorType::Oauth, "clientSecret", "  "),
        ] {
            let fields = asked_fields(kind);
            let field = fields.iter().find(|field| field.name == name).unwrap();
            field.fill(&mut data, typed);
        }
        AskedField::variable("domain", None, None).fill(&mut data, "acme.okta.com");
        let expected = json!({
            "appId": 42,
            "botScopes": ["chat:write", "channels:read"],
            "phoneNumbers": ["+14155550100", "+4930123456"],
            "values": [{"value": "k-1"}],
            "variables": {"domain": "acme.okta.com"},
        });
        assert_eq!(Value::Object(data), expected);
    }

    #[test]
    fn a_problem_is_told_at_its_field() {
        let fields = asked_fields(ConnectorType::ApiKey);
        assert!(fields[0].is_at("data.values[0].value"));
        assert!(fields[0].is_at("data.values"));
        assert!(!fields[0].is_at("data.valuesOfOthers"));
        assert_eq!(label("privateKey"), "Private key");
        assert_eq!(label("login_host"), "Login host");
        assert_eq!(label("appId"), "App ID");
    }
}
