//! Where a connector's events go (reference/vercel-connect C1, §6): at most three places, each of which is linked.

use grantry_core::limits::TRIGGER_DESTINATIONS_MAX;
use grantry_core::nouns::{Connector, Environment, Link, TriggerDestination};
use grantry_core::store::LinkChange;
use grantry_core::{Problem, Result, Timestamp};

use crate::{Caller, Engine};

/// What a destination with a branch is deployed as.
const OF_BRANCHES: &str = "preview";

/// Where events go that are for `destination`.
fn environment(destination: &TriggerDestination) -> Environment {
    match (&destination.custom_environment_id, &destination.branch) {
        (Some(custom), _) => custom.as_str().into(),
        (None, Some(_)) => OF_BRANCHES.into(),
        (None, None) => Environment::production(),
    }
}

/// The links that have to be other so that every destination's environment is one of its project's link.
pub(super) fn enabled(
    connector: &Connector,
    destinations: &[TriggerDestination],
    links: &[Link],
    at: Timestamp,
) -> Vec<LinkChange> {
    let mut changes: Vec<LinkChange> = Vec::new();
    for destination in destinations {
        let environment = environment(destination);
        let of_project = |link: &Link| link.project == destination.project_id;
        if let Some(change) = changes.iter_mut().find(|change| of_project(&change.link)) {
            if !change.link.environments.contains(&environment) {
                change.link.environments.push(environment);
            }
            continue;
        }
        let standing = links.iter().find(|link| of_project(link));
        if standing.is_some_and(|link| link.environments.contains(&environment)) {
            continue;
        }
        let environments = standing.map(|link| link.environments.clone());
        let mut environments = environments.unwrap_or_default();
        environments.push(environment);
        changes.push(LinkChange {
            link: Link {
                team: connector.team.clone(),
                connector: connector.id.clone(),
                project: destination.project_id.clone(),
                environments,
                created_at: at,
                updated_at: at,
            },
            read: standing.map(|link| link.updated_at),
        });
    }
    changes
}

impl Engine {
    /// What is wrong with a connector's destinations; `field` is what its maker calls the list.
    pub(crate) async fn destination_problems(
        &self,
        caller: &Caller,
        destinations: &[TriggerDestination],
        field: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        if destinations.len() > TRIGGER_DESTINATIONS_MAX {
            let message = format!("must be at most {TRIGGER_DESTINATIONS_MAX}");
            problems.push(Problem::new(field, message));
            return Ok(());
        }
        for (index, one) in destinations.iter().enumerate() {
            let mut problem = |message: String| {
                problems.push(Problem::new(format!("{field}[{index}]"), message));
            };
            if destinations[..index].contains(one) {
                problem("is there already".to_owned());
            }
            let store = &self.ports.store;
            let project = store.project(&caller.team, one.project_id.as_str()).await?;
            let project = project.filter(|project| project.id == one.project_id);
            match &project {
                None => problem(format!("{} is not a project of the team", one.project_id)),
                Some(project) => {
                    let unknown = one.custom_environment_id.as_ref().filter(|id| {
                        project
                            .custom_environments
                            .iter()
                            .all(|custom| custom.id != **id)
                    });
                    if let Some(id) = unknown {
                        problem(format!("{id} is not a custom environment of the project"));
                    }
                }
            }
            if one.branch.is_some() && one.custom_environment_id.is_some() {
                problem("names a branch or a custom environment, not both".to_owned());
            }
            if one
                .path
                .as_ref()
                .is_some_and(|path| !path.starts_with('/') || path.len() > 2048)
            {
                problem(
                    "has a path that does not begin with /, or of more than 2048 bytes".to_owned(),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::health::tests::connector;

    fn to(project: &str, branch: Option<&str>, custom: Option<&str>) -> TriggerDestination {
        TriggerDestination {
            project_id: project.into(),
            branch: branch.map(str::to_owned),
            custom_environment_id: custom.map(str::to_owned),
            path: None,
        }
    }

    #[test]
    fn a_destinations_environment_is_enabled_on_its_projects_link() {
        let connector = connector(None);
        let standing = |project: &str, environments: &[&str]| Link {
            team: connector.team.clone(),
            connector: connector.id.clone(),
            project: project.into(),
            environments: environments.iter().map(|one| (*one).into()).collect(),
            created_at: connector.created_at,
            updated_at: connector.created_at,
        };
        let links = [
            standing("prj_1", &["development"]),
            standing("prj_2", &["production"]),
        ];
        let destinations = [
            to("prj_1", None, Some("env_1")),
            to("prj_1", Some("main"), None),
            to("prj_2", None, None),
            to("prj_3", None, None),
        ];
        let changes = enabled(&connector, &destinations, &links, Timestamp(9));
        let told: Vec<(&str, Vec<&str>, bool)> = changes
            .iter()
            .map(|change| {
                let environments = change.link.environments.iter();
                let environments = environments.map(Environment::as_str).collect();
                (
                    change.link.project.as_str(),
                    environments,
                    change.read.is_some(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("prj_1", vec!["development", "env_1", "preview"], true),
                ("prj_3", vec!["production"], false),
            ]
        );
        assert!(enabled(&connector, &destinations[2..3], &links, Timestamp(9)).is_empty());
    }
}
