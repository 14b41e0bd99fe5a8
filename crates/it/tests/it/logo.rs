//! The icon of a connector, as its authorization server is told of it and fetches it.

use axum::body::Body;
use axum::http::Request;
use grantry_engine::{CallbackEnd, ConnectorChange, NewConnector};
use grantry_sandbox::{Endpoint, Order};
use grantry_vault::hash::sha1_hex;
use serde_json::{Value, json};

use crate::enrol::{ID, client, connect, data, token};
use crate::world::{PUBLIC, World, browser};

/// Uploads the header of a PNG of this width, which is all that is looked at; its digest.
async fn icon(world: &World, width: u32) -> String {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let sides = [width, 640].map(u32::to_be_bytes).concat();
    let image = [&head[..], &sides, &[8, 6, 0, 0, 0]].concat();
    let digest = sha1_hex(&image);
    let caller = world.server().await;
    world
        .engine
        .put_icon(&caller, &digest, &image)
        .await
        .unwrap();
    digest
}

/// A connector with this icon, whose server has registered a client for it.
async fn registered(world: &World, icon: &str) {
    let new = NewConnector {
        id: Some(ID.into()),
        kind: "oauth".to_owned(),
        name: Some("MCP".to_owned()),
        data: data(json!({})),
        icon: Some(icon.to_owned()),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    world
        .run(world.engine.create_connector(&caller, new))
        .await
        .unwrap();
    assert!(matches!(connect(world, "u1").await, CallbackEnd::Ended(_)));
}

async fn show(world: &World, icon: Option<&str>) {
    let change = ConnectorChange {
        icon: Some(icon.map(str::to_owned)),
        ..ConnectorChange::default()
    };
    let caller = world.server().await;
    let changed = world.engine.update_connector(&caller, ID, change);
    world.run(changed).await.unwrap();
}

/// Times that the server was told of its client after that was registered.
fn updates(world: &World) -> usize {
    let log = world.sandbox.log();
    let manage = log.iter().filter(|one| one.endpoint == Endpoint::Manage);
    manage.count()
}

#[tokio::test]
async fn a_server_that_takes_no_icon_keeps_its_client_without_one() {
    let world = World::new().await;
    let (first, second) = (icon(&world, 640).await, icon(&world, 641).await);
    registered(&world, &first).await;
    let id = client(&world).await;
    world.sandbox.order(Order::once("badmeta")).unwrap();
    show(&world, Some(&second)).await;
    assert_eq!(updates(&world), 2, "with it, and without");
    let said = world.sandbox.registered(&id).unwrap()["logo_uri"].clone();
    assert_eq!(said, Value::Null);
    assert_eq!(client(&world).await, id);
    world.expire().await;
    assert!(token(&world, "u1").await.is_ok());
}

#[tokio::test]
async fn a_server_is_told_of_an_icon_and_of_another_and_can_fetch_what_it_is() {
    let world = World::new().await;
    let (first, second) = (icon(&world, 640).await, icon(&world, 641).await);
    let caller = world.server().await;
    registered(&world, &first).await;
    let id = client(&world).await;
    let said = || world.sandbox.registered(&id).unwrap()["logo_uri"].clone();
    let updates = || updates(&world);
    let address = format!("{PUBLIC}/oauth/clients/{ID}/logo");
    assert_eq!((said(), updates()), (json!(address), 0));

    let logo = async |known: &str| {
        let path = &address[PUBLIC.len()..];
        let request = Request::get(path).header("if-none-match", known);
        let page = browser::send(&world.router(), request.body(Body::empty()).unwrap()).await;
        let header = |name: &str| {
            let value = page.headers.get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let kind = header("content-type");
        assert!(page.status != 200 || header("x-content-type-options") == "nosniff");
        (page.status.as_u16(), kind, header("etag"))
    };
    let tag = |digest: &str| format!("\"{digest}\"");
    let png = || "image/png".to_owned();
    assert_eq!(logo("\"other\"").await, (200, png(), tag(&first)));
    let known = format!("W/\"x\", {}", tag(&first));
    assert_eq!(logo(&known).await, (304, String::new(), tag(&first)));

    let show = async |icon: Option<&str>| show(&world, icon).await;
    show(Some(&second)).await;
    assert_eq!((said(), updates()), (json!(address), 1));
    assert_eq!(logo(&tag(&first)).await, (200, png(), tag(&second)));
    show(Some(&second)).await;
    assert_eq!(updates(), 1, "it is the same");
    show(None).await;
    assert_eq!((said(), updates()), (Value::Null, 2));
    assert_eq!(logo("x").await.0, 404);
    world.expire().await;
    assert!(token(&world, "u1").await.is_ok());
    assert_eq!(client(&world).await, id);
    show(Some(&first)).await;
    assert_eq!(logo("x").await.0, 200);
    let deleted = world.run(world.engine.delete_connector(&caller, ID)).await;
    assert!(deleted.is_ok());
    assert_eq!(logo("x").await.0, 404);
}
