//! In whose tenant somebody is who signs in, as their access token says: only what the provider proved, and of that person.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::nouns::InstallationStatus;
use grantry_core::store::Page;
use grantry_engine::{InstallationChange, NewInstallation};
use serde_json::Value;
use url::Url;

use crate::gateway::{CONNECTOR, arriving, authorize, json_of, redeem, renew, told};
use crate::world::World;
use crate::world::browser::Browser;

/// As the sandbox has it: the tenant of who comes to Entra, and another.
const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";

/// A house whose connector is of `kind`.
async fn house(kind: &str, data: &str) -> World {
    let world = World::new().await;
    let house = format!(
        r#"
        [[services]]
        id = "microsoft-entra"
        authorization_endpoint = "http://sandbox.test/entra/{{tenant}}/oauth2/v2.0/authorize"
        token_endpoint = "http://sandbox.test/entra/{{tenant}}/oauth2/v2.0/token"
        admin_consent_endpoint = "http://sandbox.test/entra/{{tenant}}/v2.0/adminconsent"
        userinfo_endpoint = "http://sandbox.test/userinfo"
        [[projects]]
        id = "prj_1"
        team = "team_1"
        name = "web"
        sign_in_uris = ["https://app.example/cb"]
        [[connectors]]
        id = {CONNECTOR:?}
        team = "team_1"
        name = "Acme"
        type = {kind:?}
        data = {data}
        links = [{{ project = "prj_1" }}]
        "#
    );
    world.apply(&house).await;
    world
}

/// What an access token says of where its person is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    tenant: Option<String>,
    installation: Option<String>,
}

fn at(tenant: Option<&str>, installation: Option<&str>) -> Place {
    let [tenant, installation] = [tenant, installation].map(|id| id.map(str::to_owned));
    Place {
        tenant,
        installation,
    }
}

