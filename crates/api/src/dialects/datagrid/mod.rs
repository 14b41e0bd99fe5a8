//! Datagrid's API, at `/datagrid/v1` (docs/datagrid.md): a connector is a service of the catalogue, a connection
//! provider one of our connectors, a teamspace a team, an organization an account.

mod catalogue;
mod connections;
pub mod error;
mod fields;
mod map;
mod members;
mod organization;
mod page;
mod providers;
pub mod window;
pub mod wire;

pub use connections::ROUTES as CONNECTIONS;
pub use organization::ROUTES as ORGANIZATION;
pub use providers::ROUTES as PROVIDERS;

/// What the paths of this dialect begin with.
const PREFIX: &str = "/datagrid/v1";

/// The operation id of an endpoint: `POST /connections`, `GET /connections/{connection}`.
pub fn operation(endpoint: &str) -> Option<&'static str> {
    let (method, path) = endpoint.split_once(' ')?;
    let mut routes = [PROVIDERS, CONNECTIONS, ORGANIZATION].into_iter().flatten();
    let found = routes.find(|route| {
        route.method.as_str() == method && route.path.strip_prefix(PREFIX) == Some(path.trim())
    })?;
    Some(found.operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_known_by_method_and_path() {
        assert_eq!(
            operation("POST /connections"),
            Some("datagridCreateConnection")
        );
        let one = operation("DELETE /organization/teamspaces/{team}/users/{user}");
        assert_eq!(one, Some("datagridDeleteTeamspaceUser"));
        for none in [
            "",
            "POST",
            "POST connections",
            "PUT /connections",
            "GET /connections/x",
        ] {
            assert_eq!(operation(none), None, "{none}");
        }
    }
}
