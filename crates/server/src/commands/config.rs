//! `grantry config`.

use std::path::PathBuf;

use serde_json::json;
use toml::Value;

use crate::config::{self, Config, Found, Origin, Row, rows};
use crate::failure::Failure;
use crate::tls::Tls;
use crate::{house, out};

/// The configuration: what is in effect and why, whether a file is right, what there is to set.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the effective configuration, with where each value comes from; secrets are masked
    Show {
        #[command(flatten)]
        flags: config::Flags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with a configuration file, and with the files that it names
    Check {
        /// The file (TOML)
        file: PathBuf,
    },
    /// Print a configuration file with every setting at its default
    Defaults,
}

/// Runs the command.
///
/// # Errors
/// [`crate::failure::Exit::Usage`] with all that is wrong.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Show { flags, json: false } => {
            let found = flags.find()?;
            Config::of(&found)?;
            out::line(shown(&found).trim_end());
        }
        Command::Show { flags, json: true } => {
            let found = flags.find()?;
            Config::of(&found)?;
            let settings: Vec<_> = rows().iter().map(|row| as_json(row, &found)).collect();
            out::json(&json!({ "settings": settings }));
        }
        Command::Check { file } => {
            let name = file.display().to_string();
            let flags = config::Flags {
                settings: config::Settings {
                    config: Some(file),
                    ..config::Settings::default()
                },
                ..config::Flags::default()
            };
            let config = Config::load(&flags)?;
            house::way_out(&config)?;
            config.tls.as_ref().map(Tls::load).transpose()?;
            out::line(&format!("{name} is right."));
        }
        Command::Defaults => out::line(defaults().trim_end()),
    }
    Ok(())
}

fn as_json(row: &Row, found: &Found) -> serde_json::Value {
    let given = found.get(row.name);
    let value = given.map(|given| plain(&given.shown(row)));
    json!({
        "name": row.name,
        "value": value,
        "from": given.map(|given| given.origin.to_string()),
        "default": row.default.as_ref().map(plain),
        "variable": row.variable(),
        "about": row.about.trim(),
    })
}

/// A value of a TOML file in JSON. What JSON cannot express is its text.
fn plain(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_else(|_| value.to_string().into())
}

/// Calls `each` for every row; a section's heading goes before its first one.
fn by_section(mut each: impl FnMut(&Row, &str) -> String) -> String {
    let mut text = String::new();
    let mut section = "";
    for row in rows() {
        let (of, name) = row.path();
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&each(row, name));
    }
    text
}

/// The effective values as a configuration file; comments say where they come from.
fn shown(found: &Found) -> String {
    let line = |row: &Row, name: &str| match found.get(row.name) {
        None => format!("# {name} is not set"),
        // Masked, so no value of a file.
        Some(given) if row.secret => format!("# {name} = {}", given.shown(row)),
        Some(given) => format!("{name} = {}", given.shown(row)),
    };
    let width = rows()
        .iter()
        .filter(|row| {
            found
                .get(row.name)
                .is_some_and(|given| given.origin != Origin::Default)
        })
        .map(|row| line(row, row.path().1).chars().count())
        .max();
    let width = width.unwrap_or_default().max(WIDTH);
    by_section(|row, name| match found.get(row.name) {
        None => format!("{}\n", line(row, name)),
        Some(given) => format!("{:width$}  # {}\n", line(row, name), given.origin),
    })
}

/// Where the comments of [`shown`] stand, unless something chosen is longer.
const WIDTH: usize = 40;

/// A file with every setting at its default, and what it is.
pub fn defaults() -> String {
    by_section(|row, name| {
        let setting = match (&row.default, row.variable()) {
            (Some(default), _) => format!("{name} = {default}"),
            // What may not be in a file.
            (None, variable) if row.name == "master_key" => format!("# variable {variable}"),
            (None, _) => format!("# {name} ="),
        };
        format!(
            "\n# {}\n# Takes {}.\n{setting}\n",
            row.about.trim(),
            row.wanted
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_defaults_are_a_file_that_changes_nothing() {
        let given = config::parse("defaults", &defaults()).unwrap();
        for row in rows() {
            let given = given.get(row.name).map(|given| &given.value);
            assert_eq!(given, row.default.as_ref(), "{}", row.name);
        }
    }

    #[test]
    fn what_is_shown_is_a_file_that_says_the_same() {
        let variable = |name: &str| (name == "GRANTRY_DATA_DIR").then(|| "elsewhere".to_owned());
        let found = Found::merge(
            &[("listen", "--listen", Some("127.0.0.1:9"))],
            &variable,
            BTreeMap::new(),
        );
        let text = shown(&found);
        let wanted = [
            "listen = \"127.0.0.1:9\"",
            "# --listen",
            "# GRANTRY_DATA_DIR",
            "# public_url is not set",
        ];
        assert!(wanted.iter().all(|words| text.contains(words)), "{text}");
        let again = config::parse("shown", &text).unwrap();
        for row in rows() {
            let value = found.get(row.name).map(|given| &given.value);
            assert_eq!(
                again.get(row.name).map(|given| &given.value),
                value,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn the_documentation_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let document = std::fs::read_to_string(path).unwrap_or_default();
        let file = format!("```toml\n{}\n```", defaults().trim());
        assert!(
            document.contains(&file),
            "docs/configuration.md should have:\n{file}"
        );
    }
}
