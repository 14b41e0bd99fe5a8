//! What a setting's value may be, one type per kind.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use grantry_core::Secret;
use grantry_core::limits::{Amount, Unit};
use ipnet::IpNet;
use toml::Value;
use url::Url;

/// A type that a setting's value is read as. Flags and variables bring text, a file whatever it holds.
pub trait Read: Sized {
    /// What would be right, for the error.
    const WANTED: &'static str;
    /// Whether it is masked where it is shown, and never quoted in an error.
    const SECRET: bool = false;

    /// The value, if it is one.
    fn read(value: &Value) -> Option<Self>;

    /// What it is when nobody gave one and there is no default; `None` makes it required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Read> Read for Option<T> {
    const WANTED: &'static str = T::WANTED;
    const SECRET: bool = T::SECRET;

    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Read for SocketAddr {
    const WANTED: &'static str = "an IP address and a port, such as 127.0.0.1:8000";

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl Read for Url {
    const WANTED: &'static str = "a whole URL, such as https://grantry.example";

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?).ok()
    }
}

impl Read for PathBuf {
    const WANTED: &'static str = "a path";

    fn read(value: &Value) -> Option<Self> {
        let path = value.as_str().filter(|path| !path.is_empty());
        path.map(Self::from)
    }
}

impl Read for Secret {
    const WANTED: &'static str = "text";
    const SECRET: bool = true;

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::new)
    }
}

impl Read for u32 {
    const WANTED: &'static str = "a whole number";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Self::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Read for Vec<String> {
    const WANTED: &'static str = "a list of texts, such as [\"10.0.0.0/8\"]";

    /// In a variable the items are separated by commas.
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Value::String(text) => {
                Some(text.split(',').map(|item| item.trim().to_owned()).collect())
            }
            _ => None,
        }
    }
}

impl Read for Vec<IpNet> {
    const WANTED: &'static str = "a list of networks or addresses, such as [\"10.0.0.0/8\"]";

    fn read(value: &Value) -> Option<Self> {
        let network = |text: &String| match text.parse() {
            Ok(network) => Some(network),
            Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
        };
        Vec::<String>::read(value)?.iter().map(network).collect()
    }
}

impl Read for Vec<toml::Table> {
    const WANTED: &'static str = "tables, in the file only";

    fn read(value: &Value) -> Option<Self> {
        let tables = value.as_array()?.iter();
        tables.map(|item| item.as_table().cloned()).collect()
    }
}

/// Host names in small letters, and the dialect that each is answered in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<(String, String)>);

impl Read for Hosts {
    const WANTED: &'static str =
        "host names and dialects, such as \"api.datagrid.com\" = \"datagrid\" under [hosts]";

    /// In a variable: `api.datagrid.com=datagrid,api.cohere.com=cohere`.
    fn read(value: &Value) -> Option<Self> {
        let pairs: Vec<(String, String)> = match value {
            Value::Table(table) => table
                .iter()
                .map(|(host, dialect)| Some((host.clone(), dialect.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            Value::String(text) => text
                .split(',')
                .map(|pair| {
                    let (host, dialect) = pair.split_once('=')?;
                    Some((host.trim().to_owned(), dialect.trim().to_owned()))
                })
                .collect::<Option<_>>()?,
            _ => return None,
        };
        pairs
            .into_iter()
            .map(|(host, dialect)| Some((host_name(&host)?, dialect)))
            .collect::<Option<_>>()
            .map(Self)
    }
}

/// A name or an address without a port, as it is compared: in small letters.
fn host_name(text: &str) -> Option<String> {
    match url::Host::parse(text).ok()? {
        url::Host::Domain(name) => Some(name.trim_end_matches('.').to_owned()),
        address => Some(address.to_string()),
    }
}

impl Read for Duration {
    const WANTED: &'static str = "a time, such as \"30s\", \"15m\" or \"24h\"";

    fn read(value: &Value) -> Option<Self> {
        let Amount(_, millis) = Amount::parse(Unit::Time, value.as_str()?)?;
        Some(Self::from_millis(millis)).filter(|time| !time.is_zero())
    }
}

impl Read for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(truth) => Some(*truth),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

impl Read for Ratio {
    const WANTED: &'static str = "a number from 0.0 to 1.0";

    fn read(value: &Value) -> Option<Self> {
        let number = match value {
            Value::Float(number) => *number,
            Value::Integer(number) => f64::from(i32::try_from(*number).ok()?),
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        (0.0..=1.0).contains(&number).then_some(Self(number))
    }
}

/// A time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrOff(pub Option<Duration>);

impl Read for OrOff {
    const WANTED: &'static str = "a time, such as \"15m\" or \"24h\", or \"off\"";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "off" => Some(Self(None)),
            _ => Duration::read(value).map(|time| Self(Some(time))),
        }
    }
}

/// Which requests have a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedRequests {
    /// Those that failed through no fault of their sender (5xx).
    Errors,
    /// Every one.
    All,
}

impl Read for LoggedRequests {
    const WANTED: &'static str = "\"errors\" or \"all\"";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "errors" => Some(Self::Errors),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}
