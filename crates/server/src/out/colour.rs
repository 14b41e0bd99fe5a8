//! Colour: only where somebody sees it, or asked for it.

use std::io;

use crate::config::environment;

/// When output is coloured: `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` forces it.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// A colour or weight of text (SGR parameters of ECMA-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it comes.
    Plain,
    /// What stands out.
    Bold,
    /// What is beside the point.
    Dim,
    /// Well.
    Green,
    /// To be looked at.
    Yellow,
    /// Broken.
    Red,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31;1",
        }
    }

    /// `text` in this colour, where `coloured`.
    pub fn on(self, text: &str, coloured: bool) -> String {
        if coloured && self != Self::Plain {
            format!("\x1b[{}m{text}\x1b[0m", self.code())
        } else {
            text.to_owned()
        }
    }

    /// The colour of a word that says how something is.
    pub fn of_state(word: &str) -> Self {
        match word {
            "active" | "ok" | "success" | "created" => Self::Green,
            "needs_reauth" | "pending" | "warn" | "updated" => Self::Yellow,
            "error" | "fail" | "deleted" => Self::Red,
            "revoked" | "canceled" | "expired" | "unchanged" => Self::Dim,
            _ => Self::Plain,
        }
    }
}

/// Whether text on `stream` is coloured (no-color.org, bixense.com/clicolors).
pub fn on(stream: &impl io::IsTerminal) -> bool {
    decide(super::look().colour, &environment, stream.is_terminal())
}

fn decide(when: When, environment: &dyn Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let forced = |value: String| value != "0";
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if environment("NO_COLOR").is_some() => false,
        When::Auto if environment("CLICOLOR_FORCE").is_some_and(forced) => true,
        When::Auto => terminal && environment("TERM").as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_for_those_who_ask() {
        for (when, variables, terminal, coloured) in [
            (When::Auto, &[][..], true, true),
            (When::Auto, &[], false, false),
            (When::Auto, &[("NO_COLOR", "1")], true, false),
            (When::Auto, &[("CLICOLOR_FORCE", "1")], false, true),
            (When::Auto, &[("CLICOLOR_FORCE", "0")], false, false),
            (
                When::Auto,
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
                true,
                false,
            ),
            (When::Auto, &[("TERM", "dumb")], true, false),
            (When::Always, &[("NO_COLOR", "1")], false, true),
            (When::Never, &[("CLICOLOR_FORCE", "1")], true, false),
        ] {
            let environment = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = decide(when, &environment, terminal);
            assert_eq!(found, coloured, "{when:?} {variables:?} {terminal}");
        }
        assert_eq!(Paint::Red.on("x", true), "\x1b[31;1mx\x1b[0m");
        assert_eq!(Paint::Red.on("x", false), "x");
    }
}
