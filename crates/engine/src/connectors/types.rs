//! What follows from a connector's type: how users and the application itself get their tokens, and where in
//! `data` the OAuth client lies. One row per type; a type that departs further does so in its provider's file
//! (`grantry_oauth::providers`).

use grantry_core::nouns::{Connector, ConnectorType};
use grantry_oauth::providers::github;
use serde_json::{Map, Value};

use super::grants::{app_enabled, user_enabled};

/// A type.
pub struct Type {
    /// Which.
    pub kind: ConnectorType,
    /// For people.
    pub name: &'static str,
    /// The catalogue's service of a connector that names none; where there is none either, its type's word.
    pub service: Option<&'static str>,
    /// Fields of its OAuth client, where it is one.
    pub client: Option<ClientFields>,
    /// Fields of `data` that fill in variables of the catalogue's endpoints: field, variable.
    pub variables: &'static [(&'static str, &'static str)],
    /// Field of the scopes that `*` means for users, where it is not `userAuthorization.scopes`.
    pub user_scopes: Option<&'static str>,
    /// The same for the application, where it is not `clientCredentials.scopes`.
    pub app_scopes: Option<&'static str>,
    /// How the application gets its own token, the first that its data allows.
    app: &'static [(Given, AppTokens)],
    /// How users get theirs.
    user: Option<(Given, UserTokens)>,
    /// What says whose a user's token is, where no ID token comes with it.
    pub account: Option<Told>,
    /// How it is installed in tenants of the provider, each with tokens of its own.
    installs: Option<(Given, Installs)>,
    /// What `authorizationDetails` can narrow an app token by.
    pub details: &'static [&'static str],
    /// The scopes that `*` means for the application where its data names none.
    pub usual_app_scopes: &'static [&'static str],
    /// The same for users.
    pub usual_user_scopes: &'static [&'static str],
    /// What every scope of an app token ends with, where there is a rule.
    pub app_scope_end: &'static str,
    /// The parameter that users' scopes go into, where it is not `scope`: that asks for the app's.
    pub user_scope_param: Option<&'static str>,
    /// The row of quirks of users' tokens, where it is one of their own.
    pub user_quirks: Option<&'static str>,
    /// Members of a token answer that have another name in a token's metadata.
    pub renamed: &'static [(&'static str, &'static str)],
}

/// Where an OAuth client lies in `data` and among the secrets.
#[derive(Clone, Copy)]
pub struct ClientFields {
    /// The client id.
    pub id: &'static str,
    /// The client secret.
    pub secret: &'static str,
}

/// How the application gets its own token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppTokens {
    /// It asks the token endpoint, as itself (RFC 6749 §4.4).
    ClientCredentials,
    /// Its own signature buys a token of one installation (GitHub Apps).
    Installation,
    /// A JWT that its own private key signs is the token (Snowflake).
    KeyPair,
    /// What its own private key signs about a user of the org buys a token (Salesforce; RFC 7523 §2.1).
    Bearer,
    /// One of the keys in `data.values`.
    Stored,
    /// The secret of this name, with these fields beside it in the token's metadata.
    Kept {
        /// Name of the secret.
        secret: &'static str,
        /// Fields of `data`.
        metadata: &'static [&'static str],
    },
    /// What proves to the service which workload asks, signed by our own issuer, which the service trusts.
    Proof(Proof),
}

/// What a service wants of a workload that it knows by our issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who it is, where `data.audience` says nothing else.
    pub audience: &'static str,
    /// Field of `data` that says at whose account it is used: there is no token without.
    pub needs: &'static str,
    /// A further one that is in the token's metadata.
    pub beside: &'static str,
}

/// How an application is installed in a tenant of its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installs {
    /// Somebody consents for the tenant, and the code brings the app's tokens there.
    Consent {
        /// Parameters that make a request one for an installation: nobody chooses others.
        params: &'static [(&'static str, &'static str)],
        /// Where it is said which tenant it is.
        told: Told,
    },
    /// On a page of the provider's own: the browser comes back with a name of the installation, which is anybody's to
    /// write, and whoever brings it has to prove that it is theirs. The app asks for its tokens there by itself.
    Page(Page),
}

/// Whose page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// GitHub's, of an app.
    Github,
    /// Microsoft Entra's, where an administrator consents for a tenant.
    Entra,
}

/// Where a provider says whose the tokens are that a code brought. Places are JSON pointers, of which the first that
/// holds something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What its API (`api_base_url`, GraphQL) is asked with the new token, where the answer that brought that does not say.
    pub query: Option<&'static str>,
    /// The provider's id of the account or the installation.
    pub id: &'static [&'static str],
    /// That of an installation's tenant, where it is another one.
    pub tenant: &'static [&'static str],
    /// For people.
    pub name: &'static [&'static str],
}

