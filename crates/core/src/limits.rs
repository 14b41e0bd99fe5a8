//! Every limit that a request, a caller, a provider's answer or an operator's file can meet: one row
//! each, in two tables. Rows of the first are a deployment's choice, set in `[limits]` of its
//! configuration; those of the second are fixed, because an API's document, a stored row or another
//! limit relies on them. `docs/limits.md` is made from both, and a law test keeps limits out of other files.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Milliseconds.
    Time,
}

/// An amount in its unit. Displays as the configuration spells it: `1MiB`, `10s`, `64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Unit, pub u64);

/// A row of either table.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Its name; a setting's with its section.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Its value, unless the deployment chooses another.
    pub default: u64,
    /// What a deployment may choose; `None` for what is fixed.
    pub range: Option<RangeInclusive<u64>>,
    /// What it is for, and what happens beyond it.
    pub why: &'static str,
}

/// A limit as a refusal names it: what it is, and which setting changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The setting, with its section; `None` for what is fixed.
    pub setting: Option<&'static str>,
    /// What it is set to.
    pub amount: Amount,
}

impl Bound {
    /// A fixed limit of bytes.
    pub const fn fixed(bytes: usize) -> Self {
        Self {
            setting: None,
            amount: Amount(Unit::Bytes, bytes as u64),
        }
    }

