//! Why a URL would be reached or not, for the operator of the deployment.
//!
//! Callers of the house never learn this (requirement 64); whoever may read the configuration may.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{Lookup, Policy};

/// What egress would do with a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connect to one of these addresses.
    Admitted(Vec<IpAddr>),
    /// Refuse, for this reason.
    Refused(String),
    /// Give up: the name does not resolve, as the system says.
    NoAddress(String),
}

impl Policy {
    /// Judges `url` as a request to it would be judged, up to the connection.
    pub async fn explain(&self, url: &Url, lookup: &dyn Lookup) -> Verdict {
        let (url, reach) = match self.admit(url) {
            Ok(admitted) => admitted,
            Err(refusal) => return Verdict::Refused(refusal.to_string()),
        };
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => match lookup.lookup(name).await {
                Ok(addresses) if addresses.is_empty() => {
                    return Verdict::NoAddress("it has no address".to_owned());
                }
                Ok(addresses) => addresses,
                Err(error) => return Verdict::NoAddress(error.to_string()),
            },
            None => return Verdict::Refused("no host".to_owned()),
        };
        for address in &addresses {
            if let Err(refusal) = self.permit(*address, reach) {
                return Verdict::Refused(format!("{address}: {refusal}"));
            }
        }
        Verdict::Admitted(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;

    use super::*;

    struct Names;

    #[async_trait]
    impl Lookup for Names {
        async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            match name {
                "public.example" => Ok(vec![[1, 1, 1, 1].into()]),
                "mixed.example" => Ok(vec![[1, 1, 1, 1].into(), [10, 0, 0, 1].into()]),
                "empty.example" => Ok(vec![]),
                _ => Err(io::Error::other("no such name")),
            }
        }
    }

    #[tokio::test]
    async fn a_verdict_says_why() {
        let policy = Policy::from_strings(["127.0.0.0/8"]).unwrap();
        for (url, wanted) in [
            ("https://public.example/t", "Admitted([1.1.1.1])"),
            ("http://127.0.0.1:9/t", "Admitted([127.0.0.1])"),
            ("https://mixed.example/t", "Refused(\"10.0.0.1: "),
            ("https://10.0.0.1/t", "Refused("),
            (
                "http://public.example/t",
                "Refused(\"1.1.1.1: http or an unusual port",
            ),
            ("ftp://public.example/", "Refused(\"scheme\")"),
            ("https://nowhere.example/", "NoAddress(\"no such name\")"),
            ("https://empty.example/", "NoAddress(\"it has no address\")"),
        ] {
            let verdict = policy.explain(&Url::parse(url).unwrap(), &Names).await;
            let verdict = format!("{verdict:?}");
            assert!(verdict.starts_with(wanted), "{url}: {verdict}");
        }
    }
}
