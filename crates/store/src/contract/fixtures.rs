//! Rows for the suite: every field filled, and no two alike that could be mistaken for each other.

use std::time::Duration;

use grantry_core::Timestamp;
use grantry_core::ids::{ConnectionId, ConnectorId, ProjectId, TeamId};
use grantry_core::nouns::{
    Account, Actor, Authorization, AuthorizationState, BoundResource, ClientKey, Connection,
    ConnectionState, Connector, ConnectorType, CustomEnvironment, Digest, Embed, Environment,
    Event, EventKind, Fault, Flow, Grant, HeldConsent, Install, Installation, InstallationStatus,
    Invite, Key, KeyLevel, Link, McpServer, Means, NamedSecret, Project, RegisteredClient,
    Registration, Revocation, Role, Scopes, Sealed, SecretRef, Setup, SetupAsk, SetupState,
    Subject, Team, TokenSet, TriggerDestination, User,
};
use serde_json::{Map, Value, json};

/// The instant of the suite's rows.
pub(crate) const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// More than any case has.
pub(crate) const ALL: u32 = 1000;
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A digest that starts with `text`.
pub(crate) fn digest(text: &str) -> Digest {
    std::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or(0xA5))
}

pub(crate) fn sealed(text: &str) -> Sealed {
    Sealed([b"\0\xFF", text.as_bytes()].concat())
}

pub(crate) fn account(id: &str) -> Account {
    Account {
        id: id.into(),
        name: format!("{id} GmbH"),
        created_at: NOW,
    }
}

pub(crate) fn team(id: &str, account: &str) -> Team {
    Team {
        id: id.into(),
        account: account.into(),
        slug: format!("{id}-slug"),
        name: format!("{id} name"),
        return_origins: vec!["https://app.example".to_owned()],
        words: map(json!({"access": "open"})),
        created_at: NOW,
    }
}

pub(crate) fn named_secret(id: &str, team: &TeamId) -> NamedSecret {
    NamedSecret {
        id: id.into(),
        team: team.clone(),
        name: format!("{id} name"),
        label: Some("Label".to_owned()),
        owner: None,
        value: sealed(id),
        created_at: NOW,
        updated_at: NOW.after(MINUTE),
    }
}

pub(crate) fn invite(id: &str, team: &TeamId) -> Invite {
    Invite {
        id: id.into(),
        team: team.clone(),
        email: format!("{id}@example.org"),
        role: Role::Member,
        words: map(json!({"role": "agents-only"})),
        created_by: Actor::User {
            id: "usr_1".to_owned(),
        },
        created_at: NOW,
        expires_at: Some(NOW.after(HOUR)),
        accepted_at: Some(NOW.after(MINUTE)),
    }
}

pub(crate) fn mcp_server(id: &str, team: &TeamId) -> McpServer {
    McpServer {
        id: id.into(),
        team: team.clone(),
        name: format!("{id} name"),
        base_url: format!("https://{id}.example/mcp"),
        data: map(json!({"transport": "http"})),
        created_at: NOW,
        updated_at: NOW.after(MINUTE),
    }
}

pub(crate) fn setup(id: &str, team: &TeamId) -> Setup {
    Setup {
        id: id.into(),
        team: team.clone(),
        connector: format!("scl_of_{id}").as_str().into(),
        code: Some(digest(id)),
        ask: SetupAsk {
            kind: ConnectorType::Slack,
            service: "slack".to_owned(),
            connection_method: Some("slack-app".to_owned()),
            host: None,
            name: Some(format!("{id} name")),
            project: Some("prj_ours".to_owned()),
            environments: Some(vec![Environment::production()]),
            triggers: true,
            events: vec!["app_mention".to_owned()],
            trigger_destination: None,
            icon: None,
            background_color: None,
            accent_color: Some("#0a84ff".to_owned()),
            autoinstall: true,
        },
        requested_by: Actor::User {
            id: "usr_1".to_owned(),
        },
        credential: digest("asked"),
        requester: "Acme".to_owned(),
        state: SetupState::Pending,
        install: None,
        created_at: NOW,
        expires_at: NOW.after(2 * HOUR),
    }
}

pub(crate) fn user(id: &str, account: &str) -> User {
    User {
        id: id.into(),
        account: account.into(),
        email: format!("{id}@example.org"),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        created_at: NOW,
    }
}

pub(crate) fn project(id: &str, team: &TeamId) -> Project {
    Project {
        id: id.into(),
        team: team.clone(),
        name: format!("{id} name"),
        custom_environments: vec![CustomEnvironment {
            id: "env_1".to_owned(),
            slug: "staging".to_owned(),
        }],
        base_urls: [("production".to_owned(), "https://p.example".to_owned())].into(),
        provisions: true,
        sign_in_uris: vec!["https://p.example/cb".to_owned()],
        created_at: NOW,
    }
}

