//! The configuration file: TOML whose keys are settings.

use std::collections::BTreeMap;

use toml::Value;
use toml::de::DeTable;

use super::found::{Given, Origin};
use super::settings::rows;
use crate::failure::Failure;

/// What `text` of the file `name` gives, by setting.
///
/// # Errors
/// [`crate::failure::Exit::Usage`]: no TOML, or one line for each key that is no setting.
pub fn parse(name: &str, text: &str) -> Result<BTreeMap<&'static str, Given>, Failure> {
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    // The parser would quote the line, and that may hold a password.
    let wrong = |error: toml::de::Error| {
        let at = error.span().map_or(1, |span| line(span.start));
        Failure::usage(format!("{name}, line {at}: {}", error.message().trim_end()))
    };
    let spans = DeTable::parse(text).map_err(wrong)?;
    let table: toml::Table = toml::from_str(text).map_err(wrong)?;
    let mut given = BTreeMap::new();
    let mut problems = Vec::new();
    for (key, value) in spans.get_ref() {
        let found = table.get(key.get_ref().as_ref());
        let inner = value
            .get_ref()
            .as_table()
            .zip(found.and_then(Value::as_table));
        match inner.filter(|_| is_section(key.get_ref())) {
            Some((spans, table)) => {
                for (inner, value) in table {
                    let at = spans.get_key_value(inner.as_str());
                    let at = at.map_or(0, |(key, _)| key.span().start);
                    take(name, key.get_ref(), inner, value, line(at), &mut given)
                        .unwrap_or_else(|problem| problems.push(problem));
                }
            }
            None => {
                let at = line(key.span().start);
                let value = found.cloned().unwrap_or(Value::Boolean(false));
                take(name, "", key.get_ref(), &value, at, &mut given)
                    .unwrap_or_else(|problem| problems.push(problem));
            }
        }
    }
    match problems.is_empty() {
        true => Ok(given),
        false => Err(Failure::usage(problems.join("\n"))),
    }
}

/// Notes `value` for the setting `key` of `section`, or says what is wrong with the key.
fn take(
    file: &str,
    section: &str,
    key: &str,
    value: &Value,
    line: usize,
    given: &mut BTreeMap<&'static str, Given>,
) -> Result<(), String> {
    let full = full(section, key);
    let Some(row) = rows().iter().find(|row| row.name == full) else {
        return Err(format!("{file}, line {line}: {}", unknown(section, key)));
    };
    if row.name == "master_key" {
        return Err(format!(
            "{file}, line {line}: a master key must not be in the configuration; \
             master_key_file = \"PATH\" would be right, or the variable GRANTRY_MASTER_KEY"
        ));
    }
    let origin = Origin::File(file.to_owned(), line);
    let value = value.clone();
    given.insert(row.name, Given { value, origin });
    Ok(())
}

fn full(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        section => format!("{section}.{key}"),
    }
}

fn is_section(name: &str) -> bool {
    rows().iter().any(|row| row.path().0 == name)
}

/// Names the setting that looks most like the unknown one, wherever it belongs.
fn unknown(section: &str, key: &str) -> String {
    if section.is_empty() && is_section(key) {
        return format!("{key} is a section; [{key}] on a line of its own would be right");
    }
    let all = rows();
    let sections = all.iter().map(|row| ("", row.path().0));
    let likeness = |(in_section, name): (&str, &str)| {
        let same = strsim::normalized_damerau_levenshtein(name, key);
        // Of two that look alike the one of the same section is meant.
        let bonus = if in_section == section { 0.01 } else { 0.0 };
        (same + bonus, full(in_section, name))
    };
    let nearest = all
        .iter()
        .map(super::settings::Row::path)
        .chain(sections)
        .map(likeness)
        .max_by(|one, two| one.0.total_cmp(&two.0));
    let advice = match nearest.filter(|(likeness, _)| *likeness >= 0.5) {
        Some((_, name)) => format!("is {name} meant?"),
        None => {
            let mut known: Vec<&str> = all
                .iter()
                .filter(|row| row.path().0 == section)
                .map(|row| row.name)
                .collect();
            if known.is_empty() {
                known = all.iter().map(|row| row.path().0).collect();
                known.dedup();
            }
            format!("there are {}", known.join(", "))
        }
    };
    format!("there is no setting {}; {advice}", full(section, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
        for (text, words) in [
            (
                "listn = 'x'",
                "line 1: there is no setting listn; is listen meant?",
            ),
            (
                "\npublic-url = 'x'",
                "line 2: there is no setting public-url; is public_url meant?",
            ),
            ("allow = []", "setting allow; is egress.allow meant?"),
            (
                "[egress]\nalow = []",
                "line 2: there is no setting egress.alow; is egress.allow meant?",
            ),
            (
                "[refresh]\nkeepalive = '1h'",
                "is refresh.keep_alive meant?",
            ),
            (
                "[refersh]\n",
                "line 1: there is no setting refersh; is refresh meant?",
            ),
            ("[refersh]\nlease = '30s'", "is refresh meant?"),
            (
                "[refresh]\nzzz = 1",
                "there are refresh.lease, refresh.wait",
            ),
            ("egress = 1", "line 1: egress is a section; [egress]"),
            ("connections_max = 9", "is limits.connections_max meant?"),
            ("master_key = 'x'", "must not be in the configuration"),
        ] {
            let failure = parse("grantry.toml", text).unwrap_err();
            let message = &failure.message;
            assert!(message.starts_with("grantry.toml, line"), "{message}");
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    #[test]
    fn every_unknown_key_is_named_at_once() {
        let failure = parse("f", "a_b_c = 1\nlisten = 'x'\n[egress]\nd_e_f = 2").unwrap_err();
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("f, line 1:") && lines[1].starts_with("f, line 4:"));
    }

    #[test]
    fn a_secret_of_a_broken_file_is_not_quoted() {
        // What the parser stumbles over is a line of the operator's; only its place is needed.
        let failure = parse("f", "database_url = 'postgres://u:hunter2@h/d").unwrap_err();
        assert!(failure.message.contains("line 1"), "{}", failure.message);
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    }
}
