//! The laws of the house that no linter keeps, read from `cargo metadata`, the lock file and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Which of our crates may depend on which (design §4). `it` is absent: it may use all, and none may use it.
const ARROWS: &[(&str, &[&str])] = &[
    ("grantry-core", &[]),
    ("grantry-vault", &["grantry-core"]),
    ("grantry-oauth", &["grantry-core", "grantry-vault"]),
    ("grantry-egress", &["grantry-core"]),
    ("grantry-store", &["grantry-core"]),
    // The opponent knows nothing of what it judges.
    ("grantry-sandbox", &["grantry-core"]),
    (
        "grantry-engine",
        &["grantry-core", "grantry-oauth", "grantry-vault"],
    ),
    // The vault hashes the pages' style sheet for their policy header.
    (
        "grantry-api",
        &["grantry-core", "grantry-engine", "grantry-vault"],
    ),
    (
        "grantry",
        &[
            "grantry-api",
            "grantry-core",
            "grantry-egress",
            "grantry-engine",
            "grantry-sandbox",
            "grantry-store",
            "grantry-vault",
        ],
    ),
    ("grantry-it", &[]),
];

/// Third-party crates that only some of ours may use, because the crate exists to keep them in one place.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["grantry-egress"]),
    ("rusqlite", &["grantry-store"]),
    ("tokio-postgres", &["grantry-store"]),
    // The sandbox signs with it on its own, so that it shares nothing with the vault.
    ("aws-lc-rs", &["grantry-vault", "grantry-sandbox"]),
    ("jsonwebtoken", &["grantry-vault"]),
    ("axum", &["grantry-api", "grantry-sandbox", "grantry"]),
    ("clap", &["grantry"]),
];

/// Licences under which code may be linked into the binary. Weak copyleft (MPL-2.0) is left out
/// until something needs it.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    // The certificate roots of webpki-roots: a data licence without conditions on the program.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Packages that come in two versions: name, since when, why. May only shrink.
const TWICE: &[(&str, &str, &str)] = &[
    (
        "base64",
        "2026-11-23",
        "jsonwebtoken and postgres-protocol still take 0.22",
    ),
    (
        "const-oid",
        "2026-11-23",
        "x509-cert, behind tokio-postgres-rustls, still takes 0.9",
    ),
    (
        "fallible-iterator",
        "2026-11-23",
        "rusqlite takes 0.3, tokio-postgres 0.2",
    ),
    (
        "getrandom",
        "2026-11-23",
        "rand_core 0.6 and ring still take 0.2",
    ),
    (
        "rand_core",
        "2026-11-23",
        "signature, behind x509-cert, still takes 0.6",
    ),
    (
        "syn",
        "2026-11-23",
        "derive macros are on their way from 2 to 3",
    ),
    ("synstructure", "2026-11-23", "follows syn"),
    (
        "untrusted",
        "2026-11-23",
        "aws-lc-rs takes 0.7, rustls-webpki 0.9",
    ),
];

/// Packages in the lock file, at most (design §11).
const PACKAGES_MAX: usize = 420;

/// Lines of one of our source files, at most. Split long before.
const LINES_MAX: usize = 600;

/// Constants with a limit's name outside `core/src/limits.rs`: folder or file, and why they are none that a
/// request, a provider's answer or an operator's file meets. May only shrink.
const NO_LIMITS: &[(&str, &str)] = &[
    (
        "crates/engine/src/tenancy/mod.rs",
        "tries of our own, and rows that a refusal names",
    ),
    (
        "crates/store/src/postgres/",
        "pauses of our own between tries",
    ),
    ("crates/sandbox/", "the opponent has limits of its own"),
    (
        "crates/core/src/store/connections.rs",
        "what a count looks at; the answer says so",
    ),
    (
        "crates/api/src/pages/consent.rs",
        "follows from TOKEN_BYTES_MAX",
    ),
    (
        "crates/api/src/pages/register.rs",
        "follows from TOKEN_BYTES_MAX",
    ),
    (
        "crates/engine/src/setups/",
        "what services take as an app's name",
    ),
    (
        "crates/egress/src/local.rs",
        "the command line's own patience",
    ),
    ("crates/engine/src/feed.rs", "positions of the change feed"),
    (
        "crates/engine/src/connectors/discovered.rs",
        "how long metadata is kept; nothing is refused",
    ),
    (
        "crates/engine/src/authenticate.rs",
        "rows that a refusal names",
    ),
    (
        "crates/server/src/commands/",
        "the command line's own patience",
    ),
    (
        "crates/server/src/visitor.rs",
        "the visitor of `grantry dev`",
    ),
    ("crates/server/src/control.rs", "the kernel's"),
    (
        "crates/store/src/sqlite/connection.rs",
        "other processes on the file",
    ),
];

/// What releases are built for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

static WORKSPACE: LazyLock<Metadata> = LazyLock::new(|| {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        // Of other systems' packages nothing is at hand, and nothing is linked.
        .other_options(["--offline", "--filter-platform", PLATFORM].map(str::to_owned))
        .exec()
        .unwrap()
});

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `package` needs to be built, tests apart.
fn needs(package: &Package) -> impl Iterator<Item = &str> {
    let normal = |kind: DependencyKind| kind != DependencyKind::Development;
    let dependencies = package
        .dependencies
        .iter()
        .filter(move |need| normal(need.kind));
    dependencies.map(|need| need.name.as_str())
}

