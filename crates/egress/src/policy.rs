//! Where requests may go: the deployment's allow-list, and what holds without it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::forbidden;

/// The deployment's allow-list (`[egress] allow = […]`). The default is empty: https to public
/// addresses, at port 443 and at user ports where no well-known service listens.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow_networks: Vec<IpNet>,
    allow_hosts: Vec<HostRule>,
}

/// A rule of the allow-list that cannot be understood. The start is refused rather than the rule ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("egress rule {rule:?}: {problem}")]
pub struct BadRule {
    /// The rule as written.
    pub rule: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A name, or an address with a port, that may be any address and any port from 1.
#[derive(Clone, Debug)]
struct HostRule {
    host: Host,
    port: Option<u16>,
}

/// Which addresses an admitted URL may end at. Each has its own client and so its own connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public addresses and listed networks: https at a usual port.
    Public,
    /// Listed networks only: http, or an unusual port.
    Networks,
    /// Any address: the host itself is listed.
    Listed,
}

/// Why a destination is refused. For the deployment's log, never for the caller (requirement 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(&'static str);

impl Policy {
    /// Reads an allow-list. Each rule is one of
    ///
    /// - a network or an address: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`;
    /// - a host, at any port or at one: `idp.internal`, `localhost:4401`, `[::1]:4401`.
    ///
    /// Listed places may use plain http and any port from 1.
    ///
    /// # Errors
    /// [`BadRule`] names the first rule that is none of these.
    pub fn from_strings<S: AsRef<str>>(
        rules: impl IntoIterator<Item = S>,
    ) -> Result<Self, BadRule> {
        let mut policy = Self::default();
        for rule in rules {
            let rule = rule.as_ref();
            policy.add(rule).map_err(|problem| BadRule {
                rule: rule.to_owned(),
                problem,
            })?;
        }
        Ok(policy)
    }

    fn add(&mut self, rule: &str) -> Result<(), &'static str> {
        if rule.contains("://") {
            return Err("is a URL; write the host alone, or host:port");
        }
        if rule.contains('/') {
            self.allow_networks.push(network(rule)?);
            return Ok(());
        }
        if let Ok(address) = rule.parse::<IpAddr>() {
            self.allow_networks.push(address.to_canonical().into());
            return Ok(());
        }
        let rule = host_rule(rule)?;
        match (&rule.host, rule.port) {
            (Host::Ipv4(address), None) => self.allow_networks.push(IpAddr::V4(*address).into()),
            (Host::Ipv6(address), None) => {
                self.allow_networks.push(address.to_canonical().into());
            }
            _ => self.allow_hosts.push(rule),
        }
        Ok(())
    }

    /// Judges all of a URL that can be judged before its name is resolved (requirements 57, 62, 63),
    /// and returns the URL to use: no fragment, no trailing dot, so that check and connection agree.
    pub(crate) fn admit(&self, url: &Url) -> Result<(Url, Reach), Refusal> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refusal("scheme"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal("user information in the URL"));
        }
        let mut url = url.clone();
        url.set_fragment(None);
        if let Some(Host::Domain(name)) = url.host() {
            let name = absolute(name).ok_or(Refusal("malformed host name"))?;
            if url.host_str() != Some(&name) {
                url.set_host(Some(&name))
                    .map_err(|_| Refusal("malformed host name"))?;
            }
        }
        let host = url.host().ok_or(Refusal("no host"))?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or(Refusal("port 0"))?;

        let reach = self.reach(url.scheme(), &host, port)?;
        match host {
            Host::Domain(_) => {}
            Host::Ipv4(address) => self.permit(address.into(), reach)?,
            Host::Ipv6(address) => self.permit(address.into(), reach)?,
        }
        Ok((url, reach))
    }

    fn reach(&self, scheme: &str, host: &Host, port: u16) -> Result<Reach, Refusal> {
        if self.allow_hosts.iter().any(|rule| rule.matches(host, port)) {
            return Ok(Reach::Listed);
        }
        let refusal = if scheme == "http" {
            Some("http outside the allow-list")
        } else {
            forbidden::port(port)
        };
        match refusal {
            None => Ok(Reach::Public),
            Some(reason) if self.allow_networks.is_empty() => Err(Refusal(reason)),
            Some(_) => Ok(Reach::Networks),
        }
    }

    /// Judges one address that a URL with this reach leads to (requirements 56, 58–60). An IPv4
    /// address in IPv6 clothes is listed by its IPv4 network, and refused otherwise.
    pub(crate) fn permit(&self, address: IpAddr, reach: Reach) -> Result<(), Refusal> {
        let canonical = address.to_canonical();
        if reach == Reach::Listed
            || self
                .allow_networks
                .iter()
                .any(|network| network.contains(&canonical))
        {
            return Ok(());
        }
        if reach == Reach::Networks {
            return Err(Refusal("http or an unusual port outside the allow-list"));
        }
        forbidden::address(address).map_or(Ok(()), |reason| Err(Refusal(reason)))
    }
}

impl HostRule {
    fn matches(&self, host: &Host, port: u16) -> bool {
        self.host == *host && self.port.is_none_or(|only| only == port)
    }
}

impl Refusal {
    /// A redirect from https to something else (requirement 61).
    pub(crate) const DOWNGRADE: Self = Self("a redirect that leaves https");
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refusal {}

fn network(rule: &str) -> Result<IpNet, &'static str> {
    let network: IpNet = rule
        .parse()
        .map_err(|_| "is no network; write one like 10.0.0.0/8 or fd00::/8")?;
    if network.addr() != network.network() {
        return Err("has bits set after its prefix; write the network's first address");
    }
    if network.addr() != network.addr().to_canonical() {
        return Err("is an IPv4-mapped network; write the IPv4 network itself");
    }
    Ok(network)
}

