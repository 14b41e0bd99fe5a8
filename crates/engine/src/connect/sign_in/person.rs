//! Who has signed in, as the provider says.

use grantry_core::Secret;
use grantry_core::http::{Method, Purpose, Request};
use grantry_core::limits;
use grantry_oauth::server::Endpoint;
use grantry_vault::envelope::Place;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::super::identity::Account;
use super::tenant::Tenant;
use crate::Engine;
use crate::connectors::OauthClient;

/// What is known of a person (OpenID Connect Core §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The provider's id of them.
    pub sub: String,
    /// Mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the provider has verified that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// URL of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// When the provider was last shown who they are, in seconds; only as its verified ID token says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// Where they are, as it was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
}

/// Where what is known of a sign-in's person is sealed.
pub(super) const fn place<'a>(team: &'a str, id: &'a str) -> Place<'a> {
    Place {
        team,
        table: "sign_ins",
        row: id,
        field: "identity",
    }
}

impl Engine {
    /// Who the provider says signed in: by its ID token, which was verified, and its userinfo endpoint. `None` where it
    /// does not say, or where the two are not of one person (OpenID Connect Core §5.3.2). Without verified claims it
    /// issues no ID tokens, or none that anybody can check.
    pub(super) async fn person(
        &self,
        oauth: &OauthClient,
        account: &Account,
        access: &Secret,
    ) -> Option<Person> {
        let verified = Some(&account.claims).filter(|claims| !claims.is_empty());
        let auth_time = verified.and_then(|claims| claims.get("auth_time")?.as_i64());
        let told = self.userinfo_of_provider(oauth, access).await;
        match (
            verified.and_then(person_of),
            told.as_ref().and_then(person_of),
        ) {
            (Some(verified), Some(told)) if verified.sub != told.sub => {
                tracing::warn!("a provider's userinfo is of somebody else than its ID token");
                None
            }
            (Some(verified), Some(told)) => Some(Person {
                // An address is verified, or not, where it was said.
                email_verified: match verified.email {
                    Some(_) => verified.email_verified,
                    None => told.email_verified,
                },
                email: verified.email.or(told.email),
                name: verified.name.or(told.name),
                picture: verified.picture.or(told.picture),
                auth_time,
                tenant: None,
                sub: verified.sub,
            }),
            (verified, told) => verified.or(told).map(|person| Person {
                auth_time,
                ..person
            }),
        }
    }

    async fn userinfo_of_provider(
        &self,
        oauth: &OauthClient,
        access: &Secret,
    ) -> Option<Map<String, Value>> {
        let mut told: Map<String, Value> = self.shown(oauth, Endpoint::Userinfo, access).await?;
        // Not all that users have is public.
        if told.get("email").and_then(text).is_none()
            && let Some(emails) = self.shown(oauth, Endpoint::UserEmails, access).await
            && let Some(address) = main_address(&emails)
        {
            told.insert("email".to_owned(), address.into());
            told.insert("email_verified".to_owned(), true.into());
        }
        Some(told)
    }

    /// What an endpoint of the provider answers to who shows it a user's token.
    async fn shown<T: DeserializeOwned>(
        &self,
        oauth: &OauthClient,
        endpoint: Endpoint,
        access: &Secret,
    ) -> Option<T> {
        let url = oauth.server.url(endpoint).ok()?;
        let bearer = Zeroizing::new(format!("Bearer {}", access.expose()));
        let request = Request {
            method: Method::Get,
            url,
            headers: vec![
                ("accept", Zeroizing::new("application/json".to_owned())),
                ("authorization", bearer),
            ],
            body: Zeroizing::default(),
            // A token goes where it is sent, and nowhere else.
            purpose: Purpose::Token,
        };
        let response = self.ports.http.send(request).await.ok();
        let response = response.filter(|response| response.status == 200)?;
        serde_json::from_slice(&response.body).ok()
    }
}

/// Of the addresses that a user has, as GitHub lists them, the one that it writes to, if it knows that this is theirs.
fn main_address(emails: &Value) -> Option<String> {
    let is = |email: &Value, what: &str| email.get(what).and_then(Value::as_bool) == Some(true);
    let mut emails = emails.as_array()?.iter();
    let main = emails.find(|email| is(email, "primary") && is(email, "verified"))?;
    text(main.get("email")?)
}

/// Standard claims, under the names of those providers that have others.
fn person_of(claims: &Map<String, Value>) -> Option<Person> {
    let first = |names: &[&str]| names.iter().find_map(|name| text(claims.get(*name)?));
    let verified = claims
        .get("email_verified")
        .and_then(|verified| match verified {
            Value::Bool(verified) => Some(*verified),
            Value::String(word) => word.parse().ok(),
            _ => None,
        });
    let email = first(&["email"]);
    let picture = first(&["picture", "avatar_url"]);
    Some(Person {
        sub: first(&["sub", "id", "user_id"])?,
        email_verified: verified.filter(|_| email.is_some()),
        email,
        name: first(&["name", "preferred_username", "login"]),
        picture: picture.filter(|url| url.starts_with("https://") || url.starts_with("http://")),
        auth_time: None,
        tenant: None,
    })
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty()
        && text.len() <= limits::IDENTITY_BYTES_MAX
        && !text.chars().any(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_many_addresses_the_main_one_counts_if_it_is_known_to_be_theirs() {
        let address = |email: &str, primary: bool, verified: bool| json!({"email": email, "primary": primary, "verified": verified, "visibility": null});
        let (other, main) = (
            address("a@x.example", false, true),
            address("b@x.example", true, true),
        );
        assert_eq!(
            main_address(&json!([other, main])).as_deref(),
            Some("b@x.example")
        );
        let claimed = address("c@x.example", true, false);
        for emails in [
            json!([other, claimed]),
            json!([]),
            json!({}),
            json!([{"email": "d@x.example"}]),
        ] {
            assert_eq!(main_address(&emails), None, "{emails}");
        }
    }

    #[test]
    fn a_person_is_read_as_openid_and_as_others_say_it() {
        let of = |claims: Value| person_of(claims.as_object().unwrap());
        let full = of(json!({
            "sub": "u1", "email": "a@b.example", "email_verified": "true", "name": "Ada", "picture": "https://p.example/a.png"
        }));
        assert_eq!(
            full,
            Some(Person {
                sub: "u1".to_owned(),
                email: Some("a@b.example".to_owned()),
                email_verified: Some(true),
                name: Some("Ada".to_owned()),
                picture: Some("https://p.example/a.png".to_owned()),
                auth_time: None,
                tenant: None,
            })
        );
        // GitHub's.
        let octocat = of(
            json!({"id": 583_231, "login": "octocat", "name": null, "email": null, "avatar_url": "https://a.example/u"}),
        );
        let octocat = octocat.unwrap();
        assert_eq!(
            (octocat.sub.as_str(), octocat.name.as_deref()),
            ("583231", Some("octocat"))
        );
        assert_eq!((octocat.email, octocat.email_verified), (None, None));
        assert_eq!(octocat.picture.as_deref(), Some("https://a.example/u"));

        assert_eq!(of(json!({"email": "a@b.example"})), None);
        assert_eq!(of(json!({"sub": ""})), None);
        assert_eq!(of(json!({"sub": {"id": 1}})), None);
        let odd = of(
            json!({"sub": "u", "email_verified": true, "picture": "javascript:alert(1)", "name": "a\nb"}),
        );
        assert_eq!(
            odd,
            Some(Person {
                sub: "u".to_owned(),
                ..Person::default()
            })
        );
    }
}
