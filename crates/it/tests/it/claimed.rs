//! Installations that are made on a page of the provider's own, whose name a browser brings back: who brings it proves that
//! it is theirs, and the application has a token there, or nothing is stored.

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, Install};
use grantry_core::store::Page;
use grantry_core::{Error, Result};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, NewInstallation, Pressed, Requested, ServedToken,
};
use url::Url;

use crate::world::{CALLBACK, World, app_token};

mod entra;
mod github;

async fn read(world: &World, installation: Option<&str>) -> Result<ServedToken> {
    read_as(world, app_token(installation)).await
}

async fn read_as(world: &World, ask: AskToken) -> Result<ServedToken> {
    let caller = world.server().await;
    world.run(world.engine.token(&caller, "scl_in", ask)).await
}

fn refused(read: Result<ServedToken>) -> (ReconnectReason, String) {
    match read {
        Err(Error::InstallationRequired(why)) => (why.reason, why.url.unwrap()),
        other => panic!("{:?}", other.map(|served| served.metadata)),
    }
}

async fn asked(
    world: &World,
    external_id: Option<&str>,
    tenant: Option<&str>,
) -> Result<Requested> {
    let ask = AskConsent {
        token: app_token(None),
        install: Some(Install {
            external_id: external_id.map(str::to_owned),
            tenant: tenant.map(str::to_owned),
        }),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    world.engine.authorize(&caller, "scl_in", ask).await
}

async fn press(world: &World, requested: &Requested) -> Pressed {
    world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap()
}

async fn callback(world: &World, pressed: &Pressed, query: &str) -> CallbackEnd {
    let work = world
        .engine
        .callback(query, Some(&pressed.cookie), CALLBACK);
    world.run(work).await.unwrap()
}

/// The browser follows from an answer of ours to the provider and back again, until it is led nowhere else.
async fn walk(world: &World, pressed: &Pressed, first: &str) -> CallbackEnd {
    let mut query = first.to_owned();
    loop {
        match callback(world, pressed, &query).await {
            CallbackEnd::Onward(url) => {
                query = world.provider_answers(&Url::parse(&url).unwrap()).await;
            }
            end => return end,
        }
    }
}

fn state_of(pressed: &Pressed) -> String {
    let mut query = pressed.url.query_pairs();
    query
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned()
}

fn code_of(end: CallbackEnd) -> String {
    match end {
        CallbackEnd::Ended(result) => match result.state {
            AuthorizationState::Error { code } => code,
            state => panic!("{state:?}"),
        },
        _ => panic!("not ended"),
    }
}

fn installation_of(end: CallbackEnd) -> String {
    match end {
        CallbackEnd::Ended(result) => result.installation.unwrap(),
        CallbackEnd::TryAgain { code, .. } => panic!("{code}"),
        CallbackEnd::Refused(refusal) => panic!("{refusal:?}"),
        _ => panic!("not ended"),
    }
}

async fn rows(world: &World) -> Vec<(String, Option<String>, bool)> {
    let caller = world.server().await;
    let page = Page::first(10);
    let rows = world.engine.installations(&caller, "scl_in", &page).await;
    let rows = rows.unwrap().data.into_iter();
    let mut rows: Vec<_> = rows
        .map(|view| {
            (
                view.installation.external_id,
                view.installation.name,
                view.default,
            )
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn an_installation_that_is_typed_in_is_of_the_providers_form() {
    for world in [entra::world().await, github::world().await] {
        let caller = world.server().await;
        let new = NewInstallation {
            external_id: "somewhere".to_owned(),
            ..NewInstallation::default()
        };
        match world
            .engine
            .create_installation(&caller, "scl_in", new)
            .await
        {
            Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "external_id"),
            _ => panic!("taken in"),
        }
    }
}