fn ours() -> impl Iterator<Item = &'static Package> {
    WORKSPACE.workspace_packages().into_iter()
}

#[test]
fn our_crates_depend_on_each_other_only_as_the_design_draws_it() {
    let names: BTreeSet<&str> = ours().map(|package| package.name.as_str()).collect();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names, drawn,
        "a crate is missing from, or too much in, ARROWS"
    );
    for (name, allowed) in ARROWS {
        let package = ours().find(|package| package.name == *name).unwrap();
        let found: BTreeSet<&str> = needs(package).filter(|need| names.contains(need)).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let forbidden: Vec<_> = found.difference(&allowed).collect();
        assert!(
            forbidden.is_empty(),
            "{name} must not depend on {forbidden:?} (design §4)"
        );
    }
}

#[test]
fn heavy_or_dangerous_dependencies_stay_where_they_belong() {
    for (dependency, homes) in KEPT_IN {
        for package in ours().filter(|package| !homes.contains(&package.name.as_str())) {
            assert!(
                needs(package).all(|need| need != *dependency),
                "{} must not depend on {dependency}: that is for {homes:?}",
                package.name
            );
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints_and_they_forbid_unsafe() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for package in ours() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "{} does not inherit the lints",
            package.name
        );
    }
}

#[test]
fn every_package_has_a_licence_that_we_may_link() {
    for package in &WORKSPACE.packages {
        let licence = package.license.as_deref().unwrap_or("none");
        assert!(
            permitted(licence),
            "{} {} is licensed under {licence}",
            package.name,
            package.version
        );
    }
}

/// Whether an SPDX expression can be met with the licences of the list. `/` is the old way to write OR.
fn permitted(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut met = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words);
    }
    met
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut met = one(words);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words);
    }
    met
}

fn one(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => any_of(words) && words.next() == Some(")"),
        Some(licence) => {
            let mut name = licence.to_owned();
            if words.next_if_eq(&"WITH").is_some() {
                name = format!("{name} WITH {}", words.next().unwrap_or_default());
            }
            LICENCES.contains(&name.as_str())
        }
        None => false,
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("MIT OR GPL-3.0 AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-3.0 WITH Classpath-exception-2.0", false),
        ("MPL-2.0", false),
        ("(MIT", false),
        ("none", false),
        ("", false),
    ] {
        assert_eq!(permitted(expression), expected, "{expression}");
    }
}

#[test]
fn no_package_comes_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in &WORKSPACE.packages {
        let seen = versions.entry(package.name.as_str()).or_default();
        seen.insert(package.version.to_string());
    }
    let twice: BTreeSet<&str> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| *name)
        .collect();
    let excused: BTreeSet<&str> = TWICE.iter().map(|(name, _, _)| *name).collect();
    let new: Vec<_> = twice.difference(&excused).collect();
    assert!(
        new.is_empty(),
        "in two versions: {new:?}; prefer one, or say in TWICE why not"
    );
    let stale: Vec<_> = excused.difference(&twice).collect();
    assert!(
        stale.is_empty(),
        "no longer in two versions: take {stale:?} out of TWICE"
    );
}

#[test]
fn the_lock_file_stays_small() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages = lock.matches("\n[[package]]\n").count();
    assert!(
        packages < PACKAGES_MAX,
        "{packages} packages, the budget is {PACKAGES_MAX}"
    );
}

/// Our Rust sources.
pub fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

#[test]
fn no_source_file_is_too_long_to_be_read() {
    for path in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= LINES_MAX,
            "{}: {lines} lines; split it by job",
            path.display()
        );
    }
}

#[test]
fn every_limit_is_in_the_one_file_of_limits() {
    let mut unused: BTreeSet<&str> = NO_LIMITS.iter().map(|(place, _)| *place).collect();
    for path in sources() {
        let name = path
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if name == "crates/core/src/limits.rs" || name.contains("/tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let Some((_, declared)) = line.split_once("const ") else {
                continue;
            };
            let constant = declared.split(':').next().unwrap_or_default();
            let is_limit = ["_MAX", "_TTL", "_TIMEOUT", "DEADLINE"]
                .iter()
                .any(|end| constant.ends_with(end));
            // What takes its value from the file is a name for it.
            if !is_limit || declared.contains("limits::") {
                continue;
            }
            let excused = NO_LIMITS.iter().find(|(place, _)| name.starts_with(place));
            let (place, _) = excused.unwrap_or_else(|| {
                panic!("{name}: {constant} is a limit: it belongs to crates/core/src/limits.rs")
            });
            unused.remove(place);
        }
    }
    assert!(
        unused.is_empty(),
        "no longer needed in NO_LIMITS: {unused:?}"
    );
}

#[test]
fn no_source_file_has_an_unsafe_block() {
    // Written apart, so that this file passes its own test.
    let keyword = concat!("un", "safe");
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        for (number, line) in code.enumerate() {
            // A hyphen makes it a word of a content security policy.
            let mut words =
                line.split(|sign: char| !sign.is_alphanumeric() && !"_-".contains(sign));
            assert!(
                words.all(|word| word != keyword),
                "{}:{}",
                path.display(),
                number + 1
            );
        }
    }
}
