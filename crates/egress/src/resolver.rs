//! From a name to the addresses that may be connected to (requirements 58–60).

use grantry_core::limits;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::policy::{Policy, Reach};

/// Resolves names. The seam where a test plays a hostile name server.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Every address of `name`, of both families.
    ///
    /// # Errors
    /// Whatever kept the resolver from an answer.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let answer = tokio::net::lookup_host((name, 0)).await?;
        Ok(answer.map(|address| address.ip()).collect())
    }
}

/// Hands the connector nothing but checked addresses. It is asked once per connection and the
/// connector uses the very addresses it returns, so there is no gap between check and connect.
pub(crate) struct Filter {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) reach: Reach,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, policy, reach) = (self.lookup.clone(), self.policy.clone(), self.reach);
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str()).await?;
            for address in &addresses {
                policy.permit(*address, reach)?;
            }
            // Port 0 stands for "the port of the URL".
            let addresses = addresses
                .into_iter()
                .take(limits::PROVIDER_ADDRESSES_MAX)
                .map(|address| SocketAddr::new(address.to_canonical(), 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