/// A workload's key of a team.
pub(crate) fn key(id: &str, account: &str, team: &TeamId) -> Key {
    Key {
        id: id.into(),
        hash: digest(id),
        hint: "grt_abc".to_owned(),
        name: format!("{id} name"),
        level: KeyLevel::Team,
        account: Some(account.into()),
        team: Some(team.clone()),
        user: None,
        project: Some("prj_ours".into()),
        environment: Some("preview".into()),
        role: Role::TokenOnly,
        created_at: NOW,
        expires_at: Some(NOW.after(HOUR)),
        revoked_at: None,
    }
}

pub(crate) fn connector(id: &str, team: &TeamId) -> Connector {
    Connector {
        id: id.into(),
        team: team.clone(),
        uid: format!("{id}/uid"),
        name: format!("{id} Name"),
        kind: ConnectorType::Oauth,
        service: "github.com".to_owned(),
        connection_method: Some("oauth".to_owned()),
        target: Some("api".to_owned()),
        data: map(json!({"z": 1, "a": {"clientId": "x"}})),
        secrets: Some(sealed("secrets")),
        client_secret: Some(SecretRef {
            id: format!("sec_{id}").into(),
            at: NOW,
        }),
        registration: Some(registration()),
        registration_secrets: Some(sealed("registration")),
        metadata: map(json!({"b": null, "a": "é"})),
        redirect_uri: "https://g.example/callback".to_owned(),
        default_installation: Some("T1".to_owned()),
        terms_at: None,
        reinstall_at: None,
        triggers_enabled: true,
        events: vec!["push".to_owned()],
        trigger_destinations: vec![TriggerDestination {
            project_id: "prj_ours".into(),
            branch: Some("main".to_owned()),
            custom_environment_id: None,
            path: Some("/hook".to_owned()),
        }],
        icon: Some("ab12".to_owned()),
        background_color: Some("#000000".to_owned()),
        accent_color: Some("#ffffff".to_owned()),
        fault: Some(fault()),
        failed_exchange: None,
        created_by: Actor::Server,
        updated_by: Actor::User {
            id: "usr_1".to_owned(),
        },
        created_at: NOW,
        updated_at: NOW.after(MINUTE),
        deleted_at: None,
    }
}

pub(crate) fn registration() -> Registration {
    Registration {
        issuer: Some("https://as.example".to_owned()),
        resource: Some(BoundResource {
            id: "https://mcp.example/mcp".to_owned(),
            scopes: vec!["tools".to_owned()],
        }),
        client: Some(RegisteredClient {
            id: "registered".to_owned(),
            means: Means::Dynamic,
            auth: "client_secret_basic".to_owned(),
            management: Some("https://as.example/register/1".to_owned()),
            secret_expires_at: Some(NOW.after(HOUR)),
            registered_at: NOW,
            renew_at: Some(NOW.after(MINUTE)),
            redirect_uri: Some("https://g.example/callback".to_owned()),
            untold: true,
            lost: true,
        }),
        keys: vec![ClientKey {
            kid: "k1".to_owned(),
            jwk: json!({"kty": "RSA", "kid": "k1"}),
            signs_from: NOW,
        }],
        asked: 1,
        failed: 2,
        not_before: NOW.after(HOUR),
    }
}

pub(crate) fn fault() -> Fault {
    Fault {
        code: "invalid_client".to_owned(),
        count: 3,
        at: NOW,
        not_before: NOW.after(HOUR),
    }
}

pub(crate) fn link(team: &TeamId, connector: &ConnectorId, project: &ProjectId) -> Link {
    Link {
        team: team.clone(),
        connector: connector.clone(),
        project: project.clone(),
        environments: vec![Environment::production(), "env_1".into()],
        created_at: NOW,
        updated_at: NOW.after(MINUTE),
    }
}

/// The grant of the user `user`, with every part filled.
pub(crate) fn grant(connector: &ConnectorId, user: &str) -> Grant {
    Grant {
        connector: connector.clone(),
        subject: Subject::User {
            id: user.to_owned(),
            issuer: Some("https://idp.example".to_owned()),
        },
        environment: "preview".into(),
        installation: Some("T1".to_owned()),
        scopes: Scopes::from_list(["b".to_owned(), "a".to_owned()]),
        audience: vec!["aud".to_owned()],
        resources: vec!["https://r.example".to_owned()],
        details: vec![json!({"type": "x", "n": 1})],
    }
}

