//! Requests that may be repeated.

use std::time::Duration;

use grantry_core::StoreError;
use grantry_core::nouns::KeyedRequest;

use super::fixtures::{HOUR, NOW, sealed};
use super::{World, parallel};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn request(id: &str) -> KeyedRequest {
    KeyedRequest {
        id: id.to_owned(),
        request: [7; 32],
        answer: None,
        created_at: NOW,
        expires_at: NOW.after(DAY),
    }
}

pub async fn one_of_many_reserves_a_request(world: &World) {
    let reserve = |store: std::sync::Arc<dyn grantry_core::Store>, number: usize| async move {
        let asked = KeyedRequest {
            request: [u8::try_from(number).unwrap(); 32],
            ..request("a")
        };
        let standing = store.reserve_request(&asked).await.unwrap();
        standing.map_or(asked.request, |standing| standing.request)
    };
    let seen = parallel(8, reserve, world).await;
    assert!(seen.iter().all(|request| *request == seen[0]), "{seen:?}");
    assert_eq!(world.store.reserve_request(&request("b")).await, Ok(None));
}

pub async fn a_request_is_answered_once_and_the_answer_stands_until_it_expires(world: &World) {
    let store = &world.store;
    let first = request("a");
    assert_eq!(store.reserve_request(&first).await, Ok(None));
    let later = KeyedRequest {
        request: [8; 32],
        created_at: NOW.after(HOUR),
        expires_at: NOW.after(HOUR).after(DAY),
        ..first.clone()
    };
    assert_eq!(store.reserve_request(&later).await, Ok(Some(first.clone())));
    let missing = Err(StoreError::Missing("keyed_request"));
    // A reservation that is not this one.
    assert_eq!(store.answer_request(&later, &sealed("x")).await, missing);
    assert_eq!(store.answer_request(&first, &sealed("one")).await, Ok(()));
    assert_eq!(store.answer_request(&first, &sealed("two")).await, missing);
    assert_eq!(store.release_request(&first).await, Ok(()));
    let answered = KeyedRequest {
        answer: Some(sealed("one")),
        ..first.clone()
    };
    assert_eq!(store.reserve_request(&later).await, Ok(Some(answered)));
    let next_day = KeyedRequest {
        created_at: first.expires_at,
        expires_at: first.expires_at.after(DAY),
        ..later
    };
    assert_eq!(store.reserve_request(&next_day).await, Ok(None));
    assert_eq!(store.reserve_request(&first).await, Ok(Some(next_day)));
}

pub async fn a_released_request_can_be_reserved_again(world: &World) {
    let store = &world.store;
    let first = request("a");
    assert_eq!(store.reserve_request(&first).await, Ok(None));
    let other = KeyedRequest {
        created_at: NOW.after(HOUR),
        ..first.clone()
    };
    assert_eq!(store.release_request(&other).await, Ok(()));
    assert_eq!(store.reserve_request(&other).await, Ok(Some(first.clone())));
    assert_eq!(store.release_request(&first).await, Ok(()));
    assert_eq!(store.reserve_request(&other).await, Ok(None));
}

pub async fn expired_requests_are_swept(world: &World) {
    let store = &world.store;
    for (id, life) in [("a", HOUR), ("b", HOUR), ("c", HOUR), ("d", DAY)] {
        let request = KeyedRequest {
            expires_at: NOW.after(life),
            ..request(id)
        };
        assert_eq!(store.reserve_request(&request).await, Ok(None));
    }
    let now = NOW.after(HOUR);
    assert_eq!(store.sweep_requests(now, 2).await, Ok(2));
    assert_eq!(store.sweep_requests(now, 2).await, Ok(1));
    assert_eq!(store.sweep_requests(now, 2).await, Ok(0));
    let standing = store.reserve_request(&request("d")).await;
    assert!(matches!(standing, Ok(Some(_))));
}