/// How users get tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserTokens {
    /// They consent at the provider.
    Consent,
    /// They paste a key on the consent page.
    Pasted,
}

/// When a way to a token is there, by a connector's `data`.
#[derive(Clone, Copy)]
enum Given {
    Always,
    /// The grant is switched on.
    Enabled,
    /// The field is set.
    Field(&'static str),
    /// `subjectType` is this, or absent where the flag says so.
    SubjectType(&'static str, bool),
}

use ConnectorType::{
    ApiKey, AwsAlpha, Custom, Discord, Github, Linear, Linq, MicrosoftEntra, MicrosoftTeams, Oauth,
    Photon, Salesforce, Sendblue, Slack, Snowflake, SnowflakeWif,
};

const STANDARD_CLIENT: Option<ClientFields> = Some(ClientFields {
    id: "clientId",
    secret: "clientSecret",
});

/// Microsoft refuses a request without scopes; these tell who it is, and renew it.
const MICROSOFT_USER_SCOPES: &[&str] = &["openid", "profile", "offline_access"];

/// None: what a row does not say.
const PLAIN: Type = Type {
    kind: Custom,
    name: "",
    service: None,
    client: None,
    variables: &[],
    user_scopes: None,
    app_scopes: None,
    app: &[],
    user: None,
    account: None,
    installs: None,
    details: &[],
    usual_app_scopes: &[],
    usual_user_scopes: &[],
    app_scope_end: "",
    user_scope_param: None,
    user_quirks: None,
    renamed: &[],
};

/// In the order of [`ConnectorType::ALL`].
const TYPES: &[Type] = &[
    Type {
        kind: ApiKey,
        name: "API key",
        app: &[(Given::SubjectType("app", true), AppTokens::Stored)],
        user: Some((Given::SubjectType("user", false), UserTokens::Pasted)),
        ..PLAIN
    },
    Type {
        kind: AwsAlpha,
        name: "AWS",
        service: Some("aws"),
        app: &[(
            Given::Always,
            AppTokens::Proof(Proof {
                audience: "sts.amazonaws.com",
                needs: "roleArn",
                beside: "region",
            }),
        )],
        ..PLAIN
    },
    Type {
        kind: Custom,
        name: "Custom",
        client: STANDARD_CLIENT,
        app: &[(Given::Enabled, AppTokens::ClientCredentials)],
        user: Some((Given::Enabled, UserTokens::Consent)),
        ..PLAIN
    },
    Type {
        kind: Discord,
        name: "Discord",
        service: Some("discord"),
        client: Some(ClientFields {
            id: "applicationId",
            secret: "clientSecret",
        }),
        user_scopes: Some("userScopes"),
        app: &[(
            Given::Always,
            AppTokens::Kept {
                secret: "botToken",
                metadata: &["applicationId"],
            },
        )],
        user: Some((Given::Always, UserTokens::Consent)),
        ..PLAIN
    },
    Type {
        kind: Github,
        name: "GitHub",
        service: Some("github"),
        client: STANDARD_CLIENT,
        app: &[(Given::Always, AppTokens::Installation)],
        user: Some((Given::Always, UserTokens::Consent)),
        installs: Some((Given::Always, Installs::Page(Page::Github))),
        details: &[github::DETAIL],
        ..PLAIN
    },
    Type {
        kind: Linear,
        name: "Linear",
        service: Some("linear"),
        client: STANDARD_CLIENT,
        user_scopes: Some("userScopes"),
        app_scopes: Some("appScopes"),
        app: &[(Given::Field("appScopes"), AppTokens::ClientCredentials)],
        user: Some((Given::Always, UserTokens::Consent)),
        // Nothing that Linear answers with says whose it is (linear.app/developers/oauth-2-0-authentication).
        account: Some(Told {
            query: Some("{ viewer { id email } }"),
            id: &["/viewer/id"],
            tenant: &[],
            name: &["/viewer/email"],
        }),
        installs: Some((
            Given::Always,
            Installs::Consent {
                // Asked again where it is installed already: whoever consents picks the workspace there.
                params: &[("actor", "app"), ("prompt", "consent")],
                told: Told {
                    query: Some("{ organization { id name urlKey } }"),
                    id: &["/organization/id"],
                    tenant: &[],
                    name: &["/organization/name", "/organization/urlKey"],
                },
            },
        )),
        // Linear's own where none is named; it is always among those that are granted.
        usual_app_scopes: &["read"],
        ..PLAIN
    },
    Type {
        kind: Linq,
        name: "Linq",
        service: Some("linq"),
        app: &[(
            Given::Always,
            AppTokens::Kept {
                secret: "apiToken",
                metadata: &[],
            },
        )],
        ..PLAIN
    },
    Type {
        kind: MicrosoftEntra,
        name: "Microsoft Entra",
        service: Some("microsoft-entra"),
        client: STANDARD_CLIENT,
        variables: &[("tenantId", "tenant")],
        user_scopes: Some("userScopes"),
        app_scopes: Some("appScopes"),
        app: &[(Given::Field("tenantId"), AppTokens::ClientCredentials)],
        user: Some((Given::Always, UserTokens::Consent)),
        installs: Some((Given::Always, Installs::Page(Page::Entra))),
        usual_app_scopes: &["https://graph.microsoft.com/.default"],
        usual_user_scopes: MICROSOFT_USER_SCOPES,
        app_scope_end: "/.default",
        ..PLAIN
    },
    Type {
        kind: MicrosoftTeams,
        name: "Microsoft Teams",
        service: Some("microsoft-teams"),
        client: Some(ClientFields {
            id: "appId",
            secret: "clientSecret",
        }),
        variables: &[("tenantId", "tenant")],
        user_scopes: Some("userScopes"),
        app_scopes: Some("appScopes"),
        app: &[(Given::Field("tenantId"), AppTokens::ClientCredentials)],
        user: Some((Given::Always, UserTokens::Consent)),
        installs: Some((Given::Always, Installs::Page(Page::Entra))),
        usual_app_scopes: &["https://api.botframework.com/.default"],
        usual_user_scopes: MICROSOFT_USER_SCOPES,
        app_scope_end: "/.default",
        ..PLAIN
    },
    Type {
        kind: Oauth,
        name: "OAuth",
        client: STANDARD_CLIENT,
        app: &[(Given::Enabled, AppTokens::ClientCredentials)],
        user: Some((Given::Enabled, UserTokens::Consent)),
        ..PLAIN
    },
    Type {
        kind: Photon,
        name: "Photon",
        service: Some("photon"),
        app: &[(
            Given::Always,
            AppTokens::Kept {
                secret: "projectSecret",
                metadata: &["projectId"],
            },
        )],
        ..PLAIN
    },
    Type {
        kind: Salesforce,
        name: "Salesforce",
        service: Some("salesforce"),
        client: Some(ClientFields {
            id: "consumerKey",
            secret: "consumerSecret",
        }),
        variables: &[("loginHost", "login_host")],
        user_scopes: Some("userScopes"),
        app: &[
            (Given::Enabled, AppTokens::ClientCredentials),
            (Given::Field("username"), AppTokens::Bearer),
        ],
        user: Some((Given::Always, UserTokens::Consent)),
        ..PLAIN
    },
    Type {
        kind: Sendblue,
        name: "Sendblue",
        service: Some("sendblue"),
        app: &[(
            Given::Always,
            AppTokens::Kept {
                secret: "apiSecretKey",
                metadata: &["apiKeyId"],
            },
        )],
        ..PLAIN
    },
    Type {
        kind: Slack,
        name: "Slack",
        service: Some("slack"),
        client: STANDARD_CLIENT,
        user_scopes: Some("userScopes"),
        app_scopes: Some("botScopes"),
        user: Some((Given::Always, UserTokens::Consent)),
        // A workspace, or a whole organisation: then there is no team in the answer (oauth.v2.access).
        installs: Some((
            Given::Always,
            Installs::Consent {
                params: &[],
                told: Told {
                    query: None,
                    id: &["/team/id", "/enterprise/id"],
                    tenant: &["/enterprise/id"],
                    name: &["/team/name", "/enterprise/name"],
                },
            },
        )),
        user_scope_param: Some("user_scope"),
        user_quirks: Some("slack-user"),
        renamed: &[("bot_user_id", "botUserId")],
        ..PLAIN
    },
    Type {
        kind: Snowflake,
        name: "Snowflake",
        service: Some("snowflake"),
        client: STANDARD_CLIENT,
        variables: &[("accountIdentifier", "account")],
        user_scopes: Some("userScopes"),
        usual_user_scopes: &["refresh_token"],
        app: &[(Given::Field("user"), AppTokens::KeyPair)],
        user: Some((Given::Field("clientId"), UserTokens::Consent)),
        ..PLAIN
    },
    Type {
        kind: SnowflakeWif,
        name: "Snowflake (workload identity)",
        service: Some("snowflake"),
        variables: &[("accountIdentifier", "account")],
        app: &[(
            Given::Always,
            AppTokens::Proof(Proof {
                // What it expects of a user without an OIDC_AUDIENCE_LIST.
                audience: "snowflakecomputing.com",
                needs: "accountIdentifier",
                beside: "defaultSessionRole",
            }),
        )],
        ..PLAIN
    },
];

/// The row of `kind`.
pub fn of(kind: ConnectorType) -> &'static Type {
    // The rows stand in the order of the types, which a test holds them to.
    &TYPES[kind as usize]
}

impl Type {
    /// How users of a connector of this type get tokens.
    pub fn user_tokens(&self, data: &Map<String, Value>) -> Option<UserTokens> {
        let (given, tokens) = self.user?;
        (given.holds(data, user_enabled(data)) && self.has_client(data, tokens)).then_some(tokens)
    }

