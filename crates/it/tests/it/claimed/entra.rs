//! Entra tenants: an administrator's consent, a person's sign-in at the tenant, and the application's token there.

use grantry_core::Error;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, Scopes};
use grantry_engine::{AskToken, CallbackEnd, CallbackRefusal, ConnectorChange};
use serde_json::json;
use url::Url;

use super::{
    asked, callback, code_of, installation_of, press, read, read_as, refused, rows, state_of, walk,
};
use crate::world::{CALLBACK, World, app_token};

/// As the sandbox has it: the tenant of who comes to none in particular, another, and one that nobody is of.
const USUAL: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";
const FOREIGN: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";
/// Who comes there is a user like any other; or nothing is told of their roles.
const PLAIN: &str = "33333333-3333-4333-8333-333333333333";
const SILENT: &str = "44444444-4444-4444-8444-444444444444";

pub(super) async fn world() -> World {
    let world = World::new().await;
    world
        .apply(
            r#"
            [[services]]
            id = "microsoft-entra"
            authorization_endpoint = "http://sandbox.test/entra/{tenant}/oauth2/v2.0/authorize"
            token_endpoint = "http://sandbox.test/entra/{tenant}/oauth2/v2.0/token"
            admin_consent_endpoint = "http://sandbox.test/entra/{tenant}/v2.0/adminconsent"

            [[connectors]]
            id = "scl_in"
            team = "team_1"
            name = "Directory"
            type = "microsoft-entra"
            data = { clientId = "demo", clientSecret = "demo-secret" }
            links = [{ project = "prj_1" }]
            "#,
        )
        .await;
    world
}

async fn installed_in(world: &World, tenant: Option<&str>) -> String {
    let requested = asked(world, None, tenant).await.unwrap();
    let pressed = press(world, &requested).await;
    let query = world.provider_answers(&pressed.url).await;
    installation_of(walk(world, &pressed, &query).await)
}

#[tokio::test]
async fn an_administrator_installs_it_in_a_tenant_and_it_has_tokens_there_on_demand() {
    let world = world().await;
    let (reason, url) = refused(read(&world, None).await);
    assert_eq!(reason, ReconnectReason::NeverConnected);
    assert!(url.contains("/install/sci_"), "{url}");

    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    assert_eq!(pressed.url.path(), "/entra/organizations/v2.0/adminconsent");
    let sent = |name: &str| {
        let mut query = pressed.url.query_pairs();
        query
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(sent("client_id").as_deref(), Some("demo"));
    assert_eq!(sent("redirect_uri").as_deref(), Some(CALLBACK));
    let scope = "https://graph.microsoft.com/.default";
    assert_eq!(sent("scope").as_deref(), Some(scope));
    assert_eq!(
        sent("response_type"),
        None,
        "it is no authorization request"
    );
    let query = world.provider_answers(&pressed.url).await;
    assert!(
        query.contains("admin_consent=True") && !query.contains("code="),
        "{query}"
    );
    assert_eq!(installation_of(walk(&world, &pressed, &query).await), USUAL);
    assert_eq!(installed_in(&world, Some(SECOND)).await, SECOND);
    let row = |id: &str, default| (id.to_owned(), None, default);
    assert_eq!(rows(&world).await, [row(USUAL, true), row(SECOND, false)]);

    let (first, second) = (read(&world, None).await, read(&world, Some(SECOND)).await);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.token.expose(), second.token.expose());
    assert_eq!(second.tenant.as_deref(), Some(SECOND));
    let again = read(&world, Some(&FOREIGN.to_uppercase())).await;
    assert!(
        matches!(again, Err(Error::Invalid(problems)) if problems[0].field == "installationId")
    );
    // Narrowed to another resource it is another token, asked for in the same tenant.
    let bots = AskToken {
        scopes: Scopes::Exactly(vec!["https://api.botframework.com/.default".to_owned()]),
        ..app_token(Some(SECOND))
    };
    let bots = read_as(&world, bots).await.unwrap();
    assert_ne!(bots.token.expose(), second.token.expose());
    let wide = AskToken {
        scopes: Scopes::Exactly(vec!["User.Read".to_owned()]),
        ..app_token(Some(SECOND))
    };
    assert!(matches!(
        read_as(&world, wide).await,
        Err(Error::Invalid(_))
    ));
    world.expire().await;
    let fresh = read(&world, Some(SECOND)).await.unwrap();
    assert_ne!(fresh.token.expose(), second.token.expose());
}

