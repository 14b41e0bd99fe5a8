//! Who may do what, and where: the one table (design §2). Routes name an [`Act`]; the refusal test is
//! generated from this table and the route table.

use grantry_core::nouns::Role;

/// Where an act happens, and so what a request has to name beside its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// On the credential itself, or on what it may see: nothing is named.
    Credential,
    /// In one team.
    Team,
    /// On one account, above its teams.
    Account,
    /// On the whole server.
    Server,
}

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident: $scope:ident,)*) => {
        /// Something a caller does. Every route is tied to one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Act { $($(#[$doc])* $name,)* }

        impl Act {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Where it happens.
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)* }
            }
        }
    };
}

acts! {
    /// Read who one is.
    ReadSelf: Credential,
    /// List the teams that one may act in.
    ListTeams: Credential,
    /// Read the catalogue of services.
    ReadCatalogue: Credential,
    /// Read a token.
    ReadToken: Team,
    /// Start a consent.
    Authorize: Team,
    /// Read one connector (workloads: linked ones only).
    ReadConnector: Team,
    /// Make a connector for oneself: a workload whose project may.
    Provision: Team,
    /// End one's own connections.
    RevokeOwn: Team,
    /// Read the team and its lists: members, projects, connectors, links, connections.
    ReadLists: Team,
    /// Read the event log.
    ReadEvents: Team,
    /// Make, change and delete connectors and links.
    ManageConnectors: Team,
    /// List, make, change and delete the team's secrets.
    ManageSecrets: Team,
    /// Take in a grant that exists already.
    ImportConnections: Team,
    /// End anybody's connections.
    RevokeAny: Team,
    /// Make, change and revoke the team's keys.
    ManageKeys: Team,
    /// Make, change and delete projects and their environments.
    ManageProjects: Team,
    /// Mint workload tokens.
    MintWorkloadTokens: Team,
    /// Change the team's name, slug and return origins.
    ManageTeam: Team,
    /// Take people into the team, change their role, remove them.
    ManageMembers: Team,
    /// Delete the team with everything in it.
    DeleteTeam: Team,
    /// Read the account and its people.
    ReadAccount: Account,
    /// Change the account; make teams; make, change and delete its people and its own keys.
    ManageAccount: Account,
    /// Make and delete accounts, change the catalogue, manage server-level keys and the keys that sign
    /// our own tokens.
    ManageServer: Server,
    /// Declare accounts, teams and everything in them.
    Apply: Server,
}

