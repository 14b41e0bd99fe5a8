//! `docs/cli.md` is what the binary does.

use std::fs;
use std::process::Command;

use super::place::*;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

/// What a command of the document prints, standard error included, and its exit code.
fn output(place: &Place, line: &str) -> (String, Option<i32>) {
    let ended = Command::new("/bin/sh")
        .args(["-c", &format!("{{ {line}; }} 2>&1")])
        .env_clear()
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", place.path("bin").display()),
        )
        .env("GRANTRY_DATA_DIR", "data")
        .env("GRANTRY_TEAM", "demo")
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    (printed, ended.status.code())
}

/// `text` without what differs from run to run: ids, texts of keys, times, ports, larger
/// numbers, and the widths that follow from them.
fn lasting(text: &str) -> String {
    let word = |word: &str| {
        if word.parse::<jiff::Timestamp>().is_ok() {
            return "TIME".to_owned();
        }
        if word.starts_with("grk_") {
            return "KEY".to_owned();
        }
        let mut kept = String::new();
        let mut run = String::new();
        for sign in word.chars().chain([' ']) {
            if sign.is_ascii_alphanumeric() {
                run.push(sign);
                continue;
            }
            let digits = run.chars().filter(char::is_ascii_digit).count();
            let varies = run.len() >= 12 && digits > 0 || digits >= 3 && digits == run.len();
            kept.push_str(if varies { "…" } else { &run });
            run.clear();
            kept.push(sign);
        }
        kept.trim_end().to_owned()
    };
    let lines = text.lines().map(|line| {
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs every command of the document in a fresh place, one after the other. Those in `console` blocks
/// print what is shown; those in `sh` blocks, of which nothing is shown, are done (exit code 0). `UPDATE_DOCS=1 cargo nextest run -p grantry
/// the_document` writes down what they print.
#[test]
fn the_document_shows_what_commands_print() {
    let place = Place::new();
    fs::create_dir(place.path("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_grantry"), place.path("bin/grantry")).unwrap();
    place.write("team.toml", &team());
    let server = serve(&place);
    place
        .run("apply -f team.toml --data-dir data")
        .assert(0, &[]);

    let document = fs::read_to_string(DOCUMENT).unwrap();
    let mut written = String::new();
    let mut shown = String::new();
    let mut printed = String::new();
    let (mut in_console, mut in_sh) = (false, false);
    let mut failed = Vec::new();
    let mut commands = 0;
    let mut wrong = Vec::new();
    let mut compare = |shown: &mut String, printed: &mut String| {
        if lasting(shown) != lasting(printed) {
            wrong.push(format!("documented:\n{shown}printed:\n{printed}"));
        }
        shown.clear();
        printed.clear();
    };
    for line in document.lines() {
        let fence = line.starts_with("```");
        let command = line.strip_prefix("$ ");
        if let Some(command) = command.filter(|_| in_sh) {
            commands += 1;
            let (printed, code) = output(&place, command);
            if code != Some(0) {
                failed.push(format!("{command} ends with {code:?}:\n{printed}"));
            }
        }
        let command = command.filter(|_| in_console);
        if in_console && (fence || command.is_some()) {
            compare(&mut shown, &mut printed);
        }
        if fence {
            in_console = line == "```console";
            in_sh = line == "```sh";
        }
        if !in_console || fence || command.is_some() {
            written.push_str(line);
            written.push('\n');
        } else {
            shown.push_str(line);
            shown.push('\n');
        }
        if let Some(command) = command {
            commands += 1;
            (printed, _) = output(&place, command);
            if !printed.is_empty() && !printed.ends_with('\n') {
                printed.push('\n');
            }
            written.push_str(&printed);
        }
    }
    assert_eq!(server.stop(), Some(0));
    assert!(commands > 60, "only {commands} commands were found");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    #[expect(clippy::disallowed_methods, reason = "the developer's wish")]
    let update = std::env::var("UPDATE_DOCS").is_ok();
    if update {
        fs::write(DOCUMENT, written).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_has_every_exit_code_of_the_help() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let place = Place::new();
    let help = place.run("--help").stdout;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let codes: Vec<&str> = codes.lines().filter(|line| !line.is_empty()).collect();
    assert!(codes.len() >= 12);
    for line in codes {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {meaning} |");
        assert!(document.contains(&row), "{row}");
    }
}
