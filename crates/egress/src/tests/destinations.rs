//! Destinations that are refused without a look-up or a connection (requirements 56, 57, 62, 63).

use grantry_core::http::Failure;
use url::Url;

use super::server::{Server, answer};
use super::*;

#[tokio::test]
async fn odd_spellings_of_private_addresses_are_refused() {
    let egress = egress(&[], Arc::new(NoLookup));
    for url in [
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://127.0.0.0x/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0/",
        "https://127%2e0%2e0%2e1/",
        "https://①②⑦.0.0.1/",
        "https://127.0.0.1/",
        "https://127。0。0。1/",
        "https:\\\\127.0.0.1\\x",
        "https:127.0.0.1",
        "https:////127.0.0.1/",
        "https://127.0.0.1\t/",
        "https://\n127.0.0.1/",
        "https://127.0.0.1:443/",
        "https://[::1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[::]/",
        "https://[::ffff:7f00:1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:1.1.1.1]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0xa9fea9fe/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://255.255.255.255/",
        "https://user@127.0.0.1/",
        "https://good.example@127.0.0.1/",
        "https://127.0.0.1#@good.example/",
        "https://127.0.0.1\\@good.example/",
    ] {
        let result = post(&egress, url).await;
        assert_eq!(outcome(&result), Err(Failure::Refused), "{url}");
    }
}

#[tokio::test]
async fn credentials_schemes_and_ports_are_refused_before_the_name_is_resolved() {
    let egress = egress(&[], Arc::new(NoLookup));
    for url in [
        "http://good.example/",
        "http://good.example:8080/",
        "https://user@good.example/",
        "https://:password@good.example/",
        "https://user:password@good.example/",
        "https://good.example:22/",
        "https://good.example:25/",
        "https://good.example:80/",
        "https://good.example:0/",
        "https://good.example:3306/",
        "https://good.example:5432/",
        "https://good.example:6379/",
        "https://good.example:9200/",
        "https://good.example:11211/",
        "https://good.example:27017/",
        "https://good..example/",
        "https://./",
        "ftp://good.example/",
        "gopher://good.example/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "ws://good.example/",
        "unix:/run/socket",
    ] {
        let result = post(&egress, url).await;
        assert_eq!(outcome(&result), Err(Failure::Refused), "{url}");
    }
}

/// The spellings that never become a request, because the one parser refuses them.
#[test]
fn spellings_that_are_no_url_stay_outside() {
    for url in [
        "https://",
        "https:///",
        "https://:443/",
        "https://user@/",
        "https://256.0.0.1/",
        "https://1.2.3.4.5/",
        "https://127.0.0.09/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://a b/",
        "https://a%00.example/",
        "https://a.example:65536/",
    ] {
        assert!(Url::parse(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_refused_server_sees_no_connection() {
    let server = Server::start([]).await;
    let egress = egress(&[], Answers::new(&[&["127.0.0.1"]]));
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1", "name.example"] {
        for scheme in ["http", "https"] {
            let result = post(&egress, format!("{scheme}://{host}:{}/", server.port)).await;
            assert_eq!(outcome(&result), Err(Failure::Refused), "{scheme} {host}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_listed_network_and_a_listed_host_are_reached_by_plain_http() {
    let server = Server::start([answer(200, "", "1"), answer(200, "", "2")]).await;
    let result = post(&loopback(), server.url("/token?q#fragment")).await;
    assert_eq!(outcome(&result), Ok(200));

    let rule = format!("idp.internal:{}", server.port);
    let by_name = egress(&[&rule], Answers::new(&[&["127.0.0.1"]]));
    let result = post(&by_name, format!("http://idp.internal.:{}/", server.port)).await;
    assert_eq!(outcome(&result), Ok(200));

    let [first, second] = server.requests().try_into().unwrap();
    assert!(first.starts_with("POST /token?q HTTP/1.1\r\n"), "{first}");
    assert!(
        second.contains(&format!("host: idp.internal:{}\r\n", server.port)),
        "{second}"
    );
}
