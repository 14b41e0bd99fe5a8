//! Whether a delivery is the provider's: an HMAC over the raw bytes, by a secret that only the two of us have
//! (requirements 109 and 110). One row per provider.

use std::time::Duration;

use grantry_core::limits::DELIVERY_CLOCK_OFF_TIME_MAX;
use grantry_core::nouns::ConnectorType;
use grantry_core::{Secret, Timestamp};
use grantry_vault::hash::{hmac_sha256_verify, unhex};
use serde::Deserialize;

use super::Delivery;

/// How a provider signs.
pub struct Scheme {
    kind: ConnectorType,
    /// The name of the connector's secret that it signs with.
    pub secret: &'static str,
    /// The header that has the signature, in hex.
    header: &'static str,
    /// What stands before the hex.
    prefix: &'static str,
    /// Where it says when it signed.
    time: Time,
}

/// Where a signature's time is.
enum Time {
    /// It has none: an old delivery is as good as a new one.
    Unsaid,
    /// Seconds in this header, and signed as `v0:{seconds}:{body}`.
    Header(&'static str),
    /// Milliseconds in the body (`webhookTimestamp`).
    Body,
}

const SCHEMES: &[Scheme] = &[
    // docs.github.com, "Validating webhook deliveries".
    Scheme {
        kind: ConnectorType::Github,
        secret: "webhookSecret",
        header: "x-hub-signature-256",
        prefix: "sha256=",
        time: Time::Unsaid,
    },
    // linear.app/developers/webhooks, "Securing webhooks".
    Scheme {
        kind: ConnectorType::Linear,
        secret: "webhookSecret",
        header: "linear-signature",
        prefix: "",
        time: Time::Body,
    },
    // docs.slack.dev, "Verifying requests from Slack".
    Scheme {
        kind: ConnectorType::Slack,
        secret: "signingSecret",
        header: "x-slack-signature",
        prefix: "v0=",
        time: Time::Header("x-slack-request-timestamp"),
    },
];

impl Scheme {
    /// The scheme of a type's provider, where it signs.
    pub fn of(kind: ConnectorType) -> Option<&'static Self> {
        SCHEMES.iter().find(|scheme| scheme.kind == kind)
    }

    /// Whether the signature is the one that `secret` makes, and no further off than clocks may be.
    pub fn holds(&self, delivery: &Delivery<'_>, secret: &Secret, now: Timestamp) -> bool {
        let key = secret.expose().as_bytes();
        let signature = (delivery.header)(self.header);
        let Some(tag) = signature.and_then(|text| unhex::<32>(text.strip_prefix(self.prefix)?))
        else {
            return false;
        };
        // Anybody can make what an empty key makes.
        if key.is_empty() {
            return false;
        }
        let body = delivery.body;
        match self.time {
            Time::Unsaid => hmac_sha256_verify(key, &[body], &tag),
            Time::Header(name) => {
                let Some(text) = (delivery.header)(name) else {
                    return false;
                };
                let said = seconds(text).is_some_and(|at| is_near(at, now));
                let parts = [b"v0:", text.as_bytes(), b":", body];
                said && hmac_sha256_verify(key, &parts, &tag)
            }
            // Only what is signed is read.
            Time::Body => {
                hmac_sha256_verify(key, &[body], &tag)
                    && time_in(body).is_some_and(|at| is_near(at, now))
            }
        }
    }
}

/// A time in whole seconds since 1970, as plain digits.
fn seconds(text: &str) -> Option<Timestamp> {
    let plain = (1..=12).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    let seconds: i64 = plain.then(|| text.parse().ok())??;
    Some(Timestamp::from_millis(seconds.checked_mul(1000)?))
}

fn time_in(body: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Signed {
        webhook_timestamp: i64,
    }
    let signed: Signed = serde_json::from_slice(body).ok()?;
    let believable = (0..=i64::from(u32::MAX) * 1000).contains(&signed.webhook_timestamp);
    believable.then(|| Timestamp::from_millis(signed.webhook_timestamp))
}

