//! `docs/requirements.md` is the list of attacks and of what proves that each fails. Its rows 1 to 28 and the tests say
//! the same: what a row names is there, and what is there is named by its row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use grantry_sandbox::FAULTS;

use crate::laws::{root, sources};

/// The attacks on the flow, G1 of the document.
const ATTACKS: std::ops::RangeInclusive<u8> = 1..=28;

/// A source file.
struct Source {
    /// As the document writes it: `oauth::callback`.
    module: String,
    text: String,
    /// Functions that the test runner runs.
    tests: Vec<String>,
}

fn read() -> Vec<Source> {
    let crates = root().join("crates");
    let of = |path: std::path::PathBuf| {
        let name = path.strip_prefix(&crates).unwrap().with_extension("");
        let parts = name.iter().map(|part| part.to_str().unwrap());
        // `it/tests/it/attacks.rs` and `oauth/src/callback.rs`; what follows are modules.
        let (first, rest): (Vec<&str>, Vec<&str>) =
            (parts.clone().take(1).collect(), parts.skip(1).collect());
        let skip = if rest[0] == "src" {
            1
        } else {
            2.min(rest.len() - 1)
        };
        let modules = rest[skip..].iter().filter(|part| **part != "mod");
        let text = fs::read_to_string(&path).unwrap();
        Source {
            module: first
                .iter()
                .chain(modules)
                .copied()
                .collect::<Vec<_>>()
                .join("::"),
            tests: tests(&text),
            text,
        }
    };
    sources().into_iter().map(of).collect()
}

/// Names of functions under `#[test]` or `#[tokio::test…]` that nothing ignores.
fn tests(text: &str) -> Vec<String> {
    let (mut attributes, mut found) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let declared = line.trim_start_matches("pub ").trim_start_matches("async ");
        if let Some(declared) = declared.strip_prefix("fn ") {
            let is = |start: &str| {
                attributes
                    .iter()
                    .any(|attribute: &&str| attribute.starts_with(start))
            };
            if (is("#[test]") || is("#[tokio::test")) && !is("#[ignore") {
                let end = declared.find(['(', '<']).unwrap_or(declared.len());
                found.push(declared[..end].to_owned());
            }
        }
        if !line.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

/// The numbers in `requirement_18_and_19_every_step…`.
fn numbers(test: &str) -> BTreeSet<u8> {
    let words = test
        .strip_prefix("requirement_")
        .unwrap_or_default()
        .split('_');
    words
        .filter(|word| *word != "and")
        .map_while(|word| word.parse().ok())
        .collect()
}

/// What a row's "Where" names.
#[derive(Default)]
struct Named {
    modules: BTreeSet<String>,
    tests: BTreeSet<String>,
    cases: BTreeSet<String>,
    suites: BTreeSet<String>,
    faults: BTreeSet<String>,
}

/// The words between backticks, but for what stands in brackets.
fn quoted(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(c == '(');
        if depth == 0 {
            plain.push(c);
        }
        depth -= i32::from(c == ')');
    }
    plain
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// `oauth::{callback, discovery}` is two modules.
fn unfolded(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else {
        return vec![word.to_owned()];
    };
    let inner = rest.trim_end_matches('}').split(", ");
    inner.map(|name| format!("{before}{name}")).collect()
}

fn named(cell: &str) -> Named {
    let mut named = Named::default();
    for segment in cell.split("; ") {
        let (kind, text) = segment.split_once(": ").unwrap_or(("", segment));
        let words = quoted(text);
        match kind {
            "acceptance" => named.suites.extend(words),
            "toxic" => named.faults.extend(words),
            "contract" => named.cases.extend(words),
            _ => {
                for word in quoted(segment) {
                    match word.contains("::") {
                        true => named.modules.extend(unfolded(&word)),
                        false => drop(named.tests.insert(word.trim_end_matches('…').to_owned())),
                    }
                }
            }
        }
    }
    named
}

fn rows() -> BTreeMap<u8, Named> {
    let text = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split(" | ")
            .collect();
        let number: u8 = cells.first()?.parse().ok()?;
        if !ATTACKS.contains(&number) {
            return None;
        }
        let known = ["Kept", "Partly", "Planned"];
        let [_, _, _, place, status] = *cells.as_slice() else {
            panic!("row {number}: {cells:?}");
        };
        assert!(
            known.iter().any(|word| status.starts_with(word)),
            "row {number}: {status}"
        );
        Some((number, named(place)))
    };
    text.lines().filter_map(row).collect()
}

