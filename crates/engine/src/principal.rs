//! Who is asking.

use grantry_core::error::Forbidden;
use grantry_core::ids::{AccountId, KeyId, ProjectId, TeamId, UserId};
use grantry_core::nouns::{Actor, Connection, Digest, Environment, OutsideIdentity, Role, Subject};
use grantry_core::{Error, Result, Timestamp};

use crate::permissions::{Act, Standing};

/// A verified credential, before a team is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Hash of the credential; tells callers apart in the token-read log.
    pub credential: Digest,
    /// What the credential is.
    pub kind: PrincipalKind,
    /// From when on it has to be verified anew; never when absent.
    pub until: Option<Timestamp>,
}

/// Kinds of credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum PrincipalKind {
    /// The control socket or a server-level key.
    Server,
    /// An account-level key.
    Account {
        /// Its account.
        account: AccountId,
        /// The person it acts for.
        user: Option<UserId>,
        /// The key.
        key: KeyId,
        /// What it may do in the account's teams.
        role: Role,
    },
    /// A team-level key that acts for a person, or for nobody.
    Team {
        /// Its team.
        team: TeamId,
        /// The person it acts for.
        user: Option<UserId>,
        /// The key.
        key: KeyId,
        /// Already cut to the person's role.
        role: Role,
    },
    /// A project's key, or a workload token.
    Workload {
        /// Its team.
        team: TeamId,
        /// The project.
        project: ProjectId,
        /// Where it runs.
        environment: Environment,
        /// Who it is at the issuer of its token, where that is not this server.
        identity: Option<OutsideIdentity>,
    },
}

impl Principal {
    /// The operator at the control socket: whoever may open it is the server.
    pub const OPERATOR: Self = Self {
        credential: [0; 32],
        kind: PrincipalKind::Server,
        until: None,
    };

    /// Row of the permission table for acts that are in no team. In a team, a person's account key is
    /// cut to their role there.
    pub const fn standing(&self) -> Standing {
        match &self.kind {
            PrincipalKind::Server => Standing::Server,
            PrincipalKind::Account {
                user: None, role, ..
            } => Standing::Account(*role),
            PrincipalKind::Account {
                user: Some(_),
                role,
                ..
            }
            | PrincipalKind::Team { role, .. } => Standing::Role(*role),
            PrincipalKind::Workload { .. } => Standing::Workload,
        }
    }

    /// Refuses with [`Forbidden::Role`] unless the principal's standing includes `act`.
    pub fn require(&self, act: Act) -> Result<()> {
        required(self.standing(), act)
    }

    /// As events remember it.
    pub fn actor(&self) -> Actor {
        match &self.kind {
            PrincipalKind::Server => Actor::Server,
            PrincipalKind::Account {
                user: Some(user), ..
            }
            | PrincipalKind::Team {
                user: Some(user), ..
            } => Actor::User {
                id: user.to_string(),
            },
            PrincipalKind::Account { key, .. } | PrincipalKind::Team { key, .. } => Actor::Key {
                id: key.to_string(),
            },
            PrincipalKind::Workload {
                project,
                environment,
                identity,
                ..
            } => Actor::Project {
                id: project.to_string(),
                environment: environment.clone(),
                identity: identity.clone(),
            },
        }
    }
}

fn required(standing: Standing, act: Act) -> Result<()> {
    if standing.may(act) {
        Ok(())
    } else {
        Err(Error::Forbidden(Forbidden::Role))
    }
}

/// A principal acting above teams: what use cases on accounts and on the server take.
#[derive(Clone, Debug, PartialEq)]
pub struct Steward {
    /// The account acted on; none for acts on the server.
    pub account: Option<AccountId>,
    /// Row of the permission table.
    pub standing: Standing,
    /// As events remember it.
    pub actor: Actor,
    /// When the credential ends; never when absent.
    pub until: Option<Timestamp>,
}

impl Steward {
    /// Refuses with [`Forbidden::Role`] unless the steward's standing includes `act`.
    pub fn require(&self, act: Act) -> Result<()> {
        required(self.standing, act)
    }

    /// The account acted on. [`Error::NotFound`] where none was chosen.
    pub fn account(&self) -> Result<&AccountId> {
        self.account.as_ref().ok_or(Error::NotFound("account"))
    }
}

/// A principal acting in one team: what every use case of the engine takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The team acted in.
    pub team: TeamId,
    /// Row of the permission table.
    pub standing: Standing,
    /// As events remember it.
    pub actor: Actor,
    /// Hash of the credential.
    pub credential: Digest,
    /// When the credential ends; never when absent.
    pub until: Option<Timestamp>,
}

impl Caller {
    /// Refuses with [`Forbidden::Role`] unless the caller's standing includes `act`.
    pub fn require(&self, act: Act) -> Result<()> {
        required(self.standing, act)
    }

    /// The same caller for whom a subject is data and not a wish of their own: an admin who takes in what
    /// is anybody's.
    pub(crate) fn as_server(&self) -> Self {
        Self {
            actor: Actor::Server,
            ..self.clone()
        }
    }

    /// The environment the caller acts in (design §2: without one, `production`).
    pub fn environment(&self) -> Environment {
        match &self.actor {
            Actor::Project { environment, .. } => environment.clone(),
            _ => Environment::production(),
        }
    }

