//! Values that come from the environment: `token_env = "NAME"` stands for `token = …`.

use toml::Value;

use super::parse::table_of;
use super::problem::{ApplyProblem, Place};

const SUFFIX: &str = "_env";

/// The text of an apply file with every `X_env = "NAME"`, at any depth, replaced by `X` with the
/// value of the environment variable. Whoever reads the file does this, where its environment is.
///
/// `variable` looks one up. On failure returns every variable that is not set, with its field.
pub fn resolve_env(
    file_name: &str,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Vec<ApplyProblem>> {
    let mut table = table_of(file_name, text)?;
    let mut resolver = Resolver {
        file: Place::file(file_name),
        variable,
        problems: Vec::new(),
    };
    resolver.table("", &mut table);
    if !resolver.problems.is_empty() {
        return Err(resolver.problems);
    }
    toml::to_string(&table).map_err(|error| vec![resolver.file.problem("", error.to_string())])
}

struct Resolver<'a> {
    file: Place,
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<ApplyProblem>,
}

impl Resolver<'_> {
    fn table(&mut self, path: &str, table: &mut toml::Table) {
        let names: Vec<String> = table.keys().cloned().collect();
        for name in names {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match name.strip_suffix(SUFFIX).filter(|stem| !stem.is_empty()) {
                Some(stem) => match self.look_up(stem, table) {
                    Ok(value) => {
                        table.remove(&name);
                        table.insert(stem.to_owned(), Value::String(value));
                    }
                    Err(message) => self.problems.push(self.file.problem(path, message)),
                },
                None => {
                    if let Some(value) = table.get_mut(&name) {
                        self.value(&path, value);
                    }
                }
            }
        }
    }

    fn value(&mut self, path: &str, value: &mut Value) {
        match value {
            Value::Table(table) => self.table(path, table),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&format!("{path}[{index}]"), item);
                }
            }
            _ => {}
        }
    }

    fn look_up(&self, stem: &str, table: &toml::Table) -> Result<String, String> {
        if table.contains_key(stem) {
            return Err(format!("does not go with {stem}: give one of them"));
        }
        let name = table
            .get(&format!("{stem}{SUFFIX}"))
            .and_then(Value::as_str);
        let name = name.ok_or("must be a string: the name of an environment variable")?;
        (self.variable)(name).ok_or_else(|| format!("the environment variable {name} is not set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "KEY").then(|| "sésame \"1\"".to_owned())
    }

    #[test]
    fn values_are_filled_in_at_any_depth() {
        let text = r#"
            [[keys]]
            token_env = "KEY"
            [[connectors]]
            data = { clientSecret_env = "KEY", values = [{ value_env = "KEY" }] }
        "#;
        let resolved = resolve_env("f.toml", text, &environment).unwrap();
        let expected = r#"
            [[keys]]
            token = 'sésame "1"'
            [[connectors]]
            data = { clientSecret = 'sésame "1"', values = [{ value = 'sésame "1"' }] }
        "#;
        assert_eq!(
            resolved.parse::<toml::Table>().unwrap(),
            expected.parse::<toml::Table>().unwrap()
        );
    }

    #[test]
    fn every_variable_that_is_missing_is_named_with_its_field() {
        let text = r#"
            [[keys]]
            token_env = "NOPE"
            [[keys]]
            token_env = 7
            [[connectors]]
            data = { clientSecret_env = "KEY", clientSecret = "s" }
        "#;
        let problems = resolve_env("f.toml", text, &environment).unwrap_err();
        let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "f.toml, connectors[0].data.clientSecret_env: does not go with clientSecret: give one of them",
                "f.toml, keys[0].token_env: the environment variable NOPE is not set",
                "f.toml, keys[1].token_env: must be a string: the name of an environment variable",
            ]
        );
    }
}