fn is_near(at: Timestamp, now: Timestamp) -> bool {
    let off: Duration = at.since(now).max(now.since(at));
    off <= DELIVERY_CLOCK_OFF_TIME_MAX
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt::Write as _;

    use grantry_vault::hash::hmac_sha256;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn holds(kind: ConnectorType, headers: &[(&str, String)], body: &[u8], secret: &str) -> bool {
        let headers: HashMap<&str, &str> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let header = |name: &str| headers.get(name).copied();
        let delivery = Delivery {
            header: &header,
            body,
        };
        let now = Timestamp::from_millis(NOW * 1000);
        Scheme::of(kind)
            .unwrap()
            .holds(&delivery, &Secret::new(secret), now)
    }

    /// The examples of the providers' own documents.
    #[test]
    fn the_documented_examples_hold() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = [("x-hub-signature-256", signature.to_owned())];
        let secret = "It's a Secret to Everybody";
        assert!(holds(
            ConnectorType::Github,
            &headers,
            b"Hello, World!",
            secret
        ));
        assert!(!holds(
            ConnectorType::Github,
            &headers,
            b"Hello, World?",
            secret
        ));
        // Slack's, whose time is of 2018.
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let tag = unhex::<32>("a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
        let parts: [&[u8]; 2] = [b"v0:1531420618:", body.as_bytes()];
        let made = hmac_sha256(b"8f742231b10e8888abcd99yyyzzz85a5", &parts);
        assert_eq!(tag, Some(made));
    }

    #[test]
    fn a_time_is_five_minutes_off_at_most_either_way() {
        for (off, near) in [
            (0, true),
            (300, true),
            (-300, true),
            (301, false),
            (-301, false),
        ] {
            let at = (NOW + off).to_string();
            let tag = hmac_sha256(b"s", &[b"v0:", at.as_bytes(), b":", b"body"]);
            let headers = [
                ("x-slack-signature", format!("v0={}", hex(&tag))),
                ("x-slack-request-timestamp", at.clone()),
            ];
            assert_eq!(
                holds(ConnectorType::Slack, &headers, b"body", "s"),
                near,
                "{off}"
            );
            // The time is signed: no other can stand in its place.
            let moved = [
                headers[0].clone(),
                ("x-slack-request-timestamp", NOW.to_string()),
            ];
            assert_eq!(
                holds(ConnectorType::Slack, &moved, b"body", "s"),
                off == 0,
                "{off}"
            );
            let body = format!(
                "{{\"webhookTimestamp\":{},\"type\":\"Issue\"}}",
                (NOW + off) * 1000
            );
            let tag = hmac_sha256(b"s", &[body.as_bytes()]);
            let headers = [("linear-signature", hex(&tag))];
            let linear = holds(ConnectorType::Linear, &headers, body.as_bytes(), "s");
            assert_eq!(linear, near, "{off}");
        }
        for body in [
            "{}",
            "[]",
            "",
            "{\"webhookTimestamp\":\"1\"}",
            "{\"webhookTimestamp\":-1}",
        ] {
            let headers = [(
                "linear-signature",
                hex(&hmac_sha256(b"s", &[body.as_bytes()])),
            )];
            assert!(!holds(
                ConnectorType::Linear,
                &headers,
                body.as_bytes(),
                "s"
            ));
        }
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let headers = [(
            "x-hub-signature-256",
            format!("sha256={}", hex(&hmac_sha256(b"", &[b"body"]))),
        )];
        assert!(!holds(ConnectorType::Github, &headers, b"body", ""));
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[0-9a-fA-F+ -]{0,70}",
            "(sha256=|v0=|sha1=|v1=)?[0-9a-fA-F]{60,66}",
            "[0-9]{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn no_header_holds_but_the_one_that_the_secret_makes(
            signature in any_text(), time in any_text(), body in any::<Vec<u8>>(),
        ) {
            for kind in [ConnectorType::Github, ConnectorType::Slack, ConnectorType::Linear] {
                let headers = ["x-hub-signature-256", "x-slack-signature", "linear-signature"];
                let mut headers = headers.map(|name| (name, signature.clone())).to_vec();
                headers.push(("x-slack-request-timestamp", time.clone()));
                prop_assert!(!holds(kind, &headers, &body, "secret"));
            }
        }

        #[test]
        fn the_right_one_holds_whole_and_no_part_of_it(
            body in any::<Vec<u8>>(), secret in "[ -~]{1,40}", cut in 0_usize..71, other in any::<u8>(),
        ) {
            let tag = hmac_sha256(secret.as_bytes(), &[&body]);
            let whole = format!("sha256={}", hex(&tag));
            let header = |text: &str| [("x-hub-signature-256", text.to_owned())];
            prop_assert!(holds(ConnectorType::Github, &header(&whole), &body, &secret));
            prop_assert!(!holds(ConnectorType::Github, &header(&whole[..cut]), &body, &secret));
            let more = format!("{whole}00");
            prop_assert!(!holds(ConnectorType::Github, &header(&more), &body, &secret));
            let mut longer = body.clone();
            longer.push(other);
            prop_assert!(!holds(ConnectorType::Github, &header(&whole), &longer, &secret));
            let other = format!("{secret}x");
            prop_assert!(!holds(ConnectorType::Github, &header(&whole), &body, &other));
        }

        #[test]
        fn hex_and_seconds_are_read_whole_or_not_at_all(text in any_text()) {
            let is_hex = text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
            prop_assert_eq!(unhex(&text).map(|tag: [u8; 32]| hex(&tag)), is_hex.then(|| text.to_ascii_lowercase()));
            if let Some(at) = seconds(&text) {
                prop_assert_eq!(at.as_secs(), text.parse::<i64>().unwrap());
            }
        }
    }
}