fn within(module: &str, outer: &str) -> bool {
    module
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn the_list_of_attacks_names_the_tests_that_there_are_and_no_others() {
    let (sources, rows) = (read(), rows());
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        ATTACKS.collect::<Vec<_>>()
    );
    let all: Vec<(&str, &str)> = sources
        .iter()
        .flat_map(|source| source.tests.iter().map(|test| (&*source.module, &**test)))
        .collect();
    for (number, row) in &rows {
        let own = row.tests.iter().any(|test| numbers(test).contains(number));
        assert!(own, "row {number} names no test of its number");
        for test in &row.tests {
            let found = all.iter().any(|(_, name)| name.starts_with(test.as_str()));
            assert!(found, "row {number}: there is no test {test}");
        }
        for (module, test) in &all {
            if numbers(test).contains(number) {
                let named = row.modules.iter().any(|outer| within(module, outer));
                assert!(
                    named,
                    "row {number} does not name {module}, where {test} is"
                );
            }
        }
    }
}

#[test]
fn the_list_of_attacks_names_modules_cases_and_suites_that_there_are() {
    let sources = read();
    let ours: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.module.split("::").next())
        .collect();
    for (number, row) in rows() {
        for name in &row.modules {
            // A trait's method is named by the trait.
            let is_path = ours.contains(name.split("::").next().unwrap_or_default());
            let (outer, item) = name.rsplit_once("::").unwrap();
            let found = sources.iter().any(|source| match is_path {
                true => {
                    within(&source.module, name)
                        || (source.module == outer && source.text.contains(item))
                }
                false => {
                    source.text.contains(&format!("trait {outer}"))
                        && source.text.contains(&format!("fn {item}"))
                }
            });
            assert!(found, "row {number}: there is no {name}");
        }
        for case in &row.cases {
            let (module, name) = case.split_once("::").unwrap();
            let module = format!("store::contract::{module}");
            let declared = format!("fn {name}");
            let mut homes = sources.iter().filter(|source| source.module == module);
            let found = homes.any(|source| source.text.contains(&declared));
            assert!(found, "row {number}: there is no case {case}");
        }
        for suite in &row.suites {
            let path = root().join(format!("acceptance/{suite}.test.mjs"));
            assert!(
                path.exists(),
                "row {number}: there is no {}",
                path.display()
            );
        }
    }
}

#[test]
fn the_list_of_attacks_names_the_faults_that_serve_it() {
    for (number, row) in rows() {
        let serves = |name: &str| match name.strip_suffix('*') {
            Some(start) => FAULTS
                .iter()
                .filter(|fault| fault.name.starts_with(start))
                .map(|fault| fault.name)
                .collect(),
            None => vec![
                FAULTS
                    .iter()
                    .find(|fault| fault.name == name)
                    .map_or("?", |fault| fault.name),
            ],
        };
        let named: BTreeSet<&str> = row.faults.iter().flat_map(|name| serves(name)).collect();
        let there = FAULTS
            .iter()
            .filter(|fault| fault.requirements.contains(&number));
        let there: BTreeSet<&str> = there.map(|fault| fault.name).collect();
        assert_eq!(named, there, "row {number}");
    }
}

#[test]
fn only_what_the_runner_runs_counts_as_a_test() {
    let text = "
        #[test]
        fn requirement_201_is_run() {}
        #[tokio::test(flavor = \"x\")]
        #[expect(clippy::unwrap_used)]
        // Why.
        async fn requirement_202_and_203_are_run() {}
        #[test]
        #[ignore = \"slow\"]
        fn requirement_204_is_not() {}
        fn requirement_205_is_none() {}
        // fn requirement_206_is_a_comment() {}
        #[test]
        const X: u8 = 1;
        fn requirement_207_is_none() {}
    ";
    assert_eq!(
        tests(text),
        ["requirement_201_is_run", "requirement_202_and_203_are_run"]
    );
    assert_eq!(
        numbers("requirement_202_and_203_are_run"),
        BTreeSet::from([202, 203])
    );
    assert_eq!(quoted("`a` and (`b`) `c`"), ["a", "c"]);
    assert_eq!(unfolded("x::{a, b}"), ["x::a", "x::b"]);
}
