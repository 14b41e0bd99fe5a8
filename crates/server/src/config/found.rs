//! What was given, by whom: flags before the environment before the file before defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::Value;

use super::settings::{Row, rows};
use super::value::Read;
use crate::failure::Failure;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This flag of the command line.
    Flag(&'static str),
    /// This variable of the environment.
    Variable(String),
    /// This line of this file.
    File(String, usize),
    /// The table of settings.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Variable(name) => f.write_str(name),
            Self::File(name, line) => write!(f, "{name}, line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// As the file spells it; text where it comes from elsewhere.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Given {
    /// What is wrong with it, where, and what would be right.
    pub fn complaint(&self, row: &Row) -> String {
        let Self { value, origin } = self;
        let shown = match row.secret {
            true => "given".to_owned(),
            false => value.to_string(),
        };
        format!(
            "{origin}: {} is {shown}; {} would be right",
            row.name, row.wanted
        )
    }

    /// The value as it may be shown.
    pub fn shown(&self, row: &Row) -> Value {
        match (&self.value, row.secret) {
            (Value::String(text), true) => Value::String(masked(text)),
            (value, _) => value.clone(),
        }
    }
}

/// A secret without what makes it one: of a URL everything but password and query stays.
fn masked(text: &str) -> String {
    const MASK: &str = "***";
    let Ok(mut url) = url::Url::parse(text) else {
        return MASK.to_owned();
    };
    let hidden = url.password().map(|_| MASK);
    match url.has_host() && url.set_password(hidden).is_ok() {
        true => {
            url.set_query(url.query().is_some().then_some(MASK));
            url.into()
        }
        false => MASK.to_owned(),
    }
}

/// Every setting that has a value.
#[derive(Debug, Default)]
pub struct Found(BTreeMap<&'static str, Given>);

impl Found {
    /// Gathers from all sources. `flags` are (setting, flag, value).
    ///
    /// # Errors
    /// [`crate::failure::Exit::Usage`]: a file that cannot be read, is no TOML, or names what is no setting.
    pub fn gather(
        flags: &[(&'static str, &'static str, Option<&str>)],
        variable: &dyn Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let in_file = match file {
            None => BTreeMap::new(),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(format!("cannot read the configuration {name}: {error}"))
                        .hint("--config or GRANTRY_CONFIG names the file.")
                })?;
                super::file::parse(&name, &text)?
            }
        };
        Ok(Self::merge(flags, variable, in_file))
    }

    /// The first source that has a setting wins.
    pub fn merge(
        flags: &[(&'static str, &'static str, Option<&str>)],
        variable: &dyn Fn(&str) -> Option<String>,
        mut file: BTreeMap<&'static str, Given>,
    ) -> Self {
        let text = |text: String, origin| Given {
            value: Value::String(text),
            origin,
        };
        let found = rows().iter().filter_map(|row| {
            let mut named = flags.iter().filter(|(name, ..)| *name == row.name);
            let flag = named.find_map(|(_, flag, value)| {
                value.map(|value| text(value.to_owned(), Origin::Flag(flag)))
            });
            let from_variable = || {
                let name = row.variable();
                Some(text(variable(&name)?, Origin::Variable(name)))
            };
            let default = |value| Given {
                value,
                origin: Origin::Default,
            };
            let given = flag
                .or_else(from_variable)
                .or_else(|| file.remove(row.name))
                .or_else(|| row.default.clone().map(default));
            Some((row.name, given?))
        });
        Self(found.collect())
    }

    /// The value of `name`, if it has one.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    /// The value of `name` as its type.
    pub fn read<T: Read>(&self, name: &str, problems: &mut Vec<String>) -> Option<T> {
        let Some(given) = self.get(name) else {
            return T::absent();
        };
        let read = T::read(&given.value);
        if read.is_none() {
            let row = rows().iter().find(|row| row.name == name);
            problems.extend(row.map(|row| given.complaint(row)));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_and_what_is_none_stays_readable() {
        for (given, wanted) in [
            ("postgres://u:p@h:5/d", "postgres://u:***@h:5/d"),
            ("postgres://u@h/d?password=p", "postgres://u@h/d?***"),
            ("host=h password=p", "***"),
            ("data:p", "***"),
        ] {
            assert_eq!(masked(given), wanted);
        }
    }
}
