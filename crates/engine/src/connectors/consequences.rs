//! What a change of a connector asks of people afterwards (reference/vercel-connect A8). No provider is asked: it follows
//! from what a consent of the connector asks for before and after, and at whom.

use std::borrow::Cow;

use grantry_core::nouns::{Connector, ConnectorType, Scopes, Service};
use grantry_core::store::{ConnectionFilter, Page};
use grantry_core::{Result, Timestamp};
use serde_json::Value;

use super::types::{self, UserTokens};
use super::{by_consent, installing, servers_of, within};
use crate::catalogue::Catalogue;
use crate::connect::consent_scopes;
use crate::{Caller, Engine};

/// What is left to do once a change is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Users who have connected have to consent again: what they granted does not cover what is asked now.
    pub reconsent: bool,
    /// The application has to be installed again.
    pub reinstall: bool,
    /// Fields that somebody has to carry over to the provider's own settings; this server cannot.
    pub unsynced: Vec<&'static str>,
}

/// Of a type, the fields that its provider's own settings have too, in the spelling of
/// [`differences`](super::update::differences). Fewer scopes have to be taken out there as well.
const SETTINGS: &[(ConnectorType, &[&str])] = &[
    (ConnectorType::Discord, &["triggers"]),
    (ConnectorType::Github, &["events", "triggers"]),
    (ConnectorType::Linear, &["events", "triggers"]),
    (
        ConnectorType::Slack,
        &[
            "data.botScopes",
            "data.userScopes",
            "data.slashCommands",
            "data.shortcuts",
            "events",
            "triggers",
        ],
    ),
];

/// Whether what the application asks for in a tenant is more in `new` than in `old`, or asked for as another client or
/// elsewhere: no installation from before covers it. A `data.installation` that is switched off counts as on, so that what
/// changes meanwhile is not forgotten, and what does not is not asked for twice.
fn new_terms([old, new]: [&Connector; 2], [old_row, new_row]: [Option<&Service>; 2]) -> bool {
    let [old, new] = [old, new].map(switched_on);
    let (old, new) = (&*old, &*new);
    let Some(now) = of_tenants(new, new_row) else {
        return false;
    };
    let before = of_tenants(old, old_row).unwrap_or_default();
    let moved = by_consent(new) && !within(&servers_of(new), &servers_of(old));
    moved || types::client_id(new) != types::client_id(old) || goes_beyond(&now, &before)
}

/// Since when what the application asks for in a tenant is what it is in the second of two, which is what the first becomes
/// now; `rows` are their services'.
pub fn terms_at(
    [old, new]: [&Connector; 2],
    rows: [Option<&Service>; 2],
    now: Timestamp,
) -> Option<Timestamp> {
    match new_terms([old, new], rows) {
        // Two of a connector's terms never carry the same time: it is what tells them apart.
        true => Some(old.terms_at.map_or(now, |at| now.max(Timestamp(at.0 + 1)))),
        false => old.terms_at,
    }
}

/// The connector as if its own way in were on.
fn switched_on(connector: &Connector) -> Cow<'_, Connector> {
    let mut connector = Cow::Borrowed(connector);
    if let Some(Value::Object(installation)) = connector.data.get("installation")
        && installation.get("enabled") == Some(&Value::Bool(false))
        && let Some(installation) = connector.to_mut().data.get_mut("installation")
    {
        installation["enabled"] = Value::Bool(true);
    }
    connector
}

/// What the application asks for in a tenant; `None` where it is not installed.
fn of_tenants(connector: &Connector, row: Option<&Service>) -> Option<Vec<String>> {
    let scopes = installing(connector)?.scopes;
    Some(scopes.unwrap_or_else(|| of_users(connector, row)))
}

fn of_users(connector: &Connector, row: Option<&Service>) -> Vec<String> {
    consent_scopes(connector, row, &Scopes::Default)
}

/// What the change from `old` to `new` asks for, whoever has connected; `changed` are the fields that differ.
fn of(old: &Connector, new: &Connector, changed: &[String], catalogue: &Catalogue) -> Consequences {
    // Tokens are presented only where they came from, and by whom they were given to.
    let moved = !within(&servers_of(new), &servers_of(old));
    let another = types::client_id(new) != types::client_id(old);
    let consents = types::user_tokens(new) == Some(UserTokens::Consent);
    let rows = [old, new].map(|of| catalogue.of(of));
    let more = another || goes_beyond(&of_users(new, rows[1]), &of_users(old, rows[0]));

    let synced = SETTINGS.iter().filter(|(kind, _)| *kind == new.kind);
    let synced = synced.flat_map(|(_, fields)| *fields);
    Consequences {
        reconsent: moved || (consents && more),
        reinstall: installing(new).is_some() && new_terms([old, new], rows),
        unsynced: synced
            .filter(|field| changed.iter().any(|changed| changed == *field))
            .map(|field| field.trim_start_matches("data."))
            .collect(),
    }
}

