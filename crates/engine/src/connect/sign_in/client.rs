//! Whose sign-in a request is: the connector that its application calls its client, and where the answer may go.

use grantry_core::Result;
use grantry_core::limits::{RETURN_URL_BYTES_MAX, SIGN_IN_NAMESAKES_MAX};
use grantry_core::nouns::{Connector, Project};
use url::{Host, Url};

use super::start::AskSignIn;
use super::{Told, denied};
use crate::Engine;

/// A request whose answer may be sent to its redirect URI.
pub(super) struct Known {
    pub(super) connector: Connector,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
}

const NOT_DECLARED: &str =
    "redirect_uri is not among the sign_in_uris of a project that the connector is linked to";
const NAME_THE_TEAM: &str = "teamId is required, or the connector's id as client_id: several teams have a connector of \
                             this uid that answers to this redirect_uri";

impl Engine {
    /// The connector and the redirect URI of a request, or what is wrong with them.
    pub(super) async fn known_request(&self, ask: &AskSignIn) -> Told<Known> {
        let invalid = |why: &str| denied("invalid_request", why);
        let texts = [
            &ask.client_id,
            &ask.redirect_uri,
            &ask.state,
            &ask.nonce,
            &ask.scope,
        ];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > RETURN_URL_BYTES_MAX)
        {
            return invalid("a parameter is too long");
        }
        let Some(client_id) = ask.client_id.clone().filter(|id| !id.is_empty()) else {
            return invalid("client_id is required: a connector's id or uid");
        };
        let called = self.clients_of(&client_id, ask.team.as_deref()).await?;
        if called.is_empty() {
            return denied("invalid_client", "client_id names no connector");
        }
        let Some(redirect_uri) = ask.redirect_uri.clone().filter(|uri| !uri.is_empty()) else {
            return invalid("redirect_uri is required");
        };
        if called.len() > SIGN_IN_NAMESAKES_MAX {
            return invalid(NAME_THE_TEAM);
        }
        let mut at_home = Vec::with_capacity(1);
        for connector in called {
            if self.answers_to(&connector, &redirect_uri).await? {
                at_home.push(connector);
            }
        }
        match <[Connector; 1]>::try_from(at_home) {
            Ok([connector]) => Ok(Known {
                connector,
                client_id,
                redirect_uri,
                state: ask.state.clone(),
            }),
            Err(none) if none.is_empty() => invalid(NOT_DECLARED),
            Err(_) => invalid(NAME_THE_TEAM),
        }
    }

    /// The connectors that an application may mean: one by its id or in the team that is named, else all of the uid. One of
    /// another team, a deleted one and one that never was are the same.
    async fn clients_of(&self, client_id: &str, team: Option<&str>) -> Result<Vec<Connector>> {
        let store = &self.ports.store;
        let Some(team) = team.filter(|team| !team.is_empty()) else {
            if let Some(connector) = store.public_client(&client_id.into()).await? {
                return Ok(vec![connector]);
            }
            let most = u32::try_from(SIGN_IN_NAMESAKES_MAX + 1).unwrap_or(u32::MAX);
            return Ok(store.connectors_called(client_id, most).await?);
        };
        let Some(team) = store.team(team).await? else {
            return Ok(vec![]);
        };
        let found = store.connector(&team.id, client_id).await?;
        let live = found.filter(|connector| connector.deleted_at.is_none());
        Ok(live.into_iter().collect())
    }

    /// Whether a project that `connector` is linked to takes answers at `uri`.
    pub(super) async fn answers_to(&self, connector: &Connector, uri: &str) -> Result<bool> {
        let (store, team) = (&self.ports.store, &connector.team);
        let links = store.links(team, &connector.id).await?;
        let linked: Vec<_> = links.into_iter().map(|link| link.project).collect();
        let projects = store.projects_of(team, &linked).await?;
        Ok(projects.iter().any(|project| may_return(project, uri)))
    }
}

/// Whether answers to a project's sign-ins may go to `uri`: to a declared one, character by character. One on a loopback
/// address that was declared without a port is the same on every port (RFC 8252 §7.3).
pub(super) fn may_return(project: &Project, uri: &str) -> bool {
    let on_any_port = |declared: &str| {
        let (Ok(declared), Ok(mut given)) = (Url::parse(declared), Url::parse(uri)) else {
            return false;
        };
        let loopback = match declared.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        let spelled = given.as_str() == uri;
        loopback
            && declared.port().is_none()
            && declared.scheme() == "http"
            && spelled
            && given.set_port(None).is_ok()
            && given == declared
    };
    project
        .sign_in_uris
        .iter()
        .any(|declared| declared == uri || on_any_port(declared))
}

#[cfg(test)]
mod tests {
    use grantry_core::Timestamp;

    use super::*;

    fn project(uris: &[&str]) -> Project {
        Project {
            id: "prj_1".into(),
            team: "team_1".into(),
            name: "web".to_owned(),
            custom_environments: vec![],
            base_urls: Default::default(),
            provisions: false,
            sign_in_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn requirement_17_a_redirect_uri_is_a_declared_one_to_the_letter() {
        let web = project(&[
            "https://app.example/api/auth/callback/slack",
            "http://localhost:3000/cb",
        ]);
        for (uri, may) in [
            ("https://app.example/api/auth/callback/slack", true),
            ("http://localhost:3000/cb", true),
            ("https://app.example/api/auth/callback/slack/", false),
            ("https://app.example/api/auth/callback/slack?x=1", false),
            ("https://app.example/api/auth/callback/slack#x", false),
            ("https://APP.example/api/auth/callback/slack", false),
            ("https://app.example:443/api/auth/callback/slack", false),
            (
                "https://app.example@evil.example/api/auth/callback/slack",
                false,
            ),
            (
                "https://app.example.evil.example/api/auth/callback/slack",
                false,
            ),
            ("http://app.example/api/auth/callback/slack", false),
            ("https://app.example/api/auth/callback/slack/../x", false),
            ("http://localhost:3001/cb", false),
            ("http://localhost/cb", false),
            ("", false),
        ] {
            assert_eq!(may_return(&web, uri), may, "{uri}");
        }
        assert!(!may_return(&project(&[]), ""));
    }

    #[test]
    fn requirement_17_only_a_loopback_address_without_a_port_is_one_on_every_port() {
        let native = project(&[
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "http://127.0.0.1:4000/fixed",
        ]);
        for (uri, may) in [
            ("http://127.0.0.1/cb", true),
            ("http://127.0.0.1:51004/cb", true),
            ("http://[::1]:51004/cb", true),
            ("http://127.0.0.1:4000/fixed", true),
            ("http://127.0.0.1:4001/fixed", false),
            ("http://127.0.0.1:51004/cb/x", false),
            ("http://127.0.0.1:51004/cb?x", false),
            ("http://127.0.0.1:51004/x/../cb", false),
            ("https://127.0.0.1:51004/cb", false),
            ("http://127.1:51004/cb", false),
            ("http://u@127.0.0.1:51004/cb", false),
            ("http://localhost:51004/cb", false),
            ("http://127.0.0.2:51004/cb", false),
        ] {
            assert_eq!(may_return(&native, uri), may, "{uri}");
        }
    }
}