    /// How a connector of this type gets tokens of its own.
    pub fn app_tokens(&self, data: &Map<String, Value>) -> Option<AppTokens> {
        let mut ways = self.app.iter();
        let way = ways.find(|(given, _)| given.holds(data, app_enabled(data)))?;
        Some(way.1)
    }

    /// How a connector of this type is installed in tenants of its provider.
    pub fn installs(&self, data: &Map<String, Value>) -> Option<Installs> {
        let (given, way_in) = self.installs?;
        given.holds(data, app_enabled(data)).then_some(way_in)
    }

    /// A `custom` connector is an OAuth client where it has a client id; an `oauth` one always is, even before
    /// it has one.
    fn has_client(&self, data: &Map<String, Value>, tokens: UserTokens) -> bool {
        tokens != UserTokens::Consent || self.speaks_oauth(data)
    }

    /// Whether a connector of this type is a client of an authorization server.
    pub fn speaks_oauth(&self, data: &Map<String, Value>) -> bool {
        let optional = matches!(self.kind, Custom | Snowflake);
        let client = self.client.as_ref();
        client.is_some_and(|client| !optional || data.contains_key(client.id))
    }
}

impl Given {
    fn holds(self, data: &Map<String, Value>, enabled: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Enabled => enabled,
            Self::Field(name) => data.contains_key(name),
            Self::SubjectType(word, absent) => match data.get("subjectType") {
                Some(given) => given == word,
                None => absent,
            },
        }
    }
}