#[tokio::test]
async fn many_who_ask_at_once_have_one_token_minted_in_the_tenant() {
    let world = world().await;
    installed_in(&world, None).await;
    world.expire().await;
    world.sandbox.reset();
    let caller = world.server().await;
    let asks = (0..20).map(|_| {
        world
            .engine
            .token(&caller, "scl_in", app_token(Some(USUAL)))
    });
    let served = world.run(futures_util::future::join_all(asks)).await;
    let mut texts: Vec<String> = served
        .into_iter()
        .map(|served| served.unwrap().token.expose().to_owned())
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 1);
    let minted = world.sandbox.log().into_iter();
    let minted = minted.filter(|entry| entry.grant_type.as_deref() == Some("client_credentials"));
    assert_eq!(minted.count(), 1);
}

#[tokio::test]
async fn a_tenant_that_a_browser_only_names_is_not_taken_in() {
    let world = world().await;
    // Somebody of it did install the application there, in another connector of the same client.
    world.sandbox.install_in("demo", FOREIGN);
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let state = state_of(&pressed);
    let query = format!("admin_consent=True&tenant={FOREIGN}&state={state}");
    let CallbackEnd::Onward(url) = callback(&world, &pressed, &query).await else {
        panic!("believed, or refused at once");
    };
    let url = Url::parse(&url).unwrap();
    assert_eq!(
        url.path(),
        format!("/entra/{FOREIGN}/oauth2/v2.0/authorize")
    );
    // There is no way back from there for who is not of the tenant; a code of their own tenant is none of that one.
    let own = url.as_str().replace(FOREIGN, USUAL);
    let query = world.provider_answers(&Url::parse(&own).unwrap()).await;
    let query = query.replace(USUAL, FOREIGN);
    match callback(&world, &pressed, &query).await {
        CallbackEnd::Refused(CallbackRefusal::NotWaiting) => {}
        CallbackEnd::TryAgain { .. } => {}
        _ => panic!("a stranger's tenant was taken in"),
    }
    // The state is a part of the claim: with another one in it, it is nobody's.
    let claim = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let moved = claim.replace(FOREIGN, USUAL);
    let query = format!("code=c&state={moved}");
    let end = callback(&world, &pressed, &query).await;
    assert!(matches!(
        end,
        CallbackEnd::Refused(CallbackRefusal::NotWaiting)
    ));
    assert_eq!(rows(&world).await, []);
    refused(read(&world, Some(FOREIGN)).await);
}

#[tokio::test]
async fn who_is_no_administrator_claims_no_tenant() {
    let world = world().await;
    for (tenant, why) in [(PLAIN, "not_an_administrator"), (SILENT, "roles_unsaid")] {
        // An administrator of it once took the application in.
        world.sandbox.install_in("demo", tenant);
        let requested = asked(&world, None, None).await.unwrap();
        let pressed = press(&world, &requested).await;
        let state = state_of(&pressed);
        let query = format!("admin_consent=True&tenant={tenant}&state={state}");
        assert_eq!(code_of(walk(&world, &pressed, &query).await), why);
        refused(read(&world, Some(tenant)).await);
    }
    assert_eq!(rows(&world).await, []);
}

#[tokio::test]
async fn what_is_no_tenant_or_no_consent_leads_nowhere() {
    let world = world().await;
    for said in [
        "admin_consent=True&tenant=common",
        "admin_consent=True&tenant=evil.example%2Fx",
        "admin_consent=True&tenant=..%2F..",
        "admin_consent=True",
        "admin_consent=False&tenant=11111111-1111-4111-8111-111111111111",
        "admin_consent=True&tenant=11111111-1111-4111-8111-111111111111&tenant=22222222-2222-4222-8222-222222222222",
        "installation_id=1&setup_action=install",
    ] {
        let requested = asked(&world, None, None).await.unwrap();
        let pressed = press(&world, &requested).await;
        let query = format!("{said}&state={}", state_of(&pressed));
        let end = callback(&world, &pressed, &query).await;
        assert!(
            matches!(end, CallbackEnd::Refused(CallbackRefusal::Malformed)),
            "{said}"
        );
    }
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let query = format!(
        "error=access_denied&error_subcode=cancel&state={}",
        state_of(&pressed)
    );
    let CallbackEnd::Ended(ended) = callback(&world, &pressed, &query).await else {
        panic!("not ended");
    };
    assert_eq!(ended.state, AuthorizationState::Canceled);
    for (id, tenant, field) in [
        (Some("common"), None, "installationId"),
        (None, Some("contoso.example"), "tenantId"),
    ] {
        match asked(&world, id, tenant).await {
            Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, field),
            _ => panic!("{field}"),
        }
    }
}

#[tokio::test]
async fn another_tenant_than_asked_for_and_one_without_the_application_are_not_kept() {
    let world = world().await;
    let requested = asked(&world, None, Some(SECOND)).await.unwrap();
    let pressed = press(&world, &requested).await;
    assert!(
        pressed.url.path().contains(SECOND),
        "it is led to the tenant itself"
    );
    world.sandbox.install_in("demo", USUAL);
    let query = format!(
        "admin_consent=True&tenant={USUAL}&state={}",
        state_of(&pressed)
    );
    assert_eq!(
        code_of(walk(&world, &pressed, &query).await),
        "other_tenant"
    );

    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let query = format!(
        "admin_consent=True&tenant={SECOND}&state={}",
        state_of(&pressed)
    );
    assert_eq!(code_of(walk(&world, &pressed, &query).await), "not_granted");
    assert_eq!(rows(&world).await, []);
    // That a stranger's tenant does not know the application is no fault of the connector.
    assert_eq!(installed_in(&world, None).await, USUAL);
}

