//! Where applications are installed: tenants of Entra, accounts at GitHub.

use std::collections::{BTreeMap, HashSet};

use super::Model;

#[derive(Default)]
pub(crate) struct Tenants {
    /// Client and tenant.
    entra: HashSet<(String, String)>,
    /// By the installation's number.
    github: BTreeMap<u64, Account>,
}

/// An account at GitHub in which an app is installed.
#[derive(Clone)]
pub(crate) struct Account {
    pub login: String,
    /// Who installed it, and has to do with it.
    pub user: String,
    /// An owner of the account has suspended it.
    pub suspended: bool,
}

/// The number of the first installation at GitHub.
const FIRST: u64 = 1001;

impl Model {
    /// An administrator of `tenant` consents.
    pub(crate) fn entra_install(&mut self, client: &str, tenant: &str) {
        let entry = (client.to_owned(), tenant.to_owned());
        self.tenants.entra.insert(entry);
    }

    /// An administrator of `tenant` throws an application out.
    pub(crate) fn entra_remove(&mut self, client: &str, tenant: &str) {
        let entry = (client.to_owned(), tenant.to_owned());
        self.tenants.entra.remove(&entry);
    }

    pub(crate) fn entra_has(&self, client: &str, tenant: &str) -> bool {
        let entry = (client.to_owned(), tenant.to_owned());
        self.tenants.entra.contains(&entry)
    }

    /// Installs the app: the installation's number.
    pub(crate) fn github_install(&mut self, account: Account) -> u64 {
        let github = &mut self.tenants.github;
        let next = github.keys().last().map_or(FIRST, |last| last + 1);
        github.insert(next, account);
        next
    }

    pub(crate) fn github_account(&self, installation: u64) -> Option<&Account> {
        self.tenants.github.get(&installation)
    }

    /// An owner of the account suspends an installation, or lets it go on.
    pub(crate) fn github_suspend(&mut self, installation: u64, suspended: bool) {
        if let Some(account) = self.tenants.github.get_mut(&installation) {
            account.suspended = suspended;
        }
    }

    /// An owner of the account removes an installation.
    pub(crate) fn github_remove(&mut self, installation: u64) {
        self.tenants.github.remove(&installation);
    }

    /// The installations that a user has to do with.
    pub(crate) fn github_of(&self, user: &str) -> Vec<(u64, Account)> {
        let all = self.tenants.github.iter();
        all.filter(|(_, account)| account.user == user)
            .map(|(id, account)| (*id, account.clone()))
            .collect()
    }
}
