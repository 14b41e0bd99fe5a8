//! The suite is complete: every method of the traits, every case in the list.

use std::fs;
use std::path::Path;

fn sources(directory: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = fs::read_dir(directory).unwrap();
    let sources: Vec<_> = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(sources.len() > 5, "the sources have moved");
    sources
}

/// What follows `keyword` up to the parenthesis, on every line that begins with it.
fn functions(sources: &[String], keyword: &str) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| source.lines());
    let names = lines.filter_map(|line| line.trim_start().strip_prefix(keyword)?.split('(').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_method_of_the_traits_is_called() {
    // The spool is no database; its tests are beside it.
    let spool = ["keep", "entries", "remove"];
    let methods = functions(&sources("../core/src/store"), "async fn ");
    assert!(methods.len() > 60, "the traits have moved: {methods:?}");
    let suite = sources("src/contract").concat();
    for method in methods
        .iter()
        .filter(|method| !spool.contains(&method.as_str()))
    {
        assert!(
            suite.contains(&format!(".{method}(")),
            "no case calls `{method}`: add one to src/contract"
        );
    }
}

#[test]
fn every_case_is_in_the_list() {
    let suite = sources("src/contract");
    let list = include_str!("mod.rs");
    let cases = functions(&suite, "pub async fn ");
    for case in cases.iter().filter(|case| *case != "new") {
        assert!(
            list.contains(&format!("    {case},")),
            "`{case}` never runs: add it to `contract_tests!`"
        );
    }
}