/// How users of `connector` get tokens.
pub fn user_tokens(connector: &Connector) -> Option<UserTokens> {
    of(connector.kind).user_tokens(&connector.data)
}

/// Whether users can consent as far as the connector's client goes: Discord and GitHub redeem no code without a secret, and
/// their connectors may be without, for a bot's or an installation's tokens alone.
pub fn can_redeem(connector: &Connector) -> bool {
    !matches!(connector.kind, Discord | Github) || connector.client_secret.is_some()
}

/// Whether the connector's own key can speak for users of its service (RFC 7523 §2.1).
pub fn speaks_by_key(connector: &Connector) -> bool {
    let ways = of(connector.kind).app.iter();
    ways.into_iter().any(|(_, way)| *way == AppTokens::Bearer)
}

/// How `connector` gets tokens of its own.
pub fn app_tokens(connector: &Connector) -> Option<AppTokens> {
    of(connector.kind).app_tokens(&connector.data)
}

/// Whether `connector` is a client of an authorization server.
pub fn speaks_oauth(connector: &Connector) -> bool {
    of(connector.kind).speaks_oauth(&connector.data)
}

/// Whether there are no tokens of `connector` at all: it is registered without credentials.
pub fn has_no_tokens(connector: &Connector) -> bool {
    user_tokens(connector).is_none() && app_tokens(connector).is_none()
}

/// Whether a search shows its endpoint a token of `connector`. What proves a workload to a service is nobody else's to see.
pub fn is_searched_with_token(connector: &Connector) -> bool {
    let app = app_tokens(connector).filter(|app| !matches!(app, AppTokens::Proof(_)));
    app.is_some() || user_tokens(connector).is_some()
}

/// The client id of a connector that is a client of an authorization server.
pub fn client_id(connector: &Connector) -> Option<&str> {
    let client = of(connector.kind).client?;
    connector.data.get(client.id)?.as_str()
}

/// The name of its client secret.
pub fn client_secret(connector: &Connector) -> Option<&'static str> {
    of(connector.kind).client.map(|client| client.secret)
}

/// The types whose connectors can be clients of an authorization server.
pub fn oauth_kinds() -> Vec<ConnectorType> {
    let clients = TYPES.iter().filter(|row| row.client.is_some());
    clients.map(|row| row.kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_where_it_is_looked_for() {
        assert_eq!(TYPES.len(), ConnectorType::ALL.len());
        for (row, kind) in TYPES.iter().zip(ConnectorType::ALL) {
            assert_eq!(row.kind, *kind);
            assert_eq!(of(*kind).kind, *kind);
            assert!(!row.name.is_empty());
        }
    }
}
