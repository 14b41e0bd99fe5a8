//! What is known of a request before it is read: who sent it, and through which proxies. Only proxies
//! that the configuration lists are believed, and only about that; every URL we build comes from the
//! public URL, whatever a header says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Uri, Version, header};
use axum::response::Response;
use grantry_api::kit::edge::{REQUEST_ID, Visit};
use grantry_core::Error;
use grantry_core::limits::REQUEST_ID_BYTES_MAX;
use ipnet::IpNet;

/// How requests come in.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// Hosts that clients insist on, in small letters, and what stands before their paths here.
    pub hosts: BTreeMap<String, &'static str>,
    /// Proxies that are believed.
    pub trusted: Vec<IpNet>,
    /// Every request has a line in the log, not only those that failed.
    pub logged: bool,
}

impl Front {
    /// Notes on `request` who sent it: `peer`, or whom a trusted peer speaks for.
    ///
    /// # Errors
    /// The answer to a request without exactly one `Host` (RFC 9112 §3.2): proxies and servers may
    /// disagree on where it goes.
    pub fn admit(
        &self,
        peer: Option<IpAddr>,
        mut request: Request<Body>,
    ) -> Result<Request<Body>, Box<Response>> {
        let headers = request.headers();
        let hosts = headers.get_all(header::HOST).iter().count();
        if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
            let error = Error::invalid("Host", "must be sent exactly once");
            return Err(Box::new(grantry_api::refuse(&request, &error)));
        }
        let peer = peer.map(|peer| peer.to_canonical());
        let believed = peer.is_some_and(|peer| self.trusts(peer));
        let visit = Visit {
            client: peer.map(|peer| {
                if believed {
                    self.client(peer, headers)
                } else {
                    peer
                }
            }),
            request_id: believed.then(|| request_id(headers)).flatten(),
            traced: believed,
            logged: self.logged,
        };
        request.extensions_mut().insert(visit);
        if let Some(prefix) = self.prefix(&request, believed) {
            mount(&mut request, prefix);
        }
        Ok(request)
    }

    /// What stands before the paths of the host that `request` was sent to. A trusted proxy may have
    /// noted it elsewhere; it chooses no more than which API answers.
    fn prefix(&self, request: &Request<Body>, believed: bool) -> Option<&'static str> {
        if self.hosts.is_empty() {
            return None;
        }
        let text = |name: &str| request.headers().get(name)?.to_str().ok();
        let noted = text("x-forwarded-host").filter(|_| believed);
        let noted = noted.and_then(|hosts| hosts.split(',').next());
        // The target's own host goes before the header's (RFC 9112 §3.2.2).
        let sent = match request.uri().authority() {
            Some(authority) => Some(authority.as_str()),
            None => text("host"),
        };
        let host = host_of(noted.or(sent)?.trim());
        let prefix = self.hosts.get(&host)?;
        (!prefix.is_empty()).then_some(*prefix)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whom `peer`, a trusted proxy, speaks for: going back along the hops that proxies noted, the first
    /// that is no trusted proxy itself. What stands before it is its sender's own word.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lists = [
            hops(headers, "x-forwarded-for", |hop| Some(hop)),
            hops(headers, "forwarded", forwarded_for),
        ];
        // A proxy writes one of the two, and most let the client's own word in the other one pass. Which is
        // which nobody can tell, so two that differ are not believed.
        match lists.map(|list| (!list.is_empty()).then(|| self.along(peer, list))) {
            [Some(client), Some(other)] if client != other => peer,
            [Some(client), _] | [None, Some(client)] => client,
            [None, None] => peer,
        }
    }

    fn along(&self, peer: IpAddr, noted: Vec<Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in noted.into_iter().rev() {
            let Some(hop) = hop else { break };
            client = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        client
    }
}

/// A host without its port, as the map has it.
fn host_of(authority: &str) -> String {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let ported = port.bytes().all(|byte| byte.is_ascii_digit());
    let host = if ported { host } else { authority };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Puts `prefix` before the path of `request`.
fn mount(request: &mut Request<Body>, prefix: &str) {
    let mut parts = request.uri().clone().into_parts();
    let old = parts
        .path_and_query
        .as_ref()
        .map_or("/", |target| target.as_str());
    // `*` and the like are no paths.
    if !old.starts_with('/') {
        return;
    }
    parts.path_and_query = format!("{prefix}{old}").parse().ok();
    if let (true, Ok(uri)) = (parts.path_and_query.is_some(), Uri::from_parts(parts)) {
        *request.uri_mut() = uri;
    }
}

/// The hops of all lines of a header, nearest last; `None` for one that is no address.
fn hops(
    headers: &HeaderMap,
    name: &str,
    address_of: impl Fn(&str) -> Option<&str>,
) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| match line.to_str() {
            Ok(line) => line
                .split(',')
                .map(|hop| address_of(hop.trim()).and_then(address))
                .collect(),
            Err(_) => vec![None],
        })
        .collect()
}

/// The `for` of one element of `Forwarded` (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.eq_ignore_ascii_case("for").then_some(value)
    })
}