    /// Its number, where it counts bytes or things.
    pub const fn number(self) -> usize {
        self.amount.1 as usize
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.amount, self.setting) {
            (amount, Some(setting)) => write!(f, "{amount} ({setting})"),
            (Amount(Unit::Bytes, bytes), None) => write!(f, "{bytes} bytes"),
            (amount, None) => amount.fmt(f),
        }
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SECOND: Duration = secs(1);
const MINUTE: Duration = secs(60);
const HOUR: Duration = secs(3600);
const DAY: Duration = secs(24 * 3600);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

macro_rules! of_unit {
    (bytes) => {
        usize
    };
    (count) => {
        usize
    };
    (time) => {
        Duration
    };
}

macro_rules! unit {
    (bytes) => {
        Unit::Bytes
    };
    (count) => {
        Unit::Count
    };
    (time) => {
        Unit::Time
    };
}

macro_rules! number {
    (time, $value:expr) => {
        $value.as_millis() as u64
    };
    ($unit:ident, $value:expr) => {
        $value as u64
    };
}

macro_rules! amount {
    (time, $number:expr) => {
        Duration::from_millis($number)
    };
    ($unit:ident, $number:expr) => {
        $number as usize
    };
}

macro_rules! chosen {
    ($($(#[doc = $why:literal])+ $name:ident: $unit:ident = $default:expr, $least:expr => $most:expr;)*) => {
        /// The limits that a deployment chooses.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $why])+ pub $name: of_unit!($unit),)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            $(
                /// The limit as a refusal names it.
                pub const fn $name(&self) -> Bound {
                    let setting = Some(concat!("limits.", stringify!($name)));
                    Bound { setting, amount: Amount(unit!($unit), number!($unit, self.$name)) }
                }
            )*

            /// Sets the limit of the row `name`; the caller has checked the row's range. False when there is no such row.
            pub fn set(&mut self, name: &str, number: u64) -> bool {
                $(if name == concat!("limits.", stringify!($name)) {
                    self.$name = amount!($unit, number);
                    return true;
                })*
                false
            }
        }

        /// The rows of [`Limits`].
        pub const CHOSEN: &[Limit] = &[$(Limit {
            name: concat!("limits.", stringify!($name)),
            unit: unit!($unit),
            default: number!($unit, $default),
            range: Some(number!($unit, $least)..=number!($unit, $most)),
            why: concat!($($why),+),
        },)*];
    };
}

macro_rules! fixed {
    ($($(#[doc = $why:literal])+ $name:ident: $unit:ident = $value:expr;)*) => {
        $($(#[doc = $why])+ pub const $name: of_unit!($unit) = $value;)*

        /// The rows of the constants.
        pub const FIXED: &[Limit] = &[$(Limit {
            name: stringify!($name),
            unit: unit!($unit),
            default: number!($unit, $value),
            range: None,
            why: concat!($($why),+),
        },)*];
    };
}

chosen! {
    /// Clients connected at once. When all are, the one that has been idle the longest makes room for the next, which
    /// waits where none is idle. Over HTTP/1.1 each has one request at a time, so this bounds the requests at work too.
    connections_max: count = 10_000, 1 => 1_000_000;
    /// A request's line and headers; more is answered with 431.
    header_bytes_max: bytes = 64 * KIB, 8 * KIB => MIB;
    /// Time for the headers of a request, silence between two requests of a connection included; then it is closed.
    header_time_max: time = secs(10), SECOND => secs(600);
    /// A request's body; more is answered with 413.
    body_bytes_max: bytes = MIB, 64 * KIB => 64 * MIB;
    /// Time for a body to arrive, and a second more for each MiB that its endpoint takes beyond the first.
    body_time_max: time = secs(15), SECOND => secs(600);
    /// Time in which a client has to take in some more of an answer that waits for it; then its connection is closed.
    answer_time_max: time = secs(30), SECOND => secs(600);
    /// An apply file that is sent to the server; a store of a million connections fits. Only the operator sends one.
    apply_bytes_max: bytes = 256 * MIB, MIB => 4096 * MIB;
    /// What a provider delivers of an event; more is answered with 413. GitHub sends 25 MiB at most: 1 MiB are some
    /// thousands of the repositories that it lists with an installation. Anybody may send that much, as nothing is known of
    /// who sends before all is there.
    event_bytes_max: bytes = MIB, 64 * KIB => 25 * MIB;
    /// Requests of one team in a minute, counted by each node: so many at once, then evenly; more is answered with
    /// 429. 0 is no limit.
    team_requests_per_minute: count = 0, 0 => 10_000_000;
    /// Requests of one team to one endpoint of the Datagrid API in any 60 seconds, counted by each node; more is
    /// answered with 429. `datagrid.route_limits` sets it for single endpoints. 0 is no limit.
    datagrid_requests_per_minute: count = 200, 0 => 100_000;
    /// Sign-ins (`GET /oauth/authorize`) that one client address may begin in a minute, and keys that it may enter on the
    /// page of a `vercel connect token` link, counted together by each node: so many at once, then evenly; more is
    /// answered with 429. Of IPv6 a /64 is one address. All people of an office may have the same; 0 is no limit.
    sign_ins_per_minute: count = 600, 0 => 1_000_000;
    /// Longest life of a session that began with a sign-in, however often it is renewed; then the person signs in anew.
    sign_in_time_max: time = secs(90 * 24 * 3600), HOUR => secs(365 * 24 * 3600);
    /// After the order to stop: how long requests are still taken while `/readyz` answers 503, so that a load balancer
    /// looks elsewhere first. Its probe's interval would be right.
    stop_delay: time = Duration::ZERO, Duration::ZERO => MINUTE;
    /// Time for what has begun when the server is told to stop, `stop_delay` included; service managers kill after 30 s
    /// or more.
    stop_time_max: time = secs(29), SECOND => secs(600);
    /// Life of a consent link, where its requester names none.
    authorization_time: time = HOUR, MINUTE => DAY;
    /// Longest life of a consent link that a requester may name.
    authorization_time_max: time = DAY, MINUTE => DAY;
    /// From the press of the consent button to the provider's callback: state, PKCE verifier, binding cookie.
    flow_time_max: time = secs(600), MINUTE => HOUR;
    /// From a consent to its confirmation by who asked for it; then what it brought is revoked.
    confirm_time_max: time = secs(600), MINUTE => HOUR;
    /// Sequin's link flow: its start URL, the code that its redirect URL receives, and the handle that the code is
    /// exchanged for, each for this long.
    link_time_max: time = secs(300), SECOND => HOUR;
    /// Longest life believed of an access token; a longer one is fetched anew after this.
    token_life_max: time = TOKEN_LIFE_MAX, MINUTE => TOKEN_LIFE_MAX;
    /// Requests at work for one purpose (tokens, discovery, searches) at one port of a provider's host; further ones wait
    /// a third of their time, then count as not sent.
    provider_requests_max: count = 64, 1 => 10_000;
    /// From resolving a provider's name to the last byte of its answer; later counts as no answer.
    provider_time_max: time = secs(15), SECOND => MINUTE;
    /// From resolving a search endpoint's name to the last byte of its answer; later counts as a failure.
    search_time_max: time = secs(30), SECOND => secs(300);
    /// Searches of one team at work at once, in each node, probes of its connectors' endpoints included; more is
    /// answered with 429.
    team_searches_max: count = 16, 1 => 10_000;
    /// Rows of each kind kept in memory; the oldest leave.
    cache_entries_max: count = 100_000, 100 => 10_000_000;
    /// Connections of this node to PostgreSQL; further queries wait.
    database_connections_max: count = 16, 2 => 1_000;
    /// How long a query waits for a free connection to PostgreSQL; then its request is answered with 503.
    database_wait_max: time = secs(5), SECOND => MINUTE;
    /// How long a new connection to PostgreSQL may take, TLS and the log-in included.
    database_connect_max: time = secs(5), SECOND => MINUTE;
}

fixed! {
    /// An access or refresh token taken from a provider or a caller.
    TOKEN_BYTES_MAX: bytes = 64 * KIB;
    /// The value of a named secret.
    SECRET_BYTES_MAX: bytes = 64 * KIB;
    /// A provider's answer, after decompression.
    PROVIDER_BYTES_MAX: bytes = MIB;
    /// Longest life that any deployment believes of an access token.
    TOKEN_LIFE_MAX: time = secs(365 * 24 * 3600);
    /// Pages of a GitHub App's installations, of 100 each, that are compared with what is known here.
    GITHUB_PAGES_MAX: count = 50;
    /// After this a client of the Vercel API that holds a token whose end nobody knows asks again.
    TOKEN_LIFE_ASSUMED: time = secs(3600);
    /// A request id that is taken from a trusted proxy.
    REQUEST_ID_BYTES_MAX: bytes = 64;
    /// Rows of a page; part of the APIs' documents.
    PAGE_ROWS_MAX: count = 100;
    /// An `Idempotency-Key`; part of the native API's document.
    IDEMPOTENCY_KEY_BYTES_MAX: bytes = 255;
    /// How long an `Idempotency-Key` stands for its request; part of the native API's document.
    IDEMPOTENCY_KEY_LIFE: time = DAY;
    /// Items of a list in a body; part of the APIs' documents.
    ITEMS_MAX: count = 256;
    /// What a client goes on sending after its body was refused: taken in and thrown away, so that it sees the
    /// answer.
    DRAINED_BYTES_MAX: bytes = 16 * MIB;
    /// The largest answer of a server that the command line keeps, and the longest line of one in lines.
    LOCAL_ANSWER_BYTES_MAX: bytes = 16 * MIB;
    /// Names and values of a provider's headers together; more counts as no answer.
    PROVIDER_HEADER_BYTES_MAX: bytes = 64 * KIB;
    /// Resolving, connecting and the TLS handshake together, so that a request that does leave has time to be
    /// answered.
    PROVIDER_CONNECT_TIME_MAX: time = secs(5);
    /// An idle connection to a provider; shorter than providers keep theirs (5 s), so that no request is written to
    /// one that is just being closed.
    PROVIDER_IDLE_TIME_MAX: time = secs(4);
    /// Idle connections kept to one provider's host.
    PROVIDER_IDLE_CONNECTIONS_MAX: count = 8;
    /// A provider's headers; more counts as no answer.
    PROVIDER_HEADERS_MAX: count = 100;
    /// Addresses of a provider's name that are tried for one connection; all of them are checked.
    PROVIDER_ADDRESSES_MAX: count = 16;
    /// The name or subject of an account that is kept with its connection.
    IDENTITY_BYTES_MAX: bytes = 255;
    /// The `state` of a link flow, as JSON; part of Sequin's document.
    LINK_STATE_BYTES_MAX: bytes = 5 * KIB;
    /// A return URL.
    RETURN_URL_BYTES_MAX: bytes = 4 * KIB;
    /// Projects of a team whose base URLs are return origins.
    RETURN_PROJECTS_MAX: count = 1000;
    /// A connector's or a team's name: 300 characters of any script.
    NAME_BYTES_MAX: bytes = 1200;
    /// A connector's uid.
    UID_BYTES_MAX: bytes = 256;
    /// The name of an installation or of a named secret: 300 characters of any script.
    LABEL_BYTES_MAX: bytes = 1200;
    /// A provider's own id of an installation.
    EXTERNAL_ID_BYTES_MAX: bytes = 512;
    /// Values of an api-key connector.
    CONNECTOR_VALUES_MAX: count = 100;
    /// A URL in the data of a connector.
    CONNECTOR_URL_BYTES_MAX: bytes = 2 * KIB;
    /// An object in the data of a connector that is kept as it is (`extras`, `serverConfig`, claims), as JSON.
    CONNECTOR_OBJECT_BYTES_MAX: bytes = 64 * KIB;
    /// A private key in PEM form, in the data of a connector.
    PEM_BYTES_MAX: bytes = 16 * KIB;
    /// Repositories that a GitHub installation's token can be narrowed to: GitHub takes no more.
    REPOSITORIES_MAX: count = 500;
    /// Pages of a person's GitHub installations, of a hundred each, that are looked through for the one that they claim.
    INSTALLATION_PAGES_MAX: count = 20;
    /// MCP servers of a team that the Datagrid API makes; part of its document.
    MCP_SERVERS_MAX: count = 30;
    /// The value of an MCP server's `Authorization` header; part of the Datagrid API's document.
    MCP_AUTHORIZATION_BYTES_MAX: bytes = 64_000;
    /// Pairs of a team and an endpoint of the Datagrid API whose requests are counted, in memory; those that were
    /// silent for a minute leave first.
    COUNTED_ENDPOINTS_MAX: count = 10_000;
    /// Connectors of one uid, of several teams, among which a sign-in that names no team is looked for; with more of
    /// them it has to.
    SIGN_IN_NAMESAKES_MAX: count = 16;
    /// Links that a list tells along with each connector; part of Vercel's API.
    INCLUDED_LINKS_MAX: count = 100;
    /// An image for a connector's pages.
    ICON_BYTES_MAX: bytes = 5 * MIB;
    /// Pixels of each side of such an image, at least (reference/vercel-connect §4).
    ICON_SIDE_MIN: count = 640;
    /// Pixels of each side of such an image, at most: a browser unpacks it.
    ICON_SIDE_MAX: count = 4096;
    /// How long after its end, as it was said when it came, a refresh token is still presented: clocks differ, and a
    /// connection that ends for that would not come back.
    REFRESH_END_DOUBT_TIME: time = secs(24 * 3600);
    /// How far the time that a provider signs with an event may be off, either way; more is answered with 401.
    DELIVERY_CLOCK_OFF_TIME_MAX: time = secs(300);
    /// How far two looks at the same thing are apart, however often its provider says that it changed; one that waits is
    /// for all that said the same meanwhile. GitHub answers some 5000 requests of an app in an hour, and waits for 10 s.
    LOOKS_APART_TIME: time = secs(2);
    /// How far apart it is that the kept tokens of one installation are given up because GitHub says that it changed: who
    /// sends a signed delivery again and again must not have them bought anew each time. What is said meanwhile is heeded
    /// when this is over.
    RENEWALS_APART_TIME: time = secs(60);
    /// Places that a connector's events go to.
    TRIGGER_DESTINATIONS_MAX: count = 3;
    /// Pairs that the answer to a revocation waits for the provider to end; the sweep ends further ones.
    AWAITED_REVOCATIONS_MAX: count = 200;
    /// Authorization servers whose metadata is kept in memory; who creates connectors chooses the URLs.
    METADATA_ENTRIES_MAX: count = 1000;
    /// Life of a workload token; the signing keys overlap by as much.
    WORKLOAD_TOKEN_TIME_MAX: time = secs(12 * 3600);
    /// Life of what proves a workload to a service elsewhere (`aws-alpha`, `snowflake-wif`).
    WORKLOAD_PROOF_TIME: time = secs(3600);
    /// Grants whose failed refresh rests, in memory; what they are is up to callers.
    RESTING_GRANTS_MAX: count = 10_000;
    /// Subject, scopes, audience, resources and details of one grant together: its key is one row of a PostgreSQL
    /// index.
    GRANT_BYTES_MAX: bytes = 2000;
    /// One scope, audience, resource or authorization detail.
    GRANT_ITEM_BYTES_MAX: bytes = 512;
    /// Authorization details of one grant.
    GRANT_DETAILS_MAX: count = 16;
    /// The longest wait that a provider's Retry-After is believed.
    RETRY_AFTER_MAX: time = HOUR;
    /// Life of a client assertion. GitHub would take ten minutes, others five.
    ASSERTION_TIME_MAX: time = secs(300);
    /// How long a connector can be registered at its service after it was asked for: Vercel's CLI waits for 115 minutes.
    SETUP_TIME: time = secs(2 * 3600);
    /// Connectors of a team that wait to be registered. Further ones are refused until some are done or canceled.
    SETUPS_OPEN_MAX: count = 100;
    /// How far apart a connector registers itself anew, at first; each time doubles it (requirement 26).
    REGISTRATIONS_APART_TIME: time = HOUR;
    /// The most that this grows to.
    REGISTRATIONS_APART_TIME_MAX: time = secs(7 * 24 * 3600);
    /// Characters of a provider's error text that are kept or shown.
    STRANGERS_TEXT_CHARS_MAX: count = 200;
    /// A registered client id. Some servers put a signed document into it.
    CLIENT_ID_BYTES_MAX: bytes = 4 * KIB;
    /// A registered client secret or registration access token.
    CLIENT_SECRET_BYTES_MAX: bytes = 8 * KIB;
    /// The scope text of a token answer.
    GRANTED_SCOPE_BYTES_MAX: bytes = 16 * KIB;
    /// What a token answer holds beside the tokens, as JSON; more is left out.
    TOKEN_EXTRA_BYTES_MAX: bytes = 16 * KIB;
    /// A callback's query. Generous: an error text of 100 KiB still ends the authorization.
    CALLBACK_BYTES_MAX: bytes = 256 * KIB;
    /// An authorization code.
    CODE_BYTES_MAX: bytes = 8 * KIB;
    /// state, iss or another value of a callback.
    CALLBACK_VALUE_BYTES_MAX: bytes = 2 * KIB;
    /// Other parameters of a callback that are kept.
    CALLBACK_OTHERS_MAX: count = 16;
    /// Nesting of a provider's JSON. Real answers stay below ten.
    JSON_DEPTH_MAX: count = 32;
    /// A file of master keys.
    MASTER_KEYS_BYTES_MAX: bytes = 64 * KIB;
    /// Custom environments of a project.
    ENVIRONMENTS_MAX: count = 64;
    /// Redirect URIs that a project declares for its sign-ins.
    SIGN_IN_URIS_MAX: count = 32;
    /// `state` and `nonce` of an application that signs people in: its own, kept until they come back.
    SIGN_IN_VALUE_BYTES_MAX: bytes = 1024;
    /// How long an outside issuer's keys are used before they are fetched again.
    ISSUER_KEYS_FRESH_TIME: time = secs(600);
    /// How far two requests for an outside issuer's keys are apart, whatever tokens come in.
    ISSUER_ASKS_APART_TIME: time = secs(15);
    /// How far an outside issuer's clock may be off.
    ISSUER_CLOCK_OFF_TIME_MAX: time = secs(30);
    /// How long a request with an `Idempotency-Key` may be under way: longer than any is carried out. One without an
    /// answer after that was cut short.
    REPEAT_UNDER_WAY_TIME_MAX: time = secs(300);
    /// How long an outside issuer's keys are used while it gives no newer ones.
    ISSUER_KEYS_STALE_TIME_MAX: time = secs(4 * 3600);
    /// Keys of an outside issuer that are looked at.
    ISSUER_KEYS_MAX: count = 100;
    /// The subject of an outside issuer's token, and of what proves a workload elsewhere: AWS and Snowflake take no longer one.
    WORKLOAD_SUBJECT_BYTES_MAX: bytes = 255;
    /// A claim that goes into a template.
    WORKLOAD_CLAIM_BYTES_MAX: bytes = 256;
    /// Life of an outside issuer's token, unless its `life_max` says otherwise.
    OUTSIDE_TOKEN_TIME_MAX: time = DAY;
    /// Services that metrics tell apart; further ones share the label `other`.
    METERED_SERVICES_MAX: count = 500;
}

impl Limit {
    /// A number in this row's unit.
    pub const fn amount(&self, number: u64) -> Amount {
        Amount(self.unit, number)
    }
}

/// Spellings and sizes in bytes, largest first.
const BYTES: &[(&str, u64)] = &[
    ("GiB", 1024 * MIB as u64),
    ("MiB", MIB as u64),
    ("KiB", KIB as u64),
];

/// Spellings and sizes in milliseconds, largest first.
const TIMES: &[(&str, u64)] = &[
    ("d", DAY.as_millis() as u64),
    ("h", HOUR.as_millis() as u64),
    ("m", MINUTE.as_millis() as u64),
    ("s", SECOND.as_millis() as u64),
    ("ms", 1),
];

const fn scale(unit: Unit) -> &'static [(&'static str, u64)] {
    match unit {
        Unit::Bytes => BYTES,
        Unit::Time => TIMES,
        Unit::Count => &[],
    }
}

impl Amount {
    /// Reads what [`Amount`] displays, with or without a space before the unit. Bytes and counts may be
    /// plain numbers; a time needs its unit.
    pub fn parse(unit: Unit, text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let factor = match suffix.trim_start() {
            "" if unit != Unit::Time => 1,
            suffix => scale(unit).iter().find(|(name, _)| *name == suffix)?.1,
        };
        number.checked_mul(factor).map(|number| Self(unit, number))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, number) = *self;
        let mut whole = scale(unit).iter().filter(|(_, size)| number % size == 0);
        match whole.next().filter(|_| number > 0) {
            Some((name, size)) => write!(f, "{}{name}", number / size),
            None if unit == Unit::Time => f.write_str("0s"),
            None => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as the document shows them.
    fn table(rows: &[Limit]) -> String {
        let line = |row: &Limit| {
            let range = row.range.as_ref().map(|range| {
                let (least, most) = (row.amount(*range.start()), row.amount(*range.end()));
                format!(" {least} to {most} |")
            });
            let (name, default) = (row.name, row.amount(row.default));
            let why = row.why.trim();
            format!(
                "| `{name}` | {default} |{} {why} |\n",
                range.unwrap_or_default()
            )
        };
        rows.iter().map(line).collect()
    }

    #[test]
    fn the_documentation_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
        let wanted = format!(
            "# Limits\n\n{INTRODUCTION}\n## Chosen\n\n| Setting | Default | Range | What it bounds |\n\
             |---|---|---|---|\n{}\n## Fixed\n\n| Limit | Value | What it bounds |\n|---|---|---|\n{}",
            table(CHOSEN),
            table(FIXED)
        );
        let document = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            document == wanted,
            "docs/limits.md should be:\n{wanted}<end>"
        );
    }

    const INTRODUCTION: &str = "\
Every limit that a request, a caller, a provider's answer or an operator's file can meet, from
`crates/core/src/limits.rs` (a test keeps this page the same). The first table is a deployment's choice,
in `[limits]` of its configuration or as `GRANTRY_LIMITS_…`; the second is fixed, because an API's document,
a stored row or another limit relies on it. What is beyond a limit is refused with the limit in the answer.
";

    #[test]
    fn amounts_read_back_as_they_are_shown() {
        for row in CHOSEN.iter().chain(FIXED) {
            let shown = row.amount(row.default).to_string();
            let read = Amount::parse(row.unit, &shown);
            assert_eq!(read, Some(row.amount(row.default)), "{}", row.name);
        }
        for (unit, text, wanted) in [
            (Unit::Bytes, "2 MiB", Some(2 << 20)),
            (Unit::Bytes, "70000", Some(70_000)),
            (Unit::Bytes, "1MB", None),
            (Unit::Bytes, "99999999999GiB", None),
            (Unit::Time, "90s", Some(90_000)),
            (Unit::Time, "250ms", Some(250)),
            (Unit::Time, "15", None),
            (Unit::Time, "-1s", None),
            (Unit::Count, "5", Some(5)),
            (Unit::Count, "5s", None),
            (Unit::Count, "", None),
        ] {
            let read = Amount::parse(unit, text).map(|Amount(_, number)| number);
            assert_eq!(read, wanted, "{text}");
        }
        assert_eq!(Amount(Unit::Time, 90_000).to_string(), "90s");
        assert_eq!(Amount(Unit::Time, 3_600_000).to_string(), "1h");
        assert_eq!(Amount(Unit::Bytes, 1 << 30).to_string(), "1GiB");
    }

    #[test]
    fn every_chosen_limit_is_within_its_range_and_can_be_set() {
        let mut limits = Limits::default();
        for row in CHOSEN {
            let range = row.range.clone().unwrap();
            assert!(range.contains(&row.default), "{}", row.name);
            assert!(limits.set(row.name, row.default), "{}", row.name);
        }
        assert_eq!(limits, Limits::default());
        assert!(limits.set("limits.body_bytes_max", 7));
        assert!(limits.set("limits.body_time_max", 7));
        assert_eq!(limits.body_bytes_max, 7);
        assert_eq!(limits.body_time_max, Duration::from_millis(7));
        assert!(!limits.set("limits.absent", 1));
        assert_eq!(
            limits.body_bytes_max().to_string(),
            "7 (limits.body_bytes_max)"
        );
        assert_eq!(
            Limits::default().apply_bytes_max().to_string(),
            "256MiB (limits.apply_bytes_max)"
        );
        assert_eq!(Bound::fixed(1025).to_string(), "1025 bytes");
    }
}