fn place_of(tokens: &Value) -> Place {
    let access = tokens["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(access.split('.').nth(1).unwrap());
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    let text = |name: &str| claims.get(name).map(|id| id.as_str().unwrap().to_owned());
    Place {
        tenant: text("tenantId"),
        installation: text("installationId"),
    }
}

/// The tokens of somebody who comes back with `more` in the address.
async fn signed_in_with(world: &World, more: &str) -> Value {
    let (mut browser, arrival) = arriving(world, &[]).await;
    let page = world.run(browser.get(&format!("{arrival}{more}"))).await;
    let code = told(page.location(), "code").unwrap_or_else(|| panic!("{}", page.location()));
    json_of(&redeem(world, &code).await, 200)
}

async fn renewed(world: &World, tokens: &Value) -> Value {
    let refresh = tokens["refresh_token"].as_str().unwrap();
    json_of(&renew(world, refresh).await, 200)
}

async fn install(world: &World, external_id: &str, tenant: Option<&str>) {
    let caller = world.server().await;
    let new = NewInstallation {
        external_id: external_id.to_owned(),
        tenant: tenant.map(str::to_owned),
        default: true,
        ..NewInstallation::default()
    };
    let made = world.engine.create_installation(&caller, CONNECTOR, new);
    made.await.unwrap();
}

async fn suspend(world: &World, external_id: &str) {
    let (caller, page) = (world.server().await, Page::first(9));
    let rows = world.engine.installations(&caller, CONNECTOR, &page).await;
    let rows = rows.unwrap().data.into_iter().map(|view| view.installation);
    let ids: BTreeMap<_, _> = rows.map(|row| (row.external_id, row.id)).collect();
    let change = InstallationChange {
        status: Some(InstallationStatus::Suspended),
        ..InstallationChange::default()
    };
    let changed = world
        .engine
        .update_installation(&caller, &ids[external_id], change);
    changed.await.unwrap();
}

const ENTRA: &str = r#"{ clientId = "demo", clientSecret = "demo-secret" }"#;

#[tokio::test]
async fn the_tenant_of_an_entra_user_is_told_and_neither_the_default_installations_nor_the_browsers()
 {
    let world = house("microsoft-entra", ENTRA).await;
    install(&world, SECOND, None).await;
    // What an address says is anybody's to write.
    for more in [
        "",
        &format!("&tenant={SECOND}&tid={SECOND}&tenantId={SECOND}&installation_id={SECOND}"),
    ] {
        let tokens = signed_in_with(&world, more).await;
        assert_eq!(place_of(&tokens), at(Some(TENANT), None), "{more}");
    }
    // The app's own installation there is told while there is one.
    let tokens = signed_in_with(&world, "").await;
    install(&world, TENANT, None).await;
    let tokens = renewed(&world, &tokens).await;
    assert_eq!(place_of(&tokens), at(Some(TENANT), Some(TENANT)));
    suspend(&world, TENANT).await;
    let tokens = renewed(&world, &tokens).await;
    assert_eq!(place_of(&tokens), at(Some(TENANT), None));
}

#[tokio::test]
async fn no_tenant_is_told_of_who_brought_no_proof_of_one() {
    // Nobody asked for an ID token.
    let data = r#"{ clientId = "demo", clientSecret = "demo-secret", userScopes = ["User.Read"] }"#;
    let world = house("microsoft-entra", data).await;
    install(&world, TENANT, None).await;
    let tokens = signed_in_with(&world, "").await;
    assert_eq!(place_of(&tokens), at(None, None));
}

#[tokio::test]
async fn the_workspace_in_the_answer_with_a_users_token_is_told_with_its_organisation() {
    let data = r#"{ appId = "A1", appName = "Bot", clientId = "demo", clientSecret = "demo-secret", userScopes = ["identity.basic"], serverConfig = { authorization_endpoint = "http://sandbox.test/slack/oauth/v2/authorize", token_endpoint = "http://sandbox.test/slack/api/oauth.v2.access", api_base_url = "http://sandbox.test/slack/api", userinfo_endpoint = "http://sandbox.test/userinfo" } }"#;
    let world = house("slack", data).await;
    install(&world, "T0001", None).await;
    for (team, expected) in [
        ("T0001", at(Some("T0001"), Some("T0001"))),
        ("T0002", at(Some("T0002"), None)),
        ("TE001", at(Some("E0001"), None)),
        ("E0001", at(Some("E0001"), None)),
    ] {
        // Which one is picked on Slack's page.
        let mut browser = Browser::at(world.router());
        let begun = world.run(browser.get(&authorize(&[]))).await;
        let mut provider = Url::parse(begun.location()).unwrap();
        provider.query_pairs_mut().append_pair("team", team);
        let arrival = world.provider_redirects(&provider).await;
        let page = world.run(browser.get(&arrival)).await;
        let code = told(page.location(), "code").unwrap_or_else(|| panic!("{}", page.location()));
        let tokens = json_of(&redeem(&world, &code).await, 200);
        assert_eq!(place_of(&tokens), expected, "{team}");
    }
}

/// An OpenID client whose tenants are called by `claim`, where the provider publishes `keys`.
fn openid(claim: &str, keys: &str) -> String {
    format!(
        r#"{{ clientId = "demo", clientSecret = "demo-secret", userAuthorization = {{ enabled = true, scopes = ["openid"], tenantClaim = {claim:?} }}, serverConfig = {{ issuer = "http://sandbox.test", authorization_endpoint = "http://sandbox.test/authorize", token_endpoint = "http://sandbox.test/token", userinfo_endpoint = "http://sandbox.test/userinfo"{keys} }} }}"#
    )
}

#[tokio::test]
async fn a_claim_is_believed_where_the_id_token_is_verified_and_told_by_its_name_alone() {
    let keys = r#", jwks_uri = "http://sandbox.test/jwks""#;
    for (claim, keys, expected) in [
        ("azp", keys, at(None, None)),
        ("sub", keys, at(Some("alice"), None)),
        // The same ID token, which nobody can check.
        ("sub", "", at(None, None)),
    ] {
        let world = house("oauth", &openid(claim, keys)).await;
        let tokens = signed_in_with(&world, "").await;
        assert_eq!(place_of(&tokens), expected, "{claim} {keys}");
    }
    // The tenant that is on record for the installation of that id.
    let world = house("oauth", &openid("sub", keys)).await;
    install(&world, "alice", Some("house")).await;
    let tokens = signed_in_with(&world, "").await;
    assert_eq!(place_of(&tokens), at(Some("house"), Some("alice")));
}
