//! Who may do what: the one table (design §2). Routes name an [`Act`]; the refusal test is generated
//! from this table and the route table.

use grantry_core::nouns::Role;

/// Something a caller does. Every route is tied to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Read a token.
    ReadToken,
    /// Start a consent.
    Authorize,
    /// Read one connector (workloads: linked ones only).
    ReadConnector,
    /// End one's own connections.
    RevokeOwn,
    /// Read lists: connectors, links, connections, projects.
    ReadLists,
    /// Read the event log.
    ReadEvents,
    /// Make, change and delete connectors and links.
    ManageConnectors,
    /// Take in a grant that exists already.
    ImportConnections,
    /// End anybody's connections.
    RevokeAny,
    /// Make and revoke the team's keys.
    ManageKeys,
    /// Mint workload tokens.
    MintWorkloadTokens,
    /// Declare accounts, teams and everything in them.
    Apply,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ReadToken,
        Self::Authorize,
        Self::ReadConnector,
        Self::RevokeOwn,
        Self::ReadLists,
        Self::ReadEvents,
        Self::ManageConnectors,
        Self::ImportConnections,
        Self::RevokeAny,
        Self::ManageKeys,
        Self::MintWorkloadTokens,
        Self::Apply,
    ];
}

/// The rows of the table. Every principal has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The control socket, or a server-level key.
    Server,
    /// A key of an account, or of a team, with this role; a person's role is already cut to theirs.
    Role(Role),
    /// A project's key or a workload token.
    Workload,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Server,
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
            Apply, Authorize, ImportConnections, ManageConnectors, ManageKeys, MintWorkloadTokens,
            ReadConnector, ReadEvents, ReadLists, ReadToken, RevokeAny, RevokeOwn,
        };
        match self {
            Self::Server => true,
            Self::Role(Role::Owner | Role::Admin) => match act {
                ReadToken | Authorize | ReadConnector | RevokeOwn | ReadLists | ReadEvents
                | ManageConnectors | ImportConnections | RevokeAny | ManageKeys
                | MintWorkloadTokens => true,
                Apply => false,
            },
            Self::Role(Role::Member) => match act {
                ReadToken | Authorize | ReadConnector | RevokeOwn | ReadLists => true,
                ReadEvents | ManageConnectors | ImportConnections | RevokeAny | ManageKeys
                | MintWorkloadTokens | Apply => false,
            },
            Self::Role(Role::TokenOnly) => matches!(act, ReadToken),
            Self::Workload => match act {
                ReadToken | Authorize | ReadConnector | RevokeOwn => true,
                ReadLists | ReadEvents | ManageConnectors | ImportConnections | RevokeAny
                | ManageKeys | MintWorkloadTokens | Apply => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_more_than_the_standing_above() {
        let ladder = [Role::Owner, Role::Admin, Role::Member, Role::TokenOnly].map(Standing::Role);
        for act in Act::ALL {
            assert!(Standing::Server.may(act));
            for pair in ladder.windows(2) {
                assert!(
                    pair[0].may(act) || !pair[1].may(act),
                    "{act:?}: {:?} > {:?}",
                    pair[1],
                    pair[0]
                );
            }
        }
    }

    #[test]
    fn a_token_only_key_reads_tokens_and_nothing_else() {
        let may: Vec<Act> = Act::ALL
            .into_iter()
            .filter(|act| Standing::Role(Role::TokenOnly).may(*act))
            .collect();
        assert_eq!(may, [Act::ReadToken]);
    }

    #[test]
    fn only_the_server_applies() {
        for standing in Standing::ALL {
            assert_eq!(
                standing.may(Act::Apply),
                standing == Standing::Server,
                "{standing:?}"
            );
        }
    }
}
