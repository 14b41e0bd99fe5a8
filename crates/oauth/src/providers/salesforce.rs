//! Salesforce: whom a JWT bearer assertion is for (help.salesforce.com, "OAuth 2.0 JWT Bearer Flow").

use std::time::Duration;

/// Life of an assertion: Salesforce takes none that lives for more than three minutes.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(180);

/// The audience of an assertion: not the host that is asked, but which of the two worlds it is in. An org's own host
/// (`acme.my.salesforce.com`) is of production, unless it is a sandbox's (`acme--dev.sandbox.my.salesforce.com`).
pub fn audience(login_host: &str) -> &'static str {
    match login_host == "test.salesforce.com" || login_host.ends_with(".sandbox.my.salesforce.com")
    {
        true => "https://test.salesforce.com",
        false => "https://login.salesforce.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandboxs_assertion_is_for_the_test_world_and_every_others_for_production() {
        let (production, test) = (
            "https://login.salesforce.com",
            "https://test.salesforce.com",
        );
        for (host, expected) in [
            ("login.salesforce.com", production),
            ("acme.my.salesforce.com", production),
            ("test.salesforce.com", test),
            ("acme--dev.sandbox.my.salesforce.com", test),
        ] {
            assert_eq!(audience(host), expected, "{host}");
        }
    }
}
