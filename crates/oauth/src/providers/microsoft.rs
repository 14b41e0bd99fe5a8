//! Microsoft Entra: the tenants that an application is installed in (learn.microsoft.com, "Admin consent on the Microsoft
//! identity platform").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::{Secret, Timestamp};
use serde_json::Value;

/// In place of a tenant, where whoever comes may be of any (not of none: a personal account has no administrator).
pub const ANY_TENANT: &str = "organizations";

/// Where the bots of several tenants get their tokens: nobody's tenant, so nobody can consent for it.
pub const BOTS_TENANT: &str = "botframework.com";

/// Whether `id` is a tenant's id as it is written here: a GUID in lower case. A tenant has domains too, which change hands.
pub fn is_tenant(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Roles whose members consent to applications for a whole tenant, by their template ids, which are the same everywhere
/// (learn.microsoft.com, "Microsoft Entra built-in roles").
const CONSENTING: [&str; 4] = [
    "62e90394-69f5-4237-9190-012177145e10", // Global Administrator
    "e8611ab8-c189-46e8-94e1-60213ab1f814", // Privileged Role Administrator
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", // Application Administrator
    "158c047a-c907-4556-b7ef-447551a6b5f7", // Cloud Application Administrator
];

/// Who signed in.
#[derive(Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The tenant in whose name (`tid`). Guests of it sign in there too.
    pub tenant: String,
    /// Whether they may consent for all of it (`wids`). Microsoft tells that only where the application's registration asks
    /// for roles (`groupMembershipClaims`: `DirectoryRole` or `All`); without, nobody knows.
    pub administrator: Option<bool>,
}

/// Who signed in, by an ID token that was made for `client_id` in answer to `nonce` and has not ended; `None` for any other.
/// It has to come from the token endpoint itself, over TLS, which vouches for it in place of a signature (OpenID Connect
/// Core §3.1.3.7, number 6).
pub fn visitor(id_token: &Secret, client_id: &str, nonce: &str, now: Timestamp) -> Option<Visitor> {
    let claims = id_token.expose().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let ours = claims.get("aud")? == client_id
        && claims.get("nonce")? == nonce
        && claims.get("exp")?.as_i64()? > now.as_secs();
    let consents = |roles: &Vec<Value>| {
        let mut roles = roles.iter().filter_map(Value::as_str);
        roles.any(|role| CONSENTING.contains(&role.to_ascii_lowercase().as_str()))
    };
    let administrator = claims.get("wids").and_then(Value::as_array).map(consents);
    let tenant = claims.get("tid")?.as_str()?.to_ascii_lowercase();
    ours.then_some(Visitor {
        tenant,
        administrator,
    })
}

/// Whether the words of a refusal say that the application is not, or no longer, in the tenant that was asked: nothing
/// that the application's own credentials are to blame for (AADSTS700016, AADSTS7000229).
pub fn is_about_the_tenant(words: &str) -> bool {
    ["AADSTS700016", "AADSTS7000229", "AADSTS90002"]
        .iter()
        .any(|code| {
            let mut found = words.match_indices(code);
            found.any(|(at, _)| !words[at + code.len()..].starts_with(|c: char| c.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tenant_is_named_by_its_id_alone() {
        for (id, is) in [
            ("72f988bf-86f1-41af-91ab-2d7cd011db47", true),
            ("72F988BF-86F1-41AF-91AB-2D7CD011DB47", false),
            ("72f988bf-86f1-41af-91ab-2d7cd011db4", false),
            ("72f988bf-86f1-41af-91ab-2d7cd011db477", false),
            ("72f988bf086f1041af091ab02d7cd011db47", false),
            ("72f988bf-86f1-41af-91ab-2d7cd011db4/", false),
            ("../../../../../../../../../../../aaa", false),
            ("common", false),
            ("organizations", false),
            ("contoso.onmicrosoft.com", false),
            ("", false),
        ] {
            assert_eq!(is_tenant(id), is, "{id}");
        }
    }

    #[test]
    fn an_id_token_says_whose_tenant_it_is_and_who_administers_it() {
        let now = Timestamp::from_millis(1_000_000);
        let read = |text: &str| visitor(&Secret::new(text), "c", "n", now);
        let of = |claims: Value| {
            read(&format!(
                "h.{}.s",
                URL_SAFE_NO_PAD.encode(claims.to_string())
            ))
        };
        let with = |name: &str, value: Value| {
            let mut claims = json!({ "tid": "A-1", "aud": "c", "nonce": "n", "exp": 1_001 });
            claims[name] = value;
            of(claims)
        };
        let (user, global) = ("b79fbf4d-3ef9-4689-8143-76b194e85509", CONSENTING[0]);
        for (roles, administrator) in [
            (json!(null), None),
            (json!(global), None),
            (json!([]), Some(false)),
            (json!([user]), Some(false)),
            (json!([user, global.to_uppercase()]), Some(true)),
        ] {
            let tenant = "a-1".to_owned();
            let visitor = Visitor {
                tenant,
                administrator,
            };
            assert_eq!(with("wids", roles), Some(visitor));
        }
        for (name, value) in [
            ("tid", json!(1)),
            ("tid", json!(null)),
            ("aud", json!("another")),
            ("aud", json!(["c", "another"])),
            ("nonce", json!("another")),
            ("nonce", json!(null)),
            ("exp", json!(1_000)),
            ("exp", json!("1001")),
        ] {
            assert_eq!(with(name, value.clone()), None, "{name} {value}");
        }
        for text in ["no token", "h.e30.s", "h.W10.s", "h.eA.s"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_about_the_tenant_is_told_from_what_is_about_the_secret() {
        for (words, about) in [
            (
                "AADSTS700016: Application was not found in the directory",
                true,
            ),
            (
                "AADSTS7000229: is missing service principal in the tenant",
                true,
            ),
            ("AADSTS90002: Tenant not found", true),
            ("AADSTS7000215: Invalid client secret provided", false),
            (
                "AADSTS7000222: The provided client secret keys are expired",
                false,
            ),
            ("AADSTS7000161: something else", false),
            ("", false),
        ] {
            assert_eq!(is_about_the_tenant(words), about, "{words}");
        }
    }
}