#[tokio::test]
async fn a_tenant_that_throws_the_application_out_stops_no_other() {
    let world = world().await;
    installed_in(&world, None).await;
    installed_in(&world, Some(SECOND)).await;
    world.sandbox.throw_out("demo", SECOND);
    world.expire().await;
    world.sandbox.reset();
    for _ in 0..3 {
        let (reason, url) = refused(read(&world, Some(SECOND)).await);
        assert_eq!(reason, ReconnectReason::Revoked);
        assert!(url.contains("/install/sci_"));
    }
    let asked = world.sandbox.log().into_iter();
    let asked = asked.filter(|entry| entry.grant_type.as_deref() == Some("client_credentials"));
    assert_eq!(asked.count(), 1, "it is not asked again at every read");
    read(&world, Some(USUAL)).await.unwrap();
    assert_eq!(installed_in(&world, Some(SECOND)).await, SECOND);
    read(&world, Some(SECOND)).await.unwrap();
}

#[tokio::test]
async fn its_own_tenant_is_asked_for_until_an_admin_makes_another_the_default() {
    let world = World::new().await;
    let own = format!(
        r#"
        [[services]]
        id = "microsoft-entra"
        authorization_endpoint = "http://sandbox.test/entra/{{tenant}}/oauth2/v2.0/authorize"
        token_endpoint = "http://sandbox.test/entra/{{tenant}}/oauth2/v2.0/token"
        admin_consent_endpoint = "http://sandbox.test/entra/{{tenant}}/v2.0/adminconsent"

        [[connectors]]
        id = "scl_in"
        team = "team_1"
        name = "Directory"
        type = "microsoft-entra"
        data = {{ clientId = "demo", clientSecret = "demo-secret", tenantId = "{USUAL}" }}
        links = [{{ project = "prj_1" }}]
        "#
    );
    world.apply(&own).await;
    world.sandbox.install_in("demo", USUAL);
    let before = read(&world, None).await.unwrap();
    assert_eq!(installed_in(&world, Some(SECOND)).await, SECOND);
    let after = read(&world, None).await.unwrap();
    assert_eq!(before.token.expose(), after.token.expose());
    let second = read(&world, Some(SECOND)).await.unwrap();
    assert_ne!(second.token.expose(), after.token.expose());
    assert_eq!(rows(&world).await, [(SECOND.to_owned(), None, false)]);
}

#[tokio::test]
async fn endpoints_of_one_tenant_are_not_asked_for_another() {
    let world = World::new().await;
    world
        .apply(
            r#"
            [[connectors]]
            id = "scl_in"
            team = "team_1"
            name = "Directory"
            type = "microsoft-entra"
            data = { clientId = "demo", clientSecret = "demo-secret", tenantId = "contoso.example", serverConfig = { authorization_endpoint = "http://sandbox.test/entra/common/oauth2/v2.0/authorize", token_endpoint = "http://sandbox.test/entra/common/oauth2/v2.0/token" } }
            links = [{ project = "prj_1" }]
            "#,
        )
        .await;
    match asked(&world, None, Some(SECOND)).await {
        Err(Error::Unresolvable { reason }) => {
            assert!(reason.contains("of one tenant"), "{reason}")
        }
        _ => panic!("it would be asked"),
    }
}

#[tokio::test]
async fn who_was_sent_off_before_the_application_asked_for_more_is_sent_off_again() {
    let world = world().await;
    let requested = asked(&world, None, None).await.unwrap();
    let pressed = press(&world, &requested).await;
    let query = world.provider_answers(&pressed.url).await;
    let more = json!({"appScopes": ["https://vault.azure.net/.default"]});
    let change = ConnectorChange {
        data: more.as_object().cloned(),
        nested: true,
        ..ConnectorChange::default()
    };
    let caller = world.server().await;
    let changed = world.engine.change_connector(&caller, "scl_in", change);
    world.run(changed).await.unwrap();
    // Their proof begins after the change; what they consented to did not.
    match walk(&world, &pressed, &query).await {
        CallbackEnd::TryAgain { code, .. } => assert_eq!(code, "connector_changed"),
        _ => panic!("it was installed"),
    }
    assert_eq!(rows(&world).await, []);
    let pressed = press(&world, &requested).await;
    let query = world.provider_answers(&pressed.url).await;
    assert_eq!(installation_of(walk(&world, &pressed, &query).await), USUAL);
}
