//! Datagrid's lists, forwards and backwards (reference/datagrid §2.9).

use serde_json::json;

use super::datagrid::{admin, ask, create, id, ids, seed};
use super::server::Server;

#[tokio::test]
async fn a_list_is_turned_as_the_sdks_turn_it_even_while_its_rows_are_deleted() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        server.clock.advance(std::time::Duration::from_millis(1));
        let body = json!({"name": format!("s{number}"), "value": "v"});
        let secret = admin(&server, "POST /secrets", Some(&body))
            .await
            .expect(201);
        made.insert(0, id(&secret));
    }
    let page = async |query: &str| {
        let list = admin(&server, &format!("GET /secrets?{query}"), None)
            .await
            .expect(200);
        assert_eq!(list["object"], "list");
        (ids(&list), list["has_more"].as_bool().unwrap())
    };
    assert_eq!(page("limit=2").await, (made[..2].to_vec(), true));
    assert_eq!(
        page(&format!("limit=2&after={}", made[1])).await,
        (made[2..4].to_vec(), true)
    );
    assert_eq!(
        page(&format!("limit=2&after={}", made[3])).await,
        (made[4..].to_vec(), false)
    );
    assert_eq!(page(&format!("after={}", made[4])).await, (vec![], false));
    // Backwards: the rows just before, in the list's order.
    assert_eq!(
        page(&format!("limit=2&before={}", made[4])).await,
        (made[2..4].to_vec(), true)
    );
    assert_eq!(
        page(&format!("limit=2&before={}", made[2])).await,
        (made[..2].to_vec(), false)
    );
    assert_eq!(page(&format!("before={}", made[0])).await, (vec![], false));
    // Ids that never were.
    assert_eq!(
        page("after=after&before=before&limit=1").await,
        (vec![], false)
    );
    assert_eq!(page("after=after").await, (vec![], false));
    for bad in ["limit=0", "limit=101", "limit=x", "limit=1.5"] {
        let refused = admin(&server, &format!("GET /secrets?{bad}"), None).await;
        assert_eq!(refused.expect(400)["error"], "validation_failed", "{bad}");
    }
    // Whoever deletes what they have seen sees all of them.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (rows, _) = page(&format!("limit=2&after={cursor}")).await;
        let Some(last) = rows.last() else { break };
        cursor.clone_from(last);
        for id in rows {
            admin(&server, &format!("DELETE /secrets/{id}"), None)
                .await
                .expect(204);
            seen.push(id);
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn every_list_is_turned_backwards_in_its_own_order() {
    let server = Server::start().await;
    for name in ["one", "two", "three"] {
        let body = json!({"name": name, "value": "v"});
        admin(&server, "POST /secrets", Some(&body))
            .await
            .expect(201);
        create(&server, &seed()).await;
        let invite = json!({"email": format!("{name}@example.com")});
        let path = "POST /organization/teamspaces/team_1/invites";
        ask(&server, "tok_account", path, Some(&invite))
            .await
            .expect(201);
        server.clock.advance(std::time::Duration::from_millis(1));
    }
    for list in [
        "/connectors",
        "/secrets",
        "/connection-providers",
        "/organization/teamspaces",
        "/organization/teamspaces/team_1/invites",
        "/organization/teamspaces/team_1/users",
        "/organization/users",
    ] {
        let page = async |query: String| {
            let list = ask(&server, "tok_account", &format!("GET {list}?{query}"), None).await;
            let list = list.expect(200);
            (ids(&list), list["has_more"].as_bool().unwrap())
        };
        let (all, more) = page("limit=100".to_owned()).await;
        assert!(all.len() >= 2, "{list}: {all:?}");
        let last = all.last().unwrap();
        let before = page(format!("limit=1&before={last}")).await;
        assert_eq!(
            before,
            (vec![all[all.len() - 2].clone()], all.len() > 2),
            "{list}"
        );
        let none = page(format!("before={}", all[0])).await;
        assert_eq!(none, (vec![], false), "{list}");
        // A page that is just full says truly whether there is more.
        let count = all.len();
        if !more {
            assert_eq!(
                page(format!("limit={count}")).await,
                (all.clone(), false),
                "{list}"
            );
        }
        assert_eq!(
            page("limit=1".to_owned()).await,
            (all[..1].to_vec(), true),
            "{list}"
        );
    }
}