fn host_rule(rule: &str) -> Result<HostRule, &'static str> {
    let (host, port) = match rule.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rule, None),
    };
    let port = match port.map(str::parse) {
        None => None,
        Some(Ok(port)) if port != 0 => Some(port),
        Some(_) => return Err("has no port from 1 to 65535 after its colon"),
    };
    if host.contains('*') {
        return Err("is a wildcard; list each host, or their network");
    }
    let host = match Host::parse(host) {
        Ok(Host::Domain(name)) => Host::Domain(absolute(&name).ok_or("is no host name")?),
        Ok(address) => address,
        Err(_) => return Err("is neither a network, an address, a host nor host:port"),
    };
    Ok(HostRule { host, port })
}

/// `name` without the dot that marks it absolute; `None` when a label is empty.
fn absolute(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let whole = name.split('.').all(|label| !label.is_empty());
    whole.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(rules: &[&str], url: &str) -> Result<Reach, Refusal> {
        Policy::from_strings(rules)
            .unwrap()
            .admit(&Url::parse(url).unwrap())
            .map(|(_, reach)| reach)
    }

    #[test]
    fn rules_are_read_or_refused_with_their_reason() {
        for good in [
            "127.0.0.0/8",
            "fd00::/8",
            "10.1.2.3",
            "::1",
            "[::1]",
            "[::1]:4401",
            "127.0.0.1:4401",
            "localhost",
            "localhost:4401",
            "IDP.Internal.",
            "0.0.0.0/0",
        ] {
            assert!(Policy::from_strings([good]).is_ok(), "{good}");
        }
        for (bad, problem) in [
            ("http://localhost", "URL"),
            ("10.0.0.0/33", "no network"),
            ("10.1.2.3/8", "bits set"),
            ("::ffff:10.0.0.0/104", "IPv4-mapped"),
            ("localhost/8", "no network"),
            ("localhost:", "port"),
            ("localhost:0", "port"),
            ("localhost:65536", "port"),
            ("*.internal", "wildcard"),
            ("a..b", "host"),
            ("", "host"),
            ("two words", "host"),
            ("user@host", "host"),
        ] {
            let error = Policy::from_strings([bad]).unwrap_err();
            assert_eq!(error.rule, bad);
            assert!(error.problem.contains(problem), "{error}");
        }
    }

    #[test]
    fn without_a_list_only_https_at_usual_ports_is_admitted() {
        for url in [
            "https://a.example/",
            "https://a.example:8443/",
            "https://a.example:3000/",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
        ] {
            assert_eq!(admit(&[], url), Ok(Reach::Public), "{url}");
        }
        for url in [
            "http://a.example/",
            "https://a.example:80/",
            "https://a.example:22/",
            "https://a.example:6379/",
            "https://a.example:0/",
            "https://u@a.example/",
            "https://:p@a.example/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "data:text/plain,x",
            "https://a..example/",
            "https://./",
            "https://127.0.0.1/",
        ] {
            assert!(admit(&[], url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_listed_network_opens_its_addresses_and_nothing_else() {
        let rules = ["127.0.0.0/8"];
        for (url, admitted) in [
            ("http://127.0.0.1:4401/", Some(Reach::Networks)),
            ("http://127.0.0.1:6379/", Some(Reach::Networks)),
            ("http://[::ffff:127.0.0.1]/", Some(Reach::Networks)),
            // Decided when the name is resolved:
            ("http://localhost:4401/", Some(Reach::Networks)),
            ("https://localhost/", Some(Reach::Public)),
            ("https://127.0.0.1/", Some(Reach::Public)),
            ("http://10.0.0.1/", None),
            ("http://1.1.1.1/", None),
            ("https://1.1.1.1:22/", None),
            ("https://10.0.0.1/", None),
            ("https://[::1]/", None),
        ] {
            assert_eq!(admit(&rules, url).ok(), admitted, "{url}");
        }
    }

    #[test]
    fn a_listed_host_is_open_at_its_port() {
        let rules = ["idp.internal:8080", "box.internal", "10.0.0.1:9000"];
        for (url, admitted) in [
            ("http://idp.internal:8080/", Some(Reach::Listed)),
            ("https://IDP.internal.:8080/", Some(Reach::Listed)),
            ("http://box.internal:22/", Some(Reach::Listed)),
            ("http://10.0.0.1:9000/", Some(Reach::Listed)),
            ("http://10.0.0.1:9001/", None),
            ("http://idp.internal:8081/", None),
            ("http://a.idp.internal:8080/", None),
            ("https://idp.internal/", Some(Reach::Public)),
        ] {
            assert_eq!(admit(&rules, url).ok(), admitted, "{url}");
        }
    }

    #[test]
    fn the_url_in_use_has_no_fragment_and_no_trailing_dot() {
        let (url, _) = Policy::default()
            .admit(&Url::parse("https://A.example.:8443/p?q#f").unwrap())
            .unwrap();
        assert_eq!(url.as_str(), "https://a.example:8443/p?q");
    }

    #[test]
    fn an_address_is_judged_by_its_reach() {
        let policy = Policy::from_strings(["10.0.0.0/8"]).unwrap();
        for (address, public, networks) in [
            ("1.1.1.1", true, false),
            ("10.1.1.1", true, true),
            ("::ffff:10.1.1.1", true, true),
            ("192.168.0.1", false, false),
            ("::ffff:1.1.1.1", false, false),
            ("::1", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(policy.permit(address, Reach::Public).is_ok(), public);
            assert_eq!(policy.permit(address, Reach::Networks).is_ok(), networks);
            assert!(policy.permit(address, Reach::Listed).is_ok());
        }
    }
}