/// The rows of the table. Every principal has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The control socket, or a server-level key.
    Server,
    /// A key of an account that acts for no person, with this role. One that acts for a person has only
    /// that person's roles in their teams.
    Account(Role),
    /// A key of a team, or of a person in a team, with this role; a person's is already cut to theirs.
    Role(Role),
    /// A project's key or a workload token.
    Workload,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Server,
        Self::Account(Role::Owner),
        Self::Account(Role::Admin),
        Self::Account(Role::Member),
        Self::Account(Role::TokenOnly),
        Self::Role(Role::Owner),
        Self::Role(Role::Admin),
        Self::Role(Role::Member),
        Self::Role(Role::TokenOnly),
        Self::Workload,
    ];

    /// Whether a caller of this standing may do `act`. What they may do it *to* is checked where the
    /// act happens: links and environments for workloads, the subject for people.
    pub const fn may(self, act: Act) -> bool {
        use Act::{
            Apply, Authorize, DeleteTeam, ImportConnections, ListTeams, ManageAccount,
            ManageConnectors, ManageKeys, ManageMembers, ManageProjects, ManageSecrets,
            ManageServer, ManageTeam, MintWorkloadTokens, Provision, ReadAccount, ReadCatalogue,
            ReadConnector, ReadEvents, ReadLists, ReadSelf, ReadToken, RevokeAny, RevokeOwn,
        };
        match self {
            Self::Server => true,
            // Members are the owner's to choose; an account made the team, so it has to name the first one.
            Self::Account(Role::Owner | Role::Admin) => {
                !matches!(act, ManageServer | Apply | Provision)
            }
            Self::Account(Role::Member) => {
                matches!(act, ReadAccount) || Self::Role(Role::Member).may(act)
            }
            Self::Role(Role::Owner) => match act {
                ManageMembers | DeleteTeam => true,
                act => Self::Role(Role::Admin).may(act),
            },
            Self::Role(Role::Admin) => match act {
                ReadSelf | ListTeams | ReadCatalogue | ReadToken | Authorize | ReadConnector
                | RevokeOwn | ReadLists | ReadEvents | ManageConnectors | ImportConnections
                | RevokeAny | ManageKeys | ManageProjects | ManageSecrets | MintWorkloadTokens
                | ManageTeam => true,
                // They make connectors as they are; this is for who has no such right.
                ManageMembers | DeleteTeam | ReadAccount | ManageAccount | ManageServer | Apply
                | Provision => false,
            },
            Self::Role(Role::Member) => match act {
                ReadSelf | ListTeams | ReadCatalogue | ReadToken | Authorize | ReadConnector
                | RevokeOwn | ReadLists => true,
                ReadEvents | ManageConnectors | ImportConnections | RevokeAny | ManageKeys
                | ManageProjects | ManageSecrets | MintWorkloadTokens | ManageTeam
                | ManageMembers | DeleteTeam | ReadAccount | ManageAccount | ManageServer
                | Apply | Provision => false,
            },
            Self::Account(Role::TokenOnly) | Self::Role(Role::TokenOnly) => {
                matches!(act, ReadSelf | ReadToken)
            }
            Self::Workload => match act {
                ReadSelf | ReadToken | Authorize | ReadConnector | RevokeOwn | Provision => true,
                ListTeams | ReadCatalogue | ReadLists | ReadEvents | ManageConnectors
                | ImportConnections | RevokeAny | ManageKeys | ManageProjects | ManageSecrets
                | MintWorkloadTokens | ManageTeam | ManageMembers | DeleteTeam | ReadAccount
                | ManageAccount | ManageServer | Apply => false,
            },
        }
    }

    /// The most that a key made by a caller of this standing may do in a team.
    pub const fn highest_role(self) -> Role {
        match self {
            Self::Server => Role::Owner,
            Self::Account(role) | Self::Role(role) => role,
            Self::Workload => Role::TokenOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 4] = [Role::Owner, Role::Admin, Role::Member, Role::TokenOnly];

    #[test]
    fn nobody_may_more_than_the_standing_above() {
        let ladder = |rung: fn(Role) -> Standing| ROLES.map(rung);
        for act in Act::ALL {
            assert!(Standing::Server.may(*act));
            for ladder in [ladder(Standing::Account), ladder(Standing::Role)] {
                for pair in ladder.windows(2) {
                    assert!(
                        pair[0].may(*act) || !pair[1].may(*act),
                        "{act:?}: {:?} > {:?}",
                        pair[1],
                        pair[0]
                    );
                }
            }
            for role in ROLES {
                let (account, team) = (Standing::Account(role), Standing::Role(role));
                assert!(account.may(*act) || !team.may(*act), "{act:?} {role:?}");
            }
        }
    }

    #[test]
    fn a_token_only_key_reads_tokens_and_nothing_else() {
        for standing in [
            Standing::Role(Role::TokenOnly),
            Standing::Account(Role::TokenOnly),
        ] {
            let may: Vec<Act> = Act::ALL
                .iter()
                .copied()
                .filter(|act| standing.may(*act))
                .collect();
            assert_eq!(may, [Act::ReadSelf, Act::ReadToken]);
        }
    }

    #[test]
    fn only_the_server_acts_on_the_server_and_only_keys_of_an_account_on_that() {
        for act in Act::ALL {
            for standing in Standing::ALL {
                let possible = match act.scope() {
                    Scope::Server => standing == Standing::Server,
                    Scope::Account => matches!(standing, Standing::Server | Standing::Account(_)),
                    Scope::Team | Scope::Credential => true,
                };
                assert!(possible || !standing.may(*act), "{standing:?} {act:?}");
            }
        }
    }

    #[test]
    fn an_admin_does_everything_in_the_team_but_choose_its_members_end_it_and_be_a_workload() {
        let only_owners: Vec<Act> = Act::ALL
            .iter()
            .copied()
            .filter(|act| act.scope() == Scope::Team)
            .filter(|act| !Standing::Role(Role::Admin).may(*act))
            .collect();
        assert_eq!(
            only_owners,
            [Act::Provision, Act::ManageMembers, Act::DeleteTeam]
        );
    }
}