/// Whether `new` has a scope that `old` has not.
fn goes_beyond(new: &[String], old: &[String]) -> bool {
    new.iter().any(|scope| !old.contains(scope))
}

impl Engine {
    /// What a change that is stored asks of people: of those who have connected, if anybody has. `new` has then the
    /// `reinstall_at` that came of it.
    pub(super) async fn consequences(
        &self,
        caller: &Caller,
        old: &Connector,
        new: &mut Connector,
        changed: &[String],
        catalogue: &Catalogue,
    ) -> Result<Consequences> {
        let mut found = of(old, new, changed, catalogue);
        let store = &self.ports.store;
        if found.reconsent {
            let of_users = ConnectionFilter {
                connector: Some(new.id.clone()),
                subject_kind: Some("user"),
                ..ConnectionFilter::default()
            };
            let one = Page::first(1);
            let some = store.connections(&caller.team, &of_users, &one).await?;
            found.reconsent = !some.is_empty();
        }
        // What was switched off may have changed meanwhile.
        let opened = installing(old).is_none() && installing(new).is_some();
        if new.terms_at != old.terms_at || opened {
            let stored = store.connector(&caller.team, new.id.as_str()).await?;
            new.reinstall_at = stored.and_then(|stored| stored.reinstall_at);
            found.reinstall = new.reinstall_at.is_some() && installing(new).is_some();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::connectors::health::tests::connector;
    use crate::connectors::update::differences;

    /// Per type: the field of its client id, that of what users are asked for and what an installation is. Nothing is asked
    /// of anybody where there is none.
    const FIELDS: &[(ConnectorType, [&str; 3])] = &[
        (ConnectorType::ApiKey, ["", "", ""]),
        (ConnectorType::AwsAlpha, ["", "", ""]),
        (
            ConnectorType::Custom,
            ["clientId", "userAuthorization", "installation"],
        ),
        (ConnectorType::Discord, ["applicationId", "userScopes", ""]),
        (ConnectorType::Github, ["clientId", "", ""]),
        (
            ConnectorType::Linear,
            ["clientId", "userScopes", "appScopes"],
        ),
        (ConnectorType::Linq, ["", "", ""]),
        (
            ConnectorType::MicrosoftEntra,
            ["clientId", "userScopes", "appScopes"],
        ),
        (
            ConnectorType::MicrosoftTeams,
            ["appId", "userScopes", "appScopes"],
        ),
        (
            ConnectorType::Oauth,
            ["clientId", "userAuthorization", "installation"],
        ),
        (ConnectorType::Photon, ["", "", ""]),
        (ConnectorType::Salesforce, ["consumerKey", "userScopes", ""]),
        (ConnectorType::Sendblue, ["", "", ""]),
        (
            ConnectorType::Slack,
            ["clientId", "userScopes", "botScopes"],
        ),
        (ConnectorType::Snowflake, ["clientId", "userScopes", ""]),
        (ConnectorType::SnowflakeWif, ["", "", ""]),
    ];

    fn with(kind: ConnectorType, data: &Value) -> Connector {
        Connector {
            kind,
            data: data.as_object().cloned().unwrap(),
            ..connector(None)
        }
    }

    /// What `scopes` are in `field`; absent without.
    fn list(field: &str, scopes: Option<&str>) -> Value {
        let Some(scopes) = scopes else {
            return Value::Null;
        };
        let scopes: Vec<&str> = scopes.split_terminator(' ').collect();
        match field {
            "userAuthorization" => json!({"enabled": true, "scopes": scopes}),
            "installation" => json!({"enabled": true, "id": "/team/id", "scopes": scopes}),
            _ => json!(scopes),
        }
    }

    /// Whether a new consent is asked for, and a new installation.
    fn told(kind: ConnectorType, old: &Value, new: &Value) -> [bool; 2] {
        let common = json!({"common_scopes": ["common"]});
        let service = Service {
            id: "x".to_owned(),
            data: common.as_object().cloned().unwrap(),
        };
        let catalogue = Catalogue::of_overlays(vec![service]);
        let (old, new) = (with(kind, old), with(kind, new));
        let found = of(&old, &new, &differences(&old, &new), &catalogue);
        [found.reconsent, found.reinstall]
    }

    #[test]
    fn of_every_type_another_client_and_further_scopes_ask_for_a_new_consent() {
        let kinds: Vec<_> = FIELDS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, ConnectorType::ALL);
        for &(kind, [client, users, tenants]) in FIELDS {
            let consents = !client.is_empty();
            let data = |id: &str, [of_users, of_tenants]: [Option<&str>; 2]| {
                let mut data =
                    json!({"accountIdentifier": "acme", "serverUrl": "https://a.example"});
                for (field, value) in [
                    (client, json!(id)),
                    (users, list(users, of_users)),
                    (tenants, list(tenants, of_tenants)),
                ] {
                    data[field] = value;
                }
                let data = data.as_object_mut().unwrap();
                data.retain(|name, value| !name.is_empty() && !value.is_null());
                json!(data)
            };
            let base = data("c", [Some("a b"), Some("a b")]);
            let installs = installing(&with(kind, &base)).is_some();
            assert!(installs || tenants != "installation", "{kind:?}");
            let further = [
                consents && !users.is_empty(),
                installs && !tenants.is_empty(),
            ];

            let none = [false, false];
            let cases = [
                ("c", Some("b"), Some("a"), none),
                ("c", Some("b a"), Some("b a"), none),
                ("c", Some("b z"), Some("a"), [further[0], false]),
                ("c", Some("b"), Some("a z"), [false, further[1]]),
                ("d", Some("a b"), Some("a b"), [consents, installs]),
            ];
            for (id, of_users, of_tenants, expected) in cases {
                let new = data(id, [of_users, of_tenants]);
                assert_eq!(told(kind, &base, &new), expected, "{kind:?} {new}");
            }
            let mut moved = base.clone();
            moved["serverUrl"] = json!("https://b.example");
            let brings = ["installation", "botScopes"].contains(&tenants);
            let brings = brings || kind == ConnectorType::Linear;
            assert_eq!(told(kind, &base, &moved), [true, brings], "{kind:?}");
        }
    }

    #[test]
    fn a_list_that_is_absent_means_what_is_asked_for_then() {
        const MICROSOFT: &str = "openid profile offline_access";
        let cases = [
            (ConnectorType::MicrosoftEntra, MICROSOFT, "User.Read"),
            (ConnectorType::MicrosoftTeams, MICROSOFT, "User.Read"),
            (ConnectorType::Snowflake, "refresh_token", "session:role:X"),
            // Nothing is usual but what the catalogue says.
            (ConnectorType::Salesforce, "common", "api"),
        ];
        for (kind, usual, further) in cases {
            let data = |scopes: Option<&str>| {
                let mut data = json!({"clientId": "c"});
                if let Some(scopes) = scopes {
                    data["userScopes"] = list("userScopes", Some(scopes));
                }
                data
            };
            let told = |old, new| told(kind, &data(old), &data(new))[0];
            let more = format!("{usual} {further}");
            assert!(!told(None, Some(usual)), "{kind:?}");
            assert!(
                !told(Some(usual), None) && !told(Some(&more), None),
                "{kind:?}"
            );
            assert!(told(None, Some(&more)), "{kind:?}");
            assert!(told(Some(further), None), "{kind:?}");
        }
        let role = |role: &str| json!({"clientId": "c", "defaultSessionRole": role});
        let [analyst, admin] = ["ANALYST", "ADMIN"].map(role);
        let snowflake = ConnectorType::Snowflake;
        assert_eq!(told(snowflake, &analyst, &admin), [true, false]);
        assert_eq!(told(snowflake, &analyst, &analyst), [false, false]);
    }

    #[test]
    fn what_is_switched_off_asks_for_nothing() {
        let users = |enabled| json!({"clientId": "c", "userAuthorization": {"enabled": enabled, "scopes": ["z"]}});
        let installs = |enabled: bool, scopes: &[&str]| {
            let installation = json!({"enabled": enabled, "id": "/team/id", "scopes": scopes});
            json!({"clientId": "c", "userAuthorization": {"enabled": false}, "installation": installation})
        };
        let plain = json!({"clientId": "c"});
        let (off, on) = (installs(false, &["a"]), installs(true, &["a"]));
        let unnamed = installs(true, &[]);
        for (old, new, expected) in [
            (&plain, &users(false), [false, false]),
            (&plain, &users(true), [true, false]),
            (&plain, &off, [false, false]),
            (&plain, &on, [false, true]),
            (&on, &off, [false, false]),
            // Then tenants are asked for what users are.
            (&on, &unnamed, [false, true]),
            (
                &plain,
                &json!({"clientId": "c", "clientName": "n"}),
                [false, false],
            ),
            (&plain, &json!({}), [true, false]),
        ] {
            assert_eq!(
                told(ConnectorType::Oauth, old, new),
                expected,
                "{old} {new}"
            );
        }
        // Without a client there is nobody to consent to.
        let gone = told(ConnectorType::Custom, &plain, &json!({}));
        assert_eq!(gone, [false, false]);
    }

    #[test]
    fn what_the_provider_has_too_is_told_also_where_it_is_less() {
        let scopes =
            |scopes: &str| json!({"clientId": "c", "botScopes": list("botScopes", Some(scopes))});
        let [old, mut new] = ["a b", "a"].map(|list| with(ConnectorType::Slack, &scopes(list)));
        new.events = vec!["app_mention".to_owned()];
        let changed = differences(&old, &new);
        let found = of(&old, &new, &changed, &Catalogue::of_overlays(vec![]));
        assert_eq!(found.unsynced, ["botScopes", "events"]);
        assert!(!found.reconsent && !found.reinstall);
    }
}