pub(crate) fn authorization(id: &str, team: &TeamId, connector: &ConnectorId) -> Authorization {
    Authorization {
        id: id.into(),
        team: team.clone(),
        grant: grant(connector, "u1"),
        requested_by: Actor::Project {
            id: "prj_ours".to_owned(),
            environment: Environment::production(),
            identity: None,
        },
        requester: "Shop".to_owned(),
        verifier: digest(&format!("v {id}")),
        device_code: Some("ABCD".to_owned()),
        return_url: Some("https://app.example/done".to_owned()),
        prompt: Some("consent".to_owned()),
        additional_params: map(json!({"hd": "example.org"})),
        confirm: true,
        embed: Some(Embed {
            origin: Some("https://app.example".to_owned()),
        }),
        webhook: Some("https://app.example/hook".to_owned()),
        install: Some(Install {
            external_id: None,
            tenant: Some("E1".to_owned()),
        }),
        state: AuthorizationState::Pending,
        created_at: NOW,
        expires_at: NOW.after(HOUR),
    }
}

/// What a consent to `authorization` brought, its code's hash being that of `code`.
pub(crate) fn held(authorization: &Authorization, set: &TokenSet, code: &str) -> HeldConsent {
    HeldConsent {
        authorization: authorization.id.clone(),
        team: authorization.team.clone(),
        connector: authorization.grant.connector.clone(),
        code: digest(code),
        name: Some("Ada".to_owned()),
        external_subject: Some("4711".to_owned()),
        replaces: true,
        set: TokenSet {
            failures: 0,
            not_before: Timestamp(0),
            ..set.clone()
        },
        expires_at: NOW.after(10 * MINUTE),
    }
}

pub(crate) fn installation(id: &str, connector: &Connector) -> Installation {
    Installation {
        id: id.into(),
        team: connector.team.clone(),
        connector: connector.id.clone(),
        external_id: format!("ext {id}"),
        tenant: Some("T1".to_owned()),
        name: Some(format!("{id} name")),
        status: InstallationStatus::Active,
        terms_at: None,
        created_by: Actor::Server,
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn flow(state: &str, authorization: &Authorization) -> Flow {
    Flow {
        state: digest(state),
        team: authorization.team.clone(),
        authorization: authorization.id.clone(),
        browser: digest("browser"),
        verifier: sealed("pkce"),
        server: json!({"issuer": "https://as.example"}),
        redirect_uri: "https://g.example/callback".to_owned(),
        replaces: true,
        terms_at: Some(NOW),
        created_at: NOW,
        expires_at: NOW.after(10 * MINUTE),
        used_at: None,
    }
}

pub(crate) fn connection(id: &str, team: &TeamId, grant: Grant) -> Connection {
    Connection {
        id: id.into(),
        team: team.clone(),
        grant,
        state: ConnectionState::Active,
        name: Some(format!("{id} name")),
        external_subject: Some("4711".to_owned()),
        imported: false,
        created_at: NOW,
        updated_at: NOW.after(MINUTE),
    }
}

pub(crate) fn token_set(id: &str, connection: &Connection, kind: &str) -> TokenSet {
    TokenSet {
        id: id.into(),
        team: connection.team.clone(),
        connection: connection.id.clone(),
        kind: kind.to_owned(),
        access: sealed(&format!("access {id}")),
        access_expires_at: Some(NOW.after(HOUR)),
        refresh: Some(sealed(&format!("refresh {id}"))),
        scope: Some("a b".to_owned()),
        metadata: map(json!({"instance_url": "https://i.example"})),
        servers: Some(format!("https://{id}.example")),
        received_at: NOW,
        failures: 2,
        not_before: NOW.before(MINUTE),
    }
}

pub(crate) fn revocation(set: &str, connection: &Connection) -> Revocation {
    Revocation {
        set: set.into(),
        team: connection.team.clone(),
        connector: connection.grant.connector.clone(),
        connection: connection.id.clone(),
        access: sealed("late access"),
        refresh: Some(sealed("late refresh")),
        servers: Some("https://late.example".to_owned()),
        tries: 1,
        created_at: NOW,
        not_before: NOW.after(MINUTE),
    }
}

pub(crate) fn event(id: &str, team: &TeamId, kind: EventKind) -> Event {
    Event {
        id: id.into(),
        team: Some(team.clone()),
        at: NOW,
        kind,
        actor: Actor::Key {
            id: "key_1".to_owned(),
        },
        connector: None,
        connection: None,
        data: map(json!({"why": "test"})),
    }
}

/// The id of the connection number `n`.
pub(crate) fn numbered(n: usize) -> ConnectionId {
    format!("conn_{n:03}").into()
}
