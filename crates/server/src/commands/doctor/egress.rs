//! The way out: rules, names, authorities, and the connectors' providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use grantry_core::Clock as _;
use grantry_core::http::{Failure as NoAnswer, Http as _, Method, Purpose, Request};
use grantry_core::store::{ConnectorFilter, Page, Store, Stored, TeamFilter};
use grantry_egress::{Egress, Policy, SystemLookup, Verdict};
use url::Url;
use zeroize::Zeroizing;

use super::clock;
use super::finding::{Finding, TEAMS_MAX};
use crate::clock::SystemClock;
use crate::config::{Config, environment};
use crate::house;

/// Hosts that are asked.
const HOSTS_MAX: usize = 50;
/// Connectors that are looked at, of each team.
const CONNECTORS_MAX: u32 = 500;

/// Variables that other programs take for a proxy.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A place that tokens are fetched from, and one of the connectors that do.
pub struct Provider {
    connector: String,
    url: Url,
}

/// Where the connectors fetch tokens: one for each host and port.
///
/// # Errors
/// The store's.
pub async fn providers(store: &Arc<dyn Store>) -> Stored<Vec<Provider>> {
    let overlays = store.services().await?;
    let mut hosts = BTreeMap::new();
    let (teams, page) = (TeamFilter::default(), Page::first(TEAMS_MAX));
    for team in store.teams(&teams, &page).await? {
        let (filter, page) = (ConnectorFilter::default(), Page::first(CONNECTORS_MAX));
        for row in store.connectors(&team.id, &filter, &page).await? {
            if let Some(url) = grantry_engine::asks_at(&row, &overlays) {
                let host = host_of(&url);
                hosts.entry(host).or_insert(Provider {
                    connector: row.uid,
                    url,
                });
            }
        }
    }
    Ok(hosts.into_values().take(HOSTS_MAX).collect())
}

/// Host and port.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}")
}

/// Looks at the way out, and along it unless `offline`.
pub async fn look(config: &Config, providers: &[Provider], offline: bool) -> Vec<Finding> {
    let mut findings = vec![proxy(&environment)];
    let egress = match house::way_out(config) {
        Ok(egress) => Arc::new(egress),
        Err(failure) => {
            let fix = failure.hint.unwrap_or_else(|| {
                "apt-get install ca-certificates, or name the authorities in egress.extra_ca_file.".to_owned()
            });
            findings.push(Finding::fail("egress.setup", failure.message, fix));
            return findings;
        }
    };
    findings.push(Finding::ok(
        "egress.setup",
        "rules and certificate authorities can be read",
    ));
    let Ok(policy) = Policy::from_strings(&config.egress.allow) else {
        return findings;
    };
    let mut asked = tokio::task::JoinSet::new();
    for provider in providers {
        let verdict = policy.explain(&provider.url, &SystemLookup).await;
        let finding = judged(provider, &verdict);
        let good = finding.is_none();
        findings.extend(finding);
        if good && !offline {
            asked.spawn(ask(Arc::clone(&egress), provider.url.clone()));
        }
    }
    while let Some(done) = asked.join_next().await {
        findings.extend(done.unwrap_or_default());
    }
    findings
}

/// Requests go straight out: a proxy that others need is one that we do not use.
fn proxy(environment: &dyn Fn(&str) -> Option<String>) -> Finding {
    let set = PROXY_VARIABLES
        .iter()
        .find(|name| environment(name).is_some());
    match set {
        Some(name) => Finding::warn(
            "egress.proxy",
            format!(
                "{name} is set, and Grantry does not use proxies: every address is checked before it is connected to"
            ),
            "Open the firewall for the connectors' providers; the line above them is then harmless.",
        ),
        None => Finding::ok("egress.proxy", "no proxy is asked for"),
    }
}

/// What is wrong with reaching a provider, before it is tried.
fn judged(provider: &Provider, verdict: &Verdict) -> Option<Finding> {
    let Provider { connector, url } = provider;
    let host = host_of(url);
    match verdict {
        Verdict::Admitted(_) => None,
        Verdict::Refused(reason) => Some(Finding::fail(
            "egress.policy",
            format!("connector {connector} needs {host}, and the rules refuse it: {reason}"),
            format!(
                "If that is meant to be reached, in the configuration file:\n[egress]\nallow = [\"{host}\"]"
            ),
        )),
        Verdict::NoAddress(reason) => Some(Finding::fail(
            "egress.dns",
            format!("connector {connector} needs {host}, and its name has no address: {reason}"),
            format!(
                "getent ahosts {}; cat /etc/resolv.conf",
                url.host_str().unwrap_or_default()
            ),
        )),
    }
}

/// Asks for the place without any credential: any answer shows that the way is open.
async fn ask(egress: Arc<Egress>, url: Url) -> Vec<Finding> {
    let host = host_of(&url);
    let request = Request {
        method: Method::Get,
        url,
        headers: Vec::new(),
        body: Zeroizing::default(),
        purpose: Purpose::Token,
    };
    let before = SystemClock.now();
    let answered = egress.send(request).await;
    let ours = before.after(SystemClock.now().since(before) / 2);
    match answered {
        Ok(answer) => {
            let mut findings = vec![Finding::ok("egress.reach", format!("{host} answers"))];
            let date = answer.header("date");
            findings.extend(date.and_then(|date| clock::of_provider(&host, date, ours)));
            findings
        }
        Err(NoAnswer::NotSent) => vec![Finding::fail(
            "egress.reach",
            format!("{host}: the connection or its TLS handshake fails"),
            format!(
                "curl -v https://{host}/ shows which; a private authority belongs into egress.extra_ca_file, a firewall has to let this machine out."
            ),
        )],
        Err(NoAnswer::Refused) => vec![Finding::fail(
            "egress.policy",
            format!("the rules refuse {host}"),
            format!(
                "If that is meant to be reached, in the configuration file:\n[egress]\nallow = [\"{host}\"]"
            ),
        )],
        // A redirect or an odd body is an answer all the same; silence is not.
        Err(NoAnswer::Unknown(
            grantry_core::http::Silence::Redirect | grantry_core::http::Silence::BadBody,
        )) => {
            vec![Finding::ok("egress.reach", format!("{host} answers"))]
        }
        Err(NoAnswer::Unknown(_)) => vec![Finding::warn(
            "egress.reach",
            format!("{host} takes the connection and does not answer"),
            format!("curl -v https://{host}/; the provider's status page."),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_proxy_that_is_not_used_is_told_of() {
        assert_eq!(proxy(&|_| None).level, Level::Ok);
        let set = |name: &str| (name == "https_proxy").then(|| "http://proxy:3128".to_owned());
        let finding = proxy(&set);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.message.contains("https_proxy"));
    }

    #[test]
    fn a_provider_that_cannot_be_reached_is_named_with_its_connector() {
        let provider = Provider {
            connector: "oauth/acme".to_owned(),
            url: Url::parse("https://idp.internal/token").unwrap(),
        };
        let judge = |verdict| judged(&provider, &verdict).unwrap();
        let refused = judge(Verdict::Refused("10.0.0.1: private".to_owned()));
        assert_eq!(refused.code, "egress.policy");
        assert!(
            refused
                .fix
                .unwrap()
                .contains("allow = [\"idp.internal:443\"]")
        );
        let lost = judge(Verdict::NoAddress("no such name".to_owned()));
        assert_eq!(lost.code, "egress.dns");
        assert!(lost.message.contains("oauth/acme") && lost.message.contains("no such name"));
        assert!(judged(&provider, &Verdict::Admitted(vec![])).is_none());
    }
}