/// An address with or without a port: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let text = match bare {
        Some((address, _)) => address,
        None => match text.parse::<IpAddr>() {
            Ok(_) => text,
            Err(_) => text.rsplit_once(':')?.0,
        },
    };
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// A proxy's own request id, if it can stand in a log.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = id.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= REQUEST_ID_BYTES_MAX;
    (fits && bytes.iter().all(legal)).then(|| id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Front {
        Front {
            trusted: ["10.0.0.0/8", "2001:db8::/32"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            hosts: [("api.datagrid.com", "/datagrid"), ("api.vercel.com", "")]
                .map(|(host, prefix)| (host.to_owned(), prefix))
                .into(),
            logged: false,
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().uri("/v1/connect/connectors");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn seen(peer: &str, headers: &[(&str, &str)]) -> (String, Option<String>) {
        let headers = [&[("host", "x")], headers].concat();
        let admitted = front().admit(peer.parse().ok(), request(&headers));
        let admitted = admitted.ok().unwrap();
        let visit = admitted.extensions().get::<Visit>().unwrap();
        let id = visit
            .request_id
            .as_ref()
            .map(|id| id.to_str().unwrap().to_owned());
        (visit.client.unwrap().to_string(), id)
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_know() {
        for (peer, headers, client) in [
            (
                "192.0.2.9",
                &[("x-forwarded-for", "198.51.100.7")][..],
                "192.0.2.9",
            ),
            (
                "192.0.2.9",
                &[("forwarded", "for=198.51.100.7")],
                "192.0.2.9",
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "198.51.100.7")],
                "198.51.100.7",
            ),
            (
                "::ffff:10.1.1.1",
                &[("x-forwarded-for", "198.51.100.7")],
                "198.51.100.7",
            ),
            // What the client itself wrote stands first.
            (
                "10.1.1.1",
                &[("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.2.2.2")],
                "198.51.100.7",
            ),
            (
                "10.1.1.1",
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-for", "198.51.100.7"),
                ],
                "198.51.100.7",
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "10.3.3.3, 10.2.2.2")],
                "10.3.3.3",
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "198.51.100.7, junk, 10.2.2.2")],
                "10.2.2.2",
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "198.51.100.7:4711")],
                "198.51.100.7",
            ),
            ("10.1.1.1", &[("x-forwarded-for", "")], "10.1.1.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
            (
                "2001:db8::1",
                &[(
                    "forwarded",
                    "for=1.1.1.1, For=\"[2001:dead::7]:99\";proto=https",
                )],
                "2001:dead::7",
            ),
            ("10.1.1.1", &[("forwarded", "for=_hidden")], "10.1.1.1"),
            // One of them is the client's own.
            (
                "10.1.1.1",
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("forwarded", "for=198.51.100.7"),
                ],
                "10.1.1.1",
            ),
            (
                "10.1.1.1",
                &[
                    ("x-forwarded-for", "198.51.100.7"),
                    ("forwarded", "for=198.51.100.7"),
                ],
                "198.51.100.7",
            ),
        ] {
            assert_eq!(seen(peer, headers).0, client, "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_trusted_proxys_request_id_is_kept_if_it_can_stand_in_a_log() {
        let long = "a".repeat(REQUEST_ID_BYTES_MAX + 1);
        for (peer, id, kept) in [
            ("10.1.1.1", "4f-A_b.9", true),
            ("192.0.2.9", "4f-A_b.9", false),
            ("10.1.1.1", "a b", false),
            ("10.1.1.1", "a\"b", false),
            ("10.1.1.1", "", false),
            ("10.1.1.1", &long, false),
        ] {
            let wanted = kept.then(|| id.to_owned());
            assert_eq!(seen(peer, &[("x-request-id", id)]).1, wanted, "{peer} {id}");
        }
    }

    #[test]
    fn a_mapped_host_chooses_what_stands_before_its_paths() {
        let plain = "/v1/connectors?a=b%20c";
        let mounted = "/datagrid/v1/connectors?a=b%20c";
        let forwarded = ("x-forwarded-host", "api.datagrid.com, inner");
        for (peer, target, headers, wanted) in [
            (
                "192.0.2.9",
                plain,
                &[("host", "api.datagrid.com")][..],
                mounted,
            ),
            (
                "192.0.2.9",
                plain,
                &[("host", "API.Datagrid.com.:8443")],
                mounted,
            ),
            ("192.0.2.9", plain, &[("host", "api.vercel.com")], plain),
            ("192.0.2.9", plain, &[("host", "connect.example")], plain),
            (
                "192.0.2.9",
                plain,
                &[("host", "api.datagrid.com.evil.example")],
                plain,
            ),
            ("192.0.2.9", plain, &[("host", "[::1]:80")], plain),
            ("192.0.2.9", plain, &[("host", "")], plain),
            ("192.0.2.9", plain, &[("host", "x"), forwarded], plain),
            ("10.1.1.1", plain, &[("host", "x"), forwarded], mounted),
            ("192.0.2.9", "*", &[("host", "api.datagrid.com")], "*"),
            (
                "192.0.2.9",
                "http://api.datagrid.com/v1/x",
                &[("host", "elsewhere")],
                "http://api.datagrid.com/datagrid/v1/x",
            ),
        ] {
            let mut asked = request(headers);
            *asked.uri_mut() = target.parse().unwrap();
            let admitted = front().admit(peer.parse().ok(), asked).ok().unwrap();
            assert_eq!(admitted.uri(), wanted, "{peer} {target} {headers:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_whether_a_request_is_traced() {
        for (peer, traced) in [("10.1.1.1", true), ("192.0.2.9", false)] {
            let admitted = front().admit(peer.parse().ok(), request(&[("host", "x")]));
            let admitted = admitted.ok().unwrap();
            let visit = admitted.extensions().get::<Visit>().unwrap();
            assert_eq!(visit.traced, traced, "{peer}");
        }
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        for (headers, refused) in [
            (&[("host", "x")][..], false),
            (&[], true),
            (&[("host", "x"), ("host", "x")], true),
        ] {
            let admitted = front().admit(None, request(headers));
            let status = admitted.err().map(|answer| answer.status().as_u16());
            assert_eq!(status, refused.then_some(400), "{headers:?}");
        }
    }
}