    /// The project of a workload.
    pub fn project(&self) -> Option<&str> {
        match &self.actor {
            Actor::Project { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Refuses subjects that this caller may not get tokens for: a workload and the server may name
    /// anybody; a key may name the app, or its own person (design §2).
    pub fn require_subject(&self, subject: &Subject) -> Result<()> {
        let accessible = match (&self.actor, subject) {
            (Actor::Server | Actor::Project { .. }, _) | (_, Subject::App) => true,
            (Actor::User { id: own }, Subject::User { id, issuer: None }) => own == id,
            _ => false,
        };
        if accessible {
            Ok(())
        } else {
            Err(Error::Forbidden(Forbidden::SubjectNotAccessible))
        }
    }

    /// Whether the caller may get at `connection` by its id, under which no subject and no environment
    /// was named: a workload at those of its own environment, a key at those of the app and its person.
    pub fn reaches(&self, connection: &Connection) -> bool {
        let grant = &connection.grant;
        let in_its_environment =
            self.project().is_none() || self.environment() == grant.environment;
        self.team == connection.team
            && in_its_environment
            && self.require_subject(&grant.subject).is_ok()
    }

    /// The one subject whose rows a list shows to this caller; none for who may see everybody's.
    pub fn sees_only(&self) -> Result<Option<Subject>> {
        if self.standing.may(Act::RevokeAny) {
            return Ok(None);
        }
        match &self.actor {
            Actor::User { id } => Ok(Some(Subject::User {
                id: id.clone(),
                issuer: None,
            })),
            _ => Err(Error::Forbidden(Forbidden::Role)),
        }
    }

    /// Whether connections of `subject` are the caller's own to end. The app's are shared by the team:
    /// of those only a workload's (in its environment) are.
    pub fn owns(&self, subject: &Subject) -> bool {
        let shared = *subject == Subject::App && self.project().is_none();
        !shared && self.require_subject(subject).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::{ConnectionState, Grant, Scopes};

    use super::*;

    fn caller(actor: Actor) -> Caller {
        Caller {
            team: "team_1".into(),
            standing: Standing::Role(Role::Admin),
            actor,
            credential: [0; 32],
            until: None,
        }
    }

    #[test]
    fn a_persons_key_asks_for_the_app_or_for_themselves() {
        let alice = caller(Actor::User {
            id: "usr_alice".to_owned(),
        });
        let user = |id: &str, issuer: Option<&str>| Subject::User {
            id: id.to_owned(),
            issuer: issuer.map(str::to_owned),
        };
        assert_eq!(alice.require_subject(&Subject::App), Ok(()));
        assert_eq!(alice.require_subject(&user("usr_alice", None)), Ok(()));
        for other in [
            user("usr_bob", None),
            user("usr_alice", Some("https://idp.example")),
        ] {
            assert_eq!(
                alice.require_subject(&other),
                Err(Error::Forbidden(Forbidden::SubjectNotAccessible))
            );
        }
    }

    #[test]
    fn a_connection_is_reached_in_ones_team_and_environment_and_ended_by_its_owner() {
        let user = |id: &str| Subject::User {
            id: id.to_owned(),
            issuer: None,
        };
        let connection = |team: &str, environment: &str, subject: &Subject| Connection {
            id: "conn_1".into(),
            team: team.into(),
            grant: Grant {
                connector: "scl_1".into(),
                subject: subject.clone(),
                environment: environment.into(),
                installation: None,
                scopes: Scopes::Default,
                audience: vec![],
                resources: vec![],
                details: vec![],
            },
            state: ConnectionState::Active,
            name: None,
            external_subject: None,
            imported: false,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let alice = caller(Actor::User {
            id: "usr_alice".to_owned(),
        });
        let preview = caller(Actor::Project {
            id: "prj_1".to_owned(),
            environment: "preview".into(),
            identity: None,
        });
        let (own, other, app) = (user("usr_alice"), user("usr_bob"), Subject::App);
        for (who, team, environment, subject, reaches, owns) in [
            (&alice, "team_1", "production", &own, true, true),
            (&alice, "team_1", "preview", &own, true, true),
            (&alice, "team_2", "production", &own, false, true),
            (&alice, "team_1", "production", &other, false, false),
            (&alice, "team_1", "production", &app, true, false),
            (&preview, "team_1", "preview", &other, true, true),
            (&preview, "team_1", "preview", &app, true, true),
            (&preview, "team_1", "production", &other, false, true),
            (&preview, "team_1", "production", &app, false, true),
            (&preview, "team_2", "preview", &other, false, true),
        ] {
            let connection = connection(team, environment, subject);
            let case = format!("{:?}: {connection:?}", who.actor);
            assert_eq!(who.reaches(&connection), reaches, "{case}");
            assert_eq!(who.owns(subject), owns, "{case}");
        }
    }

    #[test]
    fn a_workload_asks_for_anybody_and_acts_in_its_environment() {
        let web = caller(Actor::Project {
            id: "prj_1".to_owned(),
            environment: "preview".into(),
            identity: None,
        });
        assert_eq!(
            web.require_subject(&Subject::User {
                id: "anyone".to_owned(),
                issuer: None
            }),
            Ok(())
        );
        assert_eq!(web.environment(), "preview".into());
        assert_eq!(
            caller(Actor::Server).environment(),
            Environment::production()
        );
    }
}
