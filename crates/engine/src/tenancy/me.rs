//! Who a credential is.

use grantry_core::Result;
use grantry_core::nouns::{Account, Environment, Key, Project, Team, User};

use crate::permissions::{Act, Standing};
use crate::{Engine, Principal, PrincipalKind};

/// Who a credential is, as far as its rows are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Me {
    /// Row of the permission table, where no team is named.
    pub standing: Standing,
    /// The key; none for the control socket and for workload tokens.
    pub key: Option<Key>,
    /// The account; none for the server.
    pub account: Option<Account>,
    /// The team; none above teams.
    pub team: Option<Team>,
    /// The person it acts for.
    pub user: Option<User>,
    /// The workload it acts for, and where that runs.
    pub workload: Option<(Project, Environment)>,
}

impl Engine {
    /// Who `principal` is.
    pub async fn me(&self, principal: &Principal) -> Result<Me> {
        principal.require(Act::ReadSelf)?;
        let store = &self.ports.store;
        let (account, team, user, workload) = match &principal.kind {
            PrincipalKind::Server => (None, None, None, None),
            PrincipalKind::Account { account, user, .. } => {
                (Some(account), None, user.as_ref(), None)
            }
            PrincipalKind::Team { team, user, .. } => (None, Some(team), user.as_ref(), None),
            PrincipalKind::Workload {
                team,
                project,
                environment,
                ..
            } => (None, Some(team), None, Some((project, environment))),
        };
        let team = match team {
            Some(id) => store.team(id.as_str()).await?,
            None => None,
        };
        let account = match account.or(team.as_ref().map(|team| &team.account)) {
            Some(id) => store.account(id).await?,
            None => None,
        };
        let user = match user {
            Some(id) => store.user(id).await?,
            None => None,
        };
        let workload = match workload {
            Some((id, environment)) => {
                let project = store.project_by_id(id).await?;
                project.map(|project| (project, environment.clone()))
            }
            None => None,
        };
        Ok(Me {
            standing: principal.standing(),
            key: store.key_by_hash(&principal.credential).await?,
            account,
            team,
            user,
            workload,
        })
    }
}
